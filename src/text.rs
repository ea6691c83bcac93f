//! Text of bounded length without allocation: log lines, error texts, addresses.

use core::ffi::CStr;
use core::fmt;

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

    pub fn from(text: fmt::Arguments<'_>) -> Line<N> {
        let mut line = Line::new();
        let _ = fmt::write(&mut line, text);
        line
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// As a C string, which ends at the first NUL. One byte shorter than `N` at the most.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Line<N> {
        Line::new()
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last byte stays NUL. A character is kept whole or left out, so that the text is
        // UTF-8 even when it is cut.
        let room = N.saturating_sub(1).saturating_sub(self.len);
        let mut take = text.len().min(room);
        while !text.is_char_boundary(take) {
            take -= 1;
        }
        if let Some(to) = self.bytes.get_mut(self.len..self.len + take) {
            to.copy_from_slice(&text.as_bytes()[..take]);
            self.len += take;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_at_a_character() {
        assert_eq!(
            Line::<8>::from(format_args!("{}{}", "abc", 42)).as_bytes(),
            b"abc42"
        );
        let cut = Line::<8>::from(format_args!("abcdef\u{e9}\u{e9}"));
        assert_eq!(cut.as_c_str(), c"abcdef");
        assert_eq!(Line::<4>::from(format_args!("abcdef")).as_c_str(), c"abc");
    }
}
