//! The wire format of protobuf, for the few messages that are written here: `io.prometheus.client` and pprof's `profile.proto`.

// Wire types: how long a field is.
const VARINT: u32 = 0;
const DOUBLE: u32 = 1;
const BYTES: u32 = 2;

/// The bytes that [`double`] writes for a field whose number is below 16.
pub(crate) const DOUBLE_LEN: usize = 9;

/// A field of a number. Negative ones take ten bytes, as `int64` has it.
pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

/// A field of type `double`.
pub(crate) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    tag(out, field, DOUBLE);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field that is text, bytes, or a message written before.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    length(out, field, value.len());
    out.extend_from_slice(value);
}

/// What stands before the bytes of a field of so many.
pub(crate) fn length(out: &mut Vec<u8>, field: u32, len: usize) {
    tag(out, field, BYTES);
    varint(out, len as u64);
}

/// The bytes that [`bytes`] writes for so many, and a field whose number is below 16.
pub(crate) fn bytes_len(len: usize) -> usize {
    1 + (len as u64 | 1).ilog2() as usize / 7 + 1 + len
}

/// How `sint32` is written.
pub(crate) fn zigzag(n: i32) -> u64 {
    u64::from((n << 1 ^ n >> 31).cast_unsigned())
}

fn tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

/// A number without a field: what stands before a message in a delimited stream.
pub(crate) fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_fields_are_those_that_are_written() {
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 100_000, 2_097_151, 2_097_152] {
            let mut out = Vec::new();
            bytes(&mut out, 15, &vec![0; len]);
            assert_eq!(out.len(), bytes_len(len), "{len}");
        }
        let mut out = Vec::new();
        double(&mut out, 15, 1.5);
        assert_eq!(out.len(), DOUBLE_LEN);
    }

    #[test]
    fn numbers() {
        assert_eq!([0, -1, 1, -53, i32::MAX, i32::MIN].map(zigzag), [0, 1, 2, 105, 0xffff_fffe, 0xffff_ffff]);
        let mut out = Vec::new();
        number(&mut out, 16, 300);
        assert_eq!(out, b"\x80\x01\xac\x02");
    }
}
