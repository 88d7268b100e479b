//! Limits during evaluation: cancellation and deadline, samples held, memory reserved.

use super::evaluator::{Evaluator, Query};
use crate::Error;
use crate::memory::Reservation;

/// Samples processed between two checks for cancellation: about a millisecond of work.
const PACE: usize = 1 << 18;

/// What was held at a moment, to return to later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) samples: usize,
    pub(super) bytes: usize,
}

/// Allocations smaller than this are counted after they are made.
const ROOM_ASKED: usize = 4 << 10;

/// Memory that is given back when this is dropped.
pub(super) struct Reserved<'a> {
    taken: &'a Reservation<'a>,
    bytes: usize,
}

impl Reserved<'_> {
    /// Reserves more.
    pub(super) fn add(&mut self, query: &Query<'_>, bytes: usize) -> Result<(), Error> {
        query.take(self.taken, bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.taken.give(self.bytes);
    }
}

impl Evaluator<'_> {
    /// Checks for cancellation and the deadline.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.query.bounds.check()
    }

    /// Accounts for work, and checks for cancellation about every [`PACE`] samples.
    pub(super) fn account_work(&self, samples: usize) -> Result<(), Error> {
        // The common case is one addition; reading the clock for every series would show in profiles.
        let worked = self.worked.get() + samples;
        if worked < PACE {
            self.worked.set(worked);
            return Ok(());
        }
        self.worked.set(0);
        self.query.bounds.progress.iter().for_each(|progress| progress.add(worked));
        self.check()
    }

    pub(super) fn held(&self) -> Held {
        Held { samples: self.held.get(), bytes: self.taken.bytes() }
    }

    /// Releases what was held since.
    pub(super) fn back_to(&self, before: Held) {
        self.held.set(before.samples);
        self.taken.back_to(before.bytes);
    }

    /// Replaces what was held since by this.
    pub(super) fn settle(&self, before: Held, samples: usize, bytes: usize) -> Result<(), Error> {
        let now = self.taken.bytes() - before.bytes;
        // Memory that stays is not released and reserved again: another query could take it in between.
        if now > bytes {
            self.taken.give(now - bytes);
        }
        self.held.set(before.samples);
        self.hold(samples, bytes.saturating_sub(now))
    }

    /// Reserves memory for as long as the guard lives.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reserved<'_>, Error> {
        self.query.take(&self.taken, bytes)?;
        Ok(Reserved { taken: &self.taken, bytes })
    }

    /// The same if it is free right now: without dropping caches or waiting.
    pub(super) fn reserve_free(&self, bytes: usize) -> Option<Reserved<'_>> {
        self.taken.take(bytes).ok()?;
        Some(Reserved { taken: &self.taken, bytes })
    }

    /// Checks that there is memory for an allocation that is counted later, where it is handed on. Small ones are not checked.
    pub(super) fn check_memory(&self, bytes: usize) -> Result<(), Error> {
        if bytes <= ROOM_ASKED { Ok(()) } else { self.reserve(bytes).map(drop) }
    }

    /// Releases samples and bytes.
    pub(super) fn release(&self, samples: usize, bytes: usize) {
        self.held.set(self.held.get() - samples);
        self.taken.give(bytes);
    }

    /// Counts samples that are now in memory, and reserves their bytes.
    pub(super) fn hold(&self, samples: usize, bytes: usize) -> Result<(), Error> {
        self.account_work(samples)?;
        self.query.take(&self.taken, bytes)?;
        let held = self.held.get() + samples;
        self.held.set(held);
        self.peak.set(self.peak.get().max(held));
        // Counted before it is refused, so that the peak shows what was needed.
        if held > self.query.options.max_samples {
            return Err(Error::TooManySamples);
        }
        Ok(())
    }
}
