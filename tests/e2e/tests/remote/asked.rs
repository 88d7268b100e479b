//! Remote read, asked: Weft answers with what a Prometheus, or another Weft, has beside its own.

use kit::{Answer, Exporter, Http, Weft, eventually};
use serde_json::Value;

use super::{asked, native, program, same, scraping, text};

/// What of a server's answer is a warning.
fn warnings(http: &Http, path: &str) -> Vec<String> {
    let (status, body) = http.get(path).unwrap();
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn remote_read(address: &str, rest: &str) -> String {
    format!("remote_read: [{{url: 'http://{address}/api/v1/read', name: there, {rest}}}]\n")
}

/// When enough is there, and nothing changes any more.
fn until(http: &Http) -> String {
    let last = eventually("there are histograms and floats", || {
        let native = asked(http, "query", &[("query", "count_over_time({__name__=\"native\"}[1m]) > 3")])?;
        let floats = asked(http, "query", &[("query", "count_over_time(requests_total[1m]) > 3")])?;
        let at = |list: &[Value]| list.first().and_then(|one| one["value"][0].as_f64()).ok_or("none yet".to_owned());
        at(&native)?;
        at(&floats)
    });
    format!("{}", last - 1.0)
}

const QUERIES: [(&str, usize); 5] = [
    ("{job=~\"one.*\"}[1m]", 30),
    ("rate({job=\"one_native\", __name__=\"native\"}[1m])", 2),
    ("histogram_quantile(0.9, {__name__=~\"native|seconds\"})", 3),
    ("count by (job) (up)", 3),
    ("sum(rate(requests_total[30s])) by (code)", 2),
];

#[test]
fn weft_answers_with_what_a_prometheus_has() {
    let Some(program) = program() else { return };
    let targets = (text(), native());
    let prometheus = scraping(&program, "one", (&targets.0, &targets.1), "");
    let address = prometheus.http.address().to_owned();
    let until = until(&prometheus.http);
    let weft = Weft::start(&remote_read(&address, "read_recent: true"), &[]);
    for (query, least) in QUERIES {
        same(&weft.http, &prometheus.http, ("query", &[("query", query), ("time", &until)]), least);
    }
    let start = (until.parse::<f64>().unwrap() - 5.0).to_string();
    let params = [("query", "sum(requests_total) by (job, code)"), ("start", &*start), ("end", &*until), ("step", "1")];
    same(&weft.http, &prometheus.http, ("query_range", &params), 2);
    for (path, least) in [("series", 10), ("labels", 4), ("label/__name__/values", 5)] {
        same(&weft.http, &prometheus.http, (path, &[("match[]", "{job=~\"one.*\"}")]), least);
    }
    // What was not selected is not listed, and that is said.
    let told = warnings(&weft.http, "/api/v1/labels");
    assert!(told.iter().any(|one| one.contains("with a selector (match[]) only")), "{told:?}");
    let metrics = weft.http.get("/metrics").unwrap().1;
    for kind in ["chunked", "sampled"] {
        let counted = format!(
            "prometheus_remote_read_client_queries_total{{code=\"200\",remote_name=\"there\",response_type=\"{kind}\""
        );
        assert!(metrics.contains(&counted), "{counted}\n{metrics}");
    }
    // Once it is away, what is left is answered, with a warning.
    drop(prometheus);
    let path = "/api/v1/query?query=count(up)%20or%20vector(1)";
    let told = warnings(&weft.http, path);
    assert!(told.iter().any(|one| one.contains("remote_read there: error sending request")), "{told:?}");
}

#[test]
fn weft_reads_from_weft_beside_its_own_series() {
    let page =
        |value: u32| Exporter::start(move |_| Answer::Metrics(format!("shared{{a=\"1\"}} {value}\nonly_{value} 1\n")));
    let (there, here) = (page(1), page(2));
    let config = |target: &str, labels: &str, rest: &str| {
        format!(
            "global: {{scrape_interval: 1s, external_labels: {{{labels}}}}}\nscrape_configs:\n- job_name: j\n  \
             static_configs: [{{targets: ['{target}'], labels: {{instance: i}}}}]\n{rest}"
        )
    };
    let first = Weft::start(&config(&there.address, "cluster: eu", ""), &[]);
    let asked_by = |labels: &str, settings: &str| {
        let section = remote_read(&first.address, settings);
        Weft::start(&config(&here.address, labels, &section), &[])
    };
    let count = |http: &Http, query: &str| {
        let list = asked(http, "query", &[("query", query)])?;
        Ok::<_, String>(list.iter().map(|one| one["value"][1].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let second = asked_by("cluster: eu", "read_recent: true");
    eventually("both are read as one", || {
        let found = (count(&second.http, "count({__name__=~\"only_.*\"})")?, count(&second.http, "shared")?);
        // At one time the store's own sample counts; else the newer one does.
        if found.0 == ["2"] && found.1.len() == 1 { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let values = asked(&second.http, "label/__name__/values", &[("match[]", "{__name__=~\"only_.*\"}")]).unwrap();
    assert_eq!(values, ["only_1", "only_2"]);
    let series = asked(&second.http, "series", &[("match[]", "{__name__=~\"only_.*\"}")]).unwrap();
    assert!(series.len() == 2 && series.iter().all(|one| one.get("cluster").is_none()), "{series:?}");
    // Another cluster is asked for series with its own labels, and there are none; unless it is told not to add these.
    let other = asked_by("cluster: us", "read_recent: true");
    let own = eventually("its own is there", || {
        let found = count(&other.http, "count({__name__=~\"only_.*\"})")?;
        if found.is_empty() { Err("nothing yet".to_owned()) } else { Ok(found) }
    });
    assert_eq!(own, ["1"]);
    let all = asked_by("cluster: us", "read_recent: true, filter_external_labels: false");
    eventually("labels of the other server are kept", || {
        let found = count(&all.http, "count({__name__=~\"only_.*\"})")?;
        let named = count(&all.http, "count({__name__=~\"only_.*\", cluster=\"eu\"})")?;
        if (&found[..], &named[..]) == (&["2".to_owned()], &["1".to_owned()]) {
            Ok(())
        } else {
            Err(format!("{found:?} {named:?}"))
        }
    });
    // Without what is required it is not asked.
    let required = asked_by("cluster: eu", "read_recent: true, required_matchers: {job: j}");
    eventually("it has some", || {
        let found = count(&required.http, "count({__name__=~\"only_.*\"})")?;
        if found == ["1"] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let metrics = required.http.get("/metrics").unwrap().1;
    assert!(!metrics.contains("prometheus_remote_read_client_queries_total{"), "{metrics}");
    let found = count(&required.http, "count({__name__=~\"only_.*\", job=\"j\"})").unwrap();
    assert_eq!(found, ["2"]);
}

#[test]
fn a_remote_that_hangs_costs_no_more_than_the_query_may_take() {
    let silent = Exporter::start(|_| Answer::Silence);
    let weft = Weft::start(&remote_read(&silent.address, "read_recent: true, remote_timeout: 1h"), &[]);
    let (status, body) = weft.http.get("/api/v1/query?query=up&timeout=200ms").unwrap();
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("query timed out"), "{body}");
    let (status, _) = weft.http.get("/-/healthy").unwrap();
    assert_eq!(status, 200);
}
