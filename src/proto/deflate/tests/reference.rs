//! DEFLATE read as RFC 1951 is written, one bit at a time: a second opinion on what a compressor puts out, and on how far it
//! refers back.

use alloc::vec::Vec;

/// What the data holds, and the farthest distance in it. `window` is what earlier messages left.
pub fn inflate(data: &[u8], window: &[u8]) -> (Vec<u8>, usize) {
    let mut bits = Bits { data, at: 0 };
    let mut out = window.to_vec();
    let mut farthest = 0;
    // The message's last block is the one that the four octets behind it complete.
    while bits.at + 3 <= 8 * data.len() {
        let last = bits.take(1);
        match bits.take(2) {
            0 => {
                bits.at = bits.at.div_ceil(8) * 8;
                let len = bits.take(16);
                assert_eq!(len ^ 0xffff, bits.take(16));
                for _ in 0..len {
                    out.push(bits.take(8) as u8);
                }
            }
            kind => {
                let (literals, distances) = match kind {
                    1 => (fixed_literals(), vec![5; 30]),
                    2 => dynamic(&mut bits),
                    _ => panic!("a block of the reserved kind"),
                };
                block(&mut bits, &literals, &distances, &mut out, &mut farthest);
            }
        }
        if last == 1 {
            bits.at = bits.at.div_ceil(8) * 8;
        }
    }
    (out.split_off(window.len()), farthest)
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, n| {
            let bit = self.data[self.at / 8] >> (self.at % 8) & 1;
            self.at += 1;
            value | usize::from(bit) << n
        })
    }

    /// The next symbol of a code that is given by the lengths of its words.
    fn symbol(&mut self, lengths: &[usize]) -> usize {
        let (mut code, mut first) = (0, 0);
        for len in 1..=15 {
            code = code << 1 | self.take(1);
            first <<= 1;
            let of_len = || (0..lengths.len()).filter(|s| lengths[*s] == len);
            if let Some(symbol) = of_len().nth(code - first) {
                return symbol;
            }
            first += of_len().count();
        }
        panic!("no such word");
    }
}

fn fixed_literals() -> Vec<usize> {
    (0..288)
        .map(|symbol| match symbol {
            0..=143 => 8,
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        })
        .collect()
}

fn dynamic(bits: &mut Bits<'_>) -> (Vec<usize>, Vec<usize>) {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let (literals, distances) = (bits.take(5) + 257, bits.take(5) + 1);
    let count = bits.take(4) + 4;
    let mut of_lengths = [0; 19];
    for place in &ORDER[..count] {
        of_lengths[*place] = bits.take(3);
    }
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match bits.symbol(&of_lengths) {
            16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            len => (len, 1),
        };
        lengths.resize(lengths.len() + times, value);
    }
    let distances = lengths.split_off(literals);
    (lengths, distances)
}

fn block(
    bits: &mut Bits<'_>,
    literals: &[usize],
    distances: &[usize],
    out: &mut Vec<u8>,
    farthest: &mut usize,
) {
    loop {
        let len = match bits.symbol(literals) {
            byte @ 0..=255 => {
                out.push(byte as u8);
                continue;
            }
            256 => return,
            285 => 258,
            symbol @ 257..=264 => symbol - 254,
            symbol => {
                let extra = (symbol - 261) / 4;
                ((4 + (symbol - 265) % 4) << extra) + 3 + bits.take(extra)
            }
        };
        let distance = match bits.symbol(distances) {
            symbol @ 0..=3 => symbol + 1,
            symbol => {
                let extra = symbol / 2 - 1;
                ((2 + symbol % 2) << extra) + 1 + bits.take(extra)
            }
        };
        *farthest = distance.max(*farthest);
        for _ in 0..len {
            out.push(out[out.len() - distance]);
        }
    }
}
