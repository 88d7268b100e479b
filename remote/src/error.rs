//! Why something cannot be received, sent or read.

/// Why something cannot be received, sent or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A body is no snappy, or damaged.
    #[error("{library}: corrupt input")]
    Snappy {
        /// The library of upstream, whose text this is.
        library: &'static str,
        /// What is wrong.
        source: snap::Error,
    },
    /// A body is longer than is taken once it is decoded.
    #[error("decoded size exceeds the {bytes_max} bytes limit")]
    TooLong {
        /// So many bytes are taken.
        bytes_max: usize,
    },
    /// A message is no protobuf, or another one than it should be.
    #[error("cannot read the message {message}: {why}")]
    Message {
        /// Its name.
        message: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A request asks for what is not there.
    #[error("{0}")]
    Request(String),
    /// What it is said to be is not taken here.
    #[error("{0}")]
    MediaType(String),
}
