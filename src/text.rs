//! Text of bounded length without allocation: log lines, error texts, addresses.
//!
//! This stands in the place of `core::fmt`, of which a library for boards would be the largest part. It knows words and
//! whole numbers, which is all that libws says.

use crate::proto::OutOfMemory;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

/// What can be said in a log line or as the reason of a failure.
pub trait Say {
    fn say(&self, pen: &mut Pen<'_>);
}

/// Writes into a place of bounded size; what does not fit is cut off.
pub struct Pen<'a> {
    page: &'a mut [u8],
    len: usize,
}

impl Pen<'_> {
    /// Appends UTF-8. A character is kept whole or left out, so that the text is UTF-8 even when it is cut.
    pub fn put(&mut self, text: &[u8]) {
        let room = self.page.len() - self.len;
        let mut take = text.len().min(room);
        while text.get(take).is_some_and(|next| next & 0xc0 == 0x80) {
            take -= 1;
        }
        let place = self.page.get_mut(self.len..self.len + take);
        if let (Some(place), Some(text)) = (place, text.get(..take)) {
            place.copy_from_slice(text);
            self.len += take;
        }
    }
}

/// A sentence with places for what is not known beforehand; `words!` makes it.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    pub template: &'static str,
    pub parts: &'a [&'a dyn Say],
}

impl Say for Words<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        let mut parts = self.parts.iter();
        for (index, piece) in self.template.as_bytes().split(|&b| b == b'{').enumerate() {
            match piece {
                [b'}', rest @ ..] if index > 0 => {
                    if let Some(part) = parts.next() {
                        part.say(pen);
                    }
                    pen.put(rest);
                }
                whole => pen.put(whole),
            }
        }
    }
}

/// `words!("port {} of {}", port, host)`: a sentence whose `{}` stand for the values behind it, one for each.
macro_rules! words {
    ($template:literal $(, $part:expr)* $(,)?) => {
        $crate::text::Words {
            template: const { $crate::text::with_places($template, 0 $(+ { let _ = stringify!($part); 1 })*) },
            parts: &[$(&$part),*],
        }
    };
}

/// The template, if it has so many places; else it does not compile.
pub const fn with_places(template: &'static str, count: usize) -> &'static str {
    let bytes = template.as_bytes();
    let (mut found, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b'{' {
            assert!(bytes[at + 1] == b'}', "a brace is half a place");
            found += 1;
        }
        at += 1;
    }
    assert!(found == count, "as many places as values");
    template
}

impl<T: Say + ?Sized> Say for &T {
    fn say(&self, pen: &mut Pen<'_>) {
        (**self).say(pen);
    }
}

impl Say for [u8] {
    fn say(&self, pen: &mut Pen<'_>) {
        pen.put(self);
    }
}

impl Say for str {
    fn say(&self, pen: &mut Pen<'_>) {
        pen.put(self.as_bytes());
    }
}

/// For the messages of panics, which come that way. A small library has none, and so does without `core::fmt`.
#[cfg(not(libws_small))]
impl Say for core::fmt::Arguments<'_> {
    fn say(&self, pen: &mut Pen<'_>) {
        let _ = core::fmt::write(pen, *self);
    }
}

#[cfg(not(libws_small))]
impl core::fmt::Write for Pen<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

impl Say for alloc::string::String {
    fn say(&self, pen: &mut Pen<'_>) {
        self.as_str().say(pen);
    }
}

/// Text for C, which is UTF-8 or the machine's own words.
impl Say for CStr {
    fn say(&self, pen: &mut Pen<'_>) {
        pen.put(self.to_bytes());
    }
}

impl Say for usize {
    fn say(&self, pen: &mut Pen<'_>) {
        pen.put(decimal(*self, &mut [0; DIGITS]));
    }
}

impl Say for u8 {
    fn say(&self, pen: &mut Pen<'_>) {
        usize::from(*self).say(pen);
    }
}

impl Say for u32 {
    fn say(&self, pen: &mut Pen<'_>) {
        (*self as usize).say(pen);
    }
}

impl Say for u16 {
    fn say(&self, pen: &mut Pen<'_>) {
        usize::from(*self).say(pen);
    }
}

impl Say for i32 {
    fn say(&self, pen: &mut Pen<'_>) {
        if *self < 0 {
            pen.put(b"-");
        }
        self.unsigned_abs().say(pen);
    }
}

/// A number that stands for something, in hexadecimal digits.
pub struct Hex(pub u64);

impl Say for Hex {
    fn say(&self, pen: &mut Pen<'_>) {
        let digits = (64 - self.0.leading_zeros()).div_ceil(4).max(1);
        for at in (0..digits).rev() {
            let digit = (self.0 >> (4 * at)) as u8 & 0xf;
            pen.put(&[if digit < 10 {
                b'0' + digit
            } else {
                b'a' - 10 + digit
            }]);
        }
    }
}

/// A copy for C. Text that holds a NUL becomes "": who calls has made sure that there is none.
pub fn c_string(text: &str) -> Result<CString, OutOfMemory> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(text.len() + 1)
        .map_err(|_| OutOfMemory)?;
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(b"\0");
    Ok(CString::from_vec_with_nul(bytes).unwrap_or_default())
}

/// Whether two texts are the same but for the case of ASCII letters. One copy for all who ask. As a rule they are the same
/// with it, which the C library finds out sooner.
#[inline(never)]
pub fn alike(one: &[u8], other: &[u8]) -> bool {
    one == other || one.eq_ignore_ascii_case(other)
}

/// Decimal digits of the largest number.
pub const DIGITS: usize = 20;

pub fn decimal(mut n: usize, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (n % 10) as u8;
        start -= 1;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

/// Up to `N` bytes of text, always followed by a NUL; what does not fit is cut off.
#[derive(Clone, Debug)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub const fn new() -> Line<N> {
        Line {
            bytes: [0; N],
            len: 0,
        }
    }

    #[inline(never)]
    pub fn from(text: impl Say) -> Line<N> {
        let mut line = Line::new();
        line.len = write(&mut line.bytes, &text);
        line
    }

    /// Makes it one line, whatever a peer has put in: control characters become spaces.
    pub fn flatten(&mut self) {
        let text = self.bytes.iter_mut().take(self.len);
        text.filter(|b| b.is_ascii_control())
            .for_each(|b| *b = b' ');
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// As a C string, which ends at the first NUL. One byte shorter than `N` at the most.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// How many bytes of the text fit, the last place being kept for a NUL.
#[inline(never)]
fn write(page: &mut [u8], text: &dyn Say) -> usize {
    let room = page.len().saturating_sub(1);
    let mut pen = Pen {
        page: page.get_mut(..room).unwrap_or_default(),
        len: 0,
    };
    text.say(&mut pen);
    pen.len
}

impl<const N: usize> Say for Line<N> {
    fn say(&self, pen: &mut Pen<'_>) {
        pen.put(self.as_bytes());
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Line<N> {
        Line::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_places_of_a_template() {
        let text = words!("{} is {}, not {} to {}", "threads", 65u16, -1, usize::MAX);
        let expected = alloc::format!("threads is 65, not -1 to {}", usize::MAX);
        assert_eq!(Line::<80>::from(text).as_bytes(), expected.as_bytes());
        assert_eq!(Line::<80>::from(words!("none")).as_bytes(), b"none");
        // What is put in is not looked at for places.
        assert_eq!(
            Line::<80>::from(words!("{}{}", "{}", 0u32)).as_bytes(),
            b"{}0"
        );
    }

    #[test]
    fn numbers_are_written_as_everywhere() {
        for n in [0, 1, 9, 10, 65535, i32::MAX, i32::MIN, -10] {
            let expected = alloc::format!("{n}");
            assert_eq!(Line::<80>::from(n).as_bytes(), expected.as_bytes());
        }
        for n in [0, 1, 9, 15, 16, 0xabc, 1 << 60, u64::MAX] {
            let expected = alloc::format!("{n:x}");
            assert_eq!(Line::<80>::from(Hex(n)).as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_character() {
        assert_eq!(
            Line::<8>::from(words!("{}{}", "abc", 42)).as_bytes(),
            b"abc42"
        );
        let cut = Line::<8>::from("abcdef\u{e9}\u{e9}");
        assert_eq!(cut.as_c_str(), c"abcdef");
        assert_eq!(Line::<4>::from("abcdef").as_c_str(), c"abc");
        assert_eq!(Line::<2>::from("\u{e9}").as_c_str(), c"");
    }
}
