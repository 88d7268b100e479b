//! The Prometheus-Operator that Weft does without.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{ControlPlane, Http, Process, cache, eventually, free_port};

/// A running operator.
#[derive(Debug)]
pub struct PrometheusOperator {
    /// The process.
    pub process: Process,
    _folder: tempfile::TempDir,
}

impl PrometheusOperator {
    /// The binary: `$WEFT_PROMETHEUS_OPERATOR`, else the one that `cargo xtask test` builds; or why there is none.
    ///
    /// # Errors
    /// When there is none.
    pub fn binary() -> Result<PathBuf, String> {
        let built = || {
            let folders = std::fs::read_dir(cache()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
            let name = |path: &Path| path.file_name()?.to_str()?.strip_prefix("prometheus-operator-").map(drop);
            Some(folders.filter(|path| name(path).is_some()).max()?.join("operator"))
        };
        let path = std::env::var_os("WEFT_PROMETHEUS_OPERATOR").map(PathBuf::from).or_else(built);
        let path = path.filter(|path| path.exists());
        path.ok_or_else(|| {
            "no Prometheus-Operator; `cargo xtask test` builds it, or set WEFT_PROMETHEUS_OPERATOR".to_owned()
        })
    }

    /// Starts it with the rights of an admin, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start(binary: &Path, plane: &ControlPlane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut process = Process::start(
            Command::new(binary)
                .args([
                    "-kubelet-service=kube-system/kubelet",
                    "-kubelet-endpoints=true",
                    "-kubelet-endpointslice=true",
                ])
                .arg(format!("-web.listen-address=127.0.0.1:{port}"))
                .envs(plane.as_a_pod("default", None)),
            &folder.path().join("operator.log"),
        );
        let http = Http::new(format!("http://127.0.0.1:{port}"));
        eventually("Prometheus-Operator answers", || {
            assert!(process.ended().is_none(), "Prometheus-Operator ended:\n{}", process.output());
            match http.get("/healthz") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        Self { process, _folder: folder }
    }
}
