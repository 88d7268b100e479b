//! Grafana's own client path: the Go API client of prometheus/client_golang reads every endpoint without an error.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::process::Command;

use kit::{Answer, Exporter, GoTarget, Http, Weft, eventually};

#[test]
fn the_go_client_reads_every_endpoint() {
    if let Some(why) = GoTarget::cannot() {
        return kit::skipped(why);
    }
    let exporter = Exporter::start(|_| {
        Answer::Metrics(
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{code=\"200\"} 5\n".into(),
        )
    });
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: app\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        exporter.address
    );
    let weft = Weft::start(&config, &["--web.enable-lifecycle"]);
    eventually("two scrapes", || {
        let result = weft.http.query("count_over_time(requests_total[1m]) >= 2")?;
        if result[0].is_null() { Err(result.to_string()) } else { Ok(()) }
    });
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../goclient");
    let output = Command::new("go")
        .current_dir(module)
        .args(["test", "-count=1", "-v", "./..."])
        .env("WEFT_URL", format!("http://{}", weft.address))
        .env("GOFLAGS", "-mod=readonly")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("--- PASS: TestEveryEndpoint"), "{said}");
}

/// Native histograms and an exemplar of client_golang over protobuf, into the store, and back to the Go client.
#[test]
fn native_histograms_of_a_go_program_come_back_as_they_were() {
    if let Some(why) = GoTarget::cannot() {
        return kit::skipped(why);
    }
    let target = GoTarget::start("TestServeHistograms");
    let address = &target.address;
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, scrape_native_histograms: true}}\nscrape_configs:\n\
         - job_name: go\n  static_configs: [{{targets: ['{address}']}}]\n"
    );
    let weft = Weft::start(&config, &["--storage.tsdb.min-block-duration=2s", "--enable-feature=exemplar-storage"]);
    let here = Http::new(format!("http://{address}"));
    let equal = || match here.get(&format!("/compare?weft=http://{}", weft.address))? {
        (200, said) if said == "equal\n" => Ok(()),
        (_, said) => Err(said),
    };
    eventually("what was scraped is what is exposed", equal);
    let number = |query: &str| {
        let result = weft.http.query(query)?;
        let text = result[0]["value"][1].as_str().ok_or_else(|| result.to_string())?;
        text.parse::<f64>().map_err(|error| error.to_string())
    };
    eventually("samples of eight buckets of time, the first of them sealed", || {
        let samples = number("sum(count_over_time(latency_seconds[1m]))")?;
        if samples >= 48.0 { Ok(()) } else { Err(format!("{samples} samples")) }
    });
    eventually("it is still", equal);
    let quantile = number("histogram_quantile(0.5, latency_seconds{route=\"/\"})").unwrap();
    assert!((1.0..1.6).contains(&quantile), "{quantile}");
    assert_eq!(number("histogram_count(latency_seconds{route=\"/below\"})"), Ok(500.0));
    assert_eq!(number("histogram_count(latency_seconds{route=\"/idle\"})"), Ok(0.0));
    assert_eq!(number("count({__name__=~\"latency_seconds_.*\"})").ok(), None, "no classic series beside them");
}
