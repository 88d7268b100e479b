//! Retention rules: what they select is gone once its partition is past them, the rest stays; and a merge keeps everything
//! else bit for bit.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeMap;

use model::{Appender, Labels, Matcher, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use storage::{Db, Options, RetentionRule};

const BUCKET_MS: i64 = 1000;

fn filled(path: &std::path::Path) -> Db {
    let options = Options { bucket_ms: BUCKET_MS as u32, memory_bytes: 8 << 20, ..Options::new(path) };
    let db = Db::open(options, &Registry::new()).unwrap();
    let names = ["debug_a", "kept", "debug_b"];
    let metrics: Vec<Labels> = names.iter().map(|name| Labels::from_pairs([("__name__", *name)])).collect();
    let layout = db.layout(&db.metrics(&metrics).unwrap()).unwrap();
    for job in ["a", "b"] {
        let source = db.source(&Labels::from_pairs([("job", job)])).unwrap();
        for ts in (0..12 * BUCKET_MS).step_by(250).map(Timestamp) {
            let values = [ts.0 as f64, ts.0 as f64 / 8.0, -1.0];
            let row = Row {
                source,
                ts,
                layout: &layout,
                values: &values,
                present: &[0b111],
                own_times: &[],
                histograms: &[],
            };
            assert_eq!(db.commit(&[row]).unwrap().stored, 3);
        }
    }
    db
}

/// Times of the samples there are, by name and job.
fn times(db: &Db) -> BTreeMap<String, Vec<Timestamp>> {
    let mut found = BTreeMap::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let here = |i: &usize| column.is_present(*i);
            let times = (0..batch.timestamps.len()).filter(here).map(|i| batch.timestamps[i]).collect();
            found.insert(format!("{} {}", labels.name(), labels.value("job")), times);
        }
        Ok(())
    };
    db.select(
        &Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] },
        &ReadHints::default(),
        &mut sink,
    )
    .unwrap();
    found
}

#[test]
fn a_rule_takes_away_what_it_selects_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    let before = times(&db);
    let debug = Matcher::new(model::MatchOp::Regex, "__name__", "debug_.*").unwrap();
    let matchers = vec![debug, Matcher::equal("job", "a")];
    db.set_retention_rules(vec![RetentionRule { matchers, keep_ms: 10 * BUCKET_MS }]);
    // The eight buckets of the first merged partition are just past the rule.
    db.compact(Timestamp(18 * BUCKET_MS)).unwrap();
    let after = times(&db);
    for (series, before) in &before {
        let cut = series.starts_with("debug_") && series.ends_with(" a");
        let expected: Vec<Timestamp> =
            before.iter().copied().filter(|ts| !cut || *ts >= Timestamp(8 * BUCKET_MS)).collect();
        assert_eq!(after[series], expected, "{series}");
    }
    // Later everything that it selects is past it.
    db.compact(Timestamp(200 * BUCKET_MS)).unwrap();
    let left: Vec<String> = times(&db).into_keys().collect();
    assert_eq!(left, ["debug_a b", "debug_b b", "kept a", "kept b"]);
}
