//! The checksum of rows, pages and timelines: the low half of XXH3-64. Read on every path, so the widest instructions that
//! the machine has are found at run time.

use twox_hash::XxHash3_64;

/// Why stored bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Corrupt {
    #[error("checksum {got:#010x}, expected {expected:#010x}")]
    Checksum { got: u32, expected: u32 },
    #[error("{0}")]
    Shape(&'static str),
}

/// Of these bytes, where the seed stands for.
pub(crate) fn checksum(bytes: &[u8], seed: u64) -> u32 {
    XxHash3_64::oneshot_with_seed(seed, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64_with_seed;

    #[test]
    fn it_is_xxh3_at_every_length() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i * 31) as u8).collect();
        for len in (0..600).chain([1024, 1025, 2047, 4999]) {
            assert_eq!(checksum(&bytes[..len], 7), xxh3_64_with_seed(&bytes[..len], 7) as u32, "{len} bytes");
        }
    }
}
