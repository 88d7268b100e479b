//! The binary under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Http, Process, eventually};

/// A running `weft` with its own folder and port.
#[derive(Debug)]
pub struct Weft {
    /// The process.
    pub process: Process,
    /// HTTP to it.
    pub http: Http,
    /// Where it answers, `127.0.0.1:port`.
    pub address: String,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Weft {
    /// The binary: `$WEFT_BIN`, else the one that was built beside this test.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn binary() -> PathBuf {
        if let Some(path) = std::env::var_os("WEFT_BIN") {
            return path.into();
        }
        let test = std::env::current_exe().unwrap();
        let path = test.parent().and_then(Path::parent).unwrap().join("weft");
        assert!(path.exists(), "{} is absent: build it with `cargo build --bin weft`, or set WEFT_BIN", path.display());
        path
    }

    /// Starts it with a configuration and further flags, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start(config: &str, flags: &[&str]) -> Self {
        Self::start_at(config, flags, "")
    }

    /// The same for one whose paths begin with `prefix`.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_at(config: &str, flags: &[&str], prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        Self::start_in(folder, flags, prefix, &[])
    }

    /// Starts it in a folder that holds `prometheus.yml`, with further environment variables.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_with(folder: TempDir, flags: &[&str], environment: &[(&str, String)]) -> Self {
        Self::start_in(folder, flags, "", environment)
    }

    #[track_caller]
    fn start_in(folder: TempDir, flags: &[&str], prefix: &str, environment: &[(&str, String)]) -> Self {
        let log = folder.path().join("weft.log");
        fs::remove_file(&log).ok();
        let mut process = Process::start(Self::command(folder.path(), flags).envs(environment.iter().cloned()), &log);
        let address = Self::address_of(&mut process);
        let http = Http::new(format!("http://{address}"));
        eventually("weft is ready", || match http.get(&format!("{prefix}/-/ready")) {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { process, http, address, folder, environment }
    }

    /// Where a process that runs Weft listens, once it does.
    ///
    /// # Panics
    /// When it ends before.
    #[track_caller]
    #[must_use]
    pub fn address_of(process: &mut Process) -> String {
        eventually("weft listens", || {
            let output = process.output();
            assert!(process.ended().is_none(), "weft ended:\n{output}");
            let line = output.lines().find(|line| line.contains("Start listening for connections")).ok_or("no line")?;
            let address = line.split("address=").nth(1).ok_or("no address")?;
            Ok(address.split_whitespace().next().unwrap_or_default().to_owned())
        })
    }

    /// The command that starts it in a folder that holds `prometheus.yml`.
    #[must_use]
    pub fn command(folder: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(Self::binary());
        command
            .current_dir(folder)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags);
        command
    }

    /// Its folder: `prometheus.yml`, `data`, `weft.log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it by a signal, waits, and starts it again on the same data.
    ///
    /// # Panics
    /// When it does not start again.
    #[track_caller]
    #[must_use]
    pub fn restart(self, signal: &str, flags: &[&str]) -> Self {
        self.restart_after(signal, flags, || ())
    }

    /// The same; does something while it is away.
    ///
    /// # Panics
    /// When it does not start again.
    #[track_caller]
    #[must_use]
    pub fn restart_after(self, signal: &str, flags: &[&str], meanwhile: impl FnOnce()) -> Self {
        let Self { mut process, folder, environment, .. } = self;
        process.signal(signal);
        process.wait();
        drop(process);
        meanwhile();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        Self::start_in(folder, flags, "", &environment)
    }

    /// The highest resident memory so far, bytes.
    ///
    /// # Panics
    /// When the kernel does not say.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}
