//! Remote write, received: a message becomes batches of series, which go to the store.
//!
//! `message` says by the headers which of the two messages it is; `v1` and `v2` read it in place and hand on series (`labels`,
//! `histogram`). What of a request is wrong is left out and told, the rest is
//! stored; a message that is no protobuf from some byte on may be stored up to there, which is harmless: sent again, it counts
//! as stored.

pub(crate) mod histogram;
mod labels;
mod message;
mod metrics;
mod options;
mod v1;
mod v2;

use std::sync::Arc;

use model::{SeriesAppender, Timestamp};
use prometheus::Registry;

pub use self::message::{WriteMessage, check_encoding};
use self::metrics::Metrics;
pub use self::options::WriteOptions;
use super::Written;
use super::storing::Storing;

/// Receives requests of remote write.
pub struct WriteReceiver {
    store: Arc<dyn SeriesAppender>,
    options: WriteOptions,
    metrics: Metrics,
}

impl std::fmt::Debug for WriteReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteReceiver").field("options", &self.options).finish_non_exhaustive()
    }
}

impl WriteReceiver {
    /// One that writes to a store.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(
        store: Arc<dyn SeriesAppender>,
        options: WriteOptions,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self { store, options, metrics: Metrics::new(registry)? })
    }

    /// Stores a message. Blocks, on the disk at worst.
    pub fn receive(&self, message: WriteMessage, bytes: &[u8]) -> Written {
        let mut storing = Storing::new(&*self.store, Timestamp::now());
        let read = match message {
            WriteMessage::V1 => v1::read(bytes, &mut storing),
            WriteMessage::V2 => v2::read(bytes, self.options, &mut storing),
        };
        let (written, counted) = storing.finish(read);
        self.metrics.invalid_labels.inc_by(counted.invalid_labels);
        self.metrics.without_metadata.inc_by(counted.without_metadata);
        written
    }
}

#[cfg(test)]
mod tests;
