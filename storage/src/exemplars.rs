//! The latest exemplars of all series together, in a ring: the newest push out the oldest, of whatever series
//! (upstream: `tsdb/exemplar.go`). Drawn in `docs/formats/index.md`.
//!
//! Invariant: what is in memory is found again in the store; per series it is one entry, and no more series than exemplars.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{self, AtomicBool};

use model::{Exemplar, Labels, Matcher, MetricId, SourceId, Timestamp};
use parking_lot::Mutex;
use rocksdb::WriteBatch;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::Error;
use crate::index::Index;
use crate::index::select::{Selected, select};
use crate::kv::bitmap;
use crate::kv::checksum::checksum;
use crate::kv::schema::{Cf, SOURCE_LABEL};
use crate::kv::store::Store;
use crate::metrics::ExemplarMetrics;
use crate::reader::context::ReadContext;

/// Source, metric, hash of their labels, time, value; the text of the labels follows, then a checksum.
const HEAD_BYTES: usize = 4 + 4 + 8 + 8 + 8;
const CHECKSUM_BYTES: usize = 4;

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    /// Read by every scrape, which must not wait for a writer's lock.
    kept: AtomicBool,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// How many are kept; 0: none, and stored ones are not read.
    max: u64,
    /// The numbers of the oldest, and of the next.
    first: u64,
    next: u64,
    newest: HashMap<(u32, u32), Newest>,
}

/// The newest exemplar of a series.
#[derive(Clone, Copy, Debug)]
struct Newest {
    ts: Timestamp,
    value: f64,
    labels: u64,
    number: u64,
}

impl Newest {
    fn of(exemplar: &Exemplar, number: u64) -> Self {
        let labels = xxh3_64(exemplar.labels.as_text().as_bytes());
        Self { ts: exemplar.ts, value: exemplar.value, labels, number }
    }

    /// A histogram exposes several of one time again and again: ordered, what came before is distinguished from what is new.
    fn order(&self, other: &Self) -> Ordering {
        let times = self.ts.cmp(&other.ts);
        times.then(self.value.total_cmp(&other.value)).then(self.labels.cmp(&other.labels))
    }
}

/// The series of an exemplar. The hash of the labels tells whether the ids are still of the same series: after a restart the
/// highest ids that nothing else refers to are reused.
#[derive(Clone, Copy, Debug)]
struct Owner {
    series: (u32, u32),
    labels: u64,
}

fn hash(source: &Labels, metric: &Labels) -> u64 {
    xxh3_64_with_seed(metric.as_text().as_bytes(), xxh3_64(source.as_text().as_bytes()))
}

fn encode(owner: Owner, exemplar: &Exemplar, number: u64) -> Vec<u8> {
    let text = exemplar.labels.as_text().as_bytes();
    let mut out = Vec::with_capacity(HEAD_BYTES + text.len() + CHECKSUM_BYTES);
    out.extend_from_slice(&owner.series.0.to_le_bytes());
    out.extend_from_slice(&owner.series.1.to_le_bytes());
    out.extend_from_slice(&owner.labels.to_le_bytes());
    out.extend_from_slice(&exemplar.ts.0.to_le_bytes());
    out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
    out.extend_from_slice(text);
    let sum = checksum(&out, number);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(bytes: &[u8], number: u64) -> Option<(Owner, Exemplar)> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if checksum(body, number) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (source, body) = body.split_first_chunk::<4>()?;
    let (metric, body) = body.split_first_chunk::<4>()?;
    let (hash, body) = body.split_first_chunk::<8>()?;
    let (ts, body) = body.split_first_chunk::<8>()?;
    let (value, text) = body.split_first_chunk::<8>()?;
    let labels = Labels::from_text(std::str::from_utf8(text).ok()?)?;
    let value = f64::from_bits(u64::from_le_bytes(*value));
    let series = (u32::from_le_bytes(*source), u32::from_le_bytes(*metric));
    let owner = Owner { series, labels: u64::from_le_bytes(*hash) };
    Some((owner, Exemplar { labels, value, ts: Timestamp(i64::from_le_bytes(*ts)) }))
}

/// Calls `each` with every exemplar, oldest first.
fn each(store: &Store, from: u64, mut take: impl FnMut(u64, Owner, Exemplar)) -> Result<(), Error> {
    let mut iter = store.iter(Cf::Exemplars, &from.to_be_bytes(), &[]);
    iter.seek_to_first();
    while let Some((key, value)) = iter.item() {
        let number = key.try_into().ok().map(u64::from_be_bytes);
        match number.and_then(|number| Some((number, decode(value, number)?))) {
            Some((number, (owner, exemplar))) => take(number, owner, exemplar),
            None => store.corrupt(Cf::Exemplars, key, "not an exemplar"),
        }
        iter.next();
    }
    Ok(store.ended(&iter, Cf::Exemplars, &[])?)
}

impl Exemplars {
    pub(crate) fn are_kept(&self) -> bool {
        self.kept.load(atomic::Ordering::Acquire)
    }

    /// How many are kept from now on.
    pub(crate) fn set_max(&self, store: &Store, max: u64) -> Result<(), Error> {
        let mut ring = self.ring.lock();
        // Only a server that keeps exemplars reads those that are stored.
        if ring.max == 0 && max > 0 {
            ring.load(store)?;
        }
        ring.max = max;
        self.kept.store(max > 0, atomic::Ordering::Release);
        let mut batch = WriteBatch::default();
        ring.cut(store, &mut batch);
        Ok(store.write(batch)?)
    }

    /// Keeps what is new. Of a series none is kept that comes before its newest. Returns how many did, of those series of which
    /// nothing else was said: as upstream counts, what is exposed again beside something new, or is the newest, is not late.
    pub(crate) fn keep(
        &self,
        (store, index): (&Store, &Index),
        source: SourceId,
        exemplars: &[(MetricId, Exemplar)],
        metrics: &ExemplarMetrics,
    ) -> Result<u32, Error> {
        let ids = exemplars.iter().map(|(metric, _)| metric.0);
        // Ids that the scrape kept may have been swept meanwhile: it has to intern them again.
        if !index.sources.are_there([source.0].into_iter()) || !index.metrics.are_there(ids) {
            return Err(Error::Forgotten);
        }
        let mut ring = self.ring.lock();
        if ring.max == 0 {
            return Ok(0);
        }
        let mut batch = WriteBatch::default();
        let mut kept: Vec<((u32, u32), Newest)> = Vec::new();
        let mut next = ring.next;
        let mut ordered: Vec<_> = exemplars.iter().map(|(of, one)| (of, one, Newest::of(one, 0))).collect();
        // By series, so that each is compared with the one before it.
        ordered.sort_by(|a, b| a.0.cmp(b.0).then_with(|| a.2.order(&b.2)));
        let of_one = ordered.chunk_by(|a, b| a.0 == b.0).map(|all| {
            let newest = ring.newest.get(&(source.0, all[0].0.0));
            let is_late = |one: &Newest| newest.is_some_and(|newest| newest.order(one) == Ordering::Greater);
            if all.iter().all(|(_, _, one)| is_late(one)) { all.len() } else { 0 }
        });
        let late = u32::try_from(of_one.sum::<usize>()).unwrap_or(u32::MAX);
        metrics.out_of_order.inc_by(u64::from(late));
        for (metric, exemplar, one) in ordered {
            let series = (source.0, metric.0);
            let one = Newest { number: next, ..one };
            let last = kept.last().filter(|(of, _)| *of == series).map(|(_, last)| last);
            let before = last.or_else(|| ring.newest.get(&series)).map(|before| before.order(&one));
            // Exposed again, as by every scrape until the next one comes.
            if before == Some(Ordering::Equal) {
                continue;
            }
            if !exemplar.is_short() {
                metrics.too_long.inc();
            } else if before == Some(Ordering::Greater) {
                // Counted above.
            } else if let (Some(source), Some(metric)) =
                (index.source_labels(store, source)?, index.metric_labels(store, metric.0)?)
            {
                let owner = Owner { series, labels: hash(&source, &metric) };
                batch.put_cf(store.cf(Cf::Exemplars), next.to_be_bytes(), encode(owner, exemplar, next));
                kept.push((series, one));
                next += 1;
            }
        }
        if kept.is_empty() {
            return Ok(late);
        }
        let before = (ring.first, ring.next);
        ring.next = next;
        ring.cut(store, &mut batch);
        if let Err(error) = store.write(batch) {
            // Nothing was written: the numbers are given out again.
            (ring.first, ring.next) = before;
            return Err(error.into());
        }
        // Only now, as what failed was not kept.
        metrics.kept.inc_by(kept.len() as u64);
        ring.newest.extend(kept);
        ring.forget();
        Ok(late)
    }
}

impl Ring {
    fn load(&mut self, store: &Store) -> Result<(), Error> {
        *self = Self { max: self.max, ..Self::default() };
        let mut first = None;
        each(store, 0, |number, owner, exemplar| {
            first = first.or(Some(number));
            // Numbers ascend, and so the last of a series is its newest.
            self.next = number + 1;
            self.newest.insert(owner.series, Newest::of(&exemplar, number));
        })?;
        self.first = first.unwrap_or(self.next);
        Ok(())
    }

    /// Adds the removal of the oldest ones that are too many to the batch.
    fn cut(&mut self, store: &Store, batch: &mut WriteBatch) {
        let first = self.next.saturating_sub(self.max).max(self.first);
        if first > self.first {
            batch.delete_range_cf(store.cf(Cf::Exemplars), self.first.to_be_bytes(), first.to_be_bytes());
            self.first = first;
        }
    }

    /// Series whose newest exemplar is gone are forgotten once they are as many as the others may be.
    fn forget(&mut self) {
        if self.newest.len() as u64 > 2 * self.max {
            self.newest.retain(|_, newest| newest.number >= self.first);
        }
    }
}

/// The exemplars of a range of time, first and last millisecond, of the series that any of these selectors match:
/// by series, in their order, the oldest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn find(
    (context, exemplars): (ReadContext<'_>, &Exemplars),
    selectors: &[Vec<Matcher>],
    (start, end): (Timestamp, Timestamp),
) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
    let all = bitmap::all(context.store, SOURCE_LABEL)?;
    let mut selected: Vec<Selected> = Vec::new();
    for matchers in selectors {
        selected.extend(select((context.store, context.index), matchers, &all)?);
    }
    let is_selected = |(source, metric): (u32, u32)| {
        selected.iter().any(|one| one.sources.contains(source) && one.metrics.contains(metric))
    };
    // From the oldest on, so that the iterator need not pass the tombstones of those that were cut.
    let first = exemplars.ring.lock().first;
    let mut by_series: HashMap<(u32, u32), Vec<(u64, Exemplar)>> = HashMap::new();
    each(context.store, first, |_, owner, exemplar| {
        if (start..=end).contains(&exemplar.ts) && is_selected(owner.series) {
            by_series.entry(owner.series).or_default().push((owner.labels, exemplar));
        }
    })?;
    let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
    for ((source, metric), exemplars) in by_series {
        let source = context.index.source_labels(context.store, SourceId(source))?;
        let metric = context.index.metric_labels(context.store, metric)?;
        let (Some(source), Some(metric)) = (source, metric) else { continue };
        // The ids may have been given out again: then the exemplar was another series'.
        let labels = hash(&source, &metric);
        let its = exemplars.into_iter().filter(|(of, _)| *of == labels).map(|(_, exemplar)| exemplar);
        found.entry(source.joined(&metric)).or_default().extend(its);
    }
    found.retain(|_, exemplars| !exemplars.is_empty());
    found.values_mut().for_each(|exemplars| exemplars.sort_by_key(|exemplar| exemplar.ts));
    Ok(found.into_iter().collect())
}

/// The number of the next exemplar, and at most so many of those that are kept from a number on, with their series.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn since(
    (context, exemplars): (ReadContext<'_>, &Exemplars),
    number: u64,
    most: usize,
) -> Result<(u64, Vec<(Labels, Exemplar)>), Error> {
    let (first, next) = {
        let ring = exemplars.ring.lock();
        (ring.first, ring.next)
    };
    let (mut at, mut read) = (number.max(first).min(next), Vec::new());
    if at < next {
        each(context.store, at, |number, owner, exemplar| {
            if number < next && read.len() < most {
                read.push((owner, exemplar));
                at = number + 1;
            }
        })?;
    }
    let mut found = Vec::with_capacity(read.len());
    for (owner, exemplar) in read {
        let source = context.index.source_labels(context.store, SourceId(owner.series.0))?;
        let metric = context.index.metric_labels(context.store, owner.series.1)?;
        // Of a series that is gone, or whose ids were given out again, there is nothing to send.
        if let Some((source, metric)) = source.zip(metric)
            && hash(&source, &metric) == owner.labels
        {
            found.push((source.joined(&metric), exemplar));
        }
    }
    Ok((at, found))
}

#[cfg(test)]
mod tests {
    use model::{Appender, Layout, Row, SourceId};

    use super::*;
    use crate::Options;
    use crate::db::Db;

    fn open(path: &std::path::Path) -> Db {
        let options = Options { memory_bytes: 8 << 20, ..Options::new(path) };
        Db::open(options, &prometheus::Registry::new()).unwrap()
    }

    /// One sample of a source.
    fn commit(db: &Db, source: SourceId, layout: &Layout) {
        let (values, present) = (&[1.0], &[1]);
        let row = Row { source, ts: Timestamp(1), layout, values, present, own_times: &[], histograms: &[] };
        db.commit(&[row]).unwrap();
    }

    fn exemplar(trace: &str, ts: Timestamp) -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", trace)]), value: ts.0 as f64 / 8.0, ts }
    }

    /// Times, by job.
    fn found(db: &Db, range: (Timestamp, Timestamp)) -> Vec<(String, Vec<Timestamp>)> {
        let matchers = vec![vec![Matcher::equal("__name__", "a_total")], vec![Matcher::equal("job", "x")]];
        let found = db.exemplars(&matchers, range).unwrap();
        let times = |all: Vec<Exemplar>| {
            all.iter().for_each(|one| assert_eq!(*one, exemplar(&format!("t{}", one.ts), one.ts)));
            all.iter().map(|one| one.ts).collect()
        };
        found.into_iter().map(|(labels, all)| (labels.value("job").to_owned(), times(all))).collect()
    }

    #[test]
    fn the_newest_stay_of_all_series_together_and_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        db.set_exemplars_max(5).unwrap();
        let metric = db.metrics(&[Labels::from_pairs([("__name__", "a_total")])]).unwrap()[0];
        let [a, b] = ["a", "b"].map(|job| db.source(&Labels::from_pairs([("job", job)])).unwrap());
        let layout = db.layout(&[metric]).unwrap();
        for source in [a, b] {
            commit(&db, source, &layout);
        }
        let keep = |db: &Db, source, ts: i64| {
            let ts = Timestamp(ts);
            Appender::exemplars(db, source, &[(metric, exemplar(&format!("t{ts}"), ts))]).unwrap();
        };
        for ts in [10, 20, 20, 15, 30] {
            keep(&db, a, ts);
        }
        keep(&db, b, 12);
        let all = (Timestamp::MIN, Timestamp::MAX);
        let both = |times: &[i64]| {
            let times = times.iter().copied().map(Timestamp).collect();
            vec![("a".to_owned(), times), ("b".to_owned(), vec![Timestamp(12)])]
        };
        assert_eq!(found(&db, all), both(&[10, 20, 30]), "what came again, or late, is not kept");
        assert_eq!(found(&db, (Timestamp(11), Timestamp(20))), both(&[20]));
        keep(&db, a, 40);
        keep(&db, a, 50);
        assert_eq!(found(&db, all), both(&[20, 30, 40, 50]), "the oldest of six made room");
        drop(db);
        let db = open(dir.path());
        db.set_exemplars_max(4).unwrap();
        assert_eq!(found(&db, all), both(&[30, 40, 50]));
        keep(&db, a, 50);
        keep(&db, a, 45);
        assert_eq!(found(&db, all), both(&[30, 40, 50]), "what is known is known after a restart");
        assert_eq!(db.exemplars(&[vec![Matcher::equal("job", "c")]], all).unwrap(), []);
    }

    /// scrape-082
    #[test]
    fn several_of_one_time_are_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        let metric = db.metrics(&[Labels::from_pairs([("__name__", "a_seconds")])]).unwrap()[0];
        let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
        let layout = db.layout(&[metric]).unwrap();
        commit(&db, source, &layout);
        let of = |trace: &str, value, ts| {
            (metric, Exemplar { labels: Labels::from_pairs([("trace_id", trace)]), value, ts: Timestamp(ts) })
        };
        let scrape = [of("b", 8.0, 20), of("b", 2.0, 20), of("a", 2.0, 20), of("b", f64::NAN, 20), of("a", 9.0, 10)];
        for _ in 0..2 {
            db.set_exemplars_max(50).unwrap();
            for _ in 0..3 {
                assert_eq!(Appender::exemplars(&db, source, &scrape).unwrap(), 0, "what comes again is not late");
            }
            let late = [of("c", 1.0, 20), of("c", 1.0, 15)];
            assert_eq!(Appender::exemplars(&db, source, &late).unwrap(), 2);
            assert_eq!(Appender::exemplars(&db, source, &[&late[..], &scrape].concat()).unwrap(), 0);
            assert_eq!(db.components.metrics.exemplars.out_of_order.get(), 2);
            let found = db.exemplars(&[vec![Matcher::equal("job", "a")]], (Timestamp(0), Timestamp(30))).unwrap();
            let mut found: Vec<_> = found[0]
                .1
                .iter()
                .map(|one| format!("{} {} {}", one.ts, one.value, one.labels.value("trace_id")))
                .collect();
            found.sort();
            assert_eq!(found, ["10 9 a", "20 2 a", "20 2 b", "20 8 b", "20 NaN b"]);
            drop(db);
            db = open(dir.path());
        }
    }

    #[test]
    fn none_is_kept_unasked_and_none_with_long_labels() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let metric = db.metrics(&[Labels::from_pairs([("__name__", "a_total")])]).unwrap()[0];
        let source = db.source(&Labels::empty()).unwrap();
        let all = (Timestamp::MIN, Timestamp::MAX);
        Appender::exemplars(&db, source, &[(metric, exemplar("t1", Timestamp(1)))]).unwrap();
        assert_eq!(found(&db, all), []);
        db.set_exemplars_max(5).unwrap();
        let long = "ü".repeat(Exemplar::LABELS_MAX - "trace_id".len() + 1);
        Appender::exemplars(&db, source, &[(metric, exemplar(&long, Timestamp(2)))]).unwrap();
        assert_eq!(found(&db, all), []);
        let metrics = &db.components.metrics;
        assert_eq!((metrics.exemplars.too_long.get(), metrics.exemplars.kept.get()), (1, 0));
    }
}
