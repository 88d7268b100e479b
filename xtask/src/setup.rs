//! System packages.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::step;

/// What building needs: RocksDB's C++ and its bindings.
pub(crate) const BUILD: &[&str] = &["clang", "libclang-dev", "make"];
/// What container images take from Debian: a static shell, and the certificates of public authorities.
pub(crate) const IMAGE: &[&str] = &["busybox-static", "ca-certificates"];
/// What the tests run Weft against: real exporters, a real Prometheus, a browser, a client in Python, network namespaces, and a
/// second tool that reads images.
pub(crate) const TEST: &[&str] = &[
    "chromium",
    "fonts-dejavu-core",
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-pushgateway",
    "python3",
    "python3-pip",
    "iproute2",
    "umoci",
    "util-linux",
    "victoria-metrics",
];

/// Installs what is missing, or says what is.
pub(crate) fn packages(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        bail!("these Debian packages are missing: {0}\ninstall them with: sudo apt-get install {0}", missing.join(" "));
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        // RUNLEVEL=1 keeps Debian from starting the servers it installs.
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(Stdio::null());
        command
    };
    step("apt-get update", &mut apt(&["update", "-qq"]))?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&missing);
    step(&format!("apt-get install {}", missing.join(" ")), &mut apt(&install))
}

/// Go builds the API server and the client that the tests use.
pub(crate) fn go() -> Result<()> {
    match Command::new("go").arg("version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("Go is missing: the tests build a kube-apiserver and a Prometheus client with it (1.26 or newer)"),
    }
}

fn installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout == b"install ok installed")
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
