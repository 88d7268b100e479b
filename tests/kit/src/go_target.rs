//! A target that is written in Go: a test of `tests/goclient` that serves until it is ended.

use std::process::Command;

use crate::{Process, eventually};

/// The running target.
#[derive(Debug)]
pub struct GoTarget {
    /// Where it answers, `127.0.0.1:port`.
    pub address: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl GoTarget {
    /// Why there can be none, if there can be none.
    #[must_use]
    pub fn cannot() -> Option<&'static str> {
        let absent = Command::new("go").arg("version").output().is_err();
        absent.then_some("Go is not installed; `cargo xtask test` says so too")
    }

    /// Builds the module and starts the test with this name.
    ///
    /// # Panics
    /// When it cannot be built or does not start.
    #[track_caller]
    #[must_use]
    pub fn start(test: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("target");
        let built = Command::new("go")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../goclient"))
            .args(["test", "-c", "-o"])
            .arg(&binary)
            .env("GOFLAGS", "-mod=readonly")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let mut command = Command::new(&binary);
        command.args(["-test.timeout=0", "-test.run", &format!("^{test}$")]).env("WEFT_SERVE", "1");
        let mut process = Process::start(&mut command, &folder.path().join("target.log"));
        let address = eventually("the Go target", || {
            let said = process.output();
            assert!(process.ended().is_none(), "the Go target ended:\n{said}");
            said.lines().find_map(|line| line.strip_prefix("listening ")).map(str::to_owned).ok_or(said)
        });
        Self { address, _process: process, _folder: folder }
    }
}
