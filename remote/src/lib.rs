//! Samples from other systems and to them: remote write, remote read, OTLP.
//!
//! - **Files**: `proto/` the messages · `send/` remote write to other servers · `receive/` remote write and OTLP from others · `serve/`
//!   remote read, answered, `read/` and asked · `histogram`, `wire` parts of messages · `snappy` how bodies are compressed · `registered` metrics.

mod error;
mod histogram;
pub mod proto;
pub mod read;
pub mod receive;
mod registered;
pub mod send;
pub mod serve;
pub mod snappy;
mod wire;

pub use error::Error;
