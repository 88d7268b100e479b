//! What other systems send: remote write 1.0 and 2.0, OTLP. Each protocol reads its messages and hands series on to `storing`, which
//! writes them in batches (`gathered`).

mod gathered;
#[cfg(test)]
mod noting;
pub mod otlp;
mod storing;
pub mod write;

pub use storing::{Fault, Written};
