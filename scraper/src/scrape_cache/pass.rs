//! The working state of one pass over one body.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;
use model::{Exemplar, Histogram, Labels, Timestamp};

use super::error::{ContentError, SeriesLimit};
use super::rules::{Counts, SampleRules};
use super::slot::{AHEAD_MAX_MS, Dest, Slot};
use crate::parse::{Native, Parser, Point};
use crate::sample_mutation::Side;
use crate::series_tracker::REPEATS_MAX;

/// A sample whose series was not in the last scrape.
pub(super) struct Pending {
    /// Of its line.
    pub(super) key: u64,
    pub(super) source: u16,
    pub(super) metric: Labels,
    pub(super) value: f64,
    pub(super) ts: Option<Timestamp>,
    /// Its line was there before lines were forgotten.
    pub(super) was_there: bool,
    pub(super) more: Option<Box<More>>,
}

/// What few samples have.
pub(super) struct More {
    pub(super) histogram: Option<Box<Histogram>>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) start_time: Option<Timestamp>,
}

/// Where the lines of a body went, by their keys. These are hashes already, but ones that a target can steer: they are hashed
/// once more with what it does not know.
pub(super) type ByKey = HashMap<u64, u32, RandomState>;

/// The working state of one reading of one body.
pub(super) struct Pass<'a> {
    pub(super) rules: &'a SampleRules,
    pub(super) ts: Timestamp,
    /// Samples that may be; with more the body is refused.
    most: usize,
    pub(super) counts: Counts,
    pub(super) pending: Vec<Pending>,
    /// The target's side of the series; made for the first that is new.
    pub(super) side: Option<Side>,
    /// The lines of this body, once they differ from those of the last.
    pub(super) fresh: Option<Vec<Slot>>,
    /// Where the lines of the last body went; made when a line is not where it was.
    pub(super) known: Option<ByKey>,
    /// The line of the last body that is expected next.
    pub(super) cursor: usize,
    /// Kept samples that are none of those that `sample_limit` counts: repeated ones, and those of too many buckets.
    exempt: usize,
    /// The keys of the lines so far whose samples were taken, from the first on that may be a repeated one.
    seen: Option<HashSet<u64, RandomState>>,
    /// Why the body is refused once it is read: a native histogram with too many buckets.
    over_buckets: Option<ContentError>,
    /// The native histogram of the last entry, as it was exposed.
    pub(super) native: Option<Native>,
    /// The native histogram of the value that is being put, if its value is the histogram mark.
    pub(super) histogram: Option<Box<Histogram>>,
    /// Are exemplars wanted?
    pub(super) keeps_exemplars: bool,
    /// Those of the sample that is being put.
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) too_many_repeats: bool,
    /// Is a zero wanted at the time that counting began?
    pub(super) zeros: bool,
    /// From when on the store takes a sample although its series has a later one.
    pub(super) late_from: Timestamp,
    /// How many new series `sample_limit` leaves room for.
    pub(super) room: usize,
}

impl<'a> Pass<'a> {
    pub(super) fn new(rules: &'a SampleRules, ts: Timestamp) -> Self {
        let counts = Counts::default();
        // A soft limit leaves series out one by one; only a hard one ends the scrape.
        let limits = rules.sample_limit > 0 && !rules.soft;
        Self {
            rules,
            ts,
            most: if limits { rules.sample_limit } else { usize::MAX },
            counts,
            pending: Vec::new(),
            side: None,
            fresh: None,
            known: None,
            cursor: 0,
            exempt: 0,
            seen: None,
            over_buckets: None,
            native: None,
            histogram: None,
            keeps_exemplars: false,
            exemplars: Vec::new(),
            too_many_repeats: false,
            zeros: false,
            late_from: Timestamp::MAX,
            room: 0,
        }
    }

    /// Takes the exemplar of a sample where exemplars are wanted. One without a time has that of its sample.
    pub(super) fn take_exemplar(&mut self, point: &Point<'_>, parser: &Parser<'_>) {
        let Some(exemplar) = point.exemplar.filter(|_| self.keeps_exemplars) else { return };
        let ts = exemplar.ts.or(self.own_time(point.ts)).unwrap_or(self.ts);
        self.push_exemplar(&exemplar, ts);
        for further in parser.further_exemplars() {
            self.push_exemplar(further, further.ts.unwrap_or(ts));
        }
    }

    /// Checks the native histogram of the last entry and fits it into the limits; with it come its exemplars, of which one
    /// without a time is nothing, as upstream has it. False if it has too many buckets: the body is refused at its end.
    pub(super) fn fit_native(&mut self, point: &Point<'_>, parser: &Parser<'_>) -> Result<bool, ContentError> {
        // Taken out also where it is rejected: it must not be put with the next sample.
        let Some(native) = self.native.take() else { return Ok(true) };
        // It is left out whatever it is.
        if self.own_time(point.ts).is_some_and(|own| own > self.ts + AHEAD_MAX_MS) {
            return Ok(true);
        }
        match self.rules.histograms.fit(native) {
            Ok(histogram) => self.histogram = Some(Box::new(histogram)),
            Err(refusal) => {
                let error = refusal.at(parser.place());
                if !matches!(error, ContentError::Series { limit: Some(SeriesLimit::Buckets), .. }) {
                    return Err(error);
                }
                self.exempt += 1;
                // The first is reported. The rest of the body is still read, since `scrape_samples_scraped` counts all
                // of it.
                self.over_buckets.get_or_insert(error);
                return Ok(false);
            }
        }
        if self.keeps_exemplars {
            for exemplar in parser.exemplars()? {
                if let Some(ts) = exemplar.ts {
                    self.push_exemplar(&exemplar, ts);
                }
            }
        }
        Ok(true)
    }

    /// Had the body this very line already? `before` are its lines so far. It is asked where that can be.
    pub(super) fn is_repeated(&mut self, key: u64, before: &[Slot]) -> bool {
        // Only `sample_limit` asks for repeats, and once it is exceeded the answer no longer matters.
        if self.rules.sample_limit == 0 || self.exceeds_limit() {
            return false;
        }
        let fresh = self.fresh.as_deref();
        // The set is made at the first suspicion and then kept up to date by `count`: bodies without repeats never pay
        // for it.
        let seen = self.seen.get_or_insert_with(|| {
            let lines = fresh.unwrap_or(before).iter();
            lines
                .filter(|line| matches!(line.dest, Dest::Column { .. } | Dest::Pending(_)))
                .map(|line| line.fingerprint.key)
                .collect()
        });
        seen.contains(&key)
    }

    /// Has the sample that is being put more than a value?
    #[inline]
    pub(super) fn has_more(&self, point: &Point<'_>) -> bool {
        self.histogram.is_some() || !self.exemplars.is_empty() || self.zeros && point.start_time.is_some()
    }

    /// That.
    pub(super) fn take_more(&mut self, start_time: Option<Timestamp>) -> Box<More> {
        let (histogram, exemplars) = (self.histogram.take(), std::mem::take(&mut self.exemplars));
        Box::new(More { histogram, exemplars, start_time })
    }

    /// One whose labels are none, or name one twice, is nothing: no answer could hold it.
    fn push_exemplar(&mut self, exemplar: &crate::parse::Exemplar<'_>, ts: Timestamp) {
        if let Ok(pairs) = exemplar.labels() {
            // Exemplars have few labels: comparing pairs is cheaper than a set.
            let repeats = |(i, (name, _)): (usize, &(_, _))| pairs[..i].iter().any(|(other, _)| other == name);
            if pairs.iter().enumerate().any(repeats) {
                return;
            }
            let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)));
            self.exemplars.push(Exemplar { labels, value: exemplar.value, ts });
        }
    }

    /// Counts a sample that is kept, and notes its line.
    #[inline]
    pub(super) fn count(&mut self, Slot { fingerprint, dest }: Slot, repeated: bool) {
        self.counts.post_relabel += 1;
        self.counts.over_limit += usize::from(dest == Dest::OverLimit);
        self.exempt += usize::from(repeated);
        if let Some(seen) = self.seen.as_mut().filter(|_| dest != Dest::OverLimit) {
            seen.insert(fingerprint.key);
        }
    }

    /// True if a scrape over `sample_limit` fails.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.most != usize::MAX
    }

    /// True if there are too many samples already.
    #[inline]
    pub(super) fn exceeds_limit(&self) -> bool {
        self.counts.post_relabel > self.most.saturating_add(self.exempt)
    }

    /// True if the body will be refused whatever follows.
    pub(super) fn is_refused(&self) -> bool {
        self.exceeds_limit() || self.over_buckets.is_some()
    }

    pub(super) fn own_time(&self, ts: Option<Timestamp>) -> Option<Timestamp> {
        ts.filter(|_| self.rules.honor_timestamps)
    }

    pub(super) fn within_limit(&mut self) -> Result<(), ContentError> {
        if self.too_many_repeats {
            return Err(ContentError::Repeats { limit: REPEATS_MAX });
        }
        let (kept, limit) = (self.counts.post_relabel - self.exempt, self.rules.sample_limit);
        if self.exceeds_limit() {
            return Err(ContentError::SampleLimit { kept, limit });
        }
        self.over_buckets.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn keys_that_a_target_made_alike_are_spread() {
        let folding = RandomState::default();
        // Alike in the bits by which a table tells keys apart.
        let places = (0..4096u64).map(|i| folding.hash_one(i << 30 | 0x12345) & 0xfff);
        let distinct = places.collect::<std::collections::HashSet<_>>().len();
        assert!(distinct > 2048, "{distinct} of 4096 places");
    }
}
