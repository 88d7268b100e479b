//! Names of blocks: a time of 48 bits and 80 others, in Crockford's base 32 (<https://github.com/ulid/spec>).

use model::Timestamp;

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_BITS: u64 = (1 << 48) - 1;

/// The name of a block with this time and content; the same of the same.
pub(super) fn named((start, end): (Timestamp, Timestamp), (samples, sum): (u64, u32)) -> String {
    // In place of random bits: what tells blocks apart.
    let others = u128::from(end.0.wrapping_sub(start.0).cast_unsigned() & TIME_BITS) << 32 | u128::from(sum);
    let others = (others ^ u128::from(samples) << 24) & ((1 << 80) - 1);
    let time = u128::from(start.0.max(0).cast_unsigned() & TIME_BITS);
    let mut bits = time << 80 | others;
    let mut name = [0; 26];
    for letter in name.iter_mut().rev() {
        *letter = LETTERS[(bits & 31) as usize];
        bits >>= 5;
    }
    name.iter().map(|letter| char::from(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_blocks_apart() {
        let name = named((Timestamp(1_469_918_176_385), Timestamp(1_469_918_176_385)), (0, 0));
        // The time of the specification's example.
        assert_eq!(name, "01ARYZ6S410000000000000000");
        let times = (Timestamp(0), Timestamp(1));
        assert_ne!(named(times, (1, 7)), named(times, (1, 8)));
        assert_ne!(named(times, (1, 7)), named(times, (2, 7)));
        assert_eq!(named(times, (1, 7)), named(times, (1, 7)));
    }
}
