//! Cookies that a server sets when it answers a handshake, kept for the next one (RFC 6265): load
//! balancers find a client's server again by them.
//!
//! Narrower than a browser: a cookie goes only to the host that set it, its Domain is not looked at.
//! Bounded: 16 cookies of at most 4 KiB each, 8 KiB together; one that does not fit is not kept.

use super::http::{append, date, number, trim};
use super::url::ClientUrl;
use super::OutOfMemory;
use alloc::string::String;
use alloc::vec::Vec;

/// RFC 6265 6.1 asks for 4096 bytes a cookie.
const MAX_COOKIE: usize = 4096;
const MAX_TOTAL: usize = 8192;
const MAX_COOKIES: usize = 16;

#[derive(Default)]
pub struct Jar(Vec<Cookie>);

struct Cookie {
    /// Lower case.
    host: String,
    path: Vec<u8>,
    secure: bool,
    /// "name=value"
    pair: Vec<u8>,
    name_len: usize,
    /// Monotonic ms.
    until: u64,
}

impl Jar {
    /// Takes the value of a Set-Cookie header that came from `url`. `today`: the value of its Date
    /// header in seconds, which says what Expires means.
    pub fn set(&mut self, url: &ClientUrl, header: &[u8], now: u64, today: Option<u64>) {
        let Some((mut cookie, max_age, expires)) = parse(url, header) else {
            return;
        };
        self.0.retain(|old| {
            !(old.is_from(url) && old.path == cookie.path && old.name() == cookie.name())
        });
        // RFC 6265 5.3, 3: Max-Age is stronger than Expires.
        let age = match (max_age, expires, today) {
            (Some(age), _, _) => Some(age),
            (None, Some(expires), Some(today)) => Some(expires.saturating_sub(today)),
            // The beginning of time is how cookies are taken back.
            (None, Some(0), None) => Some(0),
            _ => None,
        };
        if let Some(age) = age {
            cookie.until = now.saturating_add(age.saturating_mul(1000));
        }
        self.0.retain(|old| old.until > now);
        let total: usize = self.0.iter().map(Cookie::len).sum();
        let fits = self.0.len() < MAX_COOKIES && total + cookie.len() <= MAX_TOTAL;
        if cookie.until > now && fits && self.0.try_reserve(1).is_ok() {
            self.0.push(cookie);
        }
    }

    /// Appends the cookies for `url`, "a=b; c=d".
    pub fn write(&self, out: &mut Vec<u8>, url: &ClientUrl, now: u64) -> Result<(), OutOfMemory> {
        for cookie in self.0.iter().filter(|c| c.until > now && c.goes_to(url)) {
            let separator: &[u8] = if out.is_empty() { b"" } else { b"; " };
            append(out, &[separator, &cookie.pair])?;
        }
        Ok(())
    }
}

impl Cookie {
    fn name(&self) -> &[u8] {
        self.pair.get(..self.name_len).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.host.len() + self.path.len() + self.pair.len()
    }

    fn is_from(&self, url: &ClientUrl) -> bool {
        self.host.eq_ignore_ascii_case(url.host_text())
    }

    fn goes_to(&self, url: &ClientUrl) -> bool {
        let path = path_of(url);
        // RFC 6265 5.1.4.
        let path_matches = path.strip_prefix(self.path.as_slice()).is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with(b"/") || rest.starts_with(b"/")
        });
        self.is_from(url) && path_matches && (url.secure || !self.secure)
    }
}

/// The cookie, its Max-Age and its Expires.
fn parse(url: &ClientUrl, header: &[u8]) -> Option<(Cookie, Option<u64>, Option<u64>)> {
    // What goes into a header again must be fit for it.
    let clean = header.iter().all(|&b| matches!(b, b'\t' | b' '..=b'~'));
    if header.len() > MAX_COOKIE || !clean {
        return None;
    }
    let mut parts = header.split(|&b| b == b';').map(trim);
    let pair = parts.next()?;
    let name_len = pair.iter().position(|&b| b == b'=').filter(|&n| n > 0)?;
    // RFC 6265 5.1.4: the folder of the request.
    let folder = path_of(url);
    let slash = folder.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let mut path = folder.get(..slash.max(1)).unwrap_or(b"/");
    let (mut secure, mut max_age, mut expires) = (false, None, None);
    for part in parts {
        let at = part.iter().position(|&b| b == b'=').unwrap_or(part.len());
        let (name, value) = part.split_at_checked(at).unwrap_or((part, b""));
        let value = trim(value.get(1..).unwrap_or_default());
        if name.eq_ignore_ascii_case(b"Secure") {
            secure = true;
        } else if name.eq_ignore_ascii_case(b"Path") && value.starts_with(b"/") {
            path = value;
        } else if name.eq_ignore_ascii_case(b"Max-Age") {
            max_age = number(value).or(max_age);
            if value.starts_with(b"-") {
                max_age = Some(0);
            }
        } else if name.eq_ignore_ascii_case(b"Expires") {
            expires = date(value).or(expires);
        }
    }
    let mut host = String::new();
    host.try_reserve_exact(url.host_text().len()).ok()?;
    host.push_str(url.host_text());
    let mut cookie = Cookie {
        host,
        path: Vec::new(),
        secure,
        pair: Vec::new(),
        name_len,
        until: u64::MAX,
    };
    append(&mut cookie.path, &[path]).ok()?;
    append(&mut cookie.pair, &[pair]).ok()?;
    Some((cookie, max_age, expires))
}

fn path_of(url: &ClientUrl) -> &[u8] {
    let resource = url.resource.as_bytes();
    let end = resource.iter().position(|&b| b == b'?');
    resource
        .get(..end.unwrap_or(resource.len()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn url(text: &str) -> ClientUrl {
        ClientUrl::parse(text).expect(text)
    }

    fn shown(jar: &Jar, to: &str, now: u64) -> String {
        let mut out = Vec::new();
        jar.write(&mut out, &url(to), now).expect("memory");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn cookies_go_back_to_where_they_came_from() {
        let mut jar = Jar::default();
        let from = url("ws://h/a/b?c");
        for header in [
            "one=1",
            "two=2; Path=/; HttpOnly; SameSite=Lax",
            "three=3; secure; path=/a/b",
            "four=a=b ; Path=x",
            "=no",
            "no",
            "bad=\u{e9}",
            "bad=\r\nX: y",
        ] {
            jar.set(&from, header.as_bytes(), 0, None);
        }
        assert_eq!(shown(&jar, "ws://H/a/b", 1), "one=1; two=2; four=a=b");
        assert_eq!(
            shown(&jar, "wss://h/a/b/c", 1),
            "one=1; two=2; three=3; four=a=b"
        );
        assert_eq!(shown(&jar, "wss://h/ab", 1), "two=2");
        assert_eq!(shown(&jar, "ws://h:81/a", 1), "one=1; two=2; four=a=b");
        assert_eq!(shown(&jar, "ws://i/a/b", 1), "");
    }

    #[test]
    fn cookies_are_replaced_and_expire() {
        let mut jar = Jar::default();
        let at = url("ws://h/");
        jar.set(&at, b"a=1; Max-Age=10", 1000, None);
        jar.set(
            &at,
            b"b=1; Expires=Thu, 01 Jan 1970 00:01:40 GMT",
            1000,
            Some(90),
        );
        jar.set(
            &at,
            b"c=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
            1000,
            None,
        );
        jar.set(
            &at,
            b"a=2; Max-Age=20; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            1000,
            None,
        );
        assert_eq!(shown(&jar, "ws://h/", 1000), "b=1; c=1; a=2");
        assert_eq!(shown(&jar, "ws://h/", 11_000), "c=1; a=2");
        assert_eq!(shown(&jar, "ws://h/", 21_000), "c=1");
        jar.set(
            &at,
            b"c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            1000,
            None,
        );
        jar.set(&at, b"a=; Max-Age=-1", 1000, None);
        assert_eq!(shown(&jar, "ws://h/", 1000), "b=1");
        jar.set(&at, b"b=; Max-Age=0", 1000, None);
        assert!(jar.0.is_empty());
    }

    #[test]
    fn the_jar_is_bounded() {
        let mut jar = Jar::default();
        for n in 0..1000 {
            jar.set(&url("ws://h/"), format!("n{n}=1").as_bytes(), 0, None);
        }
        assert_eq!(jar.0.len(), MAX_COOKIES);
        let mut jar = Jar::default();
        for n in 0..10 {
            let long = format!("n{n}={}", "x".repeat(4000));
            jar.set(&url("ws://h/"), long.as_bytes(), 0, None);
        }
        assert_eq!(jar.0.len(), 2);
        jar.set(&url("ws://h/"), &[b'x'; 5000], 0, None);
        assert_eq!(jar.0.len(), 2);
    }
}
