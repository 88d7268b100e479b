//! The Prometheus that Weft stands in for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Http, Process, cache, eventually, free_port, prometheus_version};

/// A running `prometheus` with its own folder and port.
#[derive(Debug)]
pub struct Prometheus {
    /// HTTP to it.
    pub http: Http,
    /// The process.
    pub process: Process,
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// The binary: `$WEFT_PROMETHEUS`, else the one that `cargo xtask test` builds; or why there is none.
    ///
    /// # Errors
    /// When there is none.
    ///
    /// # Panics
    /// When the module of the benches does not name its version.
    pub fn binary() -> Result<PathBuf, String> {
        let version = prometheus_version();
        let name = format!("prometheus-{version}-{}/prometheus", std::env::consts::ARCH);
        let path = std::env::var_os("WEFT_PROMETHEUS").map(PathBuf::from).or_else(|| Some(cache()?.join(&name)));
        let path = path.filter(|path| path.exists());
        path.ok_or_else(|| {
            format!("there is no {name} in the cache: `cargo xtask test` builds it, or set WEFT_PROMETHEUS")
        })
    }

    /// Starts it with a configuration and further flags, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start(binary: &Path, config: &str, flags: &[&str]) -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), binary, config, flags, &[])
    }

    /// The same in a folder that holds what the configuration names, with further environment variables.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_with(
        folder: tempfile::TempDir,
        binary: &Path,
        config: &str,
        flags: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let port = free_port();
        let mut process = Process::start(
            Command::new(binary)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(flags)
                .envs(environment.iter().cloned()),
            &folder.path().join("prometheus.log"),
        );
        let http = Http::new(format!("http://127.0.0.1:{port}"));
        eventually("Prometheus is ready", || {
            assert!(process.ended().is_none(), "Prometheus ended:\n{}", process.output());
            match http.get("/-/ready") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Self { http, process, folder }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
