//! One line of a scrape and where its value goes.

use crate::parse::Fingerprint;

/// Samples further ahead of the scrape than this are dropped, as upstream does; milliseconds.
pub(super) const AHEAD_MAX_MS: i64 = 10 * 60 * 1000;

/// Where the value of a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dest {
    Column {
        source: u16,
        column: u32,
    },
    /// Metric relabelling drops it.
    Dropped,
    /// A comment has no value. The number of its metric family.
    Comment(u32),
    /// A limit leaves the series out, until there is room.
    OverLimit,
    /// New in this scrape: index into `Pass::pending`.
    Pending(u32),
}

impl Dest {
    /// The metric family that a comment is about.
    pub(super) fn family(self) -> Option<u32> {
        if let Self::Comment(family) = self { Some(family) } else { None }
    }

    /// The column, if it is one of that source.
    pub(super) fn column_of(self, at: usize) -> Option<u32> {
        match self {
            Self::Column { source, column } if usize::from(source) == at => Some(column),
            _ => None,
        }
    }
}

/// One line of the last scrape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) fingerprint: Fingerprint,
    pub(super) dest: Dest,
}
