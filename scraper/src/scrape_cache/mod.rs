//! The scrape cache: maps entries of an exposition to columns of the target's row. Step 5 of the scrape path. (Prometheus:
//! `scrapeCache` in `scrape/scrape.go`.)
//!
//! Line i of a scrape is nearly always line i of the last one. The cache keeps, per line, its fingerprint (a hash of the text
//! before the value) and the column of its value: a line in its old position costs a hash and a number. Only a line that is
//! new has its labels parsed, relabelled and interned.
//! Invariant: what [`ScrapeCache::read`] took in is visible to nobody until [`ScrapeCache::commit`]; a body that turns
//! out to be broken leaves no trace but the stale markers of what was there before and it did not have.

mod daily;
pub(crate) mod error;
mod histograms;
mod match_entries;
mod pass;
mod rules;
mod slot;

use std::collections::HashSet;

use model::{AppendError, Appender, Committed, Labels, Timestamp};

use crate::metadata::MetadataCache;
use crate::parse::{Format, Parser, Point, Wanted};
use crate::series_tracker::SeriesTracker;

use daily::DailySeries;
pub use error::{ContentError, SeriesLimit};
pub use histograms::HistogramRules;
use pass::Pass;
pub use rules::{Counts, SampleRules};
use slot::{Dest, Slot};

/// Lines of refused bodies are forgotten once they are this many more than the known ones, as upstream does.
const BEGUN_SLACK: usize = 1000;
/// At most so many more than the known ones are remembered of one body.
const BEGUN_MAX: usize = 100_000;

/// So many comments are remembered of a body, and so many more for each of its other lines: HELP, TYPE, UNIT and one to spare.
const COMMENTS_SLACK: usize = 10_000;
const COMMENTS_PER_LINE: usize = 4;

/// The response of a target.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// How it is to be read.
    pub format: Format,
    /// Which form of its histograms is wanted.
    pub wanted: Wanted,
    /// All of it.
    pub bytes: &'a [u8],
}

impl<'a, B: AsRef<[u8]> + ?Sized> From<(Format, &'a B)> for Body<'a> {
    fn from((format, bytes): (Format, &'a B)) -> Self {
        Self { format, wanted: Wanted::default(), bytes: bytes.as_ref() }
    }
}

/// The lines of a target's last scrape, and the columns that their values are stored in.
#[derive(Debug)]
pub struct ScrapeCache {
    slots: Vec<Slot>,
    /// How many of them are lines that the last scrape had already; known where a soft `sample_limit` asks.
    repeated: usize,
    /// The target's own source first, then those that lack labels which metric relabelling removes.
    sources: Vec<SeriesTracker>,
    /// HELP and TYPE of the target's metric families.
    pub metadata: MetadataCache,
    today: DailySeries,
    /// The keys of lines that led to series and were forgotten; those go before new ones where a limit leaves no room for all.
    forgotten: HashSet<u64>,
    /// The keys of lines of refused bodies that began series: as upstream counts, these are not new a second time.
    begun: HashSet<u64>,
}

impl ScrapeCache {
    /// An empty cache, of a target that was not scraped yet.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        Self {
            slots: Vec::new(),
            repeated: 0,
            sources: vec![SeriesTracker::new(labels)],
            metadata: MetadataCache::default(),
            today: DailySeries::default(),
            forgotten: HashSet::new(),
            begun: HashSet::new(),
        }
    }

    /// Parses a body; new series get their ids. On an error nothing of it stays but the counts so far.
    ///
    /// # Errors
    /// When the body is broken or exceeds a limit, or the store cannot take a new series.
    pub fn read<'a>(
        &mut self,
        body: impl Into<Body<'a>>,
        rules: &SampleRules,
        ts: Timestamp,
        appender: &dyn Appender,
    ) -> (Counts, Result<(), ContentError>) {
        self.read_nothing();
        let body = body.into();
        if body.bytes.is_empty() {
            // Everything ended, and is known when it comes back.
            return (Counts::default(), Ok(()));
        }
        // An empty body does not reach this point: it keeps the cached lines, so that series which come back are
        // matched again.
        let mut pass = Pass::new(rules, ts);
        // A new day of UTC: series that the limit left out yesterday get another chance, so their lines must be read
        // anew.
        if rules.series_limit > 0 && self.today.begin(ts, || known_series(&self.slots)) {
            self.slots.retain(|slot| slot.dest != Dest::OverLimit);
            self.drop_comments();
        }
        if rules.soft && rules.sample_limit > 0 {
            // Lines that are repeated within one body count once, and lines forgotten by a reload still belong to
            // known series.
            let known = known_series(&self.slots) - self.repeated + self.forgotten.len();
            pass.room = rules.sample_limit.saturating_sub(known);
        }
        let (sources, generation) = (self.sources.len(), self.metadata.generation());
        pass.keeps_exemplars = appender.keeps_exemplars();
        pass.zeros = body.wanted.start_times;
        pass.late_from = appender.takes_late_from();
        let mut parser = Parser::of(body.format, body.bytes, body.wanted);
        let lines = self.read_lines(&mut parser, &mut pass).and_then(|()| pass.within_limit());
        pass.counts.native_histograms = parser.native_histograms();
        // Ids are made only for a body that is valid as a whole: a broken one must not leave metrics in the index.
        let result = lines.and_then(|()| self.keep(&mut pass, appender));
        if let Err(error) = &result {
            // Sources made for relabelled series of this body have no id yet and are dropped with it.
            self.sources.truncate(sources);
            // The store failed, not the target: nothing is known of what the target exposes now, as after a failed
            // scrape.
            if matches!(error, ContentError::Append(_)) {
                self.read_nothing();
            } else {
                let track = rules.track_timestamps_staleness;
                // Upstream writes no stale marker for a series that the refused body had before the faulty line.
                self.sources.iter_mut().for_each(|source| source.refuse(track));
            }
            if self.metadata.generation() != generation {
                self.forget_comments();
            }
            pass.counts.added = self.refuse(&pass);
        }
        (pass.counts, result)
    }

    /// How many series a refused body began, up to where it was refused. They are remembered.
    fn refuse(&mut self, pass: &Pass<'_>) -> usize {
        let lines = pass.fresh.iter().flatten().filter(|slot| matches!(slot.dest, Dest::Pending(_)));
        let keys: HashSet<u64> = lines.map(|slot| slot.fingerprint.key).collect();
        let added = keys.iter().filter(|key| !self.begun.contains(key)).count();
        // A target with ever new lines in broken bodies must not grow this set for ever.
        if self.begun.len() > self.slots.len() + BEGUN_SLACK {
            self.begun = HashSet::new();
        }
        let room = (self.slots.len() + BEGUN_MAX).saturating_sub(self.begun.len());
        self.begun.extend(keys.into_iter().take(room));
        added
    }

    /// Discards what was read, as for a scrape that failed; the next commit writes stale markers.
    pub fn read_nothing(&mut self) {
        self.sources.iter_mut().for_each(SeriesTracker::begin);
    }

    /// Forgets the comments of the last body, so that all comments of the next one are parsed. Metadata of a broken body stays
    /// until then.
    fn forget_comments(&mut self) {
        for slot in &mut self.slots {
            if matches!(slot.dest, Dest::Comment(_)) {
                // No entry hashes to 0, but by a chance of 2^-64: these lines miss and are parsed.
                slot.fingerprint.key = 0;
            }
        }
    }

    /// The body is valid: new series get their columns, and its lines become those to expect next time.
    fn keep(&mut self, pass: &mut Pass<'_>, appender: &dyn Appender) -> Result<(), ContentError> {
        let mut pending = std::mem::take(&mut pass.pending);
        let mut dests = vec![Dest::Dropped; pending.len()];
        for at in 0..self.sources.len() {
            // One call of the appender per source: all its new metrics are interned in one write.
            let of_source: Vec<usize> = (0..pending.len()).filter(|&i| usize::from(pending[i].source) == at).collect();
            if pass.rules.series_limit > 0 {
                let number = u16::try_from(at).expect("BUG: source_without bounds their number");
                let key = |&i: &usize| (daily::key(number, &pending[i].metric), pending[i].was_there);
                self.today.keep(of_source.iter().map(key));
            }
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
        let mut keys = HashSet::new();
        for (dest, pending) in dests.iter().zip(&mut pending) {
            // A sample that `put` rejects must not count as an added series; rejections show as a change of the
            // counts.
            let left_out = pass.counts.left_out();
            let mut point = Point::new(pending.value, pending.ts);
            if let Some(more) = pending.more.take() {
                (pass.histogram, pass.exemplars, point.start_time) = (more.histogram, more.exemplars, more.start_time);
            }
            self.put(*dest, &point, pass);
            let is_new = pass.counts.left_out() == left_out && !self.begun.contains(&pending.key);
            pass.counts.added += usize::from(is_new && keys.insert(pending.key));
        }
        self.begun = HashSet::new();
        // `fresh` is made at the first line that differs: without it, and with the cursor at the end, the body had
        // exactly the cached lines.
        let unchanged = pass.fresh.is_none() && self.slots.len() == pass.cursor;
        match pass.fresh.take() {
            // The body is a prefix of the last one.
            None => self.slots.truncate(pass.cursor),
            Some(mut fresh) => {
                for slot in &mut fresh {
                    if let Dest::Pending(at) = slot.dest {
                        slot.dest = dests[at as usize];
                    }
                }
                // The cache lives as long as the target; spare capacity of every target would add up.
                fresh.shrink_to_fit();
                self.slots = fresh;
            }
        }
        // Repeated lines matter to a soft limit alone, and counting them costs a hash set: only when lines changed.
        if !unchanged && pass.rules.soft && pass.rules.sample_limit > 0 {
            let (known, mut seen) = (known_series(&self.slots), HashSet::new());
            let series = self.slots.iter().filter(|slot| matches!(slot.dest, Dest::Column { .. }));
            self.repeated = known - series.filter(|slot| seen.insert(slot.fingerprint.key)).count();
            if pass.counts.over_limit > 0 && known - self.repeated < pass.rules.sample_limit {
                // There is room now: at the next scrape they are read again.
                self.slots.retain(|slot| slot.dest != Dest::OverLimit);
            }
        }
        self.forgotten = HashSet::new();
        let families = || self.slots.iter().filter_map(|slot| slot.dest.family());
        self.metadata.scraped(unchanged, families);
        if !unchanged {
            self.drop_comments();
        }
        Ok(())
    }

    /// Comments are known by the memory of a slot each, which can be ten times their bytes. Where they are far more than series
    /// need, they are read anew at each scrape instead.
    fn drop_comments(&mut self) {
        if self.slots.len() <= COMMENTS_SLACK {
            return;
        }
        let is_comment = |slot: &Slot| matches!(slot.dest, Dest::Comment(_));
        let comments = self.slots.iter().filter(|slot| is_comment(slot)).count();
        if comments > COMMENTS_SLACK + COMMENTS_PER_LINE * (self.slots.len() - comments) {
            self.slots.retain(|slot| !is_comment(slot));
            self.slots.shrink_to_fit();
        }
    }

    /// Stores what was read, the report and the stale markers, as one commit.
    ///
    /// # Errors
    /// When the store cannot write; the samples of this scrape are lost then.
    pub fn commit(
        &mut self,
        appender: &dyn Appender,
        ts: Timestamp,
        report: &[(&str, f64)],
        track_own_times: bool,
    ) -> Result<Committed, AppendError> {
        self.sources[0].report(appender, report)?;
        let mut parts = Vec::with_capacity(1);
        for (at, source) in self.sources.iter_mut().enumerate() {
            // Stale markers go into the same commit as the samples: a crash cannot separate them.
            source.mark_vanished();
            source.choose_starts(ts);
            // The target's own source always has the report series; the others may have nothing this time.
            if at == 0 || !source.is_silent() {
                parts.push(source.part(appender, ts)?);
            }
        }
        let mut committed = appender.commit_scrape(&parts)?;
        // The parts borrow the sources, which are changed next.
        drop(parts);
        for source in &mut self.sources {
            committed.late_exemplars += source.commit_exemplars(appender);
            source.end(ts, track_own_times);
        }
        self.drop_dead_columns();
        Ok(committed)
    }

    /// The target is gone: marks all its series stale, those of the report too.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn end(
        &mut self,
        appender: &dyn Appender,
        ts: Timestamp,
        track_own_times: bool,
    ) -> Result<Committed, AppendError> {
        self.read_nothing();
        // Nothing was ever stored: no row of stale markers for series that do not exist.
        if !self.sources[0].end_report() && self.series() == 0 {
            return Ok(Committed::default());
        }
        self.commit(appender, ts, &[], track_own_times)
    }

    /// Makes the next scrape parse every line, because the rules have changed; the series stay tracked.
    pub fn forget_lines(&mut self) {
        self.repeated = 0;
        let series = self.slots.drain(..).filter(|slot| matches!(slot.dest, Dest::Column { .. }));
        self.forgotten.extend(series.map(|slot| slot.fingerprint.key));
    }

    /// Was nothing ever stored of it?
    pub(crate) fn is_blank(&self) -> bool {
        self.sources.iter().all(SeriesTracker::is_blank)
    }

    /// Staleness handover: takes over the series of a removed target with the same labels, so that the next commit writes
    /// stale markers for those that are not exposed any more. The lines are of use if they were read by the same rules.
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

    /// Asks the store for every id anew: it forgot some, as nothing that it still holds has them. What a scrape brought has to
    /// be read again.
    pub(crate) fn forget_ids(&mut self) {
        self.forget_lines();
        for source in &mut self.sources {
            *source = SeriesTracker::new(source.labels.clone());
        }
    }

    /// How many series the last scrape had.
    #[must_use]
    pub fn series(&self) -> usize {
        self.sources.iter().map(SeriesTracker::live).sum()
    }

    /// Removes columns of ended series once they outnumber the live ones.
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

/// How many lines led to series.
fn known_series(slots: &[Slot]) -> usize {
    slots.iter().filter(|slot| matches!(slot.dest, Dest::Column { .. })).count()
}

#[cfg(test)]
mod counted_tests;
#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod tests;
