//! Files of unit tests for rules: what `promtool test rules` runs (upstream: `cmd/promtool/unittest.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::Timestamp;

use crate::Error;
use crate::read::{document, read};
use crate::schema::{
    Bool, Codec, Duration, Fields, Items, Nonzero, Number, Paths, Section as _, Shape, Source, Text, TextMap, Texts,
    Unread, Url, section,
};
use crate::yaml::Yaml;

section! {
    /// Unit tests of rule files.
    #[derive(Clone, Debug, PartialEq)]
    pub struct UnitTestFile as "unit_test_file" {
        /// The rule files; the last part may contain `*`.
        #[yaml(Paths)]
        pub rule_files: Vec<PathBuf>,
        /// The time from one evaluation of the rules to the next.
        #[yaml(Nonzero<Duration>, name = "evaluation_interval", default = 60_000)]
        pub evaluation_interval_ms: i64,
        /// Names of groups, in the order in which they are evaluated; all others are evaluated with the first one.
        #[yaml(Texts)]
        pub group_eval_order: Vec<String>,
        /// The tests, each with samples of its own.
        #[yaml(Items<UnitTest>, with = evaluation_interval_ms)]
        pub tests: Vec<UnitTest>,
        /// Does a value also equal the floats next to it?
        #[yaml(Bool)]
        pub fuzzy_compare: bool,
    }
    check_always = check_order;
}

section! {
    /// Samples, and what rules and expressions make of them.
    #[derive(Clone, Debug, PartialEq)]
    pub struct UnitTest as "unit_test" in (evaluation_interval_ms: i64) {
        /// Its name, for messages and `--run`.
        #[yaml(Text)]
        pub name: String,
        /// The time from one sample of a series to the next.
        #[yaml(Nonzero<Duration>, name = "interval", inherited = evaluation_interval_ms => "`evaluation_interval`")]
        pub interval_ms: i64,
        /// The samples.
        #[yaml(Items<InputSeries>)]
        pub input_series: Vec<InputSeries>,
        /// Which alerts fire.
        #[yaml(Items<AlertTest>)]
        pub alert_rule_test: Vec<AlertTest>,
        /// What expressions return.
        #[yaml(Items<ExprTest>)]
        pub promql_expr_test: Vec<ExprTest>,
        /// The external labels of the server, for templates.
        #[yaml(TextMap)]
        pub external_labels: BTreeMap<String, String>,
        /// The URL of the server, for templates.
        #[yaml(Url)]
        pub external_url: String,
        /// The time of the first samples, from which `eval_time` counts: RFC 3339, or seconds since 1970.
        #[yaml(Time, name = "start_timestamp")]
        pub start: Timestamp,
    }
}

section! {
    /// A series.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct InputSeries as "input_series" {
        /// Its name and labels: `up{job="a"}`.
        #[yaml(Text)]
        pub series: String,
        /// Its samples: `1 2 _ 4+1x10 stale`.
        #[yaml(Text)]
        pub values: String,
        /// Where it stands, for messages: `test.yml:7:9: tests[0].input_series[0].series`.
        #[yaml(Unread)]
        pub place: String,
    }
    check_always = check_series;
}

section! {
    /// Which alerts of a name fire at a time.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AlertTest as "alert_rule_test" {
        /// The time, since the start.
        #[yaml(Duration, name = "eval_time")]
        pub eval_time_ms: i64,
        /// The name of the alerts.
        #[yaml(Text; required = "an item under alert_rule_test misses required attribute alertname")]
        pub alertname: String,
        /// All that fire.
        #[yaml(Items<ExpectedAlert>)]
        pub exp_alerts: Vec<ExpectedAlert>,
    }
}

section! {
    /// An alert that fires.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ExpectedAlert as "expected_alert" {
        /// Its labels, without `alertname`.
        #[yaml(TextMap)]
        pub exp_labels: BTreeMap<String, String>,
        /// Its annotations.
        #[yaml(TextMap)]
        pub exp_annotations: BTreeMap<String, String>,
    }
}

section! {
    /// What an expression returns at a time.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ExprTest as "promql_expr_test" {
        /// The expression.
        #[yaml(Text)]
        pub expr: String,
        /// The time, since the start.
        #[yaml(Duration, name = "eval_time")]
        pub eval_time_ms: i64,
        /// All samples that it returns, in any order.
        #[yaml(Items<ExpectedSample>)]
        pub exp_samples: Vec<ExpectedSample>,
    }
}

section! {
    /// A sample that an expression returns.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ExpectedSample as "expected_sample" {
        /// Its name and labels: `up{job="a"}`.
        #[yaml(Text)]
        pub labels: String,
        /// Its value.
        #[yaml(Number)]
        pub value: f64,
        /// Its native histogram, instead of a value: `{{schema:1 sum:3 count:2 buckets:[2]}}`.
        #[yaml(Text)]
        pub histogram: Option<String>,
    }
}

fn check_order(file: &mut UnitTestFile, f: &mut Fields<'_>) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    match file.group_eval_order.iter().find(|name| !known.insert(*name)) {
        Some(name) => Err(f.refuse("group_eval_order", format!("group name repeated in evaluation order: {name}"))),
        None => Ok(()),
    }
}

fn check_series(series: &mut InputSeries, f: &mut Fields<'_>) -> Result<(), Error> {
    // PromQL's notation is parsed when the test runs; an error there should name this place in the file.
    series.place = f.refuse("series", "").to_string().trim_end_matches([':', ' ']).to_owned();
    Ok(())
}

impl UnitTestFile {
    /// Reads a file of tests.
    ///
    /// # Errors
    /// When it cannot be read or is not valid: whatever is wrong, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Error>> {
        Self::parse(&read(path).map_err(|error| vec![error])?, path)
    }

    /// Reads a file of tests from its text; errors call it `file`, and relative paths start at its folder.
    ///
    /// # Errors
    /// When it is not valid: whatever is wrong, in the order of the file.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Vec<Error>> {
        let source = Source::new(file, &|_| None).collecting().with_text(text);
        let tests = document(&source, text)
            .and_then(|document| Self::decode(&mut Fields::new(&source, document.as_ref(), String::new())?, ()));
        source.finish(tests)
    }
}

/// A time: RFC 3339, or seconds since 1970.
enum Time {}

impl Codec<Timestamp> for Time {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Timestamp>, Error> {
        let Some(text) = f.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let seconds: Option<f64> = text.parse().ok().filter(|seconds: &f64| seconds.is_finite());
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and such a test fails")]
        let ms = seconds.map(|seconds| (seconds * 1000.0) as i64);
        let ms = ms.or_else(|| text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond()));
        let refuse = || f.refuse(name, format!("cannot parse {text:?} to a valid timestamp"));
        ms.map(|ms| Some(Timestamp(ms))).ok_or_else(refuse)
    }

    fn is_zero(time: &Timestamp) -> bool {
        *time == Timestamp::EPOCH
    }

    fn encode(time: &Timestamp) -> Yaml {
        Yaml::raw(time.as_seconds())
    }

    fn shape() -> Shape {
        Shape::Scalar("time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let errors = UnitTestFile::parse(text, Path::new("t.yml")).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_have_their_values() {
        let text = "rule_files: [r.yml]\nevaluation_interval: 30s\ngroup_eval_order: [b, a]\nfuzzy_compare: true\ntests:\n\
                    - input_series:\n  - {series: a, values: 1}\n  alert_rule_test:\n  - {eval_time: 0, alertname: b, exp_alerts: \
                    [{exp_labels: {c: d}, exp_annotations: {e: f}}, ~]}\n\
                    - name: x\n  interval: 1h\n  start_timestamp: 1609459200.5\n  external_labels: {g: h}\n  external_url: http://i\n  \
                    promql_expr_test:\n  - {expr: 1, eval_time: 4m59s, exp_samples: [{value: .nan, labels: j}, {histogram: k}]}\n";
        let file = UnitTestFile::parse(text, Path::new("/f/t.yml")).unwrap();
        assert_eq!(
            (file.rule_files, file.group_eval_order),
            (vec![PathBuf::from("/f/r.yml")], vec!["b".into(), "a".into()])
        );
        assert!(file.fuzzy_compare);
        let [first, second] = &file.tests[..] else { panic!() };
        assert_eq!(
            (first.interval_ms, first.start, first.input_series[0].values.as_str()),
            (30_000, Timestamp::EPOCH, "1")
        );
        assert_eq!(first.input_series[0].place, "/f/t.yml:7:14: tests[0].input_series[0].series");
        let alerts = &first.alert_rule_test[0];
        assert_eq!((alerts.eval_time_ms, alerts.alertname.as_str(), alerts.exp_alerts.len()), (0, "b", 2));
        assert_eq!(
            (alerts.exp_alerts[0].exp_labels["c"].as_str(), alerts.exp_alerts[0].exp_annotations["e"].as_str()),
            ("d", "f")
        );
        assert_eq!((second.name.as_str(), second.interval_ms, second.start.0), ("x", 3_600_000, 1_609_459_200_500));
        assert_eq!((second.external_labels["g"].as_str(), second.external_url.as_str()), ("h", "http://i"));
        let expr = &second.promql_expr_test[0];
        assert_eq!((expr.expr.as_str(), expr.eval_time_ms), ("1", 299_000));
        let [float, histogram] = &expr.exp_samples[..] else { panic!() };
        assert!(float.value.is_nan() && float.labels == "j" && histogram.histogram.as_deref() == Some("k"));
        assert_eq!(UnitTestFile::parse("", Path::new("t.yml")).unwrap(), UnitTestFile::default());
    }

    #[test]
    fn all_faults_are_told() {
        let text = "rule_file: []\ngroup_eval_order: [a, b, a]\ntests:\n- alert_rule_test: [{eval_time: 1}]\n  start_timestamp: now\n  \
                    input_serie: []\n- promql_expr_test: [{exp_samples: [{value: '1'}]}]\n";
        let expected = [
            "t.yml:1:1: rule_file: field rule_file not found in the configuration; did you mean rule_files?",
            "t.yml:2:19: group_eval_order: group name repeated in evaluation order: a",
            "t.yml:4:21: tests[0].alert_rule_test[0].alertname: an item under alert_rule_test misses required attribute alertname",
            "t.yml:4:33: tests[0].alert_rule_test[0].eval_time: not a valid duration string: \"1\"; write it as 30s, 5m or 1h30m",
            "t.yml:5:20: tests[0].start_timestamp: cannot parse \"now\" to a valid timestamp",
            "t.yml:6:3: tests[0].input_serie: field input_serie not found in tests[0]; did you mean input_series?",
            "t.yml:7:45: tests[1].promql_expr_test[0].exp_samples[0].value: cannot unmarshal the text `1` into a number",
        ];
        assert_eq!(faults(text), expected);
    }

    #[test]
    fn times_are_those_of_upstream() {
        let start = |text: &str| {
            let file = UnitTestFile::parse(&format!("tests: [{{start_timestamp: {text}}}]\n"), Path::new("t.yml"));
            file.unwrap().tests[0].start.0
        };
        for (text, expected) in [
            ("2024-01-01T00:00:00Z", 1_704_067_200_000),
            ("\"2024-01-01T01:00:00.5+01:00\"", 1_704_067_200_500),
            ("1609459200", 1_609_459_200_000),
            ("-1.5", -1500),
            ("''", 0),
            ("~", 0),
        ] {
            assert_eq!(start(text), expected, "{text}");
        }
    }

    #[test]
    fn files_of_upstream_are_read() {
        let Some(folder) = kit::conformance("rules/promtool") else { return };
        let mut n_tests = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if std::fs::read_to_string(&path).unwrap().contains("tests:") {
                n_tests += UnitTestFile::load(&path).unwrap().tests.len();
            }
        }
        assert!(n_tests > 20, "{n_tests}");
    }
}
