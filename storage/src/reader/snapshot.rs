//! A snapshot together with the epochs at which it was taken, so that what is read from it can be cached.

use std::ops::{Deref, DerefMut};

use super::epochs::{Epochs, Trackers};
use crate::kv::snapshot::Snapshot;
use crate::kv::store::Store;

/// The store at one moment.
#[derive(Debug)]
pub(crate) struct ReadSnapshot<'a> {
    snapshot: Snapshot<'a>,
    /// No later than the snapshot.
    pub(crate) epochs: Epochs,
}

impl<'a> ReadSnapshot<'a> {
    pub(crate) fn new(store: &'a Store, trackers: &Trackers) -> Self {
        // Before the snapshot: a write that the snapshot lacks must not seem to be in it.
        let epochs = trackers.now();
        Self { snapshot: Snapshot::new(store), epochs }
    }

    /// For who reads everything once: it leaves the caches to the others.
    pub(crate) fn passing(store: &'a Store, trackers: &Trackers) -> Self {
        let mut passing = Self::new(store, trackers);
        passing.fill_cache = false;
        passing
    }
}

impl<'a> Deref for ReadSnapshot<'a> {
    type Target = Snapshot<'a>;

    fn deref(&self) -> &Self::Target {
        &self.snapshot
    }
}

impl DerefMut for ReadSnapshot<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.snapshot
    }
}
