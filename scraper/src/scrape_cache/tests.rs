//! What one target's scrapes leave in the store. The cases follow upstream's behaviours by number
//! (`conformance/scrape/behaviours.json`).

use model::relabel::{NameValidation, RelabelAction, RelabelRule, RelabelSpec};

use super::form_tests::{delimited, field};
use super::*;
use kit::Recorder;

pub(super) struct Target {
    pub(super) cache: ScrapeCache,
    pub(super) store: Recorder,
    pub(super) rules: SampleRules,
    pub(super) now: Timestamp,
}

pub(super) fn target(labels: &[(&str, &str)]) -> Target {
    let rules = SampleRules { honor_timestamps: true, ..SampleRules::default() };
    let labels = Labels::from_pairs(labels.iter().copied());
    Target { cache: ScrapeCache::new(labels), store: Recorder::default(), rules, now: Timestamp::EPOCH }
}

impl Target {
    /// One scrape, one second after the last; what it left in the store.
    pub(super) fn scrape(&mut self, body: &str) -> (Counts, Vec<String>) {
        self.now += 1000;
        let (counts, result) = self.cache.read((Format::Text, body.as_bytes()), &self.rules, self.now, &self.store);
        let up = f64::from(u8::from(result.is_ok()));
        let track = self.rules.track_timestamps_staleness;
        self.cache.commit(&self.store, self.now, &[("up", up)], track).unwrap();
        (counts, self.store.take())
    }

    pub(super) fn fails(&mut self, body: &str) -> String {
        let (_, result) = self.cache.read((Format::Text, body.as_bytes()), &self.rules, self.now, &self.store);
        let reason = result.unwrap_err().to_string();
        self.cache.commit(&self.store, self.now, &[("up", 0.0)], false).unwrap();
        reason
    }
}

#[test]
fn unchanged_lines_keep_their_columns() {
    let mut t = target(&[("job", "j")]);
    let (counts, stored) = t.scrape("# TYPE a counter\na 1\nb{x=\"1\"} 2\n");
    assert_eq!(stored, ["1000 a{job=\"j\"} 1", "1000 b{job=\"j\", x=\"1\"} 2"]);
    assert_eq!((counts.scraped, counts.post_relabel, counts.added), (2, 2, 2));
    let (counts, stored) = t.scrape("# TYPE a counter\na 3\nb{x=\"1\"} NaN\n");
    assert_eq!(stored, ["2000 a{job=\"j\"} 3", "2000 b{job=\"j\", x=\"1\"} NaN"]);
    assert_eq!(counts.added, 0);
}

#[test]
fn lines_may_move_appear_and_vanish() {
    let mut t = target(&[]);
    t.scrape("a 1\nb 2\nc 3\n");
    assert_eq!(t.scrape("c 4\na 5\n").1, ["2000 a 5", "2000 b stale", "2000 c 4"]);
    let (counts, stored) = t.scrape("x 1\nc 6\nb 7\na 8");
    assert_eq!(stored, ["3000 a 8", "3000 b 7", "3000 c 6", "3000 x 1"]);
    assert_eq!(counts.added, 2, "x is new and b had ended");
    assert_eq!(t.scrape("").1, ["4000 a stale", "4000 b stale", "4000 c stale", "4000 x stale"]);
    assert_eq!(t.scrape("").1, Vec::<String>::new(), "a marker is written once");
}

/// scrape-016
#[test]
fn another_spelling_is_the_same_series() {
    let mut t = target(&[]);
    t.scrape("m{a=\"1\",b=\"2\"} 1");
    let (counts, stored) = t.scrape("m{b=\"2\",a=\"1\"} 2");
    assert_eq!((stored, counts.duplicate), (vec!["2000 m{a=\"1\", b=\"2\"} 2".to_owned()], 0));
}

#[test]
fn own_times_are_kept_and_not_tracked() {
    let mut t = target(&[]);
    assert_eq!(t.scrape("a 1 500\nb 2\n").1, ["1000 b 2", "500 a 1"]);
    assert_eq!(t.scrape("").1, ["2000 b stale"]);
    t.rules.track_timestamps_staleness = true;
    t.scrape("a 1 2500\n");
    assert_eq!(t.scrape("").1, ["4000 a stale"]);
    t.rules.honor_timestamps = false;
    assert_eq!(t.scrape("a 1 0\n").1, ["5000 a 1"]);
}

/// scrape-014
#[test]
fn a_sample_before_the_last_leaves_its_series_without_one() {
    let mut t = target(&[]);
    t.scrape("a 1\nb 1\n");
    let (counts, stored) = t.scrape("a 2 500\nb 2 1500\n");
    assert_eq!((counts.out_of_order, stored), (1, vec!["1500 b 2".to_owned(), "2000 a stale".to_owned()]));
    // What it was last is what counts, and a store that takes it.
    t.rules.track_timestamps_staleness = true;
    t.scrape("a 3 2500\n");
    assert_eq!(t.scrape("a 4 2600\n").1, ["2600 a 4"]);
    *t.store.late_from.lock().unwrap() = Some(Timestamp(2000));
    assert_eq!(t.scrape("a 5 2550\n").1, ["2550 a 5"]);
    assert_eq!(t.scrape("a 6 1999\n").1, ["6000 a stale"]);
}

/// scrape-057, -058, -059
#[test]
fn repeated_series() {
    let mut t = target(&[]);
    let (counts, stored) = t.scrape("m 1\nm 2\nm 3\n");
    assert_eq!((stored, counts.duplicate), (vec!["1000 m 1".to_owned()], 2));
    let (counts, stored) = t.scrape("m 4\nm 5\nm 6\n");
    assert_eq!((stored, counts.duplicate), (vec!["2000 m 4".to_owned()], 2));
    *t.store.late_from.lock().unwrap() = Some(Timestamp::EPOCH);
    assert_eq!(t.scrape("m 1 100\nm 2 200\nm 3 300\nm 4 300\n").1, ["100 m 1", "200 m 2", "300 m 3"]);
}

#[test]
fn a_series_with_and_without_times_of_its_own() {
    let mut t = target(&[]);
    *t.store.late_from.lock().unwrap() = Some(Timestamp::EPOCH);
    let body = "own 1 100\nown 2 200\nmixed 1 500\nother 1 600\nmixed 2\nmixed 3 500\nmixed 4\nplain 5\nplain 6 700\n";
    for now in [1000, 2000] {
        let (counts, mut stored) = t.scrape(body);
        stored.retain(|line| !line.contains("own"));
        let own = ["500 mixed 1", "600 other 1", "700 plain 6"].map(str::to_owned);
        assert_eq!(stored, [&[format!("{now} plain 5")], &own[..]].concat());
        assert_eq!(counts.duplicate, 3, "the second at 500 and, once there is one, those without a time");
    }
    assert_eq!(t.scrape("").1, ["3000 plain stale"]);
}

/// scrape-058
#[test]
fn repeated_samples_keep_their_order_and_the_latest_counts() {
    let mut t = target(&[]);
    t.rules.track_timestamps_staleness = true;
    let (counts, stored) = t.scrape("m 1 300\nm 2 100\nm 3 200\nn 1\nn 2 1500\n");
    assert_eq!(stored, ["100 m 2", "1000 n 1", "1500 n 2", "200 m 3", "300 m 1"]);
    assert_eq!((counts.added, counts.duplicate), (2, 0));
    let part = |t: &Target| t.store.order.lock().unwrap().join(" ");
    assert_eq!(part(&t), "100 200 1500", "after the first of each");
    assert_eq!(t.scrape("m 4 250\nn 3 1400\n").0.out_of_order, 2);
}

#[test]
fn a_scrape_is_one_commit() {
    let mut t = target(&[]);
    let wanted = Wanted { start_times: true, ..Wanted::default() };
    let page = "# TYPE a counter\na_total 1 0.3\na_total 2 0.4\na_total 3 0.5\na_created 0.1\n# EOF\n";
    let body = Body { format: Format::OpenMetrics, wanted, bytes: page.as_bytes() };
    assert_eq!(t.scrape_as(body).1, ["100 a_total 0", "300 a_total 1", "400 a_total 2", "500 a_total 3"]);
    assert_eq!(t.store.commits.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// scrape-038
#[test]
fn far_future_samples_are_dropped() {
    let mut t = target(&[]);
    let (counts, stored) = t.scrape("a 1 9000000\nb 1\n");
    assert_eq!((stored, counts.out_of_bounds), (vec!["1000 b 1".to_owned()], 1));
}

#[test]
fn what_fails_a_scrape() {
    let mut t = target(&[("job", "j")]);
    assert!(t.fails("m{le=\"600\",le=\"700\"} 1").contains("label name \"le\" is not unique"));
    assert!(t.fails("m{__name__=\"n\"} 1").contains("__name__"));
    t.rules.series.label_limit = 2;
    assert!(t.fails("m{a=\"1\"} 1").contains("label_limit exceeded"));
    t.rules.series.label_limit = 0;
    t.rules.series.label_value_length_limit = 3;
    assert!(t.fails("m{a=\"1234\"} 1").contains("label_value_length_limit exceeded"));
    t.rules.series.label_value_length_limit = 0;
    t.rules.series.legacy_names = true;
    assert!(t.fails("{\"test.metric\"} 1").contains("invalid metric name"));
    assert_eq!(t.store.take(), Vec::<String>::new());
    // scrape-049
    t.rules.series.legacy_names = false;
    assert_eq!(t.scrape("{\"with.dots\"} 42").1, ["1000 {\"with.dots\", job=\"j\"} 42"]);
}

/// scrape-050
#[test]
fn metric_relabelling_may_drop_series_and_take_target_labels_away() {
    let mut t = target(&[("job", "j"), ("pod", "p")]);
    let rule = |action, source: &[&str], regex: &str| {
        let spec = RelabelSpec {
            action,
            source_labels: source.iter().map(|s| (*s).to_owned()).collect(),
            regex: Some(regex.to_owned()),
            ..RelabelSpec::default()
        };
        RelabelRule::new(spec, NameValidation::Utf8).unwrap()
    };
    t.rules.series.relabel =
        vec![rule(RelabelAction::Drop, &["__name__"], "gone.*"), rule(RelabelAction::LabelDrop, &[], "pod")];
    let (counts, stored) = t.scrape("gone_a 1\nkept 2\n");
    assert_eq!(stored, ["1000 kept{job=\"j\"} 2"]);
    assert_eq!((counts.scraped, counts.post_relabel), (2, 1));
    assert_eq!(t.scrape("gone_a 1\nkept 3\n").1, ["2000 kept{job=\"j\"} 3"]);
    assert_eq!(t.scrape("").1, ["3000 kept{job=\"j\"} stale"]);
    t.cache.commit(&t.store, Timestamp(4000), &[("up", 1.0)], false).unwrap();
    assert_eq!(t.store.take_all(), ["4000 up{job=\"j\", pod=\"p\"} 1"]);
}

/// scrape-051
#[test]
fn a_type_line_decides_how_bounds_are_spelled() {
    let mut t = target(&[]);
    assert_eq!(t.scrape("# TYPE s summary\ns{quantile=\"1\"} 1\n").1, ["1000 s{quantile=\"1.0\"} 1"]);
    let mut t = target(&[]);
    t.scrape("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n");
    // The same text under another type is another series.
    let stored = t.scrape("# TYPE h gauge\nh_bucket{le=\"1\"} 1\n").1;
    assert_eq!(stored, ["2000 h_bucket{le=\"1\"} 1", "2000 h_bucket{le=\"1.0\"} stale"]);
}

#[test]
fn columns_of_ended_series_are_given_up() {
    let mut t = target(&[]);
    for round in 0..40 {
        let body: String = (0..50).map(|i| format!("m{{round=\"{round}\",i=\"{i}\"}} {i}\n")).collect();
        let (counts, stored) = t.scrape(&format!("steady {round}\n{body}future 1 99999999\n"));
        assert_eq!(counts.scraped, 52);
        assert_eq!(stored.len(), 51 + if round == 0 { 0 } else { 50 });
        assert!(stored.iter().any(|line| line.ends_with(&format!("steady {round}"))));
    }
    assert!(t.cache.sources[0].live() < 200);
}

#[test]
fn help_and_type_are_remembered() {
    let mut t = target(&[]);
    t.scrape("# HELP a old\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n");
    t.scrape("# HELP a new\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n");
    let seen: Vec<_> = t.cache.metadata.iter().map(|(n, m)| (n, m.kind.as_str(), m.help.as_str())).collect();
    assert_eq!(seen, [("a", "counter", "new"), ("b", "gauge", "")]);
}

#[test]
fn what_a_broken_body_says_of_a_family_is_said_anew() {
    let mut t = target(&[]);
    let sound = "# HELP a old\n# TYPE a counter\na 1\nb 1\n";
    let help = |t: &Target| t.cache.metadata.iter().map(|(_, m)| m.help.clone()).collect::<Vec<_>>();
    t.scrape(sound);
    for _ in 0..2 {
        t.fails("# HELP a new\n# TYPE a counter\na 1\nb {");
    }
    for _ in 0..2 {
        assert_eq!(t.scrape(sound).0.scraped, 2);
        assert_eq!(help(&t), ["old"]);
    }
}

#[test]
fn blank_lines_are_nothing() {
    let mut t = target(&[]);
    assert_eq!(t.scrape(&" \n\t\n\n".repeat(300_000)).1, Vec::<String>::new());
    let body = "\n# TYPE h histogram\n \nh_bucket{le=\"1\"} 1\n\n  \n# TYPE g gauge\ng{le=\"1\"} 2\n \n";
    let first = t.scrape(body).1;
    assert_eq!(first, ["2000 g{le=\"1\"} 2", "2000 h_bucket{le=\"1.0\"} 1"]);
    let (counts, second) = t.scrape(body);
    assert_eq!((counts.added, second.len()), (0, 2));
    // Without the TYPE line the bound is spelled as it was written.
    let stored = t.scrape("\n \nh_bucket{le=\"1\"} 1\n").1;
    assert!(stored.contains(&"4000 h_bucket{le=\"1\"} 1".to_owned()), "{stored:?}");
}

#[test]
fn markers_that_could_not_be_stored_are_stored_next_time() {
    let mut t = target(&[]);
    t.scrape("a 1\nb 1\n");
    t.store.full.store(true, std::sync::atomic::Ordering::Relaxed);
    let (_, read) = t.cache.read((Format::Text, b"a 2\n"), &t.rules, Timestamp(2000), &t.store);
    read.unwrap();
    t.cache.commit(&t.store, Timestamp(2000), &[("up", 1.0)], false).unwrap_err();
    t.now = Timestamp(2000);
    assert_eq!(t.scrape("a 3\n").1, ["3000 a 3", "3000 b stale"]);
}

#[test]
fn a_target_that_ends_has_everything_marked_once() {
    let mut t = target(&[("job", "j")]);
    t.cache.end(&t.store, Timestamp(500), false).unwrap();
    assert_eq!(t.store.take_all(), Vec::<String>::new(), "nothing was there yet");
    t.scrape("a 1\n");
    t.cache.end(&t.store, Timestamp(2000), false).unwrap();
    assert_eq!(t.store.take_all(), ["2000 a{job=\"j\"} stale", "2000 up{job=\"j\"} stale"]);
    t.cache.end(&t.store, Timestamp(3000), false).unwrap();
    assert_eq!(t.store.take_all(), Vec::<String>::new());
}

impl Target {
    /// The same as `scrape`, in another format or with other wishes.
    pub(super) fn scrape_as<'a>(&mut self, body: impl Into<Body<'a>>) -> (Counts, Vec<String>) {
        self.now += 1000;
        let (counts, result) = self.cache.read(body, &self.rules, self.now, &self.store);
        result.unwrap();
        self.cache.commit(&self.store, self.now, &[("up", 1.0)], false).unwrap();
        (counts, self.store.take())
    }
}

/// scrape-085
#[test]
fn openmetrics_lines_keep_their_columns() {
    let mut t = target(&[]);
    let body = |count: u32, exemplar: &str| {
        format!(
            "# TYPE h histogram\n# UNIT h \nh_bucket{{le=\"1\"}} {count}{exemplar}\nh_count {count} 0.5\nh_created 7\n# EOF\n"
        )
    };
    let (_, stored) = t.scrape_as((Format::OpenMetrics, &body(1, "")));
    assert_eq!(stored, ["1000 h_bucket{le=\"1.0\"} 1", "1000 h_created 7", "500 h_count 1"]);
    let (counts, stored) = t.scrape_as((Format::OpenMetrics, &body(2, " # {id=\"x\"} 0.5 3")));
    assert_eq!(stored, ["2000 h_bucket{le=\"1.0\"} 2", "2000 h_created 7", "500 h_count 2"]);
    assert_eq!(counts.added, 0);
    let (_, result) = t.cache.read((Format::OpenMetrics, b"# TYPE h histogram\n"), &t.rules, Timestamp(3000), &t.store);
    assert_eq!(result.unwrap_err().to_string(), "line 2: data does not end with # EOF: \"\"");
}

/// One message, its length before it.
#[test]
fn long_lines_keep_their_columns_too() {
    let mut t = target(&[]);
    let long = "x".repeat(5000);
    for (value, added) in [(1, 2), (2, 0)] {
        let (counts, stored) = t.scrape(&format!("# HELP a {long}\na{{l=\"{long}\"}} {value}\nb {value}\n"));
        assert_eq!((counts.added, stored.len()), (added, 2));
        assert!(stored[1].ends_with(&format!(" b {value}")), "{}", stored[1]);
    }
}

#[test]
fn legacy_names_are_asked_for_in_every_format() {
    let mut t = target(&[]);
    t.rules.series.legacy_names = true;
    let metric = delimited(&[field(1, b"with.dots"), field(4, b"")].concat());
    let bodies: [(Format, &[u8]); 3] = [
        (Format::Text, b"{\"with.dots\"} 1\n"),
        (Format::OpenMetrics, b"{\"with.dots\"} 1\n# EOF\n"),
        (Format::Protobuf, &metric),
    ];
    for (format, body) in bodies {
        let (_, result) = t.cache.read((format, body), &t.rules, Timestamp(1000), &t.store);
        let reason = result.unwrap_err().to_string();
        assert!(reason.starts_with("invalid metric name or label names"), "{format:?}: {reason}");
    }
    t.rules.series.legacy_names = false;
    for (format, body) in bodies {
        let (_, stored) = t.scrape_as((format, body));
        assert!(stored[0].contains(" {\"with.dots\"} "), "{format:?}: {stored:?}");
    }
}

/// Upstream's table of label conflicts.
#[test]
fn conflicts_as_upstream_resolves_them() {
    let Some(table) = kit::conformance_json("scrape/label_conflicts.json") else { return };
    for case in table["cases"].as_array().unwrap() {
        let pairs = |field: &str| -> Vec<(String, String)> {
            let object = case[field].as_object().unwrap();
            object.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect()
        };
        let mut t = target(&[]);
        t.cache = ScrapeCache::new(Labels::from_pairs(pairs("target_labels")));
        t.rules.series.honor_labels = case["honor_labels"].as_bool().unwrap();
        let (_, stored) = t.scrape(case["exposed"].as_str().unwrap());
        let expected = format!("1000 {} ", Labels::from_pairs(pairs("stored_labels")));
        assert!(stored.len() == 1 && stored[0].starts_with(&expected), "{}: {stored:?}, not {expected}", case["name"]);
    }
}

pub(super) fn rule(action: RelabelAction, source: &[&str], regex: &str, replacement: &str) -> RelabelRule {
    let spec = RelabelSpec {
        action,
        source_labels: source.iter().map(|label| (*label).to_owned()).collect(),
        regex: Some(regex.to_owned()),
        replacement: replacement.to_owned(),
        ..RelabelSpec::default()
    };
    RelabelRule::new(spec, NameValidation::Utf8).unwrap()
}

#[test]
fn series_with_times_of_their_own_end_with_a_failure_when_they_are_tracked() {
    // scrape-005, -006, -007
    let mut t = target(&[]);
    t.rules.track_timestamps_staleness = true;
    t.scrape("a 1 500\n");
    t.now += 1000;
    t.fails("broken{");
    assert_eq!(t.store.take(), ["2000 a stale"]);
}

#[test]
fn labels_that_are_empty_and_honoured() {
    // scrape-041, -042, -043, -044
    let mut t = target(&[("instance", "i"), ("n", "2")]);
    assert_eq!(t.scrape("m{n=\"\"} 1\n").1, ["1000 m{instance=\"i\", n=\"2\"} 1"]);
    assert_eq!(t.scrape("m{n=\"1\"} 1\n").1[0], "2000 m{exported_n=\"1\", instance=\"i\", n=\"2\"} 1");
    let mut t = target(&[("instance", "i"), ("n", "2")]);
    t.rules.series.honor_labels = true;
    assert_eq!(t.scrape("m{n=\"1\"} 1\n").1, ["1000 m{instance=\"i\", n=\"1\"} 1"]);
    let stored = t.scrape("m{instance=\"\"} 1\n").1;
    assert!(stored.contains(&"2000 m{n=\"2\"} 1".to_owned()), "{stored:?}");
}

#[test]
fn relabelling_that_takes_the_name_or_makes_a_bad_one_fails_the_scrape() {
    // scrape-046, -047
    let mut t = target(&[]);
    t.rules.series.relabel = vec![rule(RelabelAction::LabelDrop, &[], "__name__", "$1")];
    assert_eq!(t.fails("m{a=\"1\"} 1\n"), "missing metric name (__name__ label), at line 1 (\"m{a=\\\"1\\\"}\")");
    t.rules.series.relabel = vec![rule(RelabelAction::LabelMap, &[], "(a)", "$1-b")];
    t.rules.series.legacy_names = true;
    assert!(t.fails("m{a=\"1\"} 1\n").starts_with("invalid metric name or label names"));
    t.rules.series.legacy_names = false;
    assert_eq!(
        t.scrape("m{a=\"1\"} 1\n").1,
        ["1000 {\"m\", a=\"1\", \"a-b\"=\"1\"} 1"].map(|l| l.replace("{\"m\", ", "m{"))
    );
}

#[test]
fn a_report_has_the_targets_labels_whatever_is_made_of_its_series() {
    // scrape-023
    let mut t = target(&[("job", "j")]);
    t.rules.series.honor_labels = true;
    t.rules.series.relabel = vec![rule(RelabelAction::Drop, &["__name__"], "up|m", "$1")];
    t.scrape("m{job=\"other\"} 1\n");
    t.cache.commit(&t.store, Timestamp(2000), &[("up", 1.0)], false).unwrap();
    assert_eq!(t.store.take_all(), ["2000 up{job=\"j\"} 1"]);
}

/// scrape-080
#[test]
fn exemplars_come_with_their_samples_where_they_are_wanted() {
    let mut t = target(&[("job", "j")]);
    let body = |count: u32, more: &str| {
        format!("# TYPE a counter\na_total {count} # {{trace_id=\"x{count}\"}} 0.5\nb_total 1 7.5{more}\n# EOF\n")
    };
    let mut scrape = |wanted: bool, body: &str, now: Timestamp| {
        t.store.exemplars.lock().unwrap().0 = wanted;
        let (_, result) = t.cache.read((Format::OpenMetrics, body), &t.rules, now, &t.store);
        result.unwrap();
        let committed = t.cache.commit(&t.store, now, &[("up", 1.0)], false).unwrap();
        assert_eq!(committed.late_exemplars, if wanted { 2 } else { 0 }, "what the store says of them");
        std::mem::take(&mut t.store.exemplars.lock().unwrap().1)
    };
    let none: [&str; 0] = [];
    assert_eq!(scrape(false, &body(1, ""), Timestamp(1000)), none);
    assert_eq!(scrape(true, &body(2, ""), Timestamp(2000)), ["a_total{job=\"j\"} {trace_id=\"x2\"} 0.5 2000"]);
    let both = scrape(true, &body(3, " # {trace_id=\"y\"} 4 6.25"), Timestamp(3000));
    assert_eq!(both, ["a_total{job=\"j\"} {trace_id=\"x3\"} 0.5 3000", "b_total{job=\"j\"} {trace_id=\"y\"} 4 6250"]);
    let new = "# TYPE c counter\nc_total 1 8 # {} 1\n# EOF\n";
    assert_eq!(scrape(true, new, Timestamp(4000)), ["c_total{job=\"j\"} {} 1 8000"], "of a series that is new");
    for labels in ["a=\"1\",a=\"2\"", "a=\"1\",b=\"2\",a=\"1\"", "a=\"\",a=\"\""] {
        let repeated = format!("# TYPE d counter\nd_total 1 9 # {{{labels}}} 1\n# EOF\n");
        t.store.exemplars.lock().unwrap().0 = true;
        t.cache.read((Format::OpenMetrics, &repeated), &t.rules, Timestamp(9000), &t.store).1.unwrap();
        t.cache.commit(&t.store, Timestamp(9000), &[("up", 1.0)], false).unwrap();
        assert_eq!(t.store.exemplars.lock().unwrap().1, none, "{labels} name a label twice");
    }
}
