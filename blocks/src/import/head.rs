//! The logs of a data directory: what is in no block yet.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use model::Labels;

use crate::Error;
use crate::chunk::Samples;
use crate::tombstones::Tombstones;
use crate::wal::{self, Found};

/// What is known of the series of all logs: late samples stand in a log of their own, whose series are those of the other one.
#[derive(Debug, Default)]
pub(super) struct Head {
    labels: HashMap<u64, Labels, foldhash::fast::RandomState>,
    deleted: Tombstones,
}

/// Takes samples by series.
type Take<'t> = dyn FnMut(&[(Labels, Samples)]) -> ControlFlow<()> + 't;

impl Head {
    /// Reads which series there are, and what was deleted.
    pub(super) fn learn(&mut self, log: &Path) -> Result<(), Error> {
        let mut learn = |found: Found| match found {
            Found::Series(series, labels) => _ = self.labels.insert(series, labels),
            Found::Deleted(series, times) => self.deleted.add(series, times),
            _ => {}
        };
        // Damage is told when the samples are read.
        wal::read(log, &mut learn, &mut |_| {})
    }

    /// Hands out samples, so many at once.
    pub(super) fn samples(
        &self,
        log: &Path,
        at_once: u64,
        take: &mut Take<'_>,
        damaged: &mut dyn FnMut(Error),
    ) -> Result<(), Error> {
        let mut gathered: HashMap<u64, Samples, foldhash::fast::RandomState> = HashMap::default();
        let (mut waiting, mut flow) = (0u64, ControlFlow::Continue(()));
        let mut hand_out = |gathered: &mut HashMap<u64, Samples, _>| {
            let known =
                gathered.drain().filter_map(|(series, samples)| Some((self.labels.get(&series)?.clone(), samples)));
            take(&known.collect::<Vec<_>>())
        };
        let mut each = |found: Found| {
            if flow.is_break() {
                return;
            }
            match found {
                Found::Float(series, ts, value) if !self.deleted.has(series, ts) => {
                    gathered.entry(series).or_default().float(ts.0, value);
                }
                Found::Histogram(series, ts, histogram) if !self.deleted.has(series, ts) => {
                    gathered.entry(series).or_default().histogram(ts.0, *histogram);
                }
                _ => return,
            }
            waiting += 1;
            if waiting >= at_once {
                waiting = 0;
                flow = hand_out(&mut gathered);
            }
        };
        wal::read(log, &mut each, damaged)?;
        if flow.is_continue() && !gathered.is_empty() {
            _ = hand_out(&mut gathered);
        }
        Ok(())
    }
}
