//! How far an evaluation may go: its time, its client's patience, samples and memory.

use super::evaluator::{Evaluator, Query};
use crate::Error;
use crate::memory::Reservation;

/// How much work goes by before it is looked whether the query is still wanted: about a millisecond's.
const PACE: usize = 1 << 18;

/// What is in memory at some moment, beyond which more may come and go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) samples: usize,
    pub(super) bytes: usize,
}

/// Memory of less than this is counted when it was made.
const ROOM_ASKED: usize = 4 << 10;

/// Memory that is given back when this goes.
pub(super) struct Reserved<'a> {
    taken: &'a Reservation<'a>,
    bytes: usize,
}

impl Reserved<'_> {
    /// Takes more with it.
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
    /// Is the query still wanted and within its time?
    pub(super) fn check(&self) -> Result<(), Error> {
        self.query.bounds.check()
    }

    /// Is it, asked about each [`PACE`] samples that work is done on?
    pub(super) fn pace(&self, samples: usize) -> Result<(), Error> {
        let worked = self.worked.get() + samples;
        if worked < PACE {
            self.worked.set(worked);
            return Ok(());
        }
        self.worked.set(0);
        self.check()
    }

    pub(super) fn held(&self) -> Held {
        Held { samples: self.held.get(), bytes: self.taken.bytes() }
    }

    /// What came since is gone.
    pub(super) fn back_to(&self, before: Held) {
        self.held.set(before.samples);
        self.taken.back_to(before.bytes);
    }

    /// What came since is replaced by this.
    pub(super) fn settle(&self, before: Held, samples: usize, bytes: usize) -> Result<(), Error> {
        let now = self.taken.bytes() - before.bytes;
        // What is kept is not given back and taken again: another query could have it in between.
        if now > bytes {
            self.taken.give(now - bytes);
        }
        self.held.set(before.samples);
        self.hold(samples, bytes.saturating_sub(now))
    }

    /// Takes memory for as long as what is returned lives.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reserved<'_>, Error> {
        self.query.take(&self.taken, bytes)?;
        Ok(Reserved { taken: &self.taken, bytes })
    }

    /// The same where there is so much free: nothing is let go for it, and nobody waited for.
    pub(super) fn reserve_free(&self, bytes: usize) -> Option<Reserved<'_>> {
        self.taken.take(bytes).ok()?;
        Some(Reserved { taken: &self.taken, bytes })
    }

    /// Is there room for so much, which is made now and counted once it is handed on? Small things need not ask.
    pub(super) fn room_for(&self, bytes: usize) -> Result<(), Error> {
        if bytes <= ROOM_ASKED { Ok(()) } else { self.reserve(bytes).map(drop) }
    }

    /// These are gone again.
    pub(super) fn release(&self, samples: usize, bytes: usize) {
        self.held.set(self.held.get() - samples);
        self.taken.give(bytes);
    }

    /// Counts samples that are now in memory, and the bytes they take.
    pub(super) fn hold(&self, samples: usize, bytes: usize) -> Result<(), Error> {
        self.pace(samples)?;
        self.query.take(&self.taken, bytes)?;
        let held = self.held.get() + samples;
        self.held.set(held);
        self.peak.set(self.peak.get().max(held));
        if held > self.query.options.max_samples {
            return Err(Error::TooManySamples);
        }
        Ok(())
    }
}
