//! What Go's client takes, Weft takes, and what it refuses, Weft refuses: a program written in Go serves many variations and
//! says what its own client makes of each.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::HashMap;

use e2e::{GoTarget, Http, Weft, eventually};
use serde_json::Value;

/// What was served, with Go's verdicts.
fn verdicts(target: &GoTarget) -> Value {
    let here = Http::new(format!("http://{}", target.address));
    eventually("the verdicts of Go", || match here.get("/verdicts")? {
        (200, said) => serde_json::from_str(&said).map_err(|error| error.to_string()),
        other => Err(format!("{other:?}")),
    })
}

/// Health and last error of every target, by its label `n`, once all are scraped.
fn scraped(weft: &Weft, number: usize) -> HashMap<usize, (bool, String)> {
    eventually("all targets are scraped", || {
        let (_, said) = weft.http.get("/api/v1/targets?state=active")?;
        let said: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
        let targets = said["data"]["activeTargets"].as_array().ok_or("no targets")?;
        let known = |target: &&Value| target["health"] != "unknown";
        let of = |target: &Value| {
            let n = target["labels"]["n"].as_str().unwrap().parse().unwrap();
            (n, (target["health"] == "up", target["lastError"].as_str().unwrap().to_owned()))
        };
        let seen: HashMap<_, _> = targets.iter().filter(known).map(of).collect();
        if seen.len() == number { Ok(seen) } else { Err(format!("{} of {number}", seen.len())) }
    })
}

#[test]
fn http_is_read_as_go_reads_it() {
    if let Some(why) = GoTarget::cannot() {
        return e2e::skipped(why);
    }
    let target = GoTarget::start("TestServeAnswers");
    let said = verdicts(&target);
    let (address, answers) = (said["address"].as_str().unwrap(), said["answers"].as_array().unwrap());
    assert!(answers.len() > 300);
    let mut config = "scrape_configs:\n- job_name: go\n  scrape_interval: 5s\n  scrape_timeout: 5s\n  \
                      fallback_scrape_protocol: PrometheusText0.0.4\n  static_configs:\n"
        .to_owned();
    for n in 0..answers.len() {
        config.push_str(&format!("  - {{targets: ['{address}'], labels: {{n: '{n}', __metrics_path__: '/{n}'}}}}\n"));
    }
    let weft = Weft::start(&config, &[]);
    let ours = scraped(&weft, answers.len());
    let mut differ = Vec::new();
    for (n, go) in answers.iter().enumerate() {
        let (status, failed) = (go["status"].as_str().unwrap().trim_end(), go["error"] != "");
        let (up, error) = &ours[&n];
        let is_fine = !failed && status.starts_with("200");
        let agree = match (is_fine, go["page"] == true) {
            (true, true) => *up,
            // Whether another body is a page is not for HTTP to say.
            (true, false) => !error.starts_with("Get "),
            // A code below 100 is none.
            (false, _) if failed || status.starts_with('+') => !up,
            (false, _) => {
                let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
                error.starts_with(format!("server returned HTTP status {code} {}", reason.trim()).trim_end())
            }
        };
        if !agree {
            differ.push(format!("{go}: {up} {error}"));
        }
    }
    assert!(differ.is_empty(), "{} of {}:\n{}", differ.len(), answers.len(), differ.join("\n"));
}
