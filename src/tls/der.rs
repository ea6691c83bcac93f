//! What of a certificate is told to people: its subject in words and its dates (RFC 5280 section 4.1). Whether it is to be
//! trusted is not decided here but by webpki.

use crate::text::{Pen, Say};

/// A DER element: its tag, and what is in it.
type Element<'a> = (u8, &'a [u8]);

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BMP_STRING: u8 = 0x1e;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Takes the next element off `input`.
fn take<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let len = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = behind;
            digits.iter().fold(0, |sum, &b| sum << 8 | usize::from(b))
        }
        // An indefinite length is not DER, one of four bytes no certificate's.
        _ => return None,
    };
    let (value, behind) = rest.split_at_checked(len)?;
    *input = behind;
    Some((tag, value))
}

fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(input)
        .filter(|(t, _)| *t == tag)
        .map(|(_, value)| value)
}

/// What is in a SEQUENCE.
pub fn content(der: &[u8]) -> Option<&[u8]> {
    let mut input = der;
    expect(&mut input, SEQUENCE)
}

/// The tag and the length of a SEQUENCE of `len` bytes, fewer than 64 KiB.
pub fn sequence_head(len: usize) -> Head {
    let [.., high, low] = len.to_be_bytes();
    match len {
        0..=0x7f => Head([SEQUENCE, low, 0, 0], 2),
        0x80..=0xff => Head([SEQUENCE, 0x81, low, 0], 3),
        _ => Head([SEQUENCE, 0x82, high, low], 4),
    }
}

pub struct Head([u8; 4], usize);

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// Seconds since 1970 between which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

/// The dates of a certificate.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut input = certificate;
    let mut certificate = expect(&mut input, SEQUENCE)?;
    let mut tbs = expect(&mut certificate, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        take(&mut tbs)?;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        take(&mut tbs)?;
    }
    let mut dates = expect(&mut tbs, SEQUENCE)?;
    Some(Validity {
        not_before: time(take(&mut dates)?)?,
        not_after: time(take(&mut dates)?)?,
    })
}

/// "YYMMDDHHMMSSZ" (RFC 5280 section 4.1.2.5.1: 50 to 99 are of the last century) or "YYYYMMDDHHMMSSZ".
fn time((tag, text): Element<'_>) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME if digits.len() == 12 => {
            let year = number(digits.get(..2)?)?;
            (year + if year < 50 { 2000 } else { 1900 }, digits.get(2..)?)
        }
        GENERALIZED_TIME if digits.len() == 14 => (number(digits.get(..4)?)?, digits.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| number(rest.get(at..at + 2)?);
    let days = days_from_civil(year, part(0)?, part(2)?);
    Some(days * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, &b| {
        b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0'))
    })
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, whose years begin in March here.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A moment as "2024-01-31 23:59:59 UTC".
pub struct Date(pub i64);

impl Say for Date {
    fn say(&self, pen: &mut Pen<'_>) {
        let (days, seconds) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let days = days + 719_468;
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        for (value, places, behind) in [
            (year, 4, "-"),
            (month, 2, "-"),
            (day, 2, " "),
            (hour, 2, ":"),
            (minute, 2, ":"),
            (second, 2, " UTC"),
        ] {
            say_number(pen, value, places);
            behind.say(pen);
        }
    }
}

/// With zeros in front.
fn say_number(pen: &mut Pen<'_>, value: i64, places: u32) {
    for place in (0..places).rev() {
        let digit = value / 10i64.pow(place) % 10;
        pen.put(&[b'0' + digit.unsigned_abs() as u8]);
    }
}

/// A Name (what is in its SEQUENCE) as RFC 4514 writes one, but in the order in which it stands: "O=Acme,CN=device 7".
/// An attribute that is not listed in RFC 4514 is shown by its number, control characters as '?'.
pub struct Name<'a>(pub &'a [u8]);

const ATTRIBUTES: [(&[u8], &str); 9] = [
    (&[85, 4, 3], "CN"),
    (&[85, 4, 7], "L"),
    (&[85, 4, 8], "ST"),
    (&[85, 4, 10], "O"),
    (&[85, 4, 11], "OU"),
    (&[85, 4, 6], "C"),
    (&[85, 4, 9], "STREET"),
    (&[9, 146, 38, 137, 147, 242, 44, 100, 1, 25], "DC"),
    (&[9, 146, 38, 137, 147, 242, 44, 100, 1, 1], "UID"),
];

impl Say for Name<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        let mut names = self.0;
        let mut between = "";
        while let Some(mut set) = expect(&mut names, SET) {
            while let Some(mut pair) = expect(&mut set, SEQUENCE) {
                let oid = expect(&mut pair, OBJECT_IDENTIFIER).unwrap_or_default();
                let value = take(&mut pair).unwrap_or_default();
                between.say(pen);
                match ATTRIBUTES.iter().find(|(known, _)| *known == oid) {
                    Some((_, name)) => name.say(pen),
                    None => say_oid(pen, oid),
                }
                "=".say(pen);
                say_value(pen, value);
                between = "+";
            }
            between = ",";
        }
    }
}

/// "1.2.840.113549.1.9.1"; what of it exceeds 32 bits is no known attribute's.
fn say_oid(pen: &mut Pen<'_>, oid: &[u8]) {
    let mut arc = 0u32;
    let mut first = true;
    for byte in oid {
        arc = arc << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if first {
            let top = (arc / 40).min(2);
            words!("{}.{}", top, arc - top * 40).say(pen);
        } else {
            words!(".{}", arc).say(pen);
        }
        first = false;
        arc = 0;
    }
}

fn say_value(pen: &mut Pen<'_>, (tag, value): Element<'_>) {
    if tag == BMP_STRING {
        let units = value.chunks_exact(2).map(|two| match two {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        });
        for c in char::decode_utf16(units) {
            say_escaped(pen, c.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        return;
    }
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            say_escaped(pen, c);
        }
        if !chunk.invalid().is_empty() {
            "?".say(pen);
        }
    }
}

/// RFC 4514 section 2.4: what would read as the structure of a name is escaped.
fn say_escaped(pen: &mut Pen<'_>, c: char) {
    match c {
        ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => "\\".say(pen),
        c if c.is_control() => return "?".say(pen),
        _ => {}
    }
    c.encode_utf8(&mut [0; 4]).say(pen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Line;
    use alloc::string::String;

    fn said(what: impl Say) -> String {
        let line = Line::<256>::from(what);
        String::from_utf8(line.as_bytes().to_vec()).expect("UTF-8")
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_704_067_199, "2023-12-31 23:59:59 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(said(Date(seconds)), text);
        }
        assert_eq!(time((UTC_TIME, b"491231235959Z")), Some(2_524_607_999));
        assert_eq!(time((UTC_TIME, b"700101000000Z")), Some(0));
        assert_eq!(
            time((GENERALIZED_TIME, b"21000101000000Z")),
            Some(4_102_444_800)
        );
        for bad in [&b"700101000000"[..], b"70010100000Z", b"7001010000x0Z", b""] {
            assert_eq!(time((UTC_TIME, bad)), None);
        }
    }

    #[test]
    fn names() {
        // C=DE, then CN="a,b" + 1.2.840.113549.1.9.1="x\ny"
        let name = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02DE\
            \x31\x1e\x30\x0a\x06\x03\x55\x04\x03\x0c\x03a,b\
            \x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01\x16\x03x\ny";
        assert_eq!(said(Name(name)), "C=DE,CN=a\\,b+1.2.840.113549.1.9.1=x?y");
        assert_eq!(
            said(Name(
                b"\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x1e\x02\x00\xe9"
            )),
            "CN=\u{e9}"
        );
        assert_eq!(said(Name(b"")), "");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1u32;
        for _ in 0..20_000 {
            let mut bytes = [0u8; 48];
            for b in &mut bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Mostly tags and short lengths, so that it gets far.
                let choice = [
                    SEQUENCE,
                    SET,
                    6,
                    2,
                    3,
                    UTC_TIME,
                    8,
                    13,
                    0x82,
                    (seed >> 24) as u8,
                ];
                *b = choice
                    .get((seed >> 16) as usize % choice.len())
                    .copied()
                    .unwrap_or(0);
            }
            let _ = (validity(&bytes), said(Name(&bytes)));
        }
    }
}
