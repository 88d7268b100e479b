//! The series of a request, handed to the store in batches, and the errors for those that are rejected.

use model::{
    Committed, Exemplar, Histogram, Labels, Lateness, SeriesAppendError, SeriesAppender, SeriesBatch, SourceLabels,
    Timestamp,
};

use super::gathered::Gathered;

/// Nothing is taken that lies farther ahead of now (upstream: `maxAheadTime`).
const AHEAD_MS: i64 = 10 * 60 * 1000;
/// So many reasons are told of a request.
const REASONS_MAX: usize = 10;

/// What became of a request.
#[derive(Debug, Default)]
pub struct Written {
    /// Samples that are stored and floats.
    pub samples: u64,
    /// Samples that are stored and native histograms.
    pub histograms: u64,
    /// Exemplars that were taken.
    pub exemplars: u64,
    /// Samples that were left out.
    pub refused: u64,
    /// Exemplars that were left out, as there are newer ones of their series.
    pub late_exemplars: u64,
    /// Why all of it was not.
    pub fault: Option<Fault>,
}

impl Written {
    /// Was nothing stored, as nothing of it could be taken?
    #[must_use]
    pub fn is_refused_whole(&self) -> bool {
        matches!(self.fault, Some(Fault::Refused(_))) && self.samples + self.histograms == 0
    }
}

/// Why a request was not stored as a whole.
#[derive(Debug)]
pub enum Fault {
    /// Some of it never will be: sending it again is of no use. One reason a line.
    Refused(String),
    /// The store could not take it; it may be sent again.
    Store(SeriesAppendError),
}

/// A histogram at its time.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) ts: Timestamp,
    /// `None`: the series is stale.
    pub(crate) histogram: Option<Histogram>,
}

/// Why the reading of a message ends before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is no message of this kind.
    Broken(String),
    /// The store could not take what was read.
    Store(SeriesAppendError),
}

impl From<model::protobuf::Broken> for Stop {
    fn from(why: model::protobuf::Broken) -> Self {
        Self::Broken(why.to_owned())
    }
}

/// What is counted of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Samples whose labels are not valid.
    pub(super) invalid_labels: u64,
    /// Samples that say nothing about their metric.
    pub(super) without_metadata: u64,
}

/// A request that is being stored.
pub(super) struct Storing<'a> {
    store: &'a dyn SeriesAppender,
    gathered: Gathered,
    sources: SourceLabels,
    /// Times after this are not taken.
    until: Timestamp,
    written: Written,
    reasons: Vec<String>,
    /// Reasons that are not told.
    further: usize,
    pub(super) counted: Counted,
}

impl<'a> Storing<'a> {
    pub(super) fn new(store: &'a dyn SeriesAppender, now: Timestamp) -> Self {
        Self {
            store,
            gathered: Gathered::default(),
            sources: SourceLabels::Known,
            until: now.saturating_add(AHEAD_MS),
            written: Written::default(),
            reasons: Vec::new(),
            further: 0,
            counted: Counted::default(),
        }
    }

    /// What follows is of this series.
    #[inline]
    pub(super) fn begin(&mut self, labels: Labels) -> Result<(), Stop> {
        self.room()?;
        self.gathered.begin(labels);
        Ok(())
    }

    /// A sample of the series, and since when it counts.
    #[inline]
    pub(super) fn sample(&mut self, ts: Timestamp, value: f64, start: Option<Timestamp>) -> Result<(), Stop> {
        if ts > self.until {
            self.refuse_future();
            return Ok(());
        }
        self.room()?;
        if let Some(start) = start {
            self.gathered.start(start);
        }
        self.gathered.push(ts, value);
        Ok(())
    }

    /// A native histogram of the series.
    pub(super) fn histogram(&mut self, received: Result<Received, String>) -> Result<(), Stop> {
        match received {
            Err(why) => {
                self.written.refused += 1;
                self.refuse_of_series(&why);
            }
            Ok(received) if received.ts > self.until => self.refuse_future(),
            Ok(received) => {
                self.room()?;
                self.gathered.push_histogram(received.ts, received.histogram);
            }
        }
        Ok(())
    }

    /// An exemplar of the series. What is wrong with it is no reason to refuse anything.
    pub(super) fn exemplar(&mut self, exemplar: Exemplar) -> Result<(), Stop> {
        if exemplar.ts <= self.until && exemplar.is_short() {
            self.room()?;
            self.gathered.push_exemplar(exemplar);
        }
        Ok(())
    }

    /// Something is left out.
    pub(super) fn refuse(&mut self, why: impl FnOnce() -> String) {
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(why());
        } else {
            self.further += 1;
        }
    }

    /// Something of the series that is being gathered is left out.
    fn refuse_of_series(&mut self, why: &str) {
        let series = self.series();
        self.refuse(|| format!("{why} for series {series:?}"));
    }

    /// The series that is being gathered.
    pub(super) fn series(&self) -> Labels {
        self.gathered.labels().cloned().unwrap_or_default()
    }

    #[cold]
    fn refuse_future(&mut self) {
        self.written.refused += 1;
        self.refuse_of_series("out of bounds: timestamp is too far in the future");
    }

    /// Stores what is there when it is enough.
    #[inline]
    fn room(&mut self) -> Result<(), Stop> {
        if self.gathered.is_full() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.gathered.sort_exemplars();
        let series = self.gathered.series();
        let (lateness, counts) = (Lateness::Window, self.gathered.counts());
        let batch = SeriesBatch { series: &series, sources: &self.sources, lateness, memo: None };
        let committed = self.store.append_series(&batch).map_err(Stop::Store)?;
        let refused = u64::from(committed.out_of_order) + u64::from(committed.duplicate) + u64::from(committed.too_old);
        // Which kind a refused sample is of, the store does not say; of a series that has both, floats are far more.
        let floats = counts.floats.saturating_sub(refused);
        self.written.samples += floats;
        self.written.histograms += counts.histograms - (refused - (counts.floats - floats)).min(counts.histograms);
        self.written.refused += refused;
        self.written.late_exemplars += u64::from(committed.late_exemplars);
        self.written.exemplars += counts.exemplars.saturating_sub(u64::from(committed.late_exemplars));
        let reasons = reasons(committed, &batch);
        drop(series);
        reasons.into_iter().for_each(|why| self.refuse(|| why));
        self.gathered.clear();
        Ok(())
    }

    /// Stores the rest. `read` is how the reading of the message ended.
    pub(super) fn finish(mut self, read: Result<(), Stop>) -> (Written, Counted) {
        match read.and_then(|()| self.flush()) {
            Err(Stop::Store(error)) => self.written.fault = Some(Fault::Store(error)),
            Err(Stop::Broken(why)) => self.written.fault = Some(Fault::Refused(why)),
            Ok(()) if self.reasons.is_empty() => {}
            Ok(()) => {
                if self.further > 0 {
                    self.reasons.push(format!("and {} more", self.further));
                }
                self.written.fault = Some(Fault::Refused(self.reasons.join("\n")));
            }
        }
        (self.written, self.counted)
    }
}

/// What the store left out, in upstream's words.
fn reasons(committed: Committed, batch: &SeriesBatch<'_>) -> Vec<String> {
    let all = [
        (committed.out_of_order, "out of order sample"),
        (committed.duplicate, "duplicate sample for timestamp"),
        (committed.too_old, "too old sample"),
        (committed.late_exemplars, "out of order exemplar"),
    ];
    let told = all.into_iter().filter(|(n, _)| *n > 0);
    told.map(|(n, why)| match batch.series {
        [one] => format!("{why} for series {:?}", one.labels),
        _ => format!("{why}: {n} of {}", batch.describe()),
    })
    .collect()
}
