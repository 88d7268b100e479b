//! The parts of one opened database, side by side, for work that needs several of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLockReadGuard;

use crate::bounds::Bounds;
use crate::drain::Drain;
use crate::error::Error;
use crate::histograms::AnyHistograms;
use crate::index::Index;
use crate::kv::dropped::DroppedRanges;
use crate::kv::options::Memory;
use crate::kv::store::Store;
use crate::maintenance::Maintenance;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::quarantine::records::Records;
use crate::quarantine::safeguards::Safeguards;
use crate::reader::context::ReadContext;
use crate::reader::read_cache::ReadCache;
use crate::tombstones::Tombstones;
use crate::writer::flushed::FlushMarks;
use crate::writer::plan::WriteContext;
use crate::writer::state::SourceStates;

/// What an open database consists of.
pub(crate) struct Components {
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    pub(crate) store: Arc<Store>,
    pub(crate) memory: Memory,
    pub(crate) records: Arc<Records>,
    pub(crate) safeguards: Arc<Safeguards>,
    pub(crate) index: Index,
    pub(crate) cache: ReadCache,
    pub(crate) histograms: AnyHistograms,
    pub(crate) states: SourceStates,
    pub(crate) flushed: FlushMarks,
    pub(crate) tombstones: Tombstones,
    /// Ranges of keys that were dropped and whose files are still there.
    pub(crate) dropped: DroppedRanges,
    pub(crate) bounds: Bounds,
    pub(crate) drain: Drain,
    /// Are no more samples taken?
    pub(crate) closing: AtomicBool,
    pub(crate) maintenance: Maintenance,
    /// Was everything unreferenced looked for since the start?
    pub(crate) swept: AtomicBool,
}

impl Components {
    /// The index's gate, held by whoever takes ids and writes what refers to them. Whoever closes the database waits for it.
    ///
    /// # Errors
    /// When the database is closing.
    pub(crate) fn open_gate(&self) -> Result<RwLockReadGuard<'_, ()>, Error> {
        let gate = self.index.gate.read();
        if self.closing.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(gate) }
    }

    /// For reading.
    pub(crate) fn read(&self) -> ReadContext<'_> {
        ReadContext { store: &self.store, index: &self.index, cache: &self.cache }
    }

    /// For writing.
    pub(crate) fn write(&self) -> WriteContext<'_> {
        WriteContext { read: self.read(), flushed: &self.flushed, histograms: &self.histograms }
    }
}
