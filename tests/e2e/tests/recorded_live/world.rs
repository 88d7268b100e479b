//! The recorded world: the targets of `live_exporter.json` on a port of their own, and Weft with the recorded configuration,
//! rules and flags.

use std::fs;
use std::process::Command;

use kit::{Exporter, Http, Process, Weft, conformance_json, conformance_text, eventually};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::compare::{Answer, Body};

/// The port of the recorded targets.
const PORT: &str = ":19300";
/// The number of targets that are scraped.
const TARGETS: usize = 13;
/// Those of the recording's note that are not about sockets.
const FLAGS: &[&str] = &[
    "--config.file=prom.yml",
    "--storage.tsdb.path=data",
    "--web.listen-address=127.0.0.1:0",
    "--web.external-url=http://prom.example:8080/prom",
    "--web.enable-lifecycle",
    "--web.enable-admin-api",
    "--web.enable-remote-write-receiver",
    "--web.enable-otlp-receiver",
    "--enable-feature=exemplar-storage,search-api",
];

pub struct World {
    // Before the folder of its data.
    _weft: Process,
    exporter: Exporter,
    base: String,
    client: Client,
    runtime: Runtime,
    folder: TempDir,
}

impl World {
    /// Starts all and waits until everything was scraped and evaluated; `None` without the recording.
    pub fn start() -> Option<Self> {
        let pages = conformance_json("httpapi/golden/live_exporter.json")?;
        let [config, rules] =
            ["live_prometheus.yml", "live_rules.yml"].map(|name| conformance_text(&format!("httpapi/golden/{name}")));
        let exporter = Exporter::start(move |path| page(&pages, path));
        let port = exporter.address.rsplit(':').next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prom.yml"), config?.replace(PORT, &format!(":{port}"))).unwrap();
        fs::write(folder.path().join("rules.yml"), rules?).unwrap();
        // Not by the kit: names in answers are relative, as those of the recorded server were.
        let mut command = Command::new(Weft::binary());
        let mut weft = Process::start(command.current_dir(folder.path()).args(FLAGS), &folder.path().join("weft.log"));
        let base = format!("http://{}", Weft::address_of(&mut weft));
        settle(&Http::new(format!("{base}/prom")));
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(Self { _weft: weft, exporter, base, client, runtime, folder })
    }

    /// A recorded text with the port of our targets.
    pub fn here(&self, recorded: &str) -> String {
        let port = self.exporter.address.rsplit(':').next().unwrap();
        recorded.replace(PORT, &format!(":{port}"))
    }

    /// Waits until every target was scraped once more, and the rules have seen it.
    pub fn scrape_again(&self) {
        let http = Http::new(format!("{}/prom", self.base));
        let now = jiff::Timestamp::now();
        let is_later = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap() > now;
        eventually("all targets are scraped again", || {
            let targets = http.api("targets?state=active")?["activeTargets"].take();
            let again = targets.as_array().unwrap().iter().all(|target| is_later(&target["lastScrape"]));
            if again { Ok(()) } else { Err(targets.to_string()) }
        });
        eventually("all rules are evaluated again", || {
            let groups = http.api("rules")?["groups"].take();
            let again = groups.as_array().unwrap().iter().all(|group| is_later(&group["lastEvaluation"]));
            if again { Ok(()) } else { Err(groups.to_string()) }
        });
    }

    pub fn add_unknown_field(&self) {
        let path = self.folder.path().join("prom.yml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + "bad_field: 1\n").unwrap();
    }

    pub fn ask(&self, request: &Value) -> Answer {
        let method: Method = request["method"].as_str().unwrap().parse().unwrap();
        let mut url = format!("{}{}", self.base, request["path"].as_str().unwrap());
        if let Some(query) = encoded(&request["params"]) {
            url = format!("{url}?{query}");
        }
        let mut asked = self.client.request(method, url);
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            asked = asked.header(name, value.as_str().unwrap());
        }
        if let Some(form) = encoded(&request["form"]) {
            asked = asked.header("content-type", "application/x-www-form-urlencoded").body(form);
        } else if let Some(body) = request["body"].as_str() {
            asked = asked.body(body.to_owned());
        }
        self.runtime.block_on(async {
            let response = asked.send().await.unwrap();
            let headers = response.headers().iter();
            let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
            let (status, headers) = (response.status().as_u16().into(), headers.collect());
            let text = response.text().await.unwrap();
            let body = match serde_json::from_str(&text) {
                Ok(json @ Value::Object(_)) => Body::Json(json),
                _ => Body::Text(text),
            };
            Answer { status, headers, body }
        })
    }
}

/// Every target was scraped, each rule evaluated, and the second exemplar is there.
fn settle(http: &Http) {
    eventually("all targets are scraped", || {
        let targets = http.api("targets")?["activeTargets"].take();
        let scraped = targets.as_array().unwrap().iter().filter(|target| target["health"] != "unknown").count();
        if scraped == TARGETS { Ok(()) } else { Err(format!("{scraped} of {TARGETS}")) }
    });
    eventually("all rules are evaluated", || {
        let written = http.query("count({__name__=~\"ALERTS|ALERTS_FOR_STATE|job:plain:sum\"})")?;
        let rules = http.api("rules?rule_name[]=dup")?;
        let is_broken = rules["groups"][0]["rules"][0]["health"] == "err";
        if is_broken && written[0]["value"][1] == "5" { Ok(()) } else { Err(format!("{written} {rules}")) }
    });
    eventually("exemplars come again", || {
        let found = http.api("query_exemplars?query=om_requests_total")?;
        let n = found[0]["exemplars"].as_array().map_or(0, Vec::len);
        if n >= 2 { Ok(()) } else { Err(found.to_string()) }
    });
}

fn encoded(pairs: &Value) -> Option<String> {
    let pairs = pairs.as_array()?.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    Some(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// What a recorded target says.
fn page(pages: &Value, path: &str) -> kit::Answer {
    let page = &pages[path.split('?').next().unwrap()];
    if page["delay_seconds"].is_number() {
        return kit::Answer::Silence;
    }
    let status = page["status"].as_u64().unwrap_or(404);
    let mut body = page["body"].as_str().unwrap_or_default().to_owned();
    if path == "/many" {
        // The recording has it in short.
        body = (0..20).map(|i| format!("m{i} 1\n")).collect();
    }
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    body = body.replace("<now in seconds>", &format!("{now:.3}"));
    let kind = page["content_type"].as_str().map(|kind| format!("content-type: {kind}\r\n")).unwrap_or_default();
    let reason = reqwest::StatusCode::from_u16(status.try_into().unwrap()).unwrap();
    let head = format!("HTTP/1.1 {reason}\r\n{kind}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    kit::Answer::Raw((head + &body).into_bytes())
}
