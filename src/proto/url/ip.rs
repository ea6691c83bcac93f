//! Addresses as numbers. `core::net` reads the same, with six times the code.

/// RFC 3986 3.2.2, IPv4address: four numbers from 0 to 255, without leading zeros.
pub fn v4(text: &[u8]) -> Option<[u8; 4]> {
    let mut address = [0; 4];
    let mut parts = text.split(|&b| b == b'.');
    for octet in &mut address {
        *octet = number(parts.next()?)?;
    }
    parts.next().is_none().then_some(address)
}

fn number(digits: &[u8]) -> Option<u8> {
    let leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
    if digits.is_empty() || digits.len() > 3 || leading_zero {
        return None;
    }
    let value = digits.iter().try_fold(0, |value, &b| {
        b.is_ascii_digit().then(|| 10 * value + u16::from(b - b'0'))
    })?;
    u8::try_from(value).ok()
}

/// RFC 4291 2.2: eight groups of up to four hexadecimal digits. `::` stands, once, for one or more groups of zeros; the last
/// two groups may be an IPv4 address.
pub fn v6(text: &[u8]) -> Option<[u8; 16]> {
    let mut address = [0; 16];
    let Some(gap) = text.windows(2).position(|two| two == b"::") else {
        return (groups(text, true, &mut address)? == 16).then_some(address);
    };
    let mut tail = [0; 16];
    let head_len = groups(text.get(..gap)?, false, &mut address)?;
    let tail_len = groups(text.get(gap + 2..)?, true, &mut tail)?;
    if head_len + tail_len > 14 {
        return None;
    }
    let end = address.get_mut(16 - tail_len..)?;
    end.copy_from_slice(tail.get(..tail_len)?);
    Some(address)
}

/// Groups with colons between them; how many bytes they are.
fn groups(text: &[u8], v4_may_end: bool, into: &mut [u8; 16]) -> Option<usize> {
    let mut len = 0;
    if text.is_empty() {
        return Some(len);
    }
    let mut parts = text.split(|&b| b == b':').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let v4 = if last && v4_may_end { v4(part) } else { None };
        let group = match v4 {
            Some(_) => [0; 2],
            None => hexadecimal(part)?,
        };
        let bytes = v4.as_ref().map_or(&group[..], |v4| v4);
        into.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
        len += bytes.len();
    }
    Some(len)
}

fn hexadecimal(digits: &[u8]) -> Option<[u8; 2]> {
    if !(1..=4).contains(&digits.len()) {
        return None;
    }
    let value = digits.iter().try_fold(0_u16, |value, &b| {
        Some(value << 4 | char::from(b).to_digit(16)? as u16)
    })?;
    Some(value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use core::net::{Ipv4Addr, Ipv6Addr};

    /// All that differs from these in one byte, or in one that is missing or doubled, is read as by `core::net`.
    #[test]
    fn as_core_net_reads_them() {
        let seeds = [
            "0.0.0.0",
            "127.0.0.1",
            "255.255.255.255",
            "1.2.3.4",
            "10.20.30.400",
            "256.1.1.1",
            "::",
            "::1",
            "1::",
            "1:2:3:4:5:6:7:8",
            "1::8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "fe80::dead:beef",
            "::ffff:192.0.2.1",
            "1:2:3:4:5:6:192.0.2.1",
            "::192.0.2.1",
            "1::192.0.2.1",
            "2001:DB8::a1",
            "1:2:3:4::5:6:7:8",
            "64:ff9b::1.2.3.4",
        ];
        let bytes = b"0123459afAFgG:.%[ +-x";
        let mut read = 0;
        for seed in seeds {
            for at in 0..=seed.len() {
                let (before, after) = seed.split_at(at);
                let rest = after.get(1..).unwrap_or("");
                let mut texts = alloc::vec![seed.into(), format!("{before}{rest}")];
                for &b in bytes {
                    let b = char::from(b);
                    texts.push(format!("{before}{b}{rest}"));
                    texts.push(format!("{before}{b}{after}"));
                    texts.push(format!("{before}{b}{b}{after}"));
                }
                for text in texts {
                    let expected = text.parse::<Ipv4Addr>().ok().map(|ip| ip.octets());
                    assert_eq!(v4(text.as_bytes()), expected, "{text}");
                    let expected = text.parse::<Ipv6Addr>().ok().map(|ip| ip.octets());
                    assert_eq!(v6(text.as_bytes()), expected, "{text}");
                    read += usize::from(expected.is_some());
                }
            }
        }
        assert!(read > 1000, "{read} addresses were good");
    }
}
