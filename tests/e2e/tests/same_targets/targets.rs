//! The targets: real programs, and what happens to them between two scrapes.

use std::process::Command;

use kit::{ControlPlane, GoTarget, Http, Process, eventually, free_port};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use crate::recorder::{BROKEN, PAGES, REFUSED, answer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Node,
    Etcd,
    ApiServer,
    Pushgateway,
    Go,
}

/// Those that run. They end with this.
pub struct Targets {
    node: Option<Http>,
    pushgateway: Option<Http>,
    go: Option<(GoTarget, Http)>,
    plane: Option<(ControlPlane, Http)>,
    /// Which do not, and why.
    pub absent: Vec<String>,
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

impl Targets {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut absent, mut processes) = (Vec::new(), Vec::new());
        let mut package = |program: &str| {
            if Command::new(program).arg("--version").output().is_err() {
                absent.push(format!("{program} is not installed; `cargo xtask test` installs it"));
                return None;
            }
            let address = format!("127.0.0.1:{}", free_port());
            let mut command = Command::new(program);
            command.arg(format!("--web.listen-address={address}"));
            processes.push(Process::start(&mut command, &folder.path().join(program)));
            let http = Http::new(format!("http://{address}"));
            eventually(program, || http.get("/metrics").map(drop));
            Some(http)
        };
        let (node, pushgateway) = (package("prometheus-node-exporter"), package("prometheus-pushgateway"));
        let plane = match ControlPlane::programs() {
            Ok(programs) => {
                let plane = ControlPlane::start(&programs, "127.0.0.1", "127.0.0.1");
                let etcd = Http::new(format!("http://127.0.0.1:{}", plane.etcd_port));
                Some((plane, etcd))
            }
            Err(why) => {
                absent.push(why);
                None
            }
        };
        let go = match GoTarget::cannot() {
            Some(why) => {
                absent.push(why.to_owned());
                None
            }
            None => {
                let target = GoTarget::start("TestServeScraped");
                let http = Http::new(format!("http://{}", target.address));
                Some((target, http))
            }
        };
        Self { node, pushgateway, go, plane, absent, _processes: processes, _folder: folder }
    }

    fn http(&self, target: Target) -> Option<&Http> {
        match target {
            Target::Node => self.node.as_ref(),
            Target::Pushgateway => self.pushgateway.as_ref(),
            Target::Go => self.go.as_ref().map(|(_, http)| http),
            Target::Etcd => self.plane.as_ref().map(|(_, etcd)| etcd),
            Target::ApiServer => self.plane.as_ref().map(|(plane, _)| &plane.admin),
        }
    }

    pub fn has(&self, target: Target) -> bool {
        self.http(target).is_some()
    }

    /// The pages of a target, as it sends them to one who accepts this.
    pub fn record(&mut self, target: Target, accept: &str) -> Vec<Vec<u8>> {
        let http = self.http(target).unwrap();
        (0..PAGES)
            .map(|n| {
                if target == Target::Pushgateway {
                    push(http, n);
                }
                if n == REFUSED {
                    return answer("503 Service Unavailable", "text/plain", b"not now");
                }
                let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
                let (status, headers, body) = http.page("/metrics", &headers).unwrap();
                assert_eq!(status, 200, "{target:?}");
                let kind = headers[CONTENT_TYPE].to_str().unwrap();
                let length = if n == BROKEN { body.len() * 2 / 3 } else { body.len() };
                answer("200 OK", kind, &body[..length])
            })
            .collect()
    }
}

/// Groups come, change and go.
fn push(http: &Http, n: usize) {
    let send = |method: &str, group: &str, text: &str| {
        let (status, said) = http.text(method, &format!("/metrics/{group}"), text).unwrap();
        assert!(matches!(status, 200 | 202), "{method} {group}: {status}: {said}");
    };
    let help = if n == BROKEN { "What was not kept." } else { "What was kept." };
    let backup = format!(
        "# HELP backup_bytes {help}\n# TYPE backup_bytes gauge\nbackup_bytes{{volume=\"a\"}} {n}e3\n\
         # TYPE runs_total counter\nruns_total{{instance=\"own\",le=\"1\"}} {n}\nup 0.5\n"
    );
    send("PUT", "job/backup/instance/db-1", &backup);
    send("PUT", "job/nightly", "# TYPE took_seconds summary\ntook_seconds_sum 3\ntook_seconds_count 2\n");
    if n == 1 {
        send("POST", "job/backup/instance/db-2/path@base64/L3Zhci90bXA", "# TYPE paths gauge\npaths 7\n");
    }
    let once = "job/once/instance/i";
    match n {
        2 => send(
            "PUT",
            once,
            "# TYPE once_seconds histogram\nonce_seconds_bucket{le=\"1\"} 2\nonce_seconds_bucket{le=\"+Inf\"} 3\nonce_seconds_sum 4\nonce_seconds_count 3\n",
        ),
        6 => send("DELETE", once, ""),
        _ => {}
    }
}
