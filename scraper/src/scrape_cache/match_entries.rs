//! Matches each entry of a body with the cached lines and routes its value to a column. Part of step 5.

use model::Labels;
use model::sample::is_histogram_mark;

use super::pass::{ByKey, Pass, Pending};
use super::slot::{AHEAD_MAX_MS, Dest, Slot};
use super::{ContentError, ScrapeCache, daily};
use crate::metadata::MetadataCache;
use crate::parse::{Entry, Fingerprint, Parser, Point, Recognised, Sample};
use crate::sample_mutation::{self, Refusal, Side};
use crate::series_tracker::{Put, SeriesTracker};
use crate::start_timestamps;

impl ScrapeCache {
    pub(super) fn read_lines(&mut self, parser: &mut Parser<'_>, pass: &mut Pass<'_>) -> Result<(), ContentError> {
        loop {
            // The common path: the entry is the one expected next. A hash, a number, and no parsing of labels.
            if let Some(slot) = self.slots.get(pass.cursor).copied()
                && let Some(recognised) = parser.recognise(&slot.fingerprint)
            {
                if let Recognised::Series(point) = recognised {
                    if is_histogram_mark(point.value) {
                        pass.native = Some(parser.histogram()?);
                    }
                    pass.counts.scraped += 1;
                    match slot.dest {
                        Dest::Dropped => pass.native = None,
                        _ => self.take(slot, &point, (parser, pass))?,
                    }
                }
                pass.cursor += 1;
                // Lines of this body are collected once one differed; before that they are the cached ones.
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
        let fingerprint = parser.fingerprint();
        // The first difference: all lines so far were the cached ones, up to the cursor.
        let fresh = pass.fresh.get_or_insert_with(|| {
            let mut fresh = Vec::with_capacity(self.slots.len() + 64);
            fresh.extend_from_slice(self.slots.get(..pass.cursor).unwrap_or_default());
            fresh
        });
        // Counted here and not in the common path: an unchanged body cannot exceed a limit that the last one kept.
        if pass.rules.entry_limit > 0 && fresh.len() >= pass.rules.entry_limit {
            return Err(ContentError::EntryLimit { limit: pass.rules.entry_limit });
        }
        let family = match entry {
            Entry::Series(sample) => {
                if is_histogram_mark(sample.point.value) {
                    pass.native = Some(parser.histogram()?);
                }
                pass.counts.scraped += 1;
                return self.read_series((parser, sample), fingerprint, pass).map(|()| true);
            }
            Entry::Comment(_) => MetadataCache::NO_FAMILY,
            Entry::Help { metric, text } => self.metadata.set_help(&metric, &text),
            Entry::Type { metric, kind } => self.metadata.set_kind(&metric, kind),
            Entry::Unit { metric, unit } => self.metadata.set_unit(&metric, unit),
        };
        fresh.push(Slot { fingerprint, dest: Dest::Comment(family) });
        // Comments keep their place: they are met in order or read again.
        pass.cursor += 1;
        Ok(true)
    }

    fn read_series<'a>(
        &mut self,
        (parser, sample): (&mut Parser<'a>, Sample<'a>),
        fingerprint: Fingerprint,
        pass: &mut Pass<'_>,
    ) -> Result<(), ContentError> {
        // Where lines moved (a map that the target iterates in random order), the cached line is found by its key. The
        // index is made once per body, when first needed.
        let known = pass.known.get_or_insert_with(|| {
            let mut known = ByKey::with_capacity_and_hasher(self.slots.len(), <_>::default());
            let series = self.slots.iter().zip(0u32..).filter(|(slot, _)| slot.fingerprint.is_series());
            known.extend(series.map(|(slot, at)| (slot.fingerprint.key, at)));
            known
        });
        let slot = match known.get(&fingerprint.key) {
            Some(&at) => {
                // Lines that moved mostly moved together: the next one is expected behind this one's old place.
                pass.cursor = at as usize + 1;
                let dest = self.slots.get(at as usize).map_or(Dest::Dropped, |slot| slot.dest);
                let slot = Slot { fingerprint, dest };
                match dest {
                    Dest::Dropped => pass.native = None,
                    _ => self.take(slot, &sample.point, (parser, pass))?,
                }
                slot
            }
            None => {
                // Samples with own times are several samples of one series, not repeats.
                let repeated = pass.own_time(sample.point.ts).is_none() && pass.is_repeated(fingerprint.key, &[]);
                let slot =
                    Slot { fingerprint, dest: self.new_series((parser, &sample), (fingerprint, repeated), pass)? };
                if slot.dest != Dest::Dropped {
                    pass.count(slot, repeated);
                }
                // Of one that is left out.
                (pass.native, pass.histogram) = (None, None);
                pass.exemplars.clear();
                slot
            }
        };
        // Of a body that will be refused nothing is kept.
        if !pass.is_refused() {
            pass.fresh.get_or_insert_default().push(slot);
        }
        Ok(())
    }

    /// A sample whose line the last scrape had too, and that is kept.
    #[inline]
    fn take(
        &mut self,
        slot: Slot,
        point: &Point<'_>,
        (parser, pass): (&Parser<'_>, &mut Pass<'_>),
    ) -> Result<(), ContentError> {
        let mut repeated = false;
        // What was left out is in no column.
        let may_repeat = || pass.counts.left_out() > 0 || self.is_present(slot.dest);
        if pass.native.is_some() || pass.is_limited() && may_repeat() {
            match self.look_at(slot, point, (parser, pass))? {
                Some(is_repeated) => repeated = is_repeated,
                None => {
                    pass.count(slot, false);
                    return Ok(());
                }
            }
        }
        pass.count(slot, repeated);
        // What comes past the limit is only counted.
        if !pass.exceeds_limit() {
            pass.take_exemplar(point, parser);
            self.put(slot.dest, point, pass);
        } else if pass.histogram.is_some() {
            pass.histogram = None;
            pass.exemplars.clear();
        }
        Ok(())
    }

    /// Of a sample of which that is to be asked: had the body its line already? `None` when it is only counted.
    #[inline(never)]
    fn look_at(
        &mut self,
        slot: Slot,
        point: &Point<'_>,
        (parser, pass): (&Parser<'_>, &mut Pass<'_>),
    ) -> Result<Option<bool>, ContentError> {
        let mut repeated = false;
        if pass.own_time(point.ts).is_none() {
            repeated = pass.is_repeated(slot.fingerprint.key, self.slots.get(..pass.cursor).unwrap_or_default());
            if self.is_present(slot.dest) {
                // It is left out whatever it is.
                pass.native = None;
            }
        }
        let fits = pass.native.is_none() || pass.fit_native(point, parser)?;
        Ok(fits.then_some(repeated))
    }

    #[inline]
    fn is_present(&self, dest: Dest) -> bool {
        matches!(dest, Dest::Column { source, column } if self.sources[usize::from(source)].is_present(column))
    }

    fn new_series<'a>(
        &mut self,
        (parser, sample): (&mut Parser<'a>, &Sample<'a>),
        (fingerprint, repeated): (Fingerprint, bool),
        pass: &mut Pass<'_>,
    ) -> Result<Dest, ContentError> {
        // Target labels are split into names once per body that has anything new.
        let side = pass.side.get_or_insert_with(|| Side::new(&self.sources[0].labels));
        let read = parser.labels(&sample.series).map_err(Refusal::invalid);
        let series = match read.and_then(|exposed| sample_mutation::series(exposed, side, &pass.rules.series)) {
            Ok(Some(series)) => series,
            Ok(None) => return Ok(Dest::Dropped),
            Err(refusal) => return Err(refusal.at(parser.place())),
        };
        if !pass.fit_native(&sample.point, parser)? || pass.exceeds_limit() {
            return Ok(Dest::OverLimit);
        }
        pass.take_exemplar(&sample.point, parser);
        // After a reload every line is read anew, and series known before it are not new to the limits.
        let was_there = self.forgotten.contains(&fingerprint.key);
        let limited = pass.rules.soft && pass.rules.sample_limit > 0 && !was_there && !repeated;
        if limited && pass.room == 0 {
            return Ok(Dest::OverLimit);
        }
        let source = self.source_without(&series.removed).map_err(|refusal| refusal.at(parser.place()))?;
        let limit = pass.rules.series_limit;
        if limit > 0 && !was_there && !self.today.admits(daily::key(source, &series.metric), pass.pending.len(), limit)
        {
            return Ok(Dest::OverLimit);
        }
        pass.room = pass.room.saturating_sub(usize::from(limited));
        // The metric is interned only when the whole body is valid: until then the slot points into `pending`.
        let at = u32::try_from(pass.pending.len()).unwrap_or(u32::MAX);
        let Point { value, ts, start_time, .. } = sample.point;
        let more = if pass.has_more(&sample.point) { Some(pass.take_more(start_time)) } else { None };
        if pass.pending.is_empty() {
            pass.pending.reserve(self.slots.len().min(1024));
        }
        let (key, metric) = (fingerprint.key, series.metric);
        pass.pending.push(Pending { key, source, metric, value, ts, was_there, more });
        Ok(Dest::Pending(at))
    }

    /// The target's source without some of its labels.
    fn source_without(&mut self, removed: &[String]) -> Result<u16, Refusal> {
        if removed.is_empty() {
            return Ok(0);
        }
        let main = &self.sources[0].labels;
        let labels = Labels::from_sorted(main.iter().filter(|(name, _)| !removed.iter().any(|r| r == name)));
        // A handful at most: one for each set of labels that relabelling removes.
        let at = self.sources.iter().position(|source| source.labels == labels).unwrap_or_else(|| {
            self.sources.push(SeriesTracker::new(labels));
            self.sources.len() - 1
        });
        let too_many = || Refusal::invalid("relabelling makes too many kinds of label sets".to_owned());
        u16::try_from(at).map_err(|_| too_many())
    }

    pub(super) fn put(&mut self, dest: Dest, point: &Point<'_>, pass: &mut Pass<'_>) {
        if let Dest::Column { source, column } = dest {
            // The zero of a histogram needs its schema; taken before `put` consumes the histogram.
            let zero = pass.histogram.as_deref().filter(|_| pass.zeros).map(start_timestamps::empty);
            let columns = &mut self.sources[usize::from(source)];
            match pass.own_time(point.ts) {
                Some(own) if own > pass.ts + AHEAD_MAX_MS => pass.counts.out_of_bounds += 1,
                // The store would refuse it, and the series has then nothing in this scrape.
                Some(own) if own < pass.late_from && columns.is_past(column, own) => pass.counts.out_of_order += 1,
                own => match columns.put(column, point.value, own, pass.histogram.take()) {
                    Put::Taken if pass.has_more(point) => {
                        if let Some(start_time) = point.start_time.filter(|_| pass.zeros) {
                            columns.starts.note(column, start_time, own.unwrap_or(pass.ts), zero);
                        }
                        columns.put_exemplars(column, std::mem::take(&mut pass.exemplars));
                    }
                    Put::Taken => {}
                    Put::Duplicate => pass.counts.duplicate += 1,
                    Put::TooMany => pass.too_many_repeats = true,
                },
            }
        }
        if pass.has_more(point) {
            (pass.histogram, pass.exemplars) = (None, Vec::new());
        }
    }
}
