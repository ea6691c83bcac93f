//! What stands in the place of proxies, redirects and kept cookies in a build without the feature `reach`: nothing that
//! could happen, so that the compiler leaves out what would follow.

pub mod cookie {
    use crate::proto::url::ClientUrl;
    use crate::proto::OutOfMemory;
    use alloc::vec::Vec;

    #[derive(Default)]
    pub struct Jar;

    impl Jar {
        pub fn set(&mut self, _url: &ClientUrl, _header: &[u8], _now: u64, _today: Option<u64>) {}

        pub fn write(
            &self,
            _out: &mut Vec<u8>,
            _url: &ClientUrl,
            _now: u64,
        ) -> Result<(), OutOfMemory> {
            Ok(())
        }
    }
}

pub mod proxy {
    use crate::proto::url::{ClientUrl, Host};
    use crate::proto::OutOfMemory;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::convert::Infallible;

    pub enum Kind {
        Http,
        Socks5,
    }

    /// There is none.
    pub struct Proxy {
        none: Infallible,
        pub kind: Kind,
        pub host: Host,
        pub port: u16,
        pub host_text: String,
    }

    pub type Environment = Proxy;

    impl Proxy {
        pub fn parse(_url: &str) -> Result<Proxy, &'static str> {
            Err("this build has no proxies")
        }

        pub fn proxy_for(&self, _url: &ClientUrl) -> Option<&Proxy> {
            match self.none {}
        }

        pub fn write_connect(
            &self,
            _out: &mut Vec<u8>,
            _target: &ClientUrl,
        ) -> Result<Asked, OutOfMemory> {
            match self.none {}
        }
    }

    #[derive(PartialEq, Eq)]
    pub struct Asked(Infallible);

    pub struct Socks(Infallible);

    impl Socks {
        pub fn begin(proxy: &Proxy, _out: &mut Vec<u8>) -> Result<Socks, OutOfMemory> {
            match proxy.none {}
        }

        pub fn feed(
            &mut self,
            _proxy: &Proxy,
            _target: &ClientUrl,
            _input: &[u8],
            _at: &mut usize,
            _out: &mut Vec<u8>,
        ) -> Result<bool, ProxyError> {
            match self.0 {}
        }
    }

    #[derive(PartialEq, Eq)]
    pub struct ProxyError {
        pub why: &'static str,
        pub permanent: bool,
    }

    impl Asked {
        pub fn answered(&self, _status: u16) -> Result<(), ProxyError> {
            match self.0 {}
        }
    }
}

pub mod redirect {
    use crate::proto::url::ClientUrl;

    pub enum Target {}

    pub fn url_of(target: Target) -> ClientUrl {
        match target {}
    }

    pub fn is_redirect(_status: u16) -> bool {
        false
    }

    pub fn same_origin(_a: &ClientUrl, _b: &ClientUrl) -> bool {
        true
    }

    pub fn follow(
        _own: &ClientUrl,
        _from: &ClientUrl,
        _location: &[u8],
    ) -> Result<Target, &'static str> {
        Err("this build follows no redirects")
    }
}
