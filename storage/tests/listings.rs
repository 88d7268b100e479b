//! Cached selections and listings: repeated after any writes, they return what is stored then.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::collections::BTreeSet;

use model::{Appender, Batch, Labels, Listing, MatchOp, Matcher, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use proptest::prelude::*;
use storage::{Db, Options};

const BUCKET_MS: i64 = 1_000;
const BUCKETS: i64 = 4;
const SOURCES: usize = 3;
const METRICS: usize = 5;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A source exposes some metrics (a bit for each).
    Write { source: usize, metrics: u8 },
    /// The next bucket begins.
    Next,
    /// Someone asks, by one of the matchers, for so many buckets back from the newest one, and so many items at most.
    Ask { by: usize, back: i64, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (0..4_usize, 0..BUCKETS, 0..4_usize).prop_map(|(by, back, limit)| Step::Ask { by, back, limit });
    let write = (0..SOURCES, 1..1_u8 << METRICS).prop_map(|(source, metrics)| Step::Write { source, metrics });
    prop_oneof![4 => ask, 3 => write, 1 => Just(Step::Next)]
}

fn source(i: usize) -> Labels {
    Labels::from_pairs([("job", format!("j{i}"))])
}

/// The last metric has a label of its own that sources have, too.
fn metric(i: usize) -> Labels {
    let kind = if i.is_multiple_of(2) { "even" } else { "odd" };
    match i {
        4 => Labels::from_pairs([("__name__", "m4"), ("job", "j0")]),
        _ => Labels::from_pairs([("__name__", format!("m{i}").as_str()), ("kind", kind)]),
    }
}

fn matchers(i: usize) -> Vec<Matcher> {
    match i {
        0 => Vec::new(),
        1 => vec![Matcher::equal("kind", "odd")],
        2 => vec![Matcher::equal("job", "j0")],
        _ => vec![Matcher::new(MatchOp::NotRegex, "job", "j0|j2").unwrap(), Matcher::equal("kind", "even")],
    }
}

struct World {
    db: Db,
    /// The bucket, and what was written in it.
    written: BTreeSet<(i64, Labels)>,
    bucket: i64,
    rows: i64,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            memory_bytes: 8 << 20,
            bucket_ms: BUCKET_MS as u32,
            retention_ms: 0,
            ..Options::new(folder.path())
        };
        let db = Db::open(options, &Registry::new()).unwrap();
        Self { db, written: BTreeSet::new(), bucket: 0, rows: 0, _folder: folder }
    }

    fn write(&mut self, of: usize, metrics: u8) {
        let metrics: Vec<Labels> = (0..METRICS).filter(|i| metrics >> i & 1 == 1).map(metric).collect();
        let layout = self.db.layout(&self.db.metrics(&metrics).unwrap()).unwrap();
        let (source_id, values, present) = (self.db.source(&source(of)).unwrap(), vec![1.0; metrics.len()], [u64::MAX]);
        let ts = Timestamp(self.bucket * BUCKET_MS + self.rows);
        self.rows += 1;
        let row = Row {
            source: source_id,
            ts,
            layout: &layout,
            values: &values,
            present: &present,
            own_times: &[],
            histograms: &[],
        };
        self.db.commit(&[row]).unwrap();
        self.written.extend(metrics.iter().map(|metric| (self.bucket, source(of).joined(metric))));
    }

    fn ask(&self, by: usize, back: i64, limit: usize) {
        let matchers = matchers(by);
        let from = self.bucket - back;
        let of_time = |start: Timestamp| Selection {
            start,
            end: Timestamp((self.bucket + 1) * BUCKET_MS - 1),
            matchers: &matchers,
        };
        let matching = |labels: &Labels| matchers.iter().all(|one| one.matches(labels.value(&one.name)));
        let expected = |from: i64| -> BTreeSet<&Labels> {
            self.written
                .iter()
                .filter(|(bucket, labels)| *bucket >= from && matching(labels))
                .map(|(_, labels)| labels)
                .collect()
        };
        let listing = Listing::of_at_most(limit);
        let first =
            |all: BTreeSet<&str>| -> Vec<String> { all.into_iter().take(listing.most()).map(str::to_owned).collect() };
        // Of buckets.
        let (selection, series) = (of_time(Timestamp(from * BUCKET_MS)), expected(from));
        let values = series.iter().map(|labels| labels.value("job")).filter(|value| !value.is_empty()).collect();
        assert_eq!(self.db.list_label_values("job", &selection, &listing).unwrap(), first(values));
        let names = series.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        assert_eq!(self.db.list_label_names(&selection, &listing).unwrap(), first(names));
        let mut found = BTreeSet::new();
        let mut sink = |batch: Batch| {
            found.extend(batch.columns.iter().map(|column| batch.labels(column)));
            Ok(())
        };
        self.db.select(&selection, &ReadHints::default(), &mut sink).unwrap();
        assert_eq!(found.iter().collect::<BTreeSet<_>>(), series);
        // Of all time, when not all samples are looked at.
        let (selection, series) = (of_time(Timestamp::MIN), expected(0));
        let found = self.db.list_series(&selection, &listing).unwrap();
        assert_eq!(found.len(), series.len().min(listing.most()), "{found:?}");
        assert!(found.is_sorted() && found.iter().all(|labels| series.contains(labels)), "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whoever_asks_again_gets_what_there_is_then(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Write { source, metrics } => world.write(source, metrics),
                Step::Next => world.bucket += 1,
                Step::Ask { by, back, limit } => world.ask(by, back, limit),
            }
        }
    }
}
