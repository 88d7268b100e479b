//! What Go's client takes, Weft takes, and what it refuses, Weft refuses: a program written in Go serves many variations and
//! says what its own client makes of each.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test: a failed step is its message")]

use std::collections::HashMap;

use kit::{GoTarget, Http, Weft, eventually};
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

/// Servers that Go's client takes and Weft does not, by what their errors say.
const UNSPOKEN: [(&str, &str); 9] = [
    ("client rsa1", "the client's key cannot be used: it is none of RSA of 2048 bits or more, P-256"),
    ("key p224", "its key is of a kind that cannot be checked"),
    ("authority p224", "cannot verify signature: algorithm unimplemented"),
    ("self-signed p224", "its key is of a kind that cannot be checked"),
    ("name 1.2 for 1.2", "is neither a host name nor an address"),
    ("name -a.lan for -a.lan", "is neither a host name nor an address"),
    (
        "suite TLS_ECDHE_",
        "remote error: tls: handshake failure; spoken are TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM",
    ),
    ("only TLS10, asked from TLS10", "remote error: tls: protocol version not supported; TLS 1.2 and 1.3 are spoken"),
    ("only TLS11, asked from TLS1", "remote error: tls: protocol version not supported; TLS 1.2 and 1.3 are spoken"),
];

/// What Go's client refuses and Weft takes.
const LENIENT: [&str; 0] = [];

#[test]
fn servers_are_believed_as_go_believes_them() {
    if let Some(why) = GoTarget::cannot() {
        return kit::skipped(why);
    }
    let target = GoTarget::start("TestServeSecured");
    let said = verdicts(&target);
    let servers = said["servers"].as_array().unwrap();
    assert!(servers.len() > 400);
    let mut config = "scrape_configs:\n".to_owned();
    for (n, go) in servers.iter().enumerate() {
        let text = |name: &str| go[name].as_str().filter(|text| !text.is_empty()).map(|_| &go[name]);
        let fields = ["ca", "server_name", "min_version", "cert", "key"].into_iter();
        let fields = fields.filter_map(|name| Some(format!("{name}: {}", text(name)?)));
        let fields: Vec<_> = fields.chain([format!("insecure_skip_verify: {}", go["insecure_skip_verify"])]).collect();
        config.push_str(&format!(
            "- {{job_name: '{n}', scheme: https, scrape_interval: 5s, scrape_timeout: 5s, enable_http2: {}, tls_config: \
             {{{}}}, static_configs: [{{targets: [{}], labels: {{n: '{n}'}}}}]}}\n",
            go["enable_http2"],
            fields.join(", "),
            go["address"],
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let nothing = folder.path().join("empty");
    std::fs::create_dir(&nothing).unwrap();
    let nowhere = [("SSL_CERT_FILE", "/dev/null".to_owned()), ("SSL_CERT_DIR", nothing.display().to_string())];
    let weft = Weft::start_with(folder, &[], &nowhere);
    let ours = scraped(&weft, servers.len());
    let mut differ = Vec::new();
    for (n, go) in servers.iter().enumerate() {
        let (name, refused) = (go["name"].as_str().unwrap(), go["error"] != "");
        let (up, error) = &ours[&n];
        let unspoken = || UNSPOKEN.iter().any(|(kind, why)| name.starts_with(kind) && error.contains(why));
        let agree = match (refused, up) {
            (false, true) | (true, false) => true,
            (false, false) => unspoken(),
            (true, true) => LENIENT.contains(&name),
        };
        if !agree {
            differ.push(format!("{name}: Go: {:?}, Weft: {error:?}", go["error"].as_str().unwrap()));
        }
        if error.contains('{') || error.contains("Context") {
            differ.push(format!("{name}: {error}"));
        }
    }
    assert!(differ.is_empty(), "{} of {}:\n{}", differ.len(), servers.len(), differ.join("\n"));
}

#[test]
fn http_is_read_as_go_reads_it() {
    if let Some(why) = GoTarget::cannot() {
        return kit::skipped(why);
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
