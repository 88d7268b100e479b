//! Remote read, served: series of this server as another system asks for them.
//!
//! `request` says what is asked for; `answer` makes messages of what the store has, `chunk` the chunks in them, `bits` the bits of
//! these.

mod answer;
mod bits;
mod chunk;
mod request;

pub use answer::{ExternalLabels, SampledResult, frames, sampled};
pub use request::{ReadForm, ReadQuery, ReadRequest};
