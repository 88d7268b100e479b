//! What an import says of itself.

use std::fmt;

use model::Committed;

use crate::Error;

/// So many faults are kept word for word.
const FAULTS: usize = 20;

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Samples of blocks that were read, about.
    pub samples: u64,
    /// Samples of all blocks. What is in the logs is not counted before it is read.
    pub samples_total: u64,
    /// The block or the log that is read.
    pub part: String,
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Nothing is left to be read.
    pub is_complete: bool,
    /// Blocks that were imported now.
    pub blocks: u64,
    /// Blocks that an earlier import had completed.
    pub blocks_before: u64,
    /// The logs were imported.
    pub has_head: bool,
    /// Samples that were read.
    pub samples: u64,
    /// Of these, the ones that are stored, or were.
    pub stored: u64,
    /// Of these, the ones that lie before the retention.
    pub too_old: u64,
    /// Of these, the ones in whose place another value is stored.
    pub duplicate: u64,
    /// Histograms that make no sense.
    pub invalid: u64,
    /// What could not be read: blocks, series, chunks, records.
    pub n_faults: u64,
    /// The first of them, each with its file.
    pub faults: Vec<String>,
    /// How many of them may be gone the next time: what they concern is read again then.
    pub unread: u64,
}

impl Report {
    pub(super) fn fault(&mut self, why: String) {
        self.n_faults += 1;
        if self.faults.len() < FAULTS {
            self.faults.push(why);
        }
    }

    pub(super) fn error(&mut self, error: &Error) {
        self.unread += u64::from(error.may_pass());
        self.fault(model::with_causes(error));
    }

    pub(super) fn add(&mut self, Committed { stored, out_of_order, duplicate, too_old, .. }: Committed) {
        self.stored += u64::from(stored);
        self.duplicate += u64::from(duplicate);
        self.too_old += u64::from(too_old) + u64::from(out_of_order);
    }
}

/// In one line, as logs and terminals have it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "imported {} samples of {} blocks", self.samples, self.blocks)?;
        if self.has_head {
            f.write_str(" and the head")?;
        }
        for (n, what) in [
            (self.blocks_before, "blocks had been imported before"),
            (self.duplicate, "samples have another value in their place"),
            (self.too_old, "samples lie before the retention"),
            (self.invalid, "histograms make no sense"),
            (self.n_faults, "faults"),
            (self.unread, "of them may pass, and are tried again the next time"),
        ] {
            if n > 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        Ok(())
    }
}
