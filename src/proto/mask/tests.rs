//! Masking against a naive loop, at every alignment.

use alloc::vec;
use alloc::vec::Vec;

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn naive(data: &[u8], key: [u8; 4]) -> Vec<u8> {
    data.iter()
        .enumerate()
        .map(|(i, byte)| byte ^ key[i % 4])
        .collect()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

#[test]
fn every_offset_and_length() {
    let original = bytes(64 + 257 + 1);
    for offset in 0..64 {
        for len in 0..=257 {
            let mut data = original.clone();
            let Unmasked { next, ascii } = apply(&mut data[offset..offset + len], KEY, true);
            assert_eq!(ascii, data[offset..offset + len].is_ascii());
            assert_eq!(data[..offset], original[..offset]);
            assert_eq!(
                data[offset..offset + len],
                naive(&original[offset..offset + len], KEY),
                "offset {offset}, length {len}"
            );
            assert_eq!(data[offset + len..], original[offset + len..]);
            assert_eq!(next, core::array::from_fn(|i| KEY[(len + i) % 4]));
        }
    }
}

#[test]
fn the_returned_key_continues() {
    let original = bytes(300);
    for cut in 0..=300 {
        let mut data = original.clone();
        let (first, second) = data.split_at_mut(cut);
        let key = apply(first, KEY, true).next;
        apply(second, key, true);
        assert_eq!(data, naive(&original, KEY), "cut at {cut}");
    }
}

#[test]
fn append_masks_a_copy() {
    for len in [0, 1, 3, 4095, 4096, 4097, 4098, 12_345] {
        let original = bytes(len);
        let mut out = vec![9, 9, 9];
        append(&mut out, &original, KEY);
        assert_eq!(out[..3], [9, 9, 9]);
        assert_eq!(out[3..], naive(&original, KEY), "length {len}");
    }
}
