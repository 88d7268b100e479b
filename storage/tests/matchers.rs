//! Selection by matchers, against a filter that looks at every series by its whole label set.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeSet;

use model::{Appender, Labels, MatchOp, Matcher, Querier, Row, Selection};
use prometheus::Registry;
use storage::{Db, Options};

const SOURCES: [&[(&str, &str)]; 4] = [
    &[("instance", "1"), ("job", "a")],
    &[("instance", "2"), ("job", "a"), ("zone", "x")],
    &[("instance", "1"), ("job", "b"), ("zone", "y")],
    &[("job", "b")],
];
/// `job` and `zone` stand on either side.
const METRICS: [&[(&str, &str)]; 7] = [
    &[("__name__", "up")],
    &[("__name__", "http_requests_total"), ("code", "200")],
    &[("__name__", "http_requests_total"), ("code", "500"), ("zone", "x")],
    &[("__name__", "http_requests_total"), ("code", "404"), ("job", "b")],
    &[("__name__", "build"), ("job", "c"), ("version", "1.2")],
    &[("code", "200")],
    &[("__name__", "odd\nname"), ("zone", "é")],
];

fn filled() -> (tempfile::TempDir, Db, BTreeSet<Labels>) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) };
    let db = Db::open(options, &Registry::new()).unwrap();
    let metrics: Vec<Labels> = METRICS.iter().map(|m| Labels::from_pairs(m.iter().copied())).collect();
    let ids = db.metrics(&metrics).unwrap();
    let mut all = BTreeSet::new();
    for (i, source) in SOURCES.iter().enumerate() {
        // Each source lacks another metric.
        let columns: Vec<usize> = (0..METRICS.len()).filter(|column| *column != i + 1).collect();
        let layout = db.layout(&columns.iter().map(|&c| ids[c]).collect::<Vec<_>>()).unwrap();
        let row = Row {
            source: db.source(&Labels::from_pairs(source.iter().copied())).unwrap(),
            ts_ms: 1000 + i as i64,
            layout: &layout,
            values: &vec![1.0; columns.len()],
            present: &[(1 << columns.len()) - 1],
            own_times: &[],
        };
        db.commit(&[row]).unwrap();
        all.extend(columns.iter().map(|&c| Labels::from_pairs(source.iter().chain(METRICS[c]).copied())));
    }
    (dir, db, all)
}

fn conditions() -> Vec<Matcher> {
    let names = ["__name__", "job", "zone", "code", "instance", "absent", ""];
    let texts = ["", "a", "b", "x", "200", "up", "http_requests_total"];
    let expressions = ["", ".*", ".+", "a|b", "a|", "x?", "http.*", "[ab]", "(2|4)..", ".*_total", "u.+", "é|y"];
    let mut all = vec![];
    for name in names {
        for text in texts {
            for op in [MatchOp::Equal, MatchOp::NotEqual] {
                all.push(Matcher::new(op, name, text).unwrap());
            }
        }
        for expression in expressions {
            for op in [MatchOp::Regex, MatchOp::NotRegex] {
                all.push(Matcher::new(op, name, expression).unwrap());
            }
        }
    }
    all
}

fn naive(all: &BTreeSet<Labels>, matchers: &[Matcher]) -> BTreeSet<Labels> {
    all.iter().filter(|labels| matchers.iter().all(|m| m.matches(labels.value(&m.name)))).cloned().collect()
}

fn selected(db: &Db, matchers: &[Matcher]) -> BTreeSet<Labels> {
    let mut found = BTreeSet::new();
    let mut sink = |batch: model::Batch| {
        for column in batch.columns {
            assert!(found.insert(column.labels.clone()), "{} came twice", column.labels);
        }
        Ok(())
    };
    db.select(&Selection { start_ms: 0, end_ms: 5000, matchers }, &mut sink).unwrap();
    found
}

#[track_caller]
fn check(db: &Db, all: &BTreeSet<Labels>, matchers: &[Matcher]) {
    let expected = naive(all, matchers);
    assert_eq!(selected(db, matchers), expected, "{matchers:?}");
    let selection = Selection { start_ms: 0, end_ms: 5000, matchers };
    let series = db.series(&selection, 0).unwrap();
    assert_eq!(series, expected.iter().cloned().collect::<Vec<_>>(), "series of {matchers:?}");
    let names: BTreeSet<&str> = expected.iter().flat_map(|l| l.iter().map(|(name, _)| name)).collect();
    assert_eq!(db.label_names(&selection, 0).unwrap(), names.into_iter().collect::<Vec<_>>(), "names of {matchers:?}");
    for name in ["job", "zone", "__name__"] {
        let values: BTreeSet<&str> = expected.iter().filter_map(|l| l.get(name)).collect();
        let got = db.label_values(name, &selection, 0).unwrap();
        assert_eq!(got, values.into_iter().collect::<Vec<_>>(), "values of {name} of {matchers:?}");
    }
}

#[test]
fn one_matcher_selects_what_a_filter_would() {
    let (_dir, db, all) = filled();
    check(&db, &all, &[]);
    for matcher in conditions() {
        check(&db, &all, &[matcher]);
    }
}

#[test]
fn matchers_together_select_what_a_filter_would() {
    let (_dir, db, all) = filled();
    let conditions = conditions();
    // Some of all pairs, and a triple with each: thousands of combinations.
    for (i, first) in conditions.iter().enumerate() {
        for second in conditions.iter().skip(i % 23).step_by(23) {
            let pair = [first.clone(), second.clone()];
            assert_eq!(selected(&db, &pair), naive(&all, &pair), "{pair:?}");
            let third = &conditions[(i * 31 + 5) % conditions.len()];
            let triple = [first.clone(), second.clone(), third.clone()];
            assert_eq!(selected(&db, &triple), naive(&all, &triple), "{triple:?}");
        }
    }
}

#[test]
fn limits_cut_what_is_sorted() {
    let (_dir, db, all) = filled();
    let selection = Selection { start_ms: 0, end_ms: 5000, matchers: &[] };
    let first: Vec<Labels> = all.iter().take(3).cloned().collect();
    assert_eq!(db.series(&selection, 3).unwrap(), first);
    assert_eq!(db.label_names(&selection, 2).unwrap(), ["__name__", "code"]);
    assert_eq!(db.label_values("job", &selection, 1).unwrap(), ["a"]);
}

#[test]
fn what_was_not_alive_in_the_range_is_not_listed() {
    let (_dir, db, _) = filled();
    let later = Selection { start_ms: 1 << 40, end_ms: i64::MAX, matchers: &[] };
    assert_eq!(db.series(&later, 0).unwrap(), []);
    assert_eq!(db.label_values("job", &later, 0).unwrap(), Vec::<String>::new());
}

#[test]
fn a_receiver_that_stops_is_not_asked_again() {
    let (_dir, db, _) = filled();
    let mut batches = 0;
    let mut sink = |_| {
        batches += 1;
        Err(model::QuerierError::Stopped)
    };
    let result = db.select(&Selection { start_ms: 0, end_ms: 5000, matchers: &[] }, &mut sink);
    assert!(matches!(result, Err(model::QuerierError::Stopped)));
    assert_eq!(batches, 1);
}
