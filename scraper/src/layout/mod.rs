//! Exposition text to column, and which columns vanished. Step 5 of the scrape path.
//!
//! Line i of a scrape is nearly always line i of the last one. A target therefore keeps, per line, a hash of the text
//! before the value and where the value goes: a line that is where it was costs a hash and a number. Only a line that is
//! new has its labels read, relabelled and interned.
//! Invariant: what [`TargetLayout::read`] took in is visible to nobody until [`TargetLayout::commit`]; a body that turns
//! out to be broken leaves no trace but the stale markers of what was there before.

use std::collections::HashMap;

use model::{AppendError, Appender, Committed, Labels};

use crate::columns::{Put, REPEATS_MAX, SourceColumns};
use crate::labelling::{self, SeriesRules};
use crate::metadata::MetadataCache;
use crate::parse::{Entry, Format, Mark, Parser, Point, Recognised, Sample};

/// Samples further ahead of the scrape than this are dropped, as upstream does; milliseconds.
const AHEAD_MAX_MS: i64 = 10 * 60 * 1000;

/// What a scrape job asks of the samples of its targets.
#[derive(Clone, Debug)]
pub struct SampleRules {
    /// How exposed labels become a series.
    pub series: SeriesRules,
    /// Times that samples carry are used; otherwise they get the time of the scrape.
    pub honor_timestamps: bool,
    /// Series with own times get stale markers too.
    pub track_timestamps_staleness: bool,
    /// Most samples after relabelling; 0: any number.
    pub sample_limit: usize,
}

/// What a body held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples exposed.
    pub scraped: usize,
    /// Samples that metric relabelling kept.
    pub post_relabel: usize,
    /// Series that the last scrape did not have.
    pub added: usize,
    /// Samples of a series that was already there at that time; the first won.
    pub duplicate: usize,
    /// Samples too far in the future.
    pub out_of_bounds: usize,
    /// Native histograms whose buckets were left out.
    pub native_histograms: usize,
}

/// Why a body was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Not an exposition.
    #[error(transparent)]
    Parse(#[from] crate::parse::ParseError),
    /// A series that cannot be stored.
    #[error("{0}")]
    Series(String),
    /// A new series could not be stored.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded ({kept} samples after relabelling, limit: {limit})")]
    SampleLimit {
        /// What relabelling kept.
        kept: usize,
        /// The job's limit.
        limit: usize,
    },
}

/// Where the value of a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dest {
    Column {
        source: u16,
        column: u32,
    },
    /// Relabelling drops it.
    Dropped,
    /// A comment has none.
    Comment,
    /// New in this scrape: index into `Pass::pending`.
    Pending(u32),
}

impl Dest {
    /// The column, if it is one of that source.
    fn column_of(self, at: usize) -> Option<u32> {
        match self {
            Self::Column { source, column } if usize::from(source) == at => Some(column),
            _ => None,
        }
    }
}

/// One line of the last scrape.
#[derive(Clone, Copy, Debug)]
struct Slot {
    mark: Mark,
    dest: Dest,
}

/// A sample whose series was not in the last scrape.
struct Pending {
    source: u16,
    metric: Labels,
    value: f64,
    ts_ms: Option<i64>,
}

/// What one target exposed last, and where it is stored.
#[derive(Debug)]
pub struct TargetLayout {
    slots: Vec<Slot>,
    /// The target's own source first, then those that lack labels which relabelling removes.
    sources: Vec<SourceColumns>,
    /// HELP and TYPE of the target's metric families.
    pub metadata: MetadataCache,
}

/// The working state of one reading of one body.
struct Pass<'a> {
    rules: &'a SampleRules,
    ts_ms: i64,
    counts: Counts,
    pending: Vec<Pending>,
    /// The lines of this body, once they differ from those of the last.
    fresh: Option<Vec<Slot>>,
    /// Where the lines of the last body went; made when a line is not where it was.
    known: Option<HashMap<u64, u32>>,
    /// The line of the last body that is expected next.
    cursor: usize,
    too_many_repeats: bool,
}

impl TargetLayout {
    /// Of a target that was not scraped yet.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        Self { slots: Vec::new(), sources: vec![SourceColumns::new(labels)], metadata: MetadataCache::default() }
    }

    /// Takes in a body; series that are new get their ids. On an error nothing of it stays but the counts so far.
    ///
    /// # Errors
    /// When the body is broken or exceeds a limit, or the store cannot take a new series.
    pub fn read(
        &mut self,
        (format, body): (Format, &[u8]),
        rules: &SampleRules,
        ts_ms: i64,
        appender: &dyn Appender,
    ) -> (Counts, Result<(), ContentError>) {
        self.read_nothing();
        let mut pass = Pass::new(rules, ts_ms);
        let mut parser = Parser::new(format, body);
        let lines = self.read_lines(&mut parser, &mut pass).and_then(|()| pass.within_limit());
        pass.counts.native_histograms = parser.native_histograms();
        let result = lines.and_then(|()| self.keep(&mut pass, appender));
        if result.is_err() {
            self.read_nothing();
        }
        (pass.counts, result)
    }

    /// Forgets what a body said, as for a scrape that failed; the next commit writes stale markers.
    pub fn read_nothing(&mut self) {
        self.sources.iter_mut().for_each(SourceColumns::begin);
    }

    fn read_lines(&mut self, parser: &mut Parser<'_>, pass: &mut Pass<'_>) -> Result<(), ContentError> {
        loop {
            if let Some(slot) = self.slots.get(pass.cursor).copied()
                && let Some(recognised) = parser.recognise(&slot.mark)
            {
                if let Recognised::Series(point) = recognised {
                    pass.count(slot.dest);
                    self.put(slot.dest, &point, pass);
                }
                pass.cursor += 1;
                if let Some(fresh) = &mut pass.fresh {
                    fresh.push(slot);
                }
            } else if !self.read_line(parser, pass)? {
                return Ok(());
            }
        }
    }

    /// A line that is not where it was, if it was at all. False at the end of the body.
    fn read_line(&mut self, parser: &mut Parser<'_>, pass: &mut Pass<'_>) -> Result<bool, ContentError> {
        let Some(entry) = parser.next_entry()? else { return Ok(false) };
        let mark = parser.mark();
        let fresh = pass.fresh.get_or_insert_with(|| self.slots.get(..pass.cursor).unwrap_or_default().to_vec());
        match entry {
            Entry::Series(sample) => return self.read_series(sample, mark, pass),
            Entry::Comment(_) => {}
            Entry::Help { metric, text } => self.metadata.set_help(&metric, &text),
            Entry::Type { metric, kind } => self.metadata.set_kind(&metric, kind),
            Entry::Unit { metric, unit } => self.metadata.set_unit(&metric, unit),
        }
        fresh.push(Slot { mark, dest: Dest::Comment });
        // Comments keep their place: they are met in order or read again.
        pass.cursor += 1;
        Ok(true)
    }

    fn read_series(&mut self, sample: Sample<'_>, mark: Mark, pass: &mut Pass<'_>) -> Result<bool, ContentError> {
        let known = pass.known.get_or_insert_with(|| {
            self.slots.iter().zip(0u32..).filter(|(s, _)| s.mark.is_series()).map(|(s, i)| (s.mark.key, i)).collect()
        });
        let dest = match known.get(&mark.key) {
            Some(&at) => {
                pass.cursor = at as usize + 1;
                self.slots.get(at as usize).map_or(Dest::Dropped, |slot| slot.dest)
            }
            None => self.new_series(&sample, pass)?,
        };
        pass.count(dest);
        self.put(dest, &sample.point, pass);
        pass.fresh.get_or_insert_default().push(Slot { mark, dest });
        Ok(true)
    }

    fn new_series(&mut self, sample: &Sample<'_>, pass: &mut Pass<'_>) -> Result<Dest, ContentError> {
        let exposed = sample.series.labels().map_err(ContentError::Series)?;
        let main = self.sources[0].labels.clone();
        let Some(series) = labelling::series(&exposed, &main, &pass.rules.series).map_err(ContentError::Series)? else {
            return Ok(Dest::Dropped);
        };
        let source = self.source_without(&main, &series.removed)?;
        let at = u32::try_from(pass.pending.len()).unwrap_or(u32::MAX);
        let Point { value, ts_ms, .. } = sample.point;
        pass.pending.push(Pending { source, metric: series.metric, value, ts_ms });
        Ok(Dest::Pending(at))
    }

    /// The target's source without some of its labels.
    fn source_without(&mut self, main: &Labels, removed: &[String]) -> Result<u16, ContentError> {
        if removed.is_empty() {
            return Ok(0);
        }
        let labels = Labels::from_sorted(main.iter().filter(|(name, _)| !removed.iter().any(|r| r == name)));
        let at = self.sources.iter().position(|source| source.labels == labels).unwrap_or_else(|| {
            self.sources.push(SourceColumns::new(labels));
            self.sources.len() - 1
        });
        u16::try_from(at).map_err(|_| ContentError::Series("relabelling makes too many kinds of label sets".to_owned()))
    }

    fn put(&mut self, dest: Dest, point: &Point<'_>, pass: &mut Pass<'_>) {
        let Dest::Column { source, column } = dest else { return };
        match pass.own_time(point.ts_ms) {
            Some(own) if own > pass.ts_ms + AHEAD_MAX_MS => pass.counts.out_of_bounds += 1,
            own => match self.sources[usize::from(source)].put(column, point.value, own) {
                Put::Taken => {}
                Put::Duplicate => pass.counts.duplicate += 1,
                Put::TooMany => pass.too_many_repeats = true,
            },
        }
    }

    /// The body was sound: new series get their columns, and its lines become those to expect next time.
    fn keep(&mut self, pass: &mut Pass<'_>, appender: &dyn Appender) -> Result<(), ContentError> {
        let mut pending = std::mem::take(&mut pass.pending);
        let mut dests = vec![Dest::Dropped; pending.len()];
        for at in 0..self.sources.len() {
            let of_source: Vec<usize> = (0..pending.len()).filter(|&i| usize::from(pending[i].source) == at).collect();
            let labels: Vec<Labels> = of_source.iter().map(|&i| std::mem::take(&mut pending[i].metric)).collect();
            if labels.is_empty() {
                continue;
            }
            let ids = appender.metrics(&labels)?;
            let source = u16::try_from(at).expect("BUG: source_without bounds their number");
            for (i, column) in of_source.into_iter().zip(self.sources[at].columns(&ids)) {
                dests[i] = Dest::Column { source, column };
            }
        }
        for (dest, pending) in dests.iter().zip(&pending) {
            let before = pass.counts.duplicate;
            self.put(*dest, &Point::new(pending.value, pending.ts_ms), pass);
            pass.counts.added += usize::from(pass.counts.duplicate == before);
        }
        match pass.fresh.take() {
            None => self.slots.truncate(pass.cursor),
            Some(mut fresh) => {
                for slot in &mut fresh {
                    if let Dest::Pending(at) = slot.dest {
                        slot.dest = dests[at as usize];
                    }
                }
                fresh.shrink_to_fit();
                self.slots = fresh;
            }
        }
        Ok(())
    }

    /// Stores what was read, the report and the stale markers, as one commit.
    ///
    /// # Errors
    /// When the store cannot write; the samples of this scrape are lost then.
    pub fn commit(
        &mut self,
        appender: &dyn Appender,
        ts_ms: i64,
        report: &[(&str, f64)],
        track_own_times: bool,
    ) -> Result<Committed, AppendError> {
        self.sources[0].report(appender, report)?;
        let mut rows = Vec::with_capacity(1);
        for (at, source) in self.sources.iter_mut().enumerate() {
            source.mark_vanished();
            if at == 0 || !source.is_silent() {
                rows.push(source.row(appender, ts_ms)?);
            }
        }
        let mut committed = appender.commit(&rows)?;
        drop(rows);
        // What is stored is stored, whatever becomes of the repeats.
        let mut repeated = Ok(());
        for source in &mut self.sources {
            let stored = source.commit_repeats(appender, ts_ms, &mut committed);
            repeated = repeated.and(stored);
            source.end(track_own_times);
        }
        self.drop_dead_columns();
        repeated.map(|()| committed)
    }

    /// The target is gone: marks all its series stale, those of the report too.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn end(
        &mut self,
        appender: &dyn Appender,
        ts_ms: i64,
        track_own_times: bool,
    ) -> Result<Committed, AppendError> {
        self.read_nothing();
        if !self.sources[0].end_report() && self.series() == 0 {
            return Ok(Committed::default());
        }
        self.commit(appender, ts_ms, &[], track_own_times)
    }

    /// Reads every line anew at the next scrape, as other rules want it; the series stay tracked.
    pub fn forget_lines(&mut self) {
        self.slots.clear();
    }

    /// Was nothing ever stored of it?
    pub(crate) fn is_blank(&self) -> bool {
        self.sources.iter().all(SourceColumns::is_blank)
    }

    /// Takes over what a target with the same labels exposed; the next commit marks what does not come any more. Its lines
    /// are of use if they were read by the same rules.
    pub(crate) fn adopt(&mut self, mut other: Self, same_rules: bool) {
        if self.is_blank() {
            if !same_rules {
                other.forget_lines();
            }
            *self = other;
            return;
        }
        for source in other.sources {
            match self.sources.iter_mut().find(|own| own.labels == source.labels) {
                Some(own) => own.adopt(source),
                None => self.sources.push(source),
            }
        }
    }

    /// How many series the last scrape had.
    #[must_use]
    pub fn series(&self) -> usize {
        self.sources.iter().map(SourceColumns::live).sum()
    }

    /// Columns of series that ended are given up once they are the larger part.
    fn drop_dead_columns(&mut self) {
        for (at, source) in self.sources.iter_mut().enumerate() {
            let used = self.slots.iter().filter_map(|slot| slot.dest.column_of(at));
            let Some(moved) = source.drop_dead(used) else { continue };
            for slot in &mut self.slots {
                if let Some(column) = slot.dest.column_of(at)
                    && let Dest::Column { column: place, .. } = &mut slot.dest
                {
                    *place = moved[column as usize];
                }
            }
        }
    }
}

impl<'a> Pass<'a> {
    fn new(rules: &'a SampleRules, ts_ms: i64) -> Self {
        let counts = Counts::default();
        Self { rules, ts_ms, counts, pending: Vec::new(), fresh: None, known: None, cursor: 0, too_many_repeats: false }
    }

    fn count(&mut self, dest: Dest) {
        self.counts.scraped += 1;
        self.counts.post_relabel += usize::from(dest != Dest::Dropped);
    }

    fn own_time(&self, ts_ms: Option<i64>) -> Option<i64> {
        ts_ms.filter(|_| self.rules.honor_timestamps)
    }

    fn within_limit(&self) -> Result<(), ContentError> {
        if self.too_many_repeats {
            let text = format!("one series has several samples, each with its own time, more than {REPEATS_MAX} times");
            return Err(ContentError::Series(text));
        }
        let (kept, limit) = (self.counts.post_relabel, self.rules.sample_limit);
        if limit > 0 && kept > limit { Err(ContentError::SampleLimit { kept, limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
