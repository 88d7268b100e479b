//! Samples that come series by series: they go to pages where their time is over and to rows where it is not, with the counts
//! and messages of the contract.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeMap;

use model::histogram::{Buckets, Histogram};
use model::sample::histogram_mark;
use model::{
    Appender, Batch, Committed, Exemplar, Labels, Lateness, Matcher, Memo, Querier, ReadHints, Row, Selection,
    SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels, Timestamp, with_causes,
};
use prometheus::Registry;
use storage::{Db, Options};

const BUCKET_MS: i64 = 1000;
/// The largest partition.
const DAY_MS: i64 = 48 * BUCKET_MS;

fn open(path: &std::path::Path) -> Db {
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, retention_ms: 0, ..Options::new(path) };
    Db::open(options, &Registry::new()).unwrap()
}

/// `i` of job `job`, and something that is nobody's.
fn labels(job: &str, i: usize) -> Labels {
    Labels::from_pairs([("__name__", format!("m{}", i % 3)), ("job", job.to_owned()), ("i", i.to_string())])
}

type Series = (Labels, Vec<Timestamp>, Vec<f64>);

fn series(job: &str, i: usize, times: impl IntoIterator<Item = i64>) -> Series {
    let times: Vec<Timestamp> = times.into_iter().map(Timestamp).collect();
    let values = times.iter().map(|ts| value(*ts, i)).collect();
    (labels(job, i), times, values)
}

fn value(ts: Timestamp, i: usize) -> f64 {
    (ts.0 * 3 + i as i64) as f64 / 4.0
}

fn append(db: &Db, series: &[Series], lateness: Lateness) -> Committed {
    let all: Vec<SeriesSamples<'_>> =
        series.iter().map(|(labels, times, values)| SeriesSamples::floats(labels, times, values)).collect();
    db.append_series(&SeriesBatch { series: &all, sources: &SourceLabels::Known, lateness, memo: None }).unwrap()
}

fn stored(db: &Db) -> BTreeMap<Labels, BTreeMap<Timestamp, f64>> {
    let mut found: BTreeMap<Labels, BTreeMap<Timestamp, f64>> = BTreeMap::new();
    let mut sink = |batch: Batch| {
        for column in &batch.columns {
            let series = found.entry(batch.labels(column)).or_default();
            for (i, ts) in batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i)) {
                assert!(series.insert(*ts, column.values[i]).is_none(), "{ts} is there twice");
            }
        }
        Ok(())
    };
    let selection = Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &[] };
    db.select(&selection, &ReadHints::default(), &mut sink).unwrap();
    found
}

fn expected(all: &[Series]) -> BTreeMap<Labels, BTreeMap<Timestamp, f64>> {
    let mut found: BTreeMap<Labels, BTreeMap<Timestamp, f64>> = BTreeMap::new();
    for (labels, times, values) in all {
        let series = found.entry(labels.clone()).or_default();
        for (ts, value) in times.iter().zip(values) {
            series.entry(*ts).or_insert(*value);
        }
    }
    found
}

fn counts(stored: u32, duplicate: u32) -> Committed {
    Committed { stored, duplicate, ..Committed::default() }
}

#[test]
fn time_that_is_over_goes_to_pages_and_what_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.set_now(Timestamp(4 * DAY_MS)).unwrap();
    let every = |step: usize| (0..3 * DAY_MS).step_by(step);
    let all: Vec<Series> = (0..10).map(|i| series(["a", "b"][i % 2], i, every(500))).collect();
    let samples: u32 = all.iter().map(|(_, times, _)| times.len() as u32).sum();
    assert_eq!(append(&db, &all, Lateness::Any), counts(samples, 0));
    let stats = db.stats(0).unwrap();
    assert_eq!(stats.page_samples, u64::from(samples), "nothing went through rows");
    assert_eq!(db.compact(Timestamp(10 * DAY_MS)).unwrap().samples, 0, "nothing is left to flush, or to merge");
    assert_eq!(stored(&db), expected(&all));
    // Again, with other values, and with times between.
    assert_eq!(append(&db, &all, Lateness::Any), counts(samples, 0));
    let mut other = all.clone();
    other.iter_mut().for_each(|(_, _, values)| values.iter_mut().for_each(|value| *value += 1.0));
    assert_eq!(append(&db, &other, Lateness::Any), counts(0, samples));
    let between: Vec<Series> = (0..10).map(|i| series(["a", "b"][i % 2], i, every(250))).collect();
    assert_eq!(append(&db, &between, Lateness::Any), counts(2 * samples, 0));
    drop(db);
    let db = open(dir.path());
    assert_eq!(stored(&db), expected(&between));
    assert_eq!(db.stats(0).unwrap().page_samples, 2 * u64::from(samples));
}

#[test]
fn pages_and_rows_of_scrapes_are_merged_with_what_comes_late() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    // Scraped: some of it in pages, some in rows.
    let metrics: Vec<Labels> = (0..2).map(|i| labels("a", i).filtered(|name| name != "job")).collect();
    let layout = db.layout(&db.metrics(&metrics).unwrap()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let scrape = |ts: Timestamp| {
        let values = [value(ts, 0), value(ts, 1)];
        let row = Row { source, ts, layout: &layout, values: &values, present: &[3], own_times: &[], histograms: &[] };
        db.commit(&[row]).unwrap();
    };
    (0..5000).step_by(200).map(Timestamp).for_each(scrape);
    db.compact(Timestamp(3100)).unwrap();
    (5000..8000).step_by(200).map(Timestamp).for_each(scrape);
    let late: Vec<Series> = (0..3).map(|i| series("a", i, (0..8000).step_by(100))).collect();
    let samples = late.iter().map(|(_, times, _)| times.len() as u32).sum();
    assert_eq!(append(&db, &late, Lateness::Any), counts(samples, 0), "what was scraped has the same values");
    assert_eq!(stored(&db), expected(&late));
    db.compact(Timestamp(20_000)).unwrap();
    assert_eq!(stored(&db), expected(&late));
    // Deleted, and there again where it comes again.
    db.delete(&[Matcher::equal("i", "1")], Timestamp(0), Timestamp(3999)).unwrap();
    let again = [series("a", 1, (0..2000).step_by(100))];
    assert_eq!(append(&db, &again, Lateness::Any), counts(20, 0));
    let mut left = expected(&late);
    left.get_mut(&labels("a", 1)).unwrap().retain(|ts, _| !(Timestamp(2000)..Timestamp(4000)).contains(ts));
    assert_eq!(stored(&db), left);
    db.clean_deleted().unwrap();
    assert_eq!(stored(&db), left);
}

#[test]
fn samples_in_order_need_no_window_and_late_ones_do() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    // Of one source, in any order among the series.
    let now = 100_000;
    assert_eq!(append(&db, &[series("a", 0, [now])], Lateness::Window), counts(1, 0));
    assert_eq!(append(&db, &[series("a", 1, [now - 500, now - 400])], Lateness::Window), counts(2, 0));
    assert_eq!(append(&db, &[series("a", 0, [now])], Lateness::Window), counts(1, 0), "it is there");
    let late = append(&db, &[series("a", 0, [now - 1])], Lateness::Window);
    assert_eq!(late, Committed { out_of_order: 1, ..Committed::default() });
    let far = append(&db, &[series("a", 2, [now - 2 * 60 * 60 * 1000])], Lateness::Window);
    assert_eq!(far, Committed { too_old: 1, ..Committed::default() }, "further behind its source than late_ms");
    assert_eq!(append(&db, &[series("a", 0, [now - 1])], Lateness::Any), counts(1, 0));
    db.set_out_of_order_window(5000);
    assert_eq!(append(&db, &[series("a", 0, [now - 2])], Lateness::Window), counts(1, 0));
    assert_eq!(stored(&db)[&labels("a", 0)].len(), 3);
}

#[test]
fn a_caller_names_the_source_and_its_output_at_one_time_is_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let all: Vec<Series> = (0..20).map(|i| series(&format!("job{i}"), i, [100])).collect();
    let samples: Vec<SeriesSamples<'_>> =
        all.iter().map(|(labels, times, values)| SeriesSamples::floats(labels, times, values)).collect();
    let sources = SourceLabels::Named([].into());
    let batch = SeriesBatch { series: &samples, sources: &sources, lateness: Lateness::Window, memo: None };
    assert_eq!(db.append_series(&batch).unwrap(), counts(20, 0));
    assert_eq!(db.stats(0).unwrap().sources, 1);
    assert_eq!(stored(&db), expected(&all));
}

/// What a sender keeps from batch to batch is of use for the same series in the same database alone.
#[test]
fn what_is_remembered_of_a_batch_never_misplaces_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    let small = |path: &std::path::Path| {
        let options = Options { memory_bytes: 8 << 20, bucket_ms: 1000, retention_ms: 10_000, ..Options::new(path) };
        Db::open(options, &Registry::new()).unwrap()
    };
    let (memo, sources) = (Memo::default(), SourceLabels::Named([].into()));
    let put = |db: &Db, all: &[Series]| {
        let series: Vec<SeriesSamples<'_>> =
            all.iter().map(|(labels, times, values)| SeriesSamples::floats(labels, times, values)).collect();
        let batch = SeriesBatch { series: &series, sources: &sources, lateness: Lateness::Window, memo: Some(&memo) };
        db.append_series(&batch).unwrap()
    };
    let batch = |some: &[usize], ts: i64| -> Vec<Series> { some.iter().map(|i| series("a", *i, [ts])).collect() };
    let db = small(dir.path());
    let mut written = Vec::new();
    for (some, ts) in
        [(&[1, 2][..], 100), (&[1, 2], 200), (&[2, 1], 300), (&[1, 3], 400), (&[1, 3, 3], 500), (&[1], 600)]
    {
        let batch = batch(some, ts);
        assert_eq!(put(&db, &batch).stored as usize, some.len());
        written.extend(batch);
    }
    assert_eq!(stored(&db), expected(&written));
    // Ids go with what was stored.
    let late = batch(&[1, 2], 30_000);
    put(&db, &batch(&[1, 2], 700));
    db.enforce_retention(Timestamp(40_000)).unwrap();
    assert_eq!(put(&db, &late), counts(2, 0));
    assert_eq!(stored(&db), expected(&late));
    drop(db);
    // Another database gives out the same ids for other series.
    let other = tempfile::tempdir().unwrap();
    let db = small(other.path());
    put(&db, &batch(&[7, 8, 9], 100));
    assert_eq!(put(&db, &late), counts(2, 0));
    assert_eq!(stored(&db), expected(&[batch(&[7, 8, 9], 100), late].concat()));
}

#[test]
fn histograms_zeros_and_exemplars_come_with_their_series() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.set_exemplars_max(10).unwrap();
    db.set_now(Timestamp(DAY_MS)).unwrap();
    let histogram = |ts: Timestamp| {
        let positive = Buckets::run(1, vec![ts.0 as f64, 2.0]);
        Histogram { schema: 2, count: ts.0 as f64 + 2.0, sum: 0.5, positive, ..Histogram::default() }
    };
    let (of_histogram, of_counter) = (labels("a", 1), labels("a", 2));
    // In time that is over, and in time that is not.
    let times: Vec<Timestamp> = (0..20).map(|i| i * 100).chain([DAY_MS]).map(Timestamp).collect();
    let marks = vec![histogram_mark(); times.len()];
    let histograms: Vec<(u32, Histogram)> = (0..).zip(&times).map(|(i, ts)| (i, histogram(*ts))).collect();
    let counted = [200, 300, 400].map(Timestamp);
    let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 1.0, ts: Timestamp(50) };
    let series = [
        SeriesSamples { histograms: &histograms, ..SeriesSamples::floats(&of_histogram, &times, &marks) },
        SeriesSamples {
            starts: &[(0, Timestamp(150)), (1, Timestamp(150)), (2, Timestamp(350))],
            exemplars: std::slice::from_ref(&exemplar),
            ..SeriesSamples::floats(&of_counter, &counted, &[1.0, 2.0, 1.0])
        },
    ];
    let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
    assert_eq!(db.append_series(&batch).unwrap().stored as usize, times.len() + 5);
    assert_eq!(db.append_series(&batch).unwrap().stored as usize, times.len() + 5, "again the same");
    let counter =
        [(150, 0.0), (200, 1.0), (300, 2.0), (350, 0.0), (400, 1.0)].map(|(ts, value)| (Timestamp(ts), value));
    assert_eq!(stored(&db)[&of_counter], BTreeMap::from(counter));
    let mut found = 0;
    let mut sink = |batch: Batch| {
        for column in batch.columns.iter().filter(|column| column.metric.value("i") == "1") {
            for (slot, one) in &column.histograms {
                assert_eq!(**one, histogram(batch.timestamps[*slot as usize]));
                found += 1;
            }
        }
        Ok(())
    };
    let selection = Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &[] };
    db.select(&selection, &ReadHints::default(), &mut sink).unwrap();
    assert_eq!(found, times.len());
    let exemplars = db.exemplars(&[vec![Matcher::equal("i", "2")]], (Timestamp(0), Timestamp(100))).unwrap();
    assert_eq!(exemplars, [(of_counter.clone(), vec![exemplar.clone()])]);
}

#[test]
fn an_error_says_what_was_to_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (a, b) = (labels("x", 1), labels("x", 2));
    let times = [1, 2].map(Timestamp);
    let broken = [SeriesSamples::floats(&a, &times, &[0.0; 2]), SeriesSamples::floats(&b, &times[..1], &[0.0; 2])];
    let batch = SeriesBatch { series: &broken, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
    let text = with_causes(&db.append_series(&batch).unwrap_err());
    assert_eq!(
        text,
        r#"cannot store 3 samples of 2 series of {job="x"}: a series has not one value per time, or too many"#
    );
    assert_eq!(stored(&db), BTreeMap::new());
    db.close().unwrap();
    let whole = [SeriesSamples::floats(&a, &times[..1], &[0.0])];
    let batch = SeriesBatch { series: &whole, ..batch };
    let text = with_causes(&db.append_series(&batch).unwrap_err());
    assert_eq!(text, r#"cannot store 1 sample of 1 series, m1{i="1", job="x"}: the database is closing"#);
}

#[test]
fn a_few_late_samples_wait_as_rows() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.set_now(Timestamp(4 * DAY_MS)).unwrap();
    let all: Vec<Series> = (0..10).map(|i| series("a", i, (0..DAY_MS).step_by(100))).collect();
    append(&db, &all, Lateness::Any);
    let pages = db.stats(0).unwrap().page_samples;
    let few: Vec<Series> = (0..10).map(|i| series("a", i, [1050, 2050])).collect();
    assert_eq!(append(&db, &few, Lateness::Any), counts(20, 0));
    assert_eq!(db.stats(0).unwrap().page_samples, pages, "so little does not write much anew");
    assert_eq!(stored(&db), expected(&[&all[..], &few].concat()));
    db.compact(Timestamp(10 * DAY_MS)).unwrap();
    assert_eq!(db.stats(0).unwrap().page_samples, pages + 20);
    assert_eq!(stored(&db), expected(&[&all[..], &few].concat()));
}

#[test]
fn the_ends_of_time_are_times() {
    for lateness in [Lateness::Any, Lateness::Window] {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX].map(Timestamp);
        let values: Vec<f64> = (0..7).map(f64::from).collect();
        let all: Vec<Series> = (0..5).map(|i| (labels("a", i), times.to_vec(), values.clone())).collect();
        assert_eq!(append(&db, &all, lateness), counts(35, 0));
        assert_eq!(append(&db, &all, Lateness::Any), counts(35, 0));
        assert_eq!(stored(&db), expected(&all));
        db.compact(Timestamp::MAX).unwrap();
        assert_eq!(stored(&db), expected(&all));
    }
}

#[test]
fn scrapes_series_and_compaction_of_one_source_do_not_lose_each_others_samples() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (rounds, step) = (400i64, 100);
    // Whoever comes first: no scrape is too late.
    db.set_out_of_order_window(10_000_000);
    let metrics: Vec<Labels> = (0..4).map(|i| labels("a", i).filtered(|name| name != "job")).collect();
    let layout = db.layout(&db.metrics(&metrics).unwrap()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let done = std::sync::atomic::AtomicI64::new(0);
    std::thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            for round in 0..rounds {
                let ts = Timestamp(round * step);
                let values: Vec<f64> = (0..4).map(|i| value(ts, i)).collect();
                let row = Row {
                    source,
                    ts,
                    layout: &layout,
                    values: &values,
                    present: &[0b1111],
                    own_times: &[],
                    histograms: &[],
                };
                assert_eq!(db.commit(&[row]).unwrap().stored, 4, "{ts}");
                done.store(ts.0, std::sync::atomic::Ordering::Release);
            }
        });
        // Of the same series between the scrapes, and of others of the source: little and much, of open time and of old.
        scope.spawn(|| {
            for round in 0..rounds / 4 {
                let from = round * 4 * step;
                let much = round % 3 == 0;
                let series: Vec<Series> = (0..6)
                    .map(|i| {
                        series("a", i, (from..from + 4 * step).step_by(if much { 10 } else { 200 }).map(|ts| ts + 5))
                    })
                    .collect();
                let samples: usize = series.iter().map(|(_, times, _)| times.len()).sum();
                assert_eq!(append(&db, &series, Lateness::Any).stored as usize, samples);
            }
        });
        let (db, done) = (&db, &done);
        scope.spawn(move || {
            // The scraper may fail: then its thread is what is to be told of, and this one ends.
            while !scraper.is_finished() {
                db.compact(Timestamp(done.load(std::sync::atomic::Ordering::Acquire))).unwrap();
                db.clean_deleted().unwrap();
            }
        });
    });
    let mut all: Vec<Series> = (0..4).map(|i| series("a", i, (0..rounds).map(|round| round * step))).collect();
    for round in 0..rounds / 4 {
        let (from, every) = (round * 4 * step, if round % 3 == 0 { 10 } else { 200 });
        all.extend((0..6).map(|i| series("a", i, (from..from + 4 * step).step_by(every).map(|ts| ts + 5))));
    }
    assert_eq!(stored(&db), expected(&all));
    db.compact(Timestamp(1_000_000)).unwrap();
    assert_eq!(stored(&db), expected(&all));
    drop(db);
    assert_eq!(stored(&open(dir.path())), expected(&all));
}
