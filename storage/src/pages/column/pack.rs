//! 64 codes of one width as bytes and back, least significant bit first, without gaps.

/// Codes in a block.
pub(super) const BLOCK: usize = 64;
/// The widest code that is packed, so that one unaligned 8-byte load always holds a whole code.
pub(super) const WIDTH_MAX: usize = 56;
/// Bytes of the widest block.
const BYTES_MAX: usize = BLOCK * WIDTH_MAX / 8;

/// Bytes that `len` codes of `width` bits take.
#[inline]
pub(super) fn packed_bytes(len: usize, width: usize) -> usize {
    (len * width).div_ceil(8)
}

/// Calls the instance of a function for a width of 1 to `WIDTH_MAX`: offsets, shifts and masks become constants.
macro_rules! with_width {
    ($width:expr, $function:ident $arguments:tt) => {
        with_width!($width, $function $arguments,
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28
            29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56)
    };
    ($width:expr, $function:ident $arguments:tt, $($n:literal)*) => {
        match $width {
            $($n => $function::<$n> $arguments,)*
            _ => {}
        }
    };
}

/// Appends the first `len` codes, none of them wider than `width`; those after them must be 0.
pub(super) fn pack(codes: &[u64; BLOCK], len: usize, width: usize, out: &mut Vec<u8>) {
    // Every group of 8 codes ends with an 8-byte store that may reach 7 bytes past it.
    let mut bytes = [0u8; BYTES_MAX + 8];
    with_width!(width, pack_groups(codes, len.div_ceil(8), &mut bytes));
    out.extend_from_slice(&bytes[..packed_bytes(len, width)]);
}

fn pack_groups<const W: usize>(codes: &[u64; BLOCK], groups: usize, bytes: &mut [u8; BYTES_MAX + 8]) {
    for (k, group) in codes.as_chunks::<8>().0.iter().take(groups).enumerate() {
        let to = &mut bytes[k * W..k * W + W + 8];
        let (mut word, mut filled, mut at) = (0u64, 0, 0);
        for &code in group {
            word |= code << filled;
            filled += W;
            if filled >= 64 {
                to[at..at + 8].copy_from_slice(&word.to_le_bytes());
                filled -= 64;
                at += 8;
                word = if filled == 0 { 0 } else { code >> (W - filled) };
            }
        }
        if filled > 0 {
            to[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// Takes `len` codes off the front of `bytes`; codes past them mean nothing. `None` when the bytes end early.
#[inline]
pub(super) fn unpack(bytes: &mut &[u8], len: usize, width: usize, codes: &mut [u64; BLOCK]) -> Option<()> {
    let (packed, rest) = bytes.split_at_checked(packed_bytes(len, width))?;
    let groups = len.div_ceil(8);
    if width == 0 {
        codes.fill(0);
    // The loads of the last group may reach past the codes: into what follows, if there is enough of it.
    } else if let Some(padded) = bytes.get(..groups * width + 8) {
        with_width!(width, unpack_groups(padded, groups, codes));
    } else {
        let mut padded = [0u8; BYTES_MAX + 8];
        padded.get_mut(..packed.len())?.copy_from_slice(packed);
        with_width!(width, unpack_groups(&padded, groups, codes));
    }
    *bytes = rest;
    Some(())
}

fn unpack_groups<const W: usize>(bytes: &[u8], groups: usize, codes: &mut [u64; BLOCK]) {
    for (k, group) in codes.as_chunks_mut::<8>().0.iter_mut().take(groups).enumerate() {
        let from = &bytes[k * W..k * W + W + 8];
        for (i, code) in group.iter_mut().enumerate() {
            let mut word = [0u8; 8];
            word.copy_from_slice(&from[i * W / 8..i * W / 8 + 8]);
            *code = u64::from_le_bytes(word) >> (i * W % 8) & ((1 << W) - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_length_comes_back() {
        for width in 0..=WIDTH_MAX {
            for len in [1, 2, 7, 8, 9, 33, 63, 64] {
                let mut codes = [0u64; BLOCK];
                for (i, code) in codes[..len].iter_mut().enumerate() {
                    *code = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & ((1 << width) - 1);
                }
                let mut bytes = vec![];
                pack(&codes, len, width, &mut bytes);
                assert_eq!(bytes.len(), packed_bytes(len, width));
                for tail in [0, 3, 20] {
                    let mut padded = bytes.clone();
                    padded.extend(vec![0xff; tail]);
                    let (mut rest, mut got) = (&padded[..], [1; BLOCK]);
                    unpack(&mut rest, len, width, &mut got).unwrap();
                    assert_eq!((&got[..len], rest.len()), (&codes[..len], tail), "width {width}");
                    let cut = bytes.len().saturating_sub(1);
                    assert!(width == 0 || unpack(&mut &bytes[..cut], len, width, &mut got).is_none());
                }
            }
        }
    }
}
