//! Selection by matchers, against a filter that looks at every series by its whole label set.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeSet;

use model::{Appender, Labels, MatchOp, Matcher, Querier, ReadHints, Row, Selection, Timestamp};
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
        let id = db.source(&Labels::from_pairs(source.iter().copied())).unwrap();
        // Its page changes again and again: a metric is in many more segments than there are sources.
        let pages = (0..columns.len()).map(|left_out| [&columns[..left_out], &columns[left_out + 1..]].concat());
        for (n, page) in pages.chain([columns.clone()]).enumerate() {
            let layout = db.layout(&page.iter().map(|&c| ids[c]).collect::<Vec<_>>()).unwrap();
            let row = Row {
                source: id,
                ts: Timestamp(1000 + n as i64),
                layout: &layout,
                values: &vec![1.0; page.len()],
                present: &[(1 << page.len()) - 1],
                own_times: &[],
                histograms: &[],
            };
            db.commit(&[row]).unwrap();
        }
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
        for column in &batch.columns {
            let labels = batch.labels(column);
            assert!(found.insert(labels.clone()), "{labels} came twice");
        }
        Ok(())
    };
    db.select(&Selection { start: Timestamp::EPOCH, end: Timestamp(5000), matchers }, &ReadHints::default(), &mut sink)
        .unwrap();
    found
}

#[track_caller]
fn check(db: &Db, all: &BTreeSet<Labels>, matchers: &[Matcher]) {
    let expected = naive(all, matchers);
    assert_eq!(selected(db, matchers), expected, "{matchers:?}");
    let selection = Selection { start: Timestamp::EPOCH, end: Timestamp(5000), matchers };
    // Of a short range by what is stored, of a long one by what was written in its buckets.
    for end in [5000, 24 * 60 * 60 * 1000].map(Timestamp) {
        let series = db.series(&Selection { end, ..selection }, 0).unwrap();
        assert_eq!(series, expected.iter().cloned().collect::<Vec<_>>(), "series of {matchers:?} until {end}");
    }
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
fn limits_leave_as_many_as_they_say_in_order() {
    let (_dir, db, all) = filled();
    let selection = Selection { start: Timestamp::EPOCH, end: Timestamp(5000), matchers: &[] };
    for end in [Timestamp(5000), Timestamp::MAX] {
        for limit in 1..=all.len() {
            let found = db.series(&Selection { end, ..selection }, limit).unwrap();
            assert_eq!(found.len(), limit, "until {end}");
            assert!(found.is_sorted_by(|a, b| a < b) && found.iter().all(|labels| all.contains(labels)), "{found:?}");
        }
        assert_eq!(db.series(&Selection { end, ..selection }, all.len() + 1).unwrap().len(), all.len());
    }
    assert_eq!(db.label_names(&selection, 2).unwrap(), ["__name__", "code"]);
    assert_eq!(db.label_values("job", &selection, 1).unwrap(), ["a"]);
}

#[test]
fn what_is_listed_again_has_what_came_since() {
    let (_dir, db, _) = filled();
    let selection = Selection { start: Timestamp::EPOCH, end: Timestamp(5000), matchers: &[] };
    let jobs = |limit| db.label_values("job", &selection, limit).unwrap();
    // A cut listing is not taken for the whole.
    assert_eq!(jobs(1), ["a"]);
    assert_eq!(jobs(0), ["a", "b", "c"]);
    assert_eq!((jobs(2), jobs(0)), (vec!["a".to_owned(), "b".to_owned()], jobs(9)));
    let names = db.label_names(&selection, 0).unwrap();
    let labels = |pairs: [(&str, &str); 2]| Labels::from_pairs(pairs);
    commit(&db, &labels([("job", "d"), ("pod", "p")]), &[labels([("__name__", "up"), ("le", "1")])], Timestamp(2000));
    assert_eq!(jobs(0), ["a", "b", "c", "d"]);
    assert_eq!(db.label_names(&selection, 0).unwrap().len(), names.len() + 2);
    // Of another label, and of another time.
    assert_eq!(db.label_values("pod", &selection, 0).unwrap(), ["p"]);
    let later = Selection { start: Timestamp(1 << 40), end: Timestamp::MAX, matchers: &[] };
    assert_eq!(db.label_values("pod", &later, 0).unwrap(), Vec::<String>::new());
}

#[test]
fn what_was_not_alive_in_the_range_is_not_listed() {
    let (_dir, db, _) = filled();
    let later = Selection { start: Timestamp(1 << 40), end: Timestamp::MAX, matchers: &[] };
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
    let result = db.select(
        &Selection { start: Timestamp::EPOCH, end: Timestamp(5000), matchers: &[] },
        &ReadHints::default(),
        &mut sink,
    );
    assert!(matches!(result, Err(model::QuerierError::Stopped)));
    assert_eq!(batches, 1);
}

fn open(dir: &tempfile::TempDir) -> Db {
    Db::open(Options { memory_bytes: 8 << 20, ..Options::new(dir.path()) }, &Registry::new()).unwrap()
}

fn commit(db: &Db, source: &Labels, metrics: &[Labels], ts: Timestamp) {
    let layout = db.layout(&db.metrics(metrics).unwrap()).unwrap();
    let row = Row {
        source: db.source(source).unwrap(),
        ts,
        layout: &layout,
        values: &vec![1.0; metrics.len()],
        present: &vec![u64::MAX; metrics.len().div_ceil(64)],
        own_times: &[],
        histograms: &[],
    };
    db.commit(&[row]).unwrap();
}

/// What the store should make of a source's metric.
fn joined(source: &Labels, metric: &Labels) -> Labels {
    let mut builder = model::LabelsBuilder::new(source);
    metric.iter().for_each(|(name, value)| {
        builder.set(name, value);
    });
    builder.labels()
}

mod random {
    use super::*;
    use proptest::prelude::*;

    /// The same few on both sides, so that they override each other and meet in equal series.
    const NAMES: [&str; 4] = ["__name__", "job", "zone", "l"];
    const VALUES: [&str; 6] = ["", "a", "b", "ab", "abc", "B"];
    const EXPRESSIONS: [&str; 18] = [
        "",
        ".*",
        ".+",
        "a|",
        "a|b",
        "a.*",
        "a.+",
        "ab?",
        "(?i)B",
        "(?i:b).*",
        "ab.*|b",
        "a[bc]+|b[a-z]*",
        "[ab].*",
        "^a.*$",
        ".*c",
        "(a|b)c?.*",
        "..",
        "ab.*|a.*",
    ];

    fn labels() -> impl Strategy<Value = Labels> {
        proptest::collection::vec(0..VALUES.len(), NAMES.len())
            .prop_map(|values| Labels::from_pairs(NAMES.iter().zip(values).map(|(name, value)| (*name, VALUES[value]))))
    }

    fn matcher() -> impl Strategy<Value = Matcher> {
        let literal = (0..NAMES.len(), any::<bool>(), 0..VALUES.len()).prop_map(|(name, equal, value)| {
            let op = if equal { MatchOp::Equal } else { MatchOp::NotEqual };
            Matcher::new(op, NAMES[name], VALUES[value]).unwrap()
        });
        let regex = (0..NAMES.len(), any::<bool>(), 0..EXPRESSIONS.len()).prop_map(|(name, positive, expression)| {
            let op = if positive { MatchOp::Regex } else { MatchOp::NotRegex };
            Matcher::new(op, NAMES[name], EXPRESSIONS[expression]).unwrap()
        });
        prop_oneof![literal, regex]
    }

    type Scrapes = Vec<(Labels, Vec<Labels>)>;

    fn scrapes() -> impl Strategy<Value = Scrapes> {
        proptest::collection::vec((labels(), proptest::collection::vec(labels(), 1..6)), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// In two rounds, the first of which fills the caches.
        #[test]
        fn selections_and_listings_are_what_a_filter_says(
            rounds in [scrapes(), scrapes()],
            questions in proptest::collection::vec(proptest::collection::vec(matcher(), 0..4), 24),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let db = open(&dir);
            let mut all = BTreeSet::new();
            for (round, scrapes) in rounds.into_iter().enumerate() {
                for (i, (source, mut metrics)) in scrapes.into_iter().enumerate() {
                    metrics.sort();
                    metrics.dedup();
                    commit(&db, &source, &metrics, Timestamp((1000 * round + 10 * i) as i64));
                    all.extend(metrics.iter().map(|metric| joined(&source, metric)));
                }
                for matchers in &questions {
                    check(&db, &all, matchers);
                }
            }
        }
    }
}

#[test]
fn a_name_given_by_a_source_meets_the_same_name_of_a_metric() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
    commit(&db, &labels(&[("__name__", "x")]), &[labels(&[("l", "1")])], Timestamp(1000));
    commit(&db, &Labels::empty(), &[labels(&[("__name__", "x"), ("l", "1")])], Timestamp(2000));
    check(&db, &BTreeSet::from([labels(&[("__name__", "x"), ("l", "1")])]), &[]);
}

/// Of many metrics it is asked what each source wrote: here the two wrote different segments.
#[test]
fn series_of_sources_that_are_selected_apart_meet() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
    let named = |n: usize| labels(&[("__name__", &format!("m{n}")), ("l", "1")]);
    let mut metrics: Vec<Labels> = (0..100).map(named).collect();
    commit(&db, &Labels::empty(), &metrics, Timestamp(1000));
    let all = metrics.iter().cloned().chain([labels(&[("__name__", "other"), ("l", "2")])]).collect();
    metrics.push(labels(&[("__name__", "other")]));
    commit(&db, &labels(&[("l", "2")]), &metrics, Timestamp(2000));
    check(&db, &all, &[]);
}

/// Several threads make the same metrics and commit them with sources of their own: each finds its series at once,
/// whoever made the metric, although every selection leaves its results behind for the next.
#[test]
fn what_a_commit_returned_from_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let run = |thread: usize| {
        for i in 0..150 {
            let text = i.to_string();
            let metric = Labels::from_pairs([("__name__", "m"), ("i", text.as_str())]);
            let source = Labels::from_pairs([("instance", format!("{thread}-{}", i / 3))]);
            commit(&db, &source, std::slice::from_ref(&metric), Timestamp(1000 + i));
            let name = Matcher::equal("__name__", "m");
            for matchers in [
                vec![name.clone(), Matcher::new(MatchOp::Regex, "i", "[0-9]+").unwrap()],
                vec![
                    name.clone(),
                    Matcher::new(MatchOp::Regex, "instance", ".*-.*").unwrap(),
                    Matcher::equal("i", &*text),
                ],
            ] {
                let expected = joined(&source, &metric);
                assert!(selected(&db, &matchers).contains(&expected), "{expected} by {matchers:?}");
                let selection = Selection { start: Timestamp::EPOCH, end: Timestamp(5000), matchers: &matchers };
                assert!(db.label_values("i", &selection, 0).unwrap().contains(&text), "{text} by {matchers:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || run(thread));
        }
    });
}

#[test]
fn many_metrics_of_one_call_get_one_id_each() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir);
    let label = |i: usize| Labels::from_pairs([("__name__", format!("m_{}", i % 100)), ("i", i.to_string())]);
    // The last ones repeat the first, and some of another write.
    let labels: Vec<Labels> = (0..20_000).chain(0..10).chain(8000..8400).map(label).collect();
    let ids = db.metrics(&labels).unwrap();
    assert_eq!(ids[20_000..20_010], ids[..10]);
    assert_eq!(ids[20_010..], ids[8000..8400]);
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 20_000);
    assert_eq!(db.metrics(&labels).unwrap(), ids);
    commit(&db, &Labels::from_pairs([("job", "a")]), &labels[..20_000], Timestamp(1000));
    let expected = |i: usize| joined(&Labels::from_pairs([("job", "a")]), &labels[i]);
    let one = [Matcher::equal("i", "8191")];
    assert_eq!(selected(&db, &one), BTreeSet::from([expected(8191)]));
    let one_name = [Matcher::equal("__name__", "m_7"), Matcher::new(MatchOp::Regex, "i", "1..?7").unwrap()];
    let matching = (0..20_000)
        .filter(|i| i % 100 == 7 && matches!(i.to_string().as_bytes(), [b'1', _, b'7'] | [b'1', _, _, b'7']));
    assert_eq!(selected(&db, &one_name), matching.map(expected).collect());
}
