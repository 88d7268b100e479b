//! Real targets, scraped by Weft and by the Prometheus it stands in for: every series that is stored must be the same, but
//! for what `known` lists.
//!
//! What a target says is recorded once and given to both servers, page by page, as `recorder` tells.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test: a failed step is its message"
)]

mod cases;
mod known;
mod observed;
mod recorder;
mod targets;

use kit::{Http, Prometheus, Weft, eventually, skipped};

use cases::{CASES, Case};
use known::KNOWN;
use observed::{Difference, Observed, Place};
use recorder::Recorder;
use targets::Targets;

const FLAGS: &[&str] = &["--enable-feature=exemplar-storage"];
/// Of one case no more than these are shown.
const SHOWN_MAX: usize = 12;
/// How both are called where they scrape.
const SERVERS: [&str; 2] = ["weft", "prometheus"];

fn config(server: &str, recorder: &Recorder, cases: &[&Case]) -> String {
    let job = |case: &&Case| {
        format!(
            "- job_name: {0}\n  metrics_path: /{server}/{0}\n  {1}\n  \
             static_configs: [{{targets: ['{2}'], labels: {{case: {0}}}}}]\n",
            case.name,
            case.lines.replace('\n', "\n  "),
            recorder.address()
        )
    };
    let jobs: String = cases.iter().map(job).collect();
    format!(
        "global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1m, extra_scrape_metrics: true}}\n\
         scrape_configs:\n{jobs}"
    )
}

/// What differs of one case.
fn compare(case: &Case, [weft, prometheus]: [&Http; 2], accepted: &[Vec<String>; 2]) -> Vec<Difference> {
    let mut found = Vec::new();
    if accepted[0] != accepted[1] {
        let [ours, theirs] =
            [&accepted[0], &accepted[1]].map(|of| of.iter().map(|one| (Place::Page(0), one.clone().into())).collect());
        found.push(Difference { what: "accept", labels: String::new(), ours, theirs });
    }
    let [ours, theirs] = [weft, prometheus].map(|http| Observed::of(http, case.name));
    assert!(theirs.series() >= case.series_min, "{}: Prometheus has only {} series", case.name, theirs.series());
    assert!(theirs.exemplars() >= case.exemplars_min, "{}: only {} exemplars", case.name, theirs.exemplars());
    found.extend(ours.differences(&theirs));
    found
}

#[test]
fn stores_what_prometheus_stores() {
    let program = match Prometheus::binary() {
        Ok(program) => program,
        Err(why) => return skipped(&why),
    };
    let mut targets = Targets::start();
    for why in &targets.absent {
        skipped(&format!("a part: {why}"));
    }
    let cases: Vec<&Case> = CASES.iter().filter(|case| targets.has(case.target)).collect();
    if cases.is_empty() {
        return;
    }
    let recorder = Recorder::start();
    let prometheus = Prometheus::start(&program, &config("prometheus", &recorder, &cases), FLAGS);
    let weft = Weft::start(&config("weft", &recorder, &cases), FLAGS);
    let accepted: Vec<_> =
        cases.iter().map(|case| SERVERS.map(|server| recorder.accepted(server, case.name))).collect();
    for (case, accepted) in cases.iter().zip(&accepted) {
        // What Prometheus asks for, so that the page is what it would get.
        let pages = targets.record(case.target, &accepted[1][0]);
        recorder.serve(case.name, pages);
    }
    let mut all = Vec::new();
    for case in &cases {
        for server in SERVERS {
            eventually(&format!("{server} has all pages of {}", case.name), || recorder.has_all(server, case.name));
        }
    }
    let mut seen = vec![false; KNOWN.len()];
    for (case, accepted) in cases.iter().zip(&accepted) {
        let found = compare(case, [&weft.http, &prometheus.http], accepted);
        let of = |difference: &Difference| KNOWN.iter().position(|known| (known.is)(case.name, difference));
        let (meant, new): (Vec<_>, Vec<_>) = found.into_iter().partition(|difference| of(difference).is_some());
        meant.iter().filter_map(of).for_each(|known| seen[known] = true);
        let n = new.len();
        all.extend(new.into_iter().take(SHOWN_MAX).map(|difference| format!("{}: {difference}", case.name)));
        if n > SHOWN_MAX {
            all.push(format!("{}: and {} more", case.name, n - SHOWN_MAX));
        }
    }
    for (known, _) in KNOWN.iter().zip(seen).filter(|(known, seen)| !seen && targets.has(known.target)) {
        all.push(format!("is the same now: {}", known.why));
    }
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}
