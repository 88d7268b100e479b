//! Our parsers held to upstream's recorded results and to the `prometheus-parse` crate.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use kit::conformance_json;
use model::histogram::{Histogram, ResetHint};
use model::sample::is_histogram_mark;
use scraper::parse::{Entry, Exemplar, Format, LabelPairs, Parser, Recognised, Wanted};
use serde_json::{Value, json};

/// Bodies of our own, read by the parser of Prometheus 3.16.
fn openmetrics_2() -> Value {
    serde_json::from_str(include_str!("data/openmetrics2.json")).unwrap()
}

/// All recordings there are.
fn recordings(files: &[&str]) -> Option<Vec<Value>> {
    let files = files.iter().map(|file| conformance_json(&format!("textparse/{file}.json")));
    let files: Vec<Value> = files.chain([Some(openmetrics_2())]).collect::<Option<_>>()?;
    Some(files.iter().filter_map(Value::as_array).flatten().cloned().collect())
}

fn sorted(pairs: LabelPairs<'_>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = pairs.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

fn exemplar(exemplar: &Exemplar<'_>) -> Result<Value, String> {
    let mut out = json!({"labels": sorted(exemplar.labels()?), "value": model::float::format_g(exemplar.value)});
    if let Some(ts) = exemplar.ts {
        out["timestamp_ms"] = json!(ts.0);
    }
    Ok(out)
}

/// What our parser makes of a body, in the form of the recordings.
fn entries(format: Format, wanted: Wanted, body: &[u8]) -> Result<Vec<Value>, String> {
    let mut parser = Parser::of(format, body, wanted);
    let mut out = Vec::new();
    while let Some(entry) = parser.next_entry().map_err(|e| e.to_string())? {
        out.push(match entry {
            Entry::Help { metric, text } => json!({"kind": "help", "metric": metric, "text": text}),
            Entry::Type { metric, kind } => json!({"kind": "type", "metric": metric, "type": kind.as_str()}),
            Entry::Unit { metric, unit } => json!({"kind": "unit", "metric": metric, "unit": unit}),
            Entry::Comment(text) => json!({"kind": "comment", "text": String::from_utf8_lossy(text)}),
            Entry::Series(sample) => {
                let point = sample.point;
                let mut entry = json!({"kind": "series", "labels": sorted(sample.series.labels()?),
                    "value": model::float::format_g(point.value)});
                if is_histogram_mark(point.value) {
                    let histogram = parser.histogram().map_err(|e| e.to_string())?;
                    entry = json!({"kind": "histogram", "labels": entry["labels"], "histogram": ours(&histogram.histogram)});
                    let exemplars = parser.exemplars().map_err(|e| e.to_string())?;
                    if !exemplars.is_empty() {
                        entry["exemplars"] = exemplars.iter().map(exemplar).collect::<Result<_, _>>()?;
                    }
                } else if let scraper::parse::Series::Text { text, .. } = sample.series {
                    entry["series"] = json!(text);
                }
                if let Some(ts) = point.ts {
                    entry["timestamp_ms"] = json!(ts.0);
                }
                if let Some(ts) = point.start_time {
                    entry["start_timestamp_ms"] = json!(ts.0);
                }
                if let Some(one) = &point.exemplar {
                    let all = std::iter::once(one).chain(parser.further_exemplars());
                    entry["exemplars"] = all.map(exemplar).collect::<Result<_, _>>()?;
                }
                entry
            }
        });
    }
    Ok(out)
}

/// A histogram in one form, ours and theirs: every number by its bits, buckets that are not empty by where they are.
fn ours(histogram: &Histogram) -> Value {
    let side = |buckets: &model::histogram::Buckets| {
        let spans = buckets.spans.iter().map(|span| (span.offset.into(), span.length.into())).collect();
        filled(spans, buckets.counts.iter().copied())
    };
    let custom: Vec<String> = histogram.custom_values.iter().map(|bound| bits(*bound)).collect();
    let numbers = [histogram.count, histogram.sum, histogram.zero_count, histogram.zero_threshold].map(bits);
    let gauge = histogram.reset_hint == ResetHint::Gauge;
    json!([histogram.schema, gauge, numbers, side(&histogram.positive), side(&histogram.negative), custom])
}

fn filled(spans: Vec<(i64, i64)>, counts: impl Iterator<Item = f64>) -> Value {
    let mut next = 0;
    let places = spans.into_iter().flat_map(|(offset, length)| {
        let start = next + offset;
        next = start + length;
        start..next
    });
    let filled: Vec<_> = places.zip(counts).filter(|(_, n)| *n != 0.0).map(|(at, n)| json!([at, bits(n)])).collect();
    json!(filled)
}

fn bits(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    format!("{:x}", number.to_bits())
}

fn theirs(histogram: &Value) -> Value {
    let number = |value: &Value| value.as_str().map_or_else(|| value.as_f64().unwrap(), |text| text.parse().unwrap());
    let side = |name: &str| {
        let mut last = 0.0;
        let deltas = histogram[format!("{name}_deltas")].as_array().into_iter().flatten().map(|delta| {
            last += number(delta);
            last
        });
        let counts = histogram[format!("{name}_counts")].as_array().into_iter().flatten().map(number);
        let spans = histogram[format!("{name}_spans")].as_array().into_iter().flatten();
        let spans = spans.map(|span| (span[0].as_i64().unwrap(), span[1].as_i64().unwrap())).collect();
        filled(spans, deltas.chain(counts))
    };
    let custom: Vec<String> =
        histogram["custom_values"].as_array().unwrap().iter().map(|bound| bits(number(bound))).collect();
    let numbers = ["count", "sum", "zero_count", "zero_threshold"].map(|name| bits(number(&histogram[name])));
    let gauge = histogram["counter_reset_hint"] == "gauge";
    json!([histogram["schema"], gauge, numbers, side("positive"), side("negative"), custom])
}

/// Values are compared as numbers: the recordings write them in Go's shortest form.
fn normalised(entry: &Value) -> Value {
    let mut entry = entry.clone();
    for exemplar in entry["exemplars"].as_array_mut().into_iter().flatten() {
        number(exemplar);
    }
    number(&mut entry);
    if let Some(fields) = entry.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    entry
}

fn number(entry: &mut Value) {
    // A NaN is recorded by its bits, ours is always the ordinary one.
    if entry["value"]["nan_bits"] == "7ff8000000000001" || entry["value"]["nan_bits"] == "0x7ff8000000000001" {
        entry["value"] = json!("NaN");
    }
    if entry["kind"] == "histogram" && entry["histogram"].is_object() {
        entry["histogram"] = theirs(&entry["histogram"]);
        entry["series"] = Value::Null;
    }
    if let Some(value) = entry["value"].as_str() {
        let number: f64 = value.parse().unwrap();
        entry["value"] = json!(if number.is_nan() { "NaN".to_owned() } else { format!("{:x}", number.to_bits()) });
    }
}

fn body(case: &Value) -> Vec<u8> {
    match (case["input"].as_str(), case["input_b64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => base64(text),
        (None, None) => Vec::new(),
    }
}

fn wanted(case: &Value) -> Wanted {
    let options = &case["options"];
    Wanted {
        native: options["ignore_native_histograms"] == false,
        classic: options["keep_classic"] == true,
        convert: options["convert_classic_to_nhcb"] == true,
        types: options["type_and_unit_labels"] == true,
        start_times: options["skip_created_series"] == true,
        openmetrics2: true,
    }
}

fn format(case: &Value) -> Format {
    match case["format"].as_str().unwrap_or("openmetrics-text") {
        "openmetrics-text" => Format::OpenMetrics,
        "openmetrics-text-2" => Format::OpenMetrics2,
        "protobuf-delimited" => Format::Protobuf,
        "prometheus-text-0.0.4" => Format::Text,
        other => panic!("{other}"),
    }
}

/// Every case of a file passes, but those that are known not to, and those do not. `adapt` takes out of entries, theirs
/// and ours, what is not ours to give.
#[track_caller]
fn check(file: &str, known: &[(&str, &str)], adapt: fn(&Value, bool, &mut [Value])) {
    if let Some(cases) = conformance_json(file) {
        hold(&cases, known, adapt);
    }
}

#[track_caller]
fn hold(cases: &Value, known: &[(&str, &str)], adapt: fn(&Value, bool, &mut [Value])) {
    let mut unexpected = Vec::new();
    for case in cases.as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let difference = match (entries(format(case), wanted(case), &body(case)), case["error"].as_str()) {
            (Err(_), Some(_)) => None,
            (Ok(ours), None) => {
                let mut ours: Vec<Value> = ours.iter().map(normalised).collect();
                let mut theirs: Vec<Value> = case["entries"].as_array().unwrap().iter().map(normalised).collect();
                adapt(case, true, &mut ours);
                adapt(case, false, &mut theirs);
                let at = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at));
                at.map(|at| format!("entry {at}: {:?}, not {:?}", ours.get(at), theirs.get(at)))
            }
            (ours, theirs) => Some(format!("{:?}, not {theirs:?}", ours.map(|entries| entries.len()))),
        };
        match (difference, known.iter().any(|(known, _)| *known == id)) {
            (None, true) => unexpected.push(format!("{id} passes now: take it from the list")),
            (Some(difference), false) => unexpected.push(format!("{id}: {difference}")),
            _ => {}
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

#[test]
fn upstreams_recordings_of_the_text_format() {
    let known = [(
        "classic-146",
        "upstream lets a name that is not UTF-8 through its parser and refuses it later; we refuse it here",
    )];
    check("textparse/classic.json", &known, |_, _, _| {});
}

#[test]
fn upstreams_recordings_of_openmetrics() {
    // Upstream looks for a `_created` behind each series, and no further than the next one of another.
    let found = "ours finds the time of a counting wherever in its family it stands";
    let known = [
        ("openmetrics-004", found),
        ("openmetrics-088", found),
        ("openmetrics-144", found),
        ("openmetrics-146", found),
        ("openmetrics-149", "NaN is no time, and not the first that there can be"),
        ("openmetrics-142", "recorded while start times were asked for, which hides _created even when it should stay"),
        ("openmetrics-164", "upstream gives the unit of one family to the next; ours is its own"),
    ];
    check("textparse/openmetrics.json", &known, openmetrics);
}

/// Where `_created` series stay, they are series and nothing else; upstream's parser gives their times too.
fn openmetrics(case: &Value, ours: bool, entries: &mut [Value]) {
    if case["options"]["skip_created_series"] != true && !ours {
        entries
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|fields| drop(fields.remove("start_timestamp_ms")));
    }
}

#[test]
fn upstreams_recordings_of_protobuf() {
    check("textparse/protobuf.json", &[], |_, ours, entries| {
        for entry in entries.iter_mut().filter(|_| !ours) {
            entry.as_object_mut().unwrap().remove("series");
        }
    });
}

#[test]
fn upstreams_recordings_of_converted_histograms() {
    check("textparse/nhcb.json", &[], openmetrics);
}

/// What was read once is recognised entry by entry, with the same values.
#[test]
fn what_is_unchanged_is_recognised() {
    let (mut entries, mut anew) = (0, 0);
    let Some(cases) = recordings(&["classic", "openmetrics", "protobuf", "nhcb"]) else { return };
    for case in &cases {
        let body = body(case);
        let mut first = Parser::of(format(case), &body, wanted(case));
        let mut second = Parser::of(format(case), &body, wanted(case));
        while let Ok(Some(entry)) = first.next_entry() {
            let expected = match &entry {
                Entry::Series(sample) => Recognised::Series(sample.point),
                _ => Recognised::Comment,
            };
            // A series with blanks inside is read anew, and so is a name of several lines.
            let recognised = second.recognise(&first.fingerprint());
            let Some(recognised) = recognised else {
                assert_eq!(second.next_entry(), Ok(Some(entry)), "{}", case["id"]);
                anew += 1;
                continue;
            };
            entries += 1;
            assert_eq!(format!("{recognised:?}"), format!("{expected:?}"), "{}", case["id"]);
        }
    }
    assert!(entries > 1600 && anew < 10, "{entries} recognised, {anew} read anew");
}

/// A target's bytes are an error at worst: recordings cut anywhere, and with any byte changed.
#[test]
fn broken_bodies_are_errors_at_worst() {
    let mut read = 0;
    let Some(cases) = recordings(&["classic", "openmetrics", "protobuf"]) else { return };
    for case in &cases {
        let mut body = body(case);
        body.truncate(400);
        for at in 0..body.len() {
            let whole = body[at];
            for other in [0, b'"', b'\\', b'{', 0xff, whole ^ 0x80, whole.wrapping_add(1)] {
                body[at] = other;
                read += usize::from(entries(format(case), wanted(case), &body).is_ok());
            }
            body[at] = whole;
            read += usize::from(entries(format(case), wanted(case), &body[..at]).is_ok());
        }
    }
    assert!(read > 10_000, "{read} were read to the end");
}

#[test]
fn the_suite_of_openmetrics() {
    let Some(suite) = conformance_json("textparse/openmetrics_suite.json") else { return };
    for case in suite["cases"].as_array().unwrap() {
        let accepted = entries(Format::OpenMetrics, Wanted::default(), &body(case));
        assert_eq!(Value::Bool(accepted.is_ok()), case["prometheus_parser_accepts"], "{}: {accepted:?}", case["name"]);
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".bytes().position(|d| d == c);
    let mut out = Vec::new();
    let (mut bits, mut count) = (0usize, 0);
    for d in text.bytes().filter_map(digit) {
        bits = bits << 6 | d;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

/// Where prometheus-parse reads a document right, it must read it as we do.
#[test]
fn agrees_with_prometheus_parse_on_what_exporters_send() {
    let body = include_str!("data/exporter.prom");
    let theirs = prometheus_parse::Scrape::parse(body.lines().map(|l| Ok(l.to_owned()))).unwrap();
    let mut expected = Vec::new();
    for sample in theirs.samples {
        let mut labels: Vec<(String, String)> = sample.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        labels.sort();
        let mut push =
            |name: String, labels: Vec<(String, String)>, value: f64| expected.push((name, labels, value.to_bits()));
        match sample.value {
            prometheus_parse::Value::Counter(v)
            | prometheus_parse::Value::Gauge(v)
            | prometheus_parse::Value::Untyped(v) => {
                push(sample.metric, labels, v);
            }
            prometheus_parse::Value::Histogram(buckets) => {
                for bucket in buckets {
                    let mut labels = labels.clone();
                    labels.push(("le".into(), model::float::format_g(bucket.less_than)));
                    labels.sort();
                    push(format!("{}_bucket", sample.metric), labels, bucket.count);
                }
            }
            prometheus_parse::Value::Summary(quantiles) => {
                for q in quantiles {
                    let mut labels = labels.clone();
                    labels.push(("quantile".into(), model::float::format_g(q.quantile)));
                    labels.sort();
                    push(sample.metric.clone(), labels, q.count);
                }
            }
        }
    }
    let mut ours = Vec::new();
    let mut parser = Parser::new(Format::Text, body.as_bytes());
    while let Some(entry) = parser.next_entry().unwrap() {
        let Entry::Series(sample) = entry else { continue };
        let mut labels = sorted(sample.series.labels().unwrap());
        let (_, name) = labels.remove(0);
        for (label, value) in &mut labels {
            if label == "le" || label == "quantile" {
                *value = value.strip_suffix(".0").unwrap_or(value).to_owned();
            }
        }
        labels.sort();
        ours.push((name, labels, sample.point.value.to_bits()));
    }
    expected.sort();
    ours.sort();
    assert_eq!(ours, expected);
}

/// Recorded with the parser of Prometheus 3.16; there the scrape puts the exemplars of a sample in order, here the parser.
#[test]
fn upstreams_results_of_openmetrics_2() {
    hold(&openmetrics_2(), &[], |_, _, entries| {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.remove("series");
            if let Some(exemplars) = entry.get_mut("exemplars").and_then(Value::as_array_mut) {
                exemplars.sort_by_key(|exemplar| exemplar["timestamp_ms"].as_i64());
            }
        }
    });
}
