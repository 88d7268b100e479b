//! Grafana's own client path: the Go API client of prometheus/client_golang reads every endpoint without an error.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::process::Command;

use e2e::{Answer, Exporter, Weft, eventually};

#[test]
fn the_go_client_reads_every_endpoint() {
    if Command::new("go").arg("version").output().is_err() {
        e2e::skipped("Go is not installed; `cargo xtask test` says so too");
        return;
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
