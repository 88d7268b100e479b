//! Parameters that make no sense, over every endpoint that `openapi.yaml` names: each is answered in JSON with a status that is
//! documented, none takes the process down, and memory stays bounded.
//!
//! The random ones come from a seed, `WEFT_SEED`; a failure tells it.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::time::{Duration, Instant};

use kit::{Answer, Exporter, Http, Random, Weft, eventually};
use serde_json::Value;

/// Forms that arrive may hold a quarter of it, three times their length each.
const QUERY_MEMORY: u64 = 400_000_000;
const OTHER_MEMORY: u64 = 250_000_000;
const FLAGS: [&str; 3] = [
    "--enable-feature=search-api,promql-extensions,exemplar-storage,query-cost",
    "--web.enable-admin-api",
    "--query.timeout=10s",
];
/// Of each endpoint and method.
const ROUNDS: usize = 60;
/// Who is asked with very long values: the others read theirs by the same means.
const LONG: [&str; 4] = ["/format_query", "/query", "/series", "/label/{name}/values"];
/// Answers without an end.
const ENDLESS: &str = "/notifications/live";
/// What an error of the API says of itself.
const ERRORS: [&str; 8] =
    ["bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found", "not_acceptable"];

/// A method of an endpoint with the names of its parameters.
#[derive(Debug)]
struct Endpoint {
    path: String,
    is_post: bool,
    params: Vec<String>,
}

/// All that the document describes.
fn endpoints(http: &Http) -> Vec<Endpoint> {
    let (status, document) = http.get("/api/v1/openapi.yaml").unwrap();
    assert_eq!(status, 200);
    let document: Value = serde_saphyr::from_str(&document).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            // Receivers take a message instead of parameters, and answer in plain text (`tests/remote`).
            let takes_message = described["requestBody"]["content"]["application/x-protobuf"].is_object();
            if path == ENDLESS || takes_message || !["get", "post", "put"].contains(&method.as_str()) {
                continue;
            }
            let in_url = described["parameters"].as_array().into_iter().flatten();
            let in_url = in_url.filter_map(|param| resolved(&document, param)["name"].as_str());
            let contents = described["requestBody"]["content"].as_object().into_iter().flat_map(|kinds| kinds.values());
            let in_form =
                contents.filter_map(|content| resolved(&document, &content["schema"])["properties"].as_object());
            let in_form = in_form.flat_map(|properties| properties.keys().map(String::as_str));
            let mut params: Vec<String> = in_url.chain(in_form).map(str::to_owned).collect();
            params.sort();
            params.dedup();
            all.push(Endpoint { path: path.clone(), is_post: method != "get", params });
        }
    }
    all
}

/// What a reference stands for.
fn resolved<'d>(document: &'d Value, part: &'d Value) -> &'d Value {
    let pointer = part["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(part, |pointer| document.pointer(pointer).unwrap())
}

/// Values that one or the other parameter takes, and those that none does.
const VALUES: [&str; 48] = [
    "",
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "1e308",
    "-1e308",
    "1e-308",
    "NaN",
    "Inf",
    "-Inf",
    "+1",
    "0x10",
    "1_000",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999",
    "true",
    "maybe",
    "2026-01-31",
    "2026-02-31",
    "2026-11-29T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "292277025-08-18T07:12:54.999999999Z",
    "5m",
    "1y1y",
    "-5m",
    "1000000000y",
    "up",
    "up{",
    "{}",
    "{__name__=~\".*\"}",
    "rate(wide[5m])",
    "wide[1y:1ms]",
    "sum(",
    "[",
    "a\0b",
    "\u{fffd}\u{202e}é世",
    "%zz%00",
    "../../etc/passwd",
    "{\"a\":1}",
    "wide offset -1000000y",
    "quantile(1e308, wide)",
    "$__interval",
    "wide{i=~\"(a|b)*c\"}",
];

/// One of them, perhaps cut or doubled.
fn value(random: &mut Random) -> String {
    let value = random.pick(&VALUES).to_owned();
    match random.below(8) {
        0 => value.chars().take(value.chars().count() / 2).collect(),
        1 => value.clone() + random.pick(&VALUES),
        2 => value.repeat(1 + random.below(40)),
        _ => value,
    }
}

struct Asker<'w> {
    http: &'w Http,
    slowest: (Duration, String),
    answers: usize,
}

impl Asker<'_> {
    /// Asks, and looks at what comes.
    fn ask(&mut self, endpoint: &Endpoint, params: &[(&str, &str)]) {
        let Endpoint { path, is_post, .. } = endpoint;
        // What stands in the path is one of the parameters.
        let name = params.iter().find(|(known, _)| *known == "name").map_or("i", |(_, value)| value);
        let segment: String = url::form_urlencoded::byte_serialize(name.as_bytes()).take(1_000).collect();
        let path = format!("/api/v1{}", path.replace("{name}", &segment.replace('+', "%20")));
        // What is refused before all of it was read ends its connection.
        let fresh = (size(params) > 100_000).then(|| Http::new(self.http.base()));
        let http = fresh.as_ref().unwrap_or(self.http);
        let began = Instant::now();
        let answer = if *is_post {
            http.post(&path, params)
        } else {
            let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
            http.get(&format!("{path}?{pairs}"))
        };
        let shown: Vec<String> = params.iter().take(4).map(|(name, value)| format!("{name}={value:.80}")).collect();
        let what = format!("{path:.100} {shown:?} of {} parameters, {} bytes", params.len(), size(params));
        let (status, body) = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        if began.elapsed() > self.slowest.0 {
            self.slowest = (began.elapsed(), what.clone());
        }
        self.answers += 1;
        let is_told = match status {
            // 404 is also a label without a name.
            200 | 204 | 404 | 405 | 431 => true,
            400 | 422 | 503 | 406 => is_told(&body),
            _ => false,
        };
        assert!(is_told, "{what}: {status}: {body:.300}");
    }
}

fn size(params: &[(&str, &str)]) -> usize {
    params.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Is it an error as the API tells them?
fn is_told(body: &str) -> bool {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    json["status"] == "error"
        && json["errorType"].as_str().is_some_and(|kind| ERRORS.contains(&kind))
        && json["error"].is_string()
}

/// Very long values, for any parameter.
fn long_values() -> Vec<String> {
    vec![
        "a".repeat(1 << 20),
        format!("{{__name__=~\"{}\"}}", "(x+x+)+".repeat(150_000)),
        format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        "-".repeat(100_000) + "1",
        format!("{}wide", "wide+".repeat(100_000)),
        format!("{}\"", "\"\\".repeat(100_000)),
    ]
}

#[test]
fn whatever_is_asked_is_answered() {
    let seed = std::env::var("WEFT_SEED").map_or(1, |seed| seed.parse().unwrap());
    let exporter = Exporter::start(|_| Answer::Metrics("wide{i=\"1\"} 1\nwide{i=\"2\"} 2\n".to_owned()));
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: a, static_configs: [{{targets: ['{}']}}]}}]\n",
        exporter.address
    );
    let memory = format!("--query.max-memory={QUERY_MEMORY}B");
    let mut weft = Weft::start(&config, &[FLAGS.as_slice(), &[&*memory]].concat());
    eventually("the target is scraped", || match weft.http.query("count(wide)")? {
        found if found[0]["value"][1] == "2" => Ok(()),
        other => Err(other.to_string()),
    });
    let all = endpoints(&weft.http);
    assert!(all.len() > 50 && all.iter().filter(|one| !one.params.is_empty()).count() > 30, "{all:?}");
    let mut random = Random::new(seed);
    let mut asker = Asker { http: &weft.http, slowest: (Duration::ZERO, String::new()), answers: 0 };
    for endpoint in &all {
        for _ in 0..if endpoint.params.is_empty() { 1 } else { ROUNDS } {
            let names = endpoint.params.iter().filter(|_| !random.one_in(3)).cloned().collect::<Vec<_>>();
            let params: Vec<(String, String)> = names.into_iter().map(|name| (name, value(&mut random))).collect();
            asker.ask(endpoint, &params.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>());
        }
    }
    let short = (asker.answers, std::mem::replace(&mut asker.slowest, (Duration::ZERO, String::new())));
    many_and_long(&all, &mut asker);
    eprintln!("seed {seed}: {} answers, the slowest after {:?}: {}", short.0, short.1.0, short.1.1);
    eprintln!(
        "{} answers to long ones, the slowest after {:?}: {}",
        asker.answers - short.0,
        asker.slowest.0,
        asker.slowest.1
    );
    eventually("scraping goes on", || {
        let found = weft.http.query("count(wide)")?;
        if found[0]["value"][1] == "2" { Ok(()) } else { Err(found.to_string()) }
    });
    let peak = weft.peak_memory();
    eprintln!("{} MB", peak >> 20);
    assert!(weft.process.ended().is_none(), "{}", weft.process.output());
    assert!(peak < QUERY_MEMORY + OTHER_MEMORY, "{} MB", peak >> 20);
}

/// 10 MB in a parameter, 10 000 selectors, and values that are very long.
fn many_and_long(all: &[Endpoint], asker: &mut Asker<'_>) {
    let huge = "x".repeat(10_000_000);
    let selectors: Vec<String> = (0..10_000).map(|i| format!("wide{{i=\"{i}\"}}")).collect();
    let many: Vec<(&str, &str)> = selectors.iter().map(|selector| ("match[]", &**selector)).collect();
    let long = long_values();
    let chosen = |endpoint: &&Endpoint| LONG.contains(&endpoint.path.as_str());
    for endpoint in all.iter().filter(chosen) {
        let range = [("start", "0"), ("end", "1"), ("step", "1")];
        // Of URLs the client here takes no more; `requests.rs` has those of a megabyte.
        let cut =
            |text: &str| if endpoint.is_post { text.to_owned() } else { text[..text.len().min(20_000)].to_owned() };
        let name = if endpoint.params.iter().any(|name| name == "query") { "query" } else { "match[]" };
        for value in &long {
            asker.ask(endpoint, &[&range[..], &[(name, &cut(value))]].concat());
        }
        if endpoint.is_post {
            asker.ask(endpoint, &many);
        }
        if endpoint.is_post && endpoint.path == LONG[0] {
            asker.ask(endpoint, &[(name, &huge)]);
        }
    }
}
