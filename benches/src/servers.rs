//! The servers: how each is started, and where it says what it did.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::http::Http;
use crate::process::Process;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Weft,
    /// Prometheus.
    Prometheus,
    /// VictoriaMetrics, single node.
    VictoriaMetrics,
}

/// A server's binary.
#[derive(Clone, Debug)]
pub struct Server {
    /// Which.
    pub kind: Kind,
    /// Where.
    pub binary: PathBuf,
    /// What it says its version is.
    pub version: String,
}

/// The servers that a program compares.
#[derive(Args, Clone, Debug)]
pub struct Binaries {
    /// Weft's binary.
    #[arg(long, default_value = "target/release/weft")]
    pub weft: PathBuf,
    /// Prometheus' binary; without it Weft is measured alone.
    #[arg(long)]
    pub prometheus: Option<PathBuf>,
}

/// What a start of a server depends on.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The scrape configuration, the same text for all.
    pub config: &'a Path,
    /// Where it keeps its data.
    pub data: &'a Path,
    /// Where it answers, on 127.0.0.1.
    pub port: u16,
    /// `--storage.tsdb.min-block-duration`, or empty for the default.
    pub block_duration: &'a str,
}

impl Kind {
    /// All, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Weft, Self::Prometheus, Self::VictoriaMetrics];

    /// Its name on the command line and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weft => "weft",
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// Defaults all, but for places, the length of a block where that is asked for, and two of VictoriaMetrics: how often
    /// it looks at the targets' file (each 5 minutes; the others watch it and take changes in each 5 s), and that it
    /// answers up to now, as the others do, instead of up to half a minute ago.
    #[must_use]
    pub fn args(self, start: Start<'_>) -> Vec<String> {
        let (config, data) = (start.config.display(), start.data.display());
        let mut args = match self {
            Self::Weft | Self::Prometheus => vec![
                format!("--config.file={config}"),
                format!("--storage.tsdb.path={data}"),
                format!("--web.listen-address=127.0.0.1:{}", start.port),
            ],
            Self::VictoriaMetrics => vec![
                format!("-promscrape.config={config}"),
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr=127.0.0.1:{}", start.port),
                "-promscrape.fileSDCheckInterval=5s".to_owned(),
                "-search.latencyOffset=1ms".to_owned(),
            ],
        };
        if self != Self::VictoriaMetrics {
            // For a snapshot when disk is measured: it brings to the disk what was not there yet.
            args.push("--web.enable-admin-api".to_owned());
        }
        if self != Self::VictoriaMetrics && !start.block_duration.is_empty() {
            args.push(format!("--storage.tsdb.min-block-duration={}", start.block_duration));
        }
        args
    }

    /// Samples stored since the start, as the server counts them.
    ///
    /// # Errors
    /// When the server does not say.
    pub fn stored(self, http: Http) -> Result<f64> {
        let (name, part) = match self {
            Self::Weft | Self::Prometheus => ("prometheus_tsdb_head_samples_appended_total", ""),
            Self::VictoriaMetrics => ("vm_rows_inserted_total", "type=\"promscrape\""),
        };
        http.metric(name, part)?.with_context(|| format!("{} does not expose {name}", self.name()))
    }

    fn version_flag(self) -> &'static str {
        match self {
            Self::Weft | Self::Prometheus => "--version",
            Self::VictoriaMetrics => "-version",
        }
    }
}

impl Server {
    /// Starts it with a configuration of its own and empty rules, `rules.yml`, in `folder`, which is made; its data and its log go
    /// there, too. `home` is its working directory. Returns it and the port where it answers.
    ///
    /// # Errors
    /// When the files cannot be written, or it cannot be started.
    pub fn start(&self, (folder, home): (&Path, &Path), configuration: &str, flags: &[&str]) -> Result<(Process, u16)> {
        std::fs::create_dir_all(folder)?;
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, configuration)?;
        std::fs::write(folder.join("rules.yml"), "groups: []\n")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut args = self.kind.args(Start { config: &config, data: &folder.join("data"), port, block_duration: "" });
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let binary = std::path::absolute(&self.binary)?;
        Ok((Process::start_at(home, &binary, &args, &folder.join("server.log"))?, port))
    }

    /// A binary that tells its version.
    ///
    /// # Errors
    /// When it does not.
    pub fn find(kind: Kind, binary: &Path) -> Result<Self> {
        let output = Command::new(binary).arg(kind.version_flag()).output();
        let output = output.with_context(|| format!("cannot start {} ({})", kind.name(), binary.display()))?;
        if !output.status.success() {
            bail!("{} does not tell its version ({})", binary.display(), output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let version = match short(&text) {
            "" => packaged(binary)?,
            version => version.to_owned(),
        };
        Ok(Self { kind, binary: binary.to_owned(), version })
    }
}

/// Debian's builds of VictoriaMetrics say nothing; the package does.
fn packaged(binary: &Path) -> Result<String> {
    let ask = |args: &[&str]| -> Result<String> {
        let output = Command::new("dpkg-query").args(args).output().context("cannot start dpkg-query")?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let found = ask(&["-S", &binary.display().to_string()])?;
    let package = found.split(':').next().unwrap_or_default();
    if package.is_empty() {
        return Ok("unknown".to_owned());
    }
    let version = ask(&["-W", "-f=${Version}", package])?;
    Ok(version.split(['+', '-']).next().unwrap_or_default().to_owned())
}

/// The first word that begins like a version: `3.15.0` of `prometheus, version 3.15.0 (branch: …)`, and `1.79.5` of
/// `victoria-metrics-20230313-020214-tags-v1.79.5`.
fn short(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let mut words = line.split([' ', '-', ',', '(', ')']).map(|word| word.trim_start_matches('v'));
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_found() {
        assert_eq!(super::short("prometheus, version 3.15.0 (branch: , revision: x)\n go version"), "3.15.0");
        assert_eq!(super::short("victoria-metrics-20230313-020214-tags-v1.79.5-0-gd7e9-dirty"), "1.79.5");
    }
}
