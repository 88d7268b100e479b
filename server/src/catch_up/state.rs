//! How far it is: why the server is not ready.

use std::time::Duration;

use anyhow::Result;
use model::Timestamp;
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, Registry};

use crate::flags::{Flags, ms};

/// The time that was told last stands in the store a minute later, and what was written last may be a little older.
const MARGIN_MS: i64 = 5 * 60_000;

/// How far it is.
#[derive(Debug)]
pub(crate) struct CatchUp {
    /// Why the server is not ready; `None` once it is, or where no flag asks for it.
    pending: Mutex<Option<String>>,
    /// From when on something may be missing.
    pub(super) from: Timestamp,
    pub(super) timeout: Duration,
    pub(super) samples: IntCounter,
    pub(super) missing_seconds: Gauge,
}

impl CatchUp {
    /// `last_told` is the time at which the process before this one was last there.
    pub(crate) fn new(flags: &Flags, last_told: Option<Timestamp>, registry: &Registry) -> Result<Self> {
        let is_wanted = flags.peer.0.iter().any(|url| !url.trim().is_empty());
        let oldest = Timestamp::now().saturating_sub(ms(flags.peer_max_gap));
        let from = last_told.map_or(oldest, |last| last.saturating_sub(MARGIN_MS).max(oldest));
        let samples = IntCounter::new("weft_catch_up_samples_total", "Samples that were fetched from a replica.")?;
        let missing_seconds = Gauge::new(
            "weft_catch_up_missing_seconds",
            "Time before the start that is still to be fetched from a replica, or could not be.",
        )?;
        registry.register(Box::new(samples.clone()))?;
        registry.register(Box::new(missing_seconds.clone()))?;
        let pending = is_wanted.then(|| "what was missed is to be fetched from a replica (--peer)".to_owned());
        Ok(Self { pending: Mutex::new(pending), from, timeout: flags.peer_timeout, samples, missing_seconds })
    }

    /// Why the server is not ready, if it is not.
    pub(crate) fn pending(&self) -> Option<String> {
        self.pending.lock().clone()
    }

    pub(super) fn say(&self, why: String) {
        *self.pending.lock() = Some(why);
    }

    pub(super) fn end(&self) {
        *self.pending.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_pending_without_a_peer() {
        let flags = |more: &[&str]| {
            Flags::parse(std::iter::once("weft").chain(more.iter().copied()).map(str::to_owned)).unwrap()
        };
        let catch_up = |more: &[&str], last| CatchUp::new(&flags(more), last, &Registry::new()).unwrap();
        assert_eq!(catch_up(&[], None).pending(), None);
        let named = catch_up(&["--peer=http://weft-1:9090", "--peer.max-gap=1h"], Some(Timestamp::EPOCH));
        assert!(named.pending().unwrap().contains("--peer"));
        let hour_ago = Timestamp::now().saturating_sub(3_600_000);
        assert!(named.from >= hour_ago.saturating_sub(60_000), "no farther back than that");
        let lately = catch_up(&["--peer=http://weft-1:9090"], Some(hour_ago));
        assert_eq!(lately.from, hour_ago.saturating_sub(MARGIN_MS));
    }
}
