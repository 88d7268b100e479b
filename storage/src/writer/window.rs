//! Which samples are taken, by their times.

use model::Timestamp;

/// What may still be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Nothing before this.
    pub(crate) horizon: Timestamp,
    /// How far a sample with its own time may lie before the newest of its source.
    pub(crate) late_ms: i64,
    /// What lies before something stored is taken from here on; [`Timestamp::MAX`] when never.
    pub(crate) out_of_order_from: Timestamp,
    /// Is a row before the newest of its source late only where its series have later samples? Samples that come series by
    /// series come in any order of their source's times.
    pub(crate) by_series: bool,
}

impl Window {
    pub(super) fn takes_late(&self, ts: Timestamp) -> bool {
        ts >= self.out_of_order_from
    }
}
