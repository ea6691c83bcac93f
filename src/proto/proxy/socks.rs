//! The client's side of SOCKS5 (RFC 1928), with user name and password (RFC 1929).

use super::{Proxy, ProxyError};
use crate::proto::http::append;
use crate::proto::url::{ClientUrl, Host};
use crate::proto::OutOfMemory;
use alloc::vec::Vec;

/// How far the exchange is: what the next answer of the proxy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Method,
    Password,
    Connect,
    Done,
}

#[derive(Debug)]
pub struct Socks {
    stage: Stage,
    /// An answer that has not come whole. The longest has 262 bytes.
    answer: Vec<u8>,
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

const MEMORY: ProxyError = temporary("out of memory");

impl Socks {
    /// Appends the greeting.
    pub fn begin(proxy: &Proxy, out: &mut Vec<u8>) -> Result<Socks, OutOfMemory> {
        // Who has a password does not offer to come without.
        let method = match proxy.user {
            Some(_) => PASSWORD,
            None => NO_AUTHENTICATION,
        };
        append(out, &[&[VERSION, 1, method]])?;
        Ok(Socks {
            stage: Stage::Method,
            answer: Vec::new(),
        })
    }

    /// Takes bytes of the proxy, at `*at` in the input, and appends what is to be sent. True: the
    /// tunnel is open, and what follows in the input comes from the server.
    pub fn feed(
        &mut self,
        proxy: &Proxy,
        target: &ClientUrl,
        input: &[u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, ProxyError> {
        while self.stage != Stage::Done {
            let wanted = self.wanted()?;
            let missing = wanted.saturating_sub(self.answer.len());
            let rest = input.get(*at..).unwrap_or_default();
            let taken = rest.get(..missing.min(rest.len())).unwrap_or_default();
            append(&mut self.answer, &[taken]).map_err(|_| MEMORY)?;
            *at += taken.len();
            if taken.len() < missing {
                return Ok(false);
            }
            // The length of the last answer shows itself as it comes.
            if self.wanted()? == self.answer.len() {
                self.step(proxy, target, out)?;
                self.answer = Vec::new();
            }
        }
        Ok(true)
    }

    /// Bytes of the answer that is being received, as far as is known.
    fn wanted(&self) -> Result<usize, ProxyError> {
        if self.stage != Stage::Connect {
            return Ok(2);
        }
        match *self.answer.as_slice() {
            // Version, reply, reserved, address type, and a length or the first byte of an address.
            [VERSION, 0, _, kind, first, ..] => match kind {
                V4 => Ok(4 + 4 + 2),
                V6 => Ok(4 + 16 + 2),
                NAME => Ok(5 + usize::from(first) + 2),
                _ => Err(temporary("the proxy does not speak SOCKS5")),
            },
            [VERSION, reply, _, _, _, ..] => Err(refused(reply)),
            [_, _, _, _, _, ..] => Err(temporary("the proxy does not speak SOCKS5")),
            _ => Ok(5),
        }
    }

    /// A whole answer is there.
    fn step(
        &mut self,
        proxy: &Proxy,
        target: &ClientUrl,
        out: &mut Vec<u8>,
    ) -> Result<(), ProxyError> {
        let [first, second] = match *self.answer.as_slice() {
            [first, second, ..] => [first, second],
            _ => [0; 2],
        };
        match (self.stage, &proxy.user) {
            (Stage::Method, Some(user)) if [first, second] == [VERSION, PASSWORD] => {
                let name = [1, user.user.len() as u8];
                let password = [user.password.len() as u8];
                append(out, &[&name, &user.user, &password, &user.password]).map_err(|_| MEMORY)?;
                self.stage = Stage::Password;
                return Ok(());
            }
            (Stage::Method, None) if [first, second] == [VERSION, NO_AUTHENTICATION] => {}
            (Stage::Method, _) if first != VERSION => {
                return Err(temporary("the proxy does not speak SOCKS5"))
            }
            (Stage::Method, None) => {
                return Err(permanent("the proxy wants a user name and password"))
            }
            (Stage::Method, Some(_)) => {
                return Err(permanent("the proxy takes no user name and password"))
            }
            // RFC 1929 2: "A STATUS field of X'00' indicates success."
            (Stage::Password, _) if second != 0 => {
                return Err(permanent(
                    "the proxy does not accept the user name and password",
                ))
            }
            (Stage::Password, _) => {}
            (Stage::Connect | Stage::Done, _) => {
                self.stage = Stage::Done;
                return Ok(());
            }
        }
        self.stage = Stage::Connect;
        write_request(target, out).map_err(|_| MEMORY)
    }
}

/// CONNECT, with the name as it is: the proxy resolves it.
fn write_request(target: &ClientUrl, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let name_len;
    let (kind, len, host): (u8, &[u8], &[u8]) = match &target.host {
        Host::V4(ip) => (V4, &[], ip),
        Host::V6(ip) => (V6, &[], ip),
        // At most 254 bytes: the URL was checked.
        Host::Name(name) => {
            name_len = [name.len() as u8];
            (NAME, &name_len, name.as_bytes())
        }
    };
    let port = target.port.to_be_bytes();
    append(out, &[&[VERSION, 1, 0, kind], len, host, &port])
}

const fn temporary(why: &'static str) -> ProxyError {
    ProxyError {
        why,
        permanent: false,
    }
}

const fn permanent(why: &'static str) -> ProxyError {
    ProxyError {
        why,
        permanent: true,
    }
}

/// RFC 1928 6.
fn refused(reply: u8) -> ProxyError {
    match reply {
        2 => permanent("the proxy forbids the connection"),
        3 => temporary("the proxy cannot reach the network of the server"),
        4 => temporary("the proxy cannot reach the server"),
        5 => temporary("the proxy was refused by the server"),
        6 => temporary("the proxy got no answer from the server"),
        7 | 8 => permanent("the proxy does not support what is asked"),
        _ => temporary("the proxy opens no tunnel"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// Feeds the answers whole, then byte by byte; what was sent, and how much was taken.
    fn talk(
        proxy: &str,
        url: &str,
        answers: &[u8],
    ) -> (Vec<u8>, Result<(bool, usize), ProxyError>) {
        let proxy = Proxy::parse(proxy).expect(proxy);
        let url = ClientUrl::parse(url).expect(url);
        let run = |chunk: usize| {
            let mut out = Vec::new();
            let mut socks = Socks::begin(&proxy, &mut out).expect("memory");
            let mut taken = 0;
            for piece in answers.chunks(chunk) {
                let mut at = 0;
                match socks.feed(&proxy, &url, piece, &mut at, &mut out) {
                    Ok(done) => {
                        taken += at;
                        if done {
                            return (out, Ok((true, taken)));
                        }
                    }
                    Err(error) => return (out, Err(error)),
                }
            }
            (out, Ok((false, taken)))
        };
        let whole = run(answers.len().max(1));
        assert_eq!(whole, run(1));
        whole
    }

    #[test]
    fn without_a_password() {
        let answers = [&[5, 0][..], &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80], b"HTTP"].concat();
        let (out, end) = talk("socks5://p", "ws://name.example/", &answers);
        let expected = [&[5, 1, 0, 5, 1, 0, 3, 12][..], b"name.example", &[0, 80]].concat();
        // What the server has said already is left where it is.
        assert_eq!((out, end), (expected, Ok((true, 12))));
    }

    #[test]
    fn with_a_password_and_every_form_of_address() {
        let bound_to_name = [&[5, 2, 1, 0][..], &[5, 0, 0, 3, 2, b'a', b'b', 1, 2]].concat();
        let (out, end) = talk("socks5://u:pw@p", "ws://[::2]:258", &bound_to_name);
        let mut expected = vec![5, 1, 2, 1, 1, b'u', 2, b'p', b'w', 5, 1, 0, 4];
        expected.extend([[0; 15].as_slice(), &[2, 1, 2]].concat());
        assert_eq!((out, end), (expected, Ok((true, 13))));
        let bound_to_v6 = [&[5, 0][..], &[5, 0, 0, 4], &[7; 18]].concat();
        let (out, end) = talk("socks5h://p", "wss://1.2.3.4", &bound_to_v6);
        let expected = vec![5, 1, 0, 5, 1, 0, 1, 1, 2, 3, 4, 1, 187];
        assert_eq!((out, end), (expected, Ok((true, 24))));
        let longest = [&[5, 0][..], &[5, 0, 0, 3, 255], &[b'x'; 257]].concat();
        assert_eq!(talk("socks5://p", "ws://h", &longest).1, Ok((true, 264)));
        let empty = [5, 0, 5, 0, 0, 3, 0, 1, 2];
        assert_eq!(talk("socks5://p", "ws://h", &empty).1, Ok((true, 9)));
    }

    #[test]
    fn refusals() {
        let table: [(&str, &[u8], &str, bool); 9] = [
            ("socks5://p", &[5, 255], "wants a user", true),
            ("socks5://p", &[5, 2], "wants a user", true),
            ("socks5://u:p@p", &[5, 255], "takes no", true),
            ("socks5://u:p@p", &[5, 2, 1, 1], "not accept", true),
            ("socks5://p", b"HTTP/1.1 400", "not speak", false),
            (
                "socks5://p",
                &[5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0],
                "forbids",
                true,
            ),
            (
                "socks5://p",
                &[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
                "refused",
                false,
            ),
            ("socks5://p", &[5, 0, 5, 0, 0, 9, 0], "not speak", false),
            ("socks5://p", &[5, 0, 4, 0, 0, 1, 0], "not speak", false),
        ];
        for (proxy, answers, why, permanent) in table {
            let error = talk(proxy, "ws://h", answers).1.expect_err(why);
            assert!(error.why.contains(why), "{}", error.why);
            assert_eq!(error.permanent, permanent, "{why}");
        }
    }
}
