//! The Alertmanager that alerts are sent to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Http, Process, cache, eventually, free_port};

/// Everything goes to one receiver, which does nothing.
const CONFIG: &str = "route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n";

/// A running `alertmanager` with its own folder and port, without peers.
#[derive(Debug)]
pub struct Alertmanager {
    /// HTTP to it.
    pub http: Http,
    /// Where it is: `127.0.0.1:port`.
    pub address: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    /// The binary: `$WEFT_ALERTMANAGER`, else the one that `cargo xtask test` builds; or why there is none.
    ///
    /// # Errors
    /// When there is none.
    pub fn binary() -> Result<PathBuf, String> {
        let text = include_str!("../../alertmanager/go.mod");
        let mut words = text.split_whitespace().skip_while(|word| *word != "github.com/prometheus/alertmanager");
        let version = words.nth(1).unwrap_or_default();
        let name = format!("alertmanager-{version}-{}/alertmanager", std::env::consts::ARCH);
        let path = std::env::var_os("WEFT_ALERTMANAGER").map(PathBuf::from).or_else(|| Some(cache()?.join(&name)));
        let path = path.filter(|path| path.exists());
        path.ok_or_else(|| {
            format!("there is no {name} in the cache: `cargo xtask test` builds it, or set WEFT_ALERTMANAGER")
        })
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start(binary: &Path) -> Self {
        Self::start_at(binary, free_port(), CONFIG)
    }

    /// The same on a port, where it may be back after it was away, with a configuration.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_at(binary: &Path, port: u16, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        fs::write(&file, config).unwrap();
        let address = format!("127.0.0.1:{port}");
        let mut process = Process::start(
            Command::new(binary)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                // Neither a cluster nor its port.
                .arg("--cluster.listen-address="),
            &folder.path().join("alertmanager.log"),
        );
        let http = Http::new(format!("http://{address}"));
        eventually("Alertmanager is ready", || {
            assert!(process.ended().is_none(), "Alertmanager ended:\n{}", process.output());
            match http.get("/-/ready") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Self { http, address, _process: process, _folder: folder }
    }

    /// The alerts that it holds and that are not resolved.
    ///
    /// # Errors
    /// When there is no answer, or none that is JSON.
    pub fn alerts(&self) -> Result<Vec<Value>, String> {
        let (status, body) = self.http.get("/api/v2/alerts")?;
        serde_json::from_str(&body).map_err(|error| format!("{status}: {error}: {body}"))
    }
}
