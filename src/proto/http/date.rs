//! Dates of HTTP headers, compared with one another and never with the clock of this machine, which
//! on a board may not be set.

use crate::text::alike;

/// Seconds since 1970 of "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), or with dashes
/// and two digits for the year, as old cookies have it. None: something else.
pub fn date(text: &[u8]) -> Option<u64> {
    let comma = text.iter().position(|&b| b == b',')?;
    let mut parts = text
        .get(comma + 1..)?
        .split(|b| matches!(b, b' ' | b'-' | b':'))
        .filter(|part| !part.is_empty());
    // Small numbers, which 32-bit machines divide by themselves.
    let small = |part| u32::try_from(number(part)?).ok();
    let day = small(parts.next()?)?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|m| alike(m, name))? as u32;
    let year = match small(parts.next()?)? {
        // RFC 6265 section 5.1.1, 3 and 4.
        year @ 70..=99 => 1900 + year,
        year @ 0..=69 => 2000 + year,
        year @ 1970..=9999 => year,
        // Long ago is as good as the beginning.
        100..=1969 => return Some(0),
        _ => return None,
    };
    let hour = small(parts.next()?)?;
    let minute = small(parts.next()?)?;
    let second = small(parts.next()?)?;
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years that begin in March, so that the leap day comes last.
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // From March of the year 0 to January 1970.
    let days = days.checked_sub(719_468)?;
    let time = (hour * 60 + minute) * 60 + second;
    Some(u64::from(days) * 86_400 + u64::from(time))
}

/// A number without sign, of at most 18 digits.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let table: [(&str, Option<u64>); 15] = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:01 GMT", Some(1)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600)),
            ("Wed, 01 Mar 2000 00:00:00 GMT", Some(951_868_800)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Sat, 21 Nov 2026 10:00:00 GMT", Some(1_795_255_200)),
            ("Mon, 01 Jan 0001 00:00:00 GMT", Some(978_307_200)),
            ("Mon, 01 Jan 1601 00:00:00 GMT", Some(0)),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number(b"120"), Some(120));
        assert_eq!(number(b"000000000000000001"), Some(1));
        for text in ["", "-1", "+1", "1.5", " 1", "9999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
