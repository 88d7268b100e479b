//! The read cache of open buckets: a query returns all rows of its range, whatever queries came before it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use model::{Appender, Batch, Labels, Layout, Matcher, Querier, ReadHints, Row, Selection, SourceId, Timestamp};
use prometheus::Registry;
use proptest::prelude::*;
use storage::{Db, Options};

const METRICS: usize = 70;
const INTERVAL_MS: i64 = 1_000;

/// What happens next: rows come, or a metric is asked for, so many rows back from the newest one.
#[derive(Clone, Debug)]
enum Step {
    Rows(u8),
    Query { metric: usize, back: i64 },
}

struct Scraped {
    db: Db,
    layout: Layout,
    source: SourceId,
    rows: i64,
}

fn name(metric: usize) -> String {
    format!("m{metric}")
}

/// A metric is missing in some rows, and in none of the first.
fn value(row: i64, metric: usize) -> Option<f64> {
    let mixed = row * 31 + metric as i64 * 7;
    (row < 12 || mixed % 11 != 0).then_some((row * metric as i64) as f64 / 2.0)
}

impl Scraped {
    fn new(path: &std::path::Path) -> Self {
        // All rows are of one bucket.
        let options = Options { memory_bytes: 8 << 20, bucket_ms: 3_600_000, ..Options::new(path) };
        let db = Db::open(options, &Registry::new()).unwrap();
        let labels: Vec<Labels> = (0..METRICS).map(|i| Labels::from_pairs([("__name__", name(i))])).collect();
        let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
        let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
        Self { db, layout, source, rows: 0 }
    }

    fn scrape(&mut self) {
        let (mut values, mut present) = (vec![0.0; METRICS], vec![0; METRICS.div_ceil(64)]);
        for metric in 0..METRICS {
            if let Some(value) = value(self.rows, metric) {
                values[metric] = value;
                present[metric / 64] |= 1 << (metric % 64);
            }
        }
        let ts = Timestamp(self.rows * INTERVAL_MS);
        let (layout, values, present) = (&self.layout, &values[..], &present[..]);
        let row = Row { source: self.source, ts, layout, values, present, own_times: &[], histograms: &[] };
        self.db.commit(&[row]).unwrap();
        self.rows += 1;
    }

    fn check(&self, metric: usize, back: i64) {
        let first = (self.rows - back).max(0);
        let matchers = [Matcher::equal("__name__", name(metric))];
        let selection = Selection {
            start: Timestamp(first * INTERVAL_MS),
            end: Timestamp(self.rows * INTERVAL_MS),
            matchers: &matchers,
        };
        let mut found = Vec::new();
        let mut sink = |batch: Batch| {
            for column in &batch.columns {
                let there = batch.timestamps.iter().enumerate().filter(|(i, _)| column.is_present(*i));
                found.extend(there.map(|(i, ts)| (*ts, column.values[i])));
            }
            Ok(())
        };
        self.db.select(&selection, &ReadHints::default(), &mut sink).unwrap();
        let expected = (first..self.rows).filter_map(|row| Some((Timestamp(row * INTERVAL_MS), value(row, metric)?)));
        assert_eq!(found, expected.collect::<Vec<_>>(), "metric {metric}, rows {first} to {}", self.rows);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let back = prop_oneof![4 => 1..6i64, 1 => 10..40i64, 1 => Just(10_000i64)];
    // Few metrics are asked for often, others once.
    let metric = prop_oneof![3 => 0..3usize, 1 => 0..METRICS];
    prop_oneof![1 => (1..12u8).prop_map(Step::Rows), 3 => (metric, back).prop_map(|(metric, back)| Step::Query { metric, back })]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_query_gets_all_rows_whatever_was_asked_for_before(steps in proptest::collection::vec(step(), 1..150)) {
        let dir = tempfile::tempdir().unwrap();
        let mut scraped = Scraped::new(dir.path());
        for step in steps {
            match step {
                Step::Rows(rows) => (0..rows).for_each(|_| scraped.scrape()),
                Step::Query { metric, back } => scraped.check(metric, back),
            }
        }
    }
}
