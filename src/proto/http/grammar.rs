//! The small grammars of RFC 9110: tokens, field values, comma-separated lists.

use crate::text::alike;

/// RFC 9110 5.6.2: `token = 1*tchar`.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_tchar(b))
}

/// May the bytes stand as a field value that libws writes? Visible ASCII, SP and
/// TAB; never CR, LF or NUL. RFC 9110 5.5 keeps obs-text for recipients of old
/// messages, so it is refused here.
pub fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| matches!(b, b'\t' | b' '..=b'~'))
}

/// Does a list, perhaps spread over several header lines, hold this token?
///
/// One pass. ASCII case is ignored, the white space around an element is SP and
/// TAB only (RFC 9110 5.6.3), a non-ASCII byte matches nothing.
pub fn has_token<'a>(values: impl Iterator<Item = &'a [u8]> + Clone, token: &str) -> bool {
    let token = token.as_bytes();
    // As a rule it is the only one, and need not be looked for between commas.
    let alone = |value: &[u8]| value.len() == token.len() && alike(value, token);
    values.clone().any(alone) || elements(values).any(|element| alike(element, token))
}

/// The elements of a comma-separated list, white space trimmed.
///
/// RFC 9110 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of
/// empty list elements". The bound of the head makes the number reasonable.
pub fn elements<'a, I: Iterator<Item = &'a [u8]>>(values: I) -> Elements<'a, I> {
    Elements { values, rest: &[] }
}

/// The same of a list that the application gives.
pub(crate) fn list(text: &str) -> Elements<'_, core::option::IntoIter<&[u8]>> {
    elements(Some(text.as_bytes()).into_iter())
}

/// A type with a name, and so one copy in the library for all who look at lists.
#[derive(Clone)]
pub struct Elements<'a, I> {
    values: I,
    rest: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Iterator for Elements<'a, I> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if self.rest.is_empty() {
                self.rest = self.values.next()?;
            }
            let (element, rest) = cut(self.rest, b',');
            self.rest = rest;
            let element = trim(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

/// What stands before and behind the first `mark`; all and nothing if there is none.
pub(crate) fn cut(bytes: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == mark) {
        Some(at) => (
            bytes.get(..at).unwrap_or_default(),
            bytes.get(at + 1..).unwrap_or_default(),
        ),
        None => (bytes, &[]),
    }
}

/// What stands before the first of the `marks`, and what begins with it.
pub(crate) fn cut_before<'a>(text: &'a str, marks: &[u8]) -> (&'a str, &'a str) {
    let at = text.bytes().position(|b| marks.contains(&b));
    text.split_at_checked(at.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

/// The first of some header lines, and those behind it. The last CRLF may be missing.
pub(crate) fn cut_line(lines: &str) -> (&str, &str) {
    let end = lines.as_bytes().windows(2).position(|two| two == b"\r\n");
    let (line, more) = lines
        .split_at_checked(end.unwrap_or(lines.len()))
        .unwrap_or((lines, ""));
    (line, more.get(2..).unwrap_or_default())
}

/// Where line feeds stand. A word at a time, since every byte of a head is looked at.
pub(super) struct LineFeeds<'a> {
    words: core::slice::ChunksExact<'a, u8>,
    rest: &'a [u8],
    /// Where the word lies that was looked at last, and which of its bytes are line feeds: their highest bits.
    place: usize,
    found: usize,
}

const WORD: usize = size_of::<usize>();

pub(super) fn line_feeds(bytes: &[u8]) -> LineFeeds<'_> {
    let words = bytes.chunks_exact(WORD);
    LineFeeds {
        rest: words.remainder(),
        words,
        place: 0usize.wrapping_sub(WORD),
        found: 0,
    }
}

impl Iterator for LineFeeds<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        const ONES: usize = usize::MAX / 255;
        const LOW: usize = ONES * 0x7f;
        while self.found == 0 {
            let mut word = [0; WORD];
            match self.words.next() {
                Some(bytes) => word.copy_from_slice(bytes),
                None if self.rest.is_empty() => return None,
                None => {
                    let rest = core::mem::take(&mut self.rest);
                    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                }
            }
            self.place = self.place.wrapping_add(WORD);
            // What is a line feed is 0 now; any other byte has its highest bit or gets it by the sum.
            let others = usize::from_le_bytes(word) ^ (ONES * b'\n' as usize);
            self.found = !(((others & LOW) + LOW) | others | LOW);
        }
        let at = self.place + self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some(at)
    }
}

/// What a byte may stand in: one look at a table instead of a comparison with each range.
static PLACES: [u8; 256] = places();
const TOKEN: u8 = 1;
const HOST: u8 = 1 << 1;

const fn places() -> [u8; 256] {
    let mut places = [0; 256];
    let mut b = 0u8;
    while b < 128 {
        let both = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'_' | b'~'
            );
        if both || matches!(b, b'#' | b'^' | b'`' | b'|') {
            places[b as usize] |= TOKEN;
        }
        if both || matches!(b, b':' | b'[' | b']' | b'(' | b')' | b';' | b'=') {
            places[b as usize] |= HOST;
        }
        b += 1;
    }
    places
}

fn may_stand_in(place: u8, b: u8) -> bool {
    PLACES
        .get(usize::from(b))
        .is_some_and(|places| places & place != 0)
}

pub(super) fn is_tchar(b: u8) -> bool {
    may_stand_in(TOKEN, b)
}

/// Could the bytes be `uri-host [ ":" port ]` (RFC 9110 7.2)? Of the sub-delims a
/// comma is left out: it can only be two values joined into one.
pub(super) fn is_host(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| may_stand_in(HOST, b))
}

/// RFC 9110 5.6.3: OWS is SP and TAB.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
