//! The receivers of a server.

use std::sync::Arc;

use anyhow::Result;
use prometheus::Registry;
use remote::receive::otlp::OtlpReceiver;
use remote::receive::write::{WriteOptions, WriteReceiver};

use super::body::BodyMemory;
use crate::flags::Flags;
use crate::settings::receive_memory;

/// The receivers that are on, and the memory of what they receive.
#[derive(Debug)]
pub(crate) struct Receivers {
    pub(super) write: Option<Arc<WriteReceiver>>,
    pub(super) otlp: Option<Arc<OtlpReceiver>>,
    pub(super) memory: BodyMemory,
}

impl Receivers {
    /// Those that the flags ask for, writing to a store.
    pub(crate) fn new(flags: &Flags, db: &Arc<storage::Db>, registry: &Registry) -> Result<Self> {
        let options = WriteOptions {
            type_labels: flags.features.type_and_unit_labels,
            start_zeros: flags.features.created_timestamp_zero_ingestion,
        };
        let store: Arc<dyn model::SeriesAppender> = Arc::<storage::Db>::clone(db);
        let otlp = flags.web_enable_otlp_receiver;
        let otlp = otlp.then(|| OtlpReceiver::new(Arc::clone(&store), registry).map(Arc::new)).transpose()?;
        let write = flags.web_enable_remote_write_receiver;
        let write = write.then(|| WriteReceiver::new(store, options, registry).map(Arc::new)).transpose()?;
        Ok(Self { write, otlp, memory: BodyMemory::new(receive_memory()) })
    }
}
