//! Thousands of random queries, asked of Weft and of the Prometheus it stands in for, over the same samples: the answers must
//! be the same, but for what `known` lists.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test: a failed step is its message"
)]

mod compare;
mod data;
mod generate;
mod known;
mod shrink;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use kit::{Answer, Exporter, Http, Prometheus, Random, Weft, eventually, skipped};

use compare::Answer as Compared;
use generate::{Generator, Query};
use known::{KNOWN, Known, Seen};

/// Every run asks the same queries.
const SEED: u64 = 20_261_121;
const QUERIES: usize = 1_500;
/// More than these are not made smaller and shown.
const SHOWN_MAX: usize = 25;

const FEATURES: &str = "promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,\
                        promql-per-step-stats";

/// Two servers with the same samples.
struct Pair {
    weft: Weft,
    prometheus: Prometheus,
}

/// What is asked, and when.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Instant(i64),
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

/// Who asks again gets the next page, and after the last one the first, three times over: a page that was lost comes again.
fn exporter(start_ms: i64) -> Exporter {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.google.protobuf; \
                proto=io.prometheus.client.MetricFamily; encoding=delimited\r\nconnection: close\r\n";
    let whole = |page: Vec<u8>| {
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", page.len()).into_bytes();
        bytes.extend(page);
        bytes
    };
    let pages: Vec<_> = data::pages(start_ms).into_iter().map(whole).collect();
    let nothing = whole(Vec::new());
    let asked: Mutex<HashMap<String, usize>> = Mutex::default();
    Exporter::start(move |path| {
        let mut asked = asked.lock().unwrap();
        let next = asked.entry(path.to_owned()).or_default();
        *next += 1;
        Answer::Raw(if *next > 3 * pages.len() { nothing.clone() } else { pages[(*next - 1) % pages.len()].clone() })
    })
}

fn start(program: &Path, exporter: &str, features: &str) -> Pair {
    let config = |path: &str| {
        format!(
            "global: {{scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 1m}}\n\
             storage: {{tsdb: {{out_of_order_time_window: 12h}}}}\nscrape_configs:\n- job_name: page\n  \
             scrape_protocols: [PrometheusProto]\n  scrape_native_histograms: true\n  honor_labels: true\n  \
             metrics_path: /{path}{features}\n  static_configs: [{{targets: ['{exporter}']}}]\n"
        )
    };
    let features = format!("--enable-feature={FEATURES}{features}");
    let prometheus = Prometheus::start(program, &config("prometheus"), &[&features]);
    let weft = Weft::start(&config("weft"), &[&features]);
    Pair { weft, prometheus }
}

/// How many samples a server has.
fn samples(http: &Http, start_ms: i64) -> Result<usize, String> {
    let time = ((start_ms + data::LENGTH_MS) / 1000).to_string();
    let form = [("query", "{__name__=~\".+\", job!=\"page\"}[3h]"), ("time", &time)];
    let (_, body) = http.post("/api/v1/query", &form)?;
    let answer: serde_json::Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
    let series = answer["data"]["result"].as_array().ok_or(body)?.iter();
    Ok(series.flat_map(|one| ["values", "histograms"].map(|of| one[of].as_array().map_or(0, Vec::len))).sum())
}

impl Pair {
    fn ask(&self, query: &str, when: When) -> (Compared, Compared) {
        let of = |http: &Http| {
            let time = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
            let (path, times) = match when {
                When::Instant(ms) => ("query", vec![("time", time(ms))]),
                When::Range { start_ms, end_ms, step_ms } => {
                    ("query_range", vec![("start", time(start_ms)), ("end", time(end_ms)), ("step", time(step_ms))])
                }
            };
            let mut form = vec![("query", query), ("stats", "all")];
            form.extend(times.iter().map(|(name, value)| (*name, value.as_str())));
            let (_, body) = http.post(&format!("/api/v1/{path}"), &form).unwrap();
            Compared::read(&body)
        };
        (of(&self.weft.http), of(&self.prometheus.http))
    }

    /// Is the difference one that is meant?
    fn is_known(&self, known: &Known, query: &str, when: When, difference: &str) -> bool {
        let values = |of: &str| self.ask(of, when).1.numbers();
        (known.is)(&Seen { query, difference, values: &values })
    }

    /// What differs however often it is asked. Where Prometheus walks over a map, its answer is now this and now that; and
    /// which of equal samples stay depends on when it met their series.
    fn differs(&self, query: &str, when: When) -> Option<String> {
        let (_, first) = self.ask(query, when);
        let mut difference = None;
        for _ in 0..4 {
            let (ours, theirs) = self.ask(query, when);
            if theirs.difference(&first).is_some() {
                return None;
            }
            difference = Some(ours.difference(&theirs)?);
            let equal = |of: &str| query.contains(of) && ours.values() == theirs.values();
            let as_many = query.contains("limitk") && ours.values().len() == theirs.values().len();
            if equal("topk") || equal("bottomk") || as_many {
                return None;
            }
        }
        difference
    }
}

fn whens(start_ms: i64, random: &mut Random) -> [When; 2] {
    let minute = |n: usize| start_ms + i64::try_from(n).unwrap() * 60_000;
    let instant = When::Instant(minute(5 + random.below(110)) + [0, 7, 15_000, 59_999][random.below(4)]);
    let from = minute(random.below(60));
    let (steps, step_ms) = [(8, 60_000), (20, 15_000), (12, 333_000), (5, 1_000), (1, 60_000)][random.below(5)];
    let range = When::Range { start_ms: from, end_ms: from + steps * step_ms, step_ms };
    [instant, range]
}

/// Asks everything: what differs and is not known, and how many answers were no errors.
fn differences(pair: &Pair, start_ms: i64, random: &mut Generator) -> (Vec<String>, usize) {
    let middle = ((start_ms + data::LENGTH_MS / 2) / 1000).to_string();
    let text = |query: &Query| query.to_string().replace("MIDDLE", &middle);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut answered = 0;
    for _ in 0..QUERIES {
        let query = random.query();
        for when in whens(start_ms, random) {
            let (ours, theirs) = pair.ask(&text(&query), when);
            answered += usize::from(ours.error.is_none());
            if ours.difference(&theirs).is_none() || found.len() >= SHOWN_MAX {
                continue;
            }
            let small = text(&shrink::smallest(&query, |query| pair.differs(&text(query), when).is_some()));
            let Some(difference) = pair.differs(&small, when) else { continue };
            if !KNOWN.iter().any(|known| pair.is_known(known, &small, when, &difference)) {
                found.entry(small).or_insert_with(|| format!("{when:?}\n    {difference}"));
            }
        }
    }
    (found.into_iter().map(|(query, difference)| format!("{query}\n    {difference}")).collect(), answered)
}

#[test]
fn answers_as_prometheus() {
    let program = match Prometheus::binary() {
        Ok(program) => program,
        Err(why) => return skipped(&why),
    };
    #[expect(clippy::disallowed_methods, reason = "samples that are too old would be dropped")]
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    // On a whole hour of some hours ago, so that every run has the same steps of subqueries.
    let start_ms = now_ms / 3_600_000 * 3_600_000 - data::LENGTH_MS - 3_600_000;
    let exporter = exporter(start_ms);
    let mut random = Generator(Random::new(SEED));
    let mut all = Vec::new();
    let pairs = ["", ",promql-delayed-name-removal"].map(|features| start(&program, &exporter.address, features));
    let expected = data::count(start_ms);
    for pair in &pairs {
        for (name, http) in [("Prometheus", &pair.prometheus.http), ("Weft", &pair.weft.http)] {
            eventually(&format!("{name} has all samples"), || {
                let samples = samples(http, start_ms)?;
                if samples == expected { Ok(()) } else { Err(format!("{samples} of {expected}")) }
            });
        }
    }
    for pair in &pairs {
        let (found, answered) = differences(pair, start_ms, &mut random);
        assert!(answered > QUERIES, "only {answered} of {} answers were no errors", 2 * QUERIES);
        all.extend(found);
    }
    for known in KNOWN {
        let range = When::Range { start_ms, end_ms: start_ms + data::LENGTH_MS, step_ms: 600_000 };
        let pair = &pairs[usize::from(known.delayed_names)];
        let differs = [range, When::Instant(start_ms + 63 * 60_000)].into_iter().any(|when| {
            let difference = pair.differs(known.example, when);
            difference.is_some_and(|difference| pair.is_known(known, known.example, when, &difference))
        });
        if !differs {
            all.push(format!("{} is the same now; {}", known.example, known.why));
        }
    }
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}
