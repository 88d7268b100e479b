//! `/federate` beside that of a real Prometheus on the same targets, and scraped by one.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use kit::wire::{Family, Histogram, Kind, Message as _, Value as Sample};
use kit::{Answer, Exporter, Http, Prometheus, Weft, eventually, skipped};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde_json::Value;

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=";

const PAGE: &str = r#"# TYPE a_total counter
a_total{code="200",path="/a\"b\\c\nd"} 1234567
a_total{code="500",path=""} 0.5
# TYPE b gauge
b -0
b_nan NaN
b_inf{zone="own",instance="i"} -Inf
b_small 1.5e-7
b_large 1.25e+21
b_power 2.9802322387695312e-08
b_long 123456.789
{"http.dürations_s","pod.name"="x y","x:y"="é"} 3
# TYPE h histogram
h_bucket{le="0.5"} 1
h_bucket{le="1"} 3
h_bucket{le="2.5e+06"} 3
h_bucket{le="+Inf"} 4
h_sum 7.25
h_count 4
"#;

/// Floats beside histograms, and histograms of several schemas.
fn native_page() -> Vec<u8> {
    let none = || (Vec::new(), Vec::new());
    let histogram = |schema, negative| {
        Sample::Histogram(Histogram {
            schema,
            sum: 12.5,
            zero_threshold: 0.001,
            zero_count: 2,
            positive: (vec![(-2, 2), (3, 1)], vec![1, 5, 2]),
            negative,
        })
    };
    // Times that are as the server scrapes: an exposition may leave them out, and this writer does not.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let label = |value: &str| [("kind", value.to_owned())];
    let mut counts = Family::new("native", Kind::Histogram);
    counts.sample(&label("whole"), now, &histogram(1, none()));
    counts.sample(&label("negative"), now, &histogram(-2, (vec![(0, 1)], vec![3])));
    let mut gauges = Family::new("native_gauge", Kind::GaugeHistogram);
    gauges.sample(&label("gauge"), now, &histogram(8, none()));
    let mut floats = Family::new("native_beside", Kind::Gauge);
    floats.sample(&label("float"), now, &Sample::Float(1.0));
    [counts, gauges, floats].into_iter().flat_map(Family::delimited).collect()
}

fn exporters() -> [Exporter; 2] {
    let text = Exporter::start(|_| Answer::Metrics(PAGE.to_owned()));
    let native = Exporter::start(|_| {
        let page = native_page();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.google.protobuf; \
                    proto=io.prometheus.client.MetricFamily; encoding=delimited\r\nconnection: close\r\n";
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", page.len()).into_bytes();
        bytes.extend(page);
        Answer::Raw(bytes)
    });
    [text, native]
}

/// Three jobs: classic series, native histograms, and classic histograms that are stored as custom buckets.
fn config([text, native]: &[Exporter; 2], global: &str) -> String {
    let (text, native) = (&text.address, &native.address);
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s{global}}}\nscrape_configs:\n\
         - {{job_name: text, static_configs: [{{targets: ['{text}'], labels: {{zone: z1}}}}]}}\n\
         - {{job_name: native, scrape_protocols: [PrometheusProto], scrape_native_histograms: true, \
         static_configs: [{{targets: ['{native}']}}]}}\n\
         - {{job_name: custom, convert_classic_histograms_to_nhcb: true, static_configs: [{{targets: ['{text}']}}]}}\n"
    )
}

fn until_scraped(http: &Http) {
    eventually("every job is scraped twice", || {
        let result = http.query("count(count_over_time(up[1m]) >= 2 and up == 1)")?;
        if result[0]["value"][1] == "3" { Ok(()) } else { Err(result.to_string()) }
    });
}

fn program() -> Option<std::path::PathBuf> {
    Prometheus::binary().map_err(|why| skipped(&why)).ok()
}

fn page(http: &Http, query: &[(&str, &str)], accept: &str) -> (u16, String, Vec<u8>) {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
    let (status, headers, body) = http.page(&format!("/federate?{query}"), &headers).unwrap();
    (status, headers[CONTENT_TYPE].to_str().unwrap().to_owned(), body)
}

/// The body for a query that is too long for a client of Rust's. HTTP/1.0 knows no chunks.
fn long_page(address: &str, query: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /federate?{query} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200"), "{}", answer[..head].escape_ascii());
    answer.split_off(head + 4)
}

/// Lines without their times, by the line of the type that they stand behind. Durations differ from scrape to scrape.
fn lines(body: &[u8]) -> BTreeSet<String> {
    let mut kind = String::new();
    let mut out = BTreeSet::new();
    for line in std::str::from_utf8(body).unwrap().lines() {
        if line.starts_with('#') {
            kind = line.to_owned();
        } else if !line.starts_with("scrape_duration_seconds") {
            let (sample, ts) = line.rsplit_once(' ').unwrap();
            assert!(ts.parse::<u64>().unwrap() > 1_700_000_000_000, "{line}");
            // Which Prometheus writes as a bare name, though no parser takes it.
            let sample = sample.replace("\"x:y\"=", "x:y=");
            assert!(out.insert(format!("{kind}: {sample}")), "twice: {line}");
        }
    }
    out
}

/// The number at the front of a message.
fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut n, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            return n;
        }
    }
}

/// The fields of a message with their tags.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let len = match tag & 7 {
            0 => {
                let mut rest = bytes;
                varint(&mut rest);
                bytes.len() - rest.len()
            }
            1 => 8,
            _ => usize::try_from(varint(&mut bytes)).unwrap(),
        };
        let (field, rest) = bytes.split_at(len);
        out.push((tag, field.to_vec()));
        bytes = rest;
    }
    out
}

/// The metrics of delimited families without their times, byte by byte, each behind name and type of its family.
fn metrics(mut body: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut out = BTreeSet::new();
    while !body.is_empty() {
        let len = usize::try_from(varint(&mut body)).unwrap();
        let (family, rest) = body.split_at(len);
        body = rest;
        let mut head = Vec::new();
        for (tag, field) in fields(family) {
            if tag >> 3 != 4 {
                head.part(tag, &field);
                continue;
            }
            let mut metric = head.clone();
            fields(&field).iter().filter(|(tag, _)| tag >> 3 != 6).for_each(|(tag, field)| metric.part(*tag, field));
            if !String::from_utf8_lossy(&head).contains("scrape_duration_seconds") {
                assert!(out.insert(metric), "twice: {}", field.escape_ascii());
            }
        }
    }
    out
}

#[test]
fn answers_what_prometheus_answers() {
    let Some(program) = program() else { return };
    let targets = exporters();
    let config = config(&targets, ", external_labels: {cluster: c1, zone: ext, 'region.name': eu}");
    let (weft, prometheus) = (Weft::start(&config, &[]), Prometheus::start(&program, &config, &[]));
    [&weft.http, &prometheus.http].into_iter().for_each(until_scraped);
    let both = |query: &[(&str, &str)], accept: &str| {
        let (ours, theirs) = (page(&weft.http, query, accept), page(&prometheus.http, query, accept));
        assert_eq!((ours.0, &ours.1), (theirs.0, &theirs.1), "{query:?} {accept}");
        (ours.2, theirs.2)
    };
    let all = [("match[]", "{job=~\".+\"}")];
    let some = [("match[]", "up"), ("match[]", "{job=\"text\",zone=\"z1\"}"), ("match[]", "a_total"), ("match[]", "h")];
    let none: [(&str, &str); 0] = [];
    for accept in [
        "",
        "*/*",
        "text/plain",
        "text/plain;version=0.0.4;escaping=allow-utf-8",
        "text/plain;version=0.0.4;escaping=dots",
        "text/plain;escaping=values",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        "text/plain;version=1.0.0;escaping=allow-utf-8",
    ] {
        for (query, least) in [(&all[..], 40), (&some, 15), (&none, 0)] {
            let (ours, theirs) = both(query, accept);
            let (ours, theirs) = (lines(&ours), lines(&theirs));
            let differing: Vec<_> = ours.symmetric_difference(&theirs).collect();
            assert!(differing.is_empty(), "{query:?} {accept}: {differing:#?}");
            assert!(ours.len() >= least, "{}", ours.len());
        }
    }
    for escaping in ["", ";escaping=allow-utf-8", ";escaping=values"] {
        let (ours, theirs) = both(&all, &format!("{PROTOBUF}delimited{escaping};q=0.6,text/plain;q=0.5"));
        let (ours, theirs) = (metrics(&ours), metrics(&theirs));
        let shown = |bytes: &Vec<u8>| bytes.escape_ascii().to_string();
        assert_eq!(
            ours.difference(&theirs).map(shown).collect::<Vec<_>>(),
            theirs.difference(&ours).map(shown).collect::<Vec<_>>()
        );
        assert!(ours.len() > 40, "{}", ours.len());
    }
    // Go puts one or two blanks between fields.
    let blanks = |text: &[u8]| {
        let text = String::from_utf8(text.to_vec()).unwrap();
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    for encoding in ["compact-text", "text"] {
        let (ours, theirs) = both(&[("match[]", "native{kind=\"negative\"}")], &format!("{PROTOBUF}{encoding}"));
        let without_time = |words: Vec<String>| {
            let numbers =
                |word: &String| word.trim_matches(['\n', '}']).parse::<u64>().is_ok_and(|n| n > 1_700_000_000_000);
            words.into_iter().filter(|word| !numbers(word) && !word.starts_with("timestamp_ms:")).collect::<Vec<_>>()
        };
        assert_eq!(without_time(blanks(&ours)), without_time(blanks(&theirs)), "{encoding}");
    }
    let names: Vec<String> = (0..9_996).map(|i| format!("name_{i}")).collect();
    let names = names.iter().map(String::as_str).chain(["up", "a_total", "b", "h"]);
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(names.map(|name| ("match[]", name))).finish();
    let (ours, theirs) = (long_page(&weft.address, &query), long_page(prometheus.http.address(), &query));
    assert_eq!(lines(&ours), lines(&theirs), "ten thousand names");
    for query in [&[("match[]", "a-b")][..], &[("match[]", "up"), ("match[]", "{a=~\"[\"}")], &[("match[]", "")]] {
        let (ours, theirs) = both(query, "");
        assert_eq!(String::from_utf8(ours), String::from_utf8(theirs), "{query:?}");
    }
    for counter in ["errors", "warnings"] {
        let line = format!("\nprometheus_web_federation_{counter}_total 0\n");
        for http in [&weft.http, &prometheus.http] {
            assert!(http.get("/metrics").unwrap().1.contains(&line), "{line}");
        }
    }
}

/// The series of a query, and their values or histograms.
fn series(http: &Http, query: &str) -> BTreeMap<String, Value> {
    let result = eventually(query, || http.query(query));
    let value =
        |one: &Value| [&one["value"][1], &one["histogram"][1]].into_iter().find(|v| !v.is_null()).unwrap().clone();
    result.as_array().unwrap().iter().map(|one| (one["metric"].to_string(), value(one))).collect()
}

#[test]
fn a_prometheus_scrapes_it_and_has_the_same_series() {
    let Some(program) = program() else { return };
    let targets = exporters();
    let weft = Weft::start(&config(&targets, ""), &[]);
    until_scraped(&weft.http);
    let job = |name: &str, protocol: &str, selector: &str| {
        format!(
            "- job_name: {name}\n  metrics_path: /federate\n  honor_labels: true\n  scrape_native_histograms: true\n  \
             convert_classic_histograms_to_nhcb: true\n  scrape_protocols: [{protocol}]\n  \
             params: {{'match[]': ['{selector}']}}\n  static_configs: [{{targets: ['{}']}}]\n",
            weft.address
        )
    };
    // Prometheus asks for UTF-8 names in the text format alone.
    let federate = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}{}",
        job("protobuf", "PrometheusProto", "{job=~\"text|native|custom\", __name__!~\"http.*\"}"),
        job("utf8", "PrometheusText1.0.0", "{__name__=~\"http.*\"}")
    );
    let prometheus = Prometheus::start(&program, &federate, &[]);
    // The classic buckets of `h` become custom ones on the way, so they are asked for where they are.
    let query = "{job=~\"text|native|custom\", __name__!~\"scrape_.*|h|h_.*\"} or {job=\"custom\", __name__=\"h\"}";
    eventually("the federated series are there", || {
        let (ours, theirs) = (series(&weft.http, query), series(&prometheus.http, query));
        let target = || prometheus.http.api("targets").unwrap()["activeTargets"].to_string();
        let differing = ours.iter().filter(|(labels, value)| theirs.get(*labels) != Some(value));
        let differing: Vec<_> =
            differing.chain(theirs.iter().filter(|(labels, _)| !ours.contains_key(*labels))).collect();
        if ours.len() > 20 && differing.is_empty() { Ok(()) } else { Err(format!("{}: {differing:#?}", target())) }
    });
    let query =
        "histogram_quantile(0.9, {job=\"native\", __name__=~\"native.*\"}) or histogram_count({job=\"native\"})";
    assert_eq!(series(&weft.http, query), series(&prometheus.http, query));
    assert!(series(&weft.http, query).len() >= 3);
}
