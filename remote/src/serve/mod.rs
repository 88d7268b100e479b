//! Remote read, served: series of this server as another system asks for them.
//!
//! `request` says what is asked for; `answer` makes messages of what the store has.

mod answer;
mod request;

pub use answer::{ExternalLabels, SampledResult, frames, sampled};
pub use request::{ReadForm, ReadQuery, ReadRequest};
