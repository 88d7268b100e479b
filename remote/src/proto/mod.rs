//! The protobuf messages of the protocols, field by field as upstream declares them (`prompb/types.proto`, `prompb/remote.proto`,
//! `prompb/io/prometheus/write/v2/types.proto`).

pub mod histogram;
pub mod read;
pub mod write;
pub mod write_v2;

pub use prost::Message;
