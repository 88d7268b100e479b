//! Upstream's recorded expansions, bounds, and templates made at random.

use std::rc::Rc;
use std::sync::Arc;

use model::{Histogram, Labels, Timestamp};
use query::Sample;
use serde_json::Value as Json;

use super::value::{IntType, Value};
use super::{Template, TemplateData, TemplateError};

const EXTERNAL_URL: &str = "http://testhost:9090/path/prefix";
const NOW: Timestamp = Timestamp(1_353_755_652_000);

fn sample(labels: Labels, value: f64) -> Sample {
    Sample { labels, ts: NOW, value, histogram: None }
}

/// A template without the variables of alerts, with `root` as its data.
fn expanded(text: &str, root: Value, answer: &[Sample]) -> Result<String, String> {
    let none = sample(Labels::empty(), 0.0);
    let data = TemplateData {
        sample: &none,
        external_labels: &Labels::empty(),
        external_url: EXTERNAL_URL,
        now: NOW,
        query: &|_| Ok(answer.to_vec()),
        still_wanted: &|| true,
    };
    // Upstream adds this where it expands; where it loads rules, it does not.
    let template =
        Template::without_prelude("test", text).map_err(|error| format!("error parsing template test: {error}"))?;
    template.expand_value(root, &data).map_err(|error| error.to_string())
}

/// An alert's template.
fn of_alert(text: &str, query: &dyn Fn(&str) -> Result<Vec<Sample>, String>) -> Result<String, TemplateError> {
    let alert = sample(Labels::from_pairs([("instance", "a:1"), ("job", "j")]), 12.5);
    let data = TemplateData {
        sample: &alert,
        external_labels: &Labels::from_pairs([("region", "eu")]),
        external_url: EXTERNAL_URL,
        now: NOW,
        query,
        still_wanted: &|| true,
    };
    Template::parse("__alert_A", text)?.expand(&data)
}

fn no_query(_: &str) -> Result<Vec<Sample>, String> {
    Ok(Vec::new())
}

/// What is recorded of a query, with histograms that say no more than their count and sum.
fn recorded_samples(result: &Json) -> Vec<Sample> {
    let all = result.as_array().into_iter().flatten();
    all.map(|one| {
        let labels = one["labels"].as_object().unwrap();
        let labels = Labels::from_pairs(labels.iter().map(|(name, value)| (name, value.as_str().unwrap())));
        let histogram = one["histogram"].as_str().map(|notation| {
            assert_eq!(notation, "{{count:3 sum:10}}");
            Arc::new(Histogram { count: 3.0, sum: 10.0, ..Histogram::default() })
        });
        Sample { histogram, ..sample(labels, one["value"].as_str().unwrap().parse().unwrap()) }
    })
    .collect()
}

fn recorded_data(case: &Json) -> Value {
    let floats = case["note"].as_str().is_some();
    let one = |json: &Json| match json {
        Json::String(text) if floats => Value::Float(text.parse().unwrap()),
        Json::String(text) => Value::string(&**text),
        Json::Number(number) if number.is_f64() => Value::Float(number.as_f64().unwrap()),
        // Larger ones are floats as soon as a function has them.
        json => json.as_i64().map_or_else(|| Value::Float(json.as_f64().unwrap()), |n| Value::Int(n, IntType::Int64)),
    };
    match &case["data"] {
        Json::Null => Value::None,
        Json::Array(all) => Value::List(all.iter().map(one).collect(), "[]interface {}"),
        Json::Object(fields) => {
            let number = |name: &str| fields["Value"][name].as_f64().unwrap();
            let histogram = Histogram { count: number("Count"), sum: number("Sum"), ..Histogram::default() };
            Value::Sample(Rc::new(Sample { histogram: Some(Arc::new(histogram)), ..sample(Labels::empty(), 0.0) }))
        }
        scalar => one(scalar),
    }
}

#[test]
fn recorded_expansions_are_upstreams() {
    let Some(recorded) = kit::conformance_json("rules/templates.json") else { return };
    assert_eq!(recorded["constants"]["external_url"], EXTERNAL_URL);
    assert_eq!(recorded["constants"]["timestamp_ms"], NOW.0);
    let (mut expanded_cases, mut html, mut with_options) = (0, 0, 0);
    for case in recorded["cases"].as_array().unwrap() {
        // Consoles, which are templates of HTML pages, are not served.
        if case["html"] == true {
            html += 1;
            continue;
        }
        // Templates of alerts always have upstream's default.
        if case["options"].as_array().is_some_and(|options| !options.is_empty()) {
            with_options += 1;
            continue;
        }
        let text = case["text"].as_str().unwrap();
        let samples = recorded_samples(&case["query_result"]);
        let expected = case["error"].as_str().map_or(Ok(case["output"].as_str()), Err);
        let expected = expected.map(|text| text.unwrap().to_owned()).map_err(ToOwned::to_owned);
        assert_eq!(expanded(text, recorded_data(case), &samples), expected, "{text}");
        expanded_cases += 1;
    }
    assert_eq!((expanded_cases, html, with_options), (83, 7, 1));
}

#[test]
fn alerts_have_their_variables() {
    let expand = |text: &str| of_alert(text, &no_query);
    assert_eq!(
        expand("{{$labels.job}} {{$value}} {{$externalLabels.region}} {{$labels.none}}.").unwrap(),
        "j 12.5 eu ."
    );
    assert_eq!(expand("no } action").unwrap(), "no } action");
    assert!(Template::parse("a", "no } action").unwrap().is_constant());
    assert!(!Template::parse("a", "{{1}}").unwrap().is_constant());
    // Errors are located behind the variables, as upstream's.
    let error = expand("{{first (query \"x\")}}").unwrap_err().to_string();
    let place = "template: __alert_A:1:114: executing \"__alert_A\" at <first (query \"x\")>";
    let reason = "error calling first: first() called on vector with no elements";
    assert_eq!(error, format!("error executing template __alert_A: {place}: {reason}"));
    let error = Template::parse("__alert_A", "a\n{{ nope }}").unwrap_err().to_string();
    assert_eq!(error, "template: __alert_A:2: function \"nope\" not defined");
}

#[test]
fn queries_fail_and_have_histograms() {
    let failing = |query: &str| Err(format!("cannot evaluate {query}"));
    let error = of_alert("{{ query \"up\" }}", &failing).unwrap_err().to_string();
    assert!(error.ends_with("error calling query: cannot evaluate up"), "{error}");
    let histogram = Arc::new(Histogram { count: 4.0, sum: 10.0, ..Histogram::default() });
    let answer = |_: &str| Ok(vec![Sample { histogram: Some(Arc::clone(&histogram)), ..sample(Labels::empty(), 0.0) }]);
    let text = "{{ with query \"h\" | first }}{{ .Value }} {{ .Value.Count }} {{ .Value.Sum | humanize }} {{ len .Value.CustomValues }}{{ end }}";
    assert_eq!(of_alert(text, &answer).unwrap(), "{count:4, sum:10} 4 10 0");
}

#[track_caller]
fn check_bound(text: &str, reason: &str) {
    let error = of_alert(text, &no_query).unwrap_err();
    let TemplateError::Execute { reason: found, .. } = &error else { panic!("{error}") };
    assert!(found.ends_with(reason), "{found}");
}

#[test]
fn an_expansion_is_bounded() {
    let too_long = "the text is longer than 1048576 bytes";
    check_bound("{{range 9223372036854775807}}{{end}}", "the template takes more than 1000000 steps");
    check_bound("{{range 1000000}}0123456789{{end}}", too_long);
    check_bound("{{$x := \"a\"}}{{range 100}}{{$x = print $x $x}}{{end}}", too_long);
    check_bound("{{printf \"%999999d %999999d\" 1 2}}", too_long);
    check_bound("{{reReplaceAll \"\" (printf \"%9999d\" 1) (printf \"%9999d\" 1)}}", too_long);
    check_bound(
        "{{range 1000}}{{$x := printf \"%999999d\" 1}}{{end}}",
        "the template makes more than 33554432 bytes of text",
    );
    check_bound(
        "{{define \"r\"}}{{template \"r\" .}}{{end}}{{template \"r\"}}",
        "the template nests deeper than 1000 levels",
    );
    check_bound("{{$x := 1}}{{range 1000}}{{$x = args $x}}{{end}}", "maps are nested deeper than 100 levels");
    check_bound("{{range 1001}}{{$x := query \"up\"}}{{end}}", "the template asks more than 1000 queries");
    check_bound("{{match \"((a{100}){100}){100}\" \"\"}}", "error parsing regexp: invalid repeat count: `{100}`");
    check_bound("{{match \"(\\\\pL{500}){2}\" \"\"}}", "error parsing regexp: expression too large: `(\\pL{500}){2}`");
    // A value that is held twice at each level is printed no longer than it may be.
    check_bound("{{$x := args}}{{range 90}}{{$x = args $x $x}}{{end}}{{$x}}", too_long);
    let parens = format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(Template::parse("a", &parens).unwrap_err().to_string().ends_with("max expression depth exceeded"));
    let blocks = format!("{}{}", "{{if 1}}".repeat(5000), "{{end}}".repeat(5000));
    assert!(Template::parse("a", &blocks).unwrap_err().to_string().ends_with("max expression depth exceeded"));
}

#[test]
fn an_expansion_that_nobody_wants_ends() {
    let none = sample(Labels::empty(), 0.0);
    let data = TemplateData {
        sample: &none,
        external_labels: &Labels::empty(),
        external_url: EXTERNAL_URL,
        now: NOW,
        query: &no_query,
        still_wanted: &|| false,
    };
    for text in
        ["{{range 100000}}{{end}}", "{{query \"up\"}}", "{{match \"a\" \"b\"}}", "{{reReplaceAll \"a\" \"b\" \"c\"}}"]
    {
        let error = Template::parse("a", text).unwrap().expand(&data).unwrap_err().to_string();
        assert!(error.ends_with("the evaluation was canceled or timed out"), "{error}");
    }
}

/// Pieces of templates, which make some that parse and many that do not.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{end}}",
    "{{else}}",
    "{{if ",
    "{{with ",
    "{{range ",
    "{{define \"x\"}}",
    "{{template \"x\" ",
    "{{block \"x\" ",
    "$labels",
    "$value",
    ".",
    ".Value",
    ".Labels.job",
    "$x",
    ":= ",
    "= ",
    ", ",
    "|",
    "(",
    ")",
    " ",
    "nil",
    "true",
    "1",
    "-7",
    "0.5",
    "1e300",
    "9223372036854775807",
    "'é'",
    "\"é%\"",
    "`r`",
    "\"%#+0-12.3v%[1]q%*x\"",
    "\"2006 Jan .000\"",
    "printf ",
    "print ",
    "len ",
    "index ",
    "slice ",
    "eq ",
    "lt ",
    "and ",
    "or ",
    "query \"x\" ",
    "first ",
    "value ",
    "sortByLabel \"job\" ",
    "args ",
    "humanize ",
    "humanizeDuration ",
    "humanizeTimestamp ",
    "toTime ",
    "toDuration ",
    ".Add ",
    ".Format ",
    ".AddDate ",
    ".Round ",
    ".Unix ",
    "reReplaceAll \"(.)|\" \"$1\" ",
    "match \"(\" ",
    "title ",
    "stripPort ",
    "stripDomain ",
    "parseDuration \"1h\" ",
    "html ",
    "js ",
    "call ",
    "/*",
    "*/",
    "\n",
    "é",
];

proptest::proptest! {
    /// Whatever comes of a template, it comes: no panic, no end without an answer.
    #[test]
    fn no_template_panics(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24)) {
        let text = pieces.concat();
        let answer = |_: &str| Ok(vec![sample(Labels::from_pairs([("job", "a")]), f64::NAN), sample(Labels::empty(), -1e300)]);
        // As it is, and as an action.
        for text in [text.clone(), format!("{{{{$x := 1}}}}{{{{{text}}}}}")] {
            if let Ok(template) = Template::parse("a", &text) {
                let none = sample(Labels::from_pairs([("job", "é:1")]), 1.5);
                let data = TemplateData {
                    sample: &none,
                    external_labels: &Labels::empty(),
                    external_url: "no url",
                    now: Timestamp::MAX,
                    query: &answer,
                    still_wanted: &|| true,
                };
                let _: Result<String, TemplateError> = template.expand(&data);
            }
        }
    }
}
