//! Bodies in snappy's block format. Its first bytes declare how long the content is; that is checked before anything is
//! allocated for it.

use crate::Error;

/// The longest body that is taken, as it comes and as it is decoded (upstream: `maxDecodedSize` of client_golang's remote API).
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// The libraries of Go that upstream decompresses by: what it receives by the first, remote read by the second. Errors name them.
pub const S2: &str = "s2";
/// See [`S2`].
pub const SNAPPY: &str = "snappy";

/// How long the content of a body is, as it says itself.
///
/// # Errors
/// When it does not begin as such a body does, or declares more than is taken.
pub fn decoded_len(body: &[u8], library: &'static str) -> Result<usize, Error> {
    let bytes = snap::raw::decompress_len(body).map_err(|source| Error::Snappy { library, source })?;
    if bytes > BODY_BYTES_MAX { Err(Error::TooLong { bytes_max: BODY_BYTES_MAX }) } else { Ok(bytes) }
}

/// The content of a body.
///
/// # Errors
/// As above, and when it is damaged.
pub fn decoded(body: &[u8], library: &'static str) -> Result<Vec<u8>, Error> {
    decoded_len(body, library)?;
    snap::raw::Decoder::new().decompress_vec(body).map_err(|source| Error::Snappy { library, source })
}

/// A body with this content.
///
/// # Errors
/// When the content is longer than 4 GiB, which the format cannot say.
pub fn encoded(content: &[u8]) -> Result<Vec<u8>, snap::Error> {
    snap::raw::Encoder::new().compress_vec(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_length_is_looked_at_first() {
        let text = vec![7; 1000];
        let body = encoded(&text).unwrap();
        assert_eq!(decoded(&body, S2).unwrap(), text);
        // A length of 4 GiB - 1, and nothing behind it.
        let error = decoded(b"\xff\xff\xff\xff\x0f", S2).unwrap_err();
        assert_eq!(error.to_string(), "decoded size exceeds the 33554432 bytes limit");
        for broken in [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff", &body[..body.len() - 1], b"\x05\x00a"] {
            for library in [S2, SNAPPY] {
                let error = decoded(broken, library).unwrap_err();
                assert!(matches!(error, Error::Snappy { .. }), "{broken:?}");
                assert_eq!(error.to_string(), format!("{library}: corrupt input"));
            }
        }
    }
}
