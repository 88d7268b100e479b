//! What takes minutes to build is built once a machine, outside the checkout, under a name that says what it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, step};

/// Where RocksDB's static library is.
#[derive(Debug)]
pub(crate) struct RocksDb {
    folder: PathBuf,
}

impl RocksDb {
    /// What librocksdb-sys looks for.
    pub(crate) fn env(&self) -> [(&'static str, String); 2] {
        [("ROCKSDB_LIB_DIR", self.folder.display().to_string()), ("ROCKSDB_STATIC", "1".to_owned())]
    }
}

/// RocksDB as a static library: taken from the cache, else built there (about 13 minutes on two quiet cores).
pub(crate) fn rocksdb() -> Result<RocksDb> {
    let rust = locked_version("rocksdb")?;
    let sys = locked_version("librocksdb-sys")?;
    let folder = folder()?.join(format!("librocksdb-{sys}-{}-clang-O2", std::env::consts::ARCH));
    if !folder.join("librocksdb.a").exists() {
        let work = scratch(&folder)?;
        let manifest = format!(
            "[package]\nname = \"librocksdb\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             rocksdb = {{ version = \"={rust}\", default-features = false, features = [\"lz4\", \"zstd\", \"bindgen-runtime\"] }}\n\
             librocksdb-sys = {{ version = \"={sys}\", default-features = false }}\n"
        );
        fs::write(work.join("Cargo.toml"), manifest)?;
        fs::create_dir_all(work.join("src"))?;
        fs::write(work.join("src/lib.rs"), "")?;
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(&work).args(["build", "--release", "--target-dir", "target"]);
        build.envs([("CC", "clang"), ("CXX", "clang++"), ("CXXFLAGS", "-O2")]);
        if cfg!(target_arch = "x86_64") {
            build.env("RUSTFLAGS", "-C target-cpu=x86-64-v2");
        }
        step("build RocksDB (once a machine, about 15 minutes)", &mut build)?;
        let built = find(&work.join("target/release/build"), "librocksdb.a")?;
        keep(&work, &folder, &[(built, "librocksdb.a")])?;
    }
    Ok(RocksDb { folder })
}

/// A folder with `kube-apiserver` and `etcd`: taken from the cache, else built there (about 8 minutes).
pub(crate) fn kube() -> Result<PathBuf> {
    let modules = root().join("tests/kube");
    let (kubernetes, etcd) = (
        required(&modules.join("apiserver"), "k8s.io/kubernetes")?,
        required(&modules.join("etcd"), "go.etcd.io/etcd/server/v3")?,
    );
    let folder = folder()?.join(format!("kube-apiserver-{kubernetes}-etcd-{etcd}-{}", std::env::consts::ARCH));
    if !folder.join("kube-apiserver").exists() {
        let work = scratch(&folder)?;
        let minor = kubernetes.split('.').nth(1).unwrap_or_default();
        let package = "k8s.io/component-base/version";
        let flags =
            format!("-s -w -X {package}.gitVersion={kubernetes} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}");
        let build = |module: &str, binary: &str, package: &str, flags: &str| {
            build_tool(&modules.join(module), package, &["-ldflags", flags], &work.join(binary))
        };
        build("etcd", "etcd", "go.etcd.io/etcd/server/v3", "-s -w")?;
        build("apiserver", "kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", &flags)?;
        let built = [(work.join("etcd"), "etcd"), (work.join("kube-apiserver"), "kube-apiserver")];
        keep(&work, &folder, &built)?;
    }
    Ok(folder)
}

/// A folder with the `operator` of Prometheus-Operator: taken from the cache, else built there (about 2 minutes).
pub(crate) fn operator() -> Result<PathBuf> {
    const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
    let module = root().join("tests/kube/operator");
    let version = required(&module, MODULE)?;
    let folder = folder()?.join(format!("prometheus-operator-{version}-{}", std::env::consts::ARCH));
    if !folder.join("operator").exists() {
        let work = scratch(&folder)?;
        build_tool(&module, &format!("{MODULE}/cmd/operator"), &["-ldflags", "-s -w"], &work.join("operator"))?;
        keep(&work, &folder, &[(work.join("operator"), "operator")])?;
    }
    Ok(folder)
}

/// A folder with the `alertmanager` that gets alerts in tests: taken from the cache, else built there (some minutes).
pub(crate) fn alertmanager() -> Result<PathBuf> {
    const MODULE: &str = "github.com/prometheus/alertmanager";
    let module = root().join("tests/alertmanager");
    let version = required(&module, MODULE)?;
    let folder = folder()?.join(format!("alertmanager-{version}-{}", std::env::consts::ARCH));
    if !folder.join("alertmanager").exists() {
        let work = scratch(&folder)?;
        let binary = work.join("alertmanager");
        build_tool(&module, &format!("{MODULE}/cmd/alertmanager"), &["-ldflags", "-s -w"], &binary)?;
        keep(&work, &folder, &[(binary, "alertmanager")])?;
    }
    Ok(folder)
}

/// A folder with the `kustomize` that builds the manifests in tests: taken from the cache, else built there (about a minute).
pub(crate) fn kustomize() -> Result<PathBuf> {
    const MODULE: &str = "sigs.k8s.io/kustomize/kustomize/v5";
    let module = root().join("tests/deploy/kustomize");
    let version = required(&module, MODULE)?;
    let folder = folder()?.join(format!("kustomize-{version}-{}", std::env::consts::ARCH));
    if !folder.join("kustomize").exists() {
        let work = scratch(&folder)?;
        let binary = work.join("kustomize");
        build_tool(&module, MODULE, &["-ldflags", "-s -w"], &binary)?;
        keep(&work, &folder, &[(binary, "kustomize")])?;
    }
    Ok(folder)
}

/// A folder with the `helm` that renders the chart in tests: taken from the cache, else built there (some minutes).
pub(crate) fn helm() -> Result<PathBuf> {
    const MODULE: &str = "helm.sh/helm/v4";
    let module = root().join("tests/helm");
    let version = required(&module, MODULE)?;
    let folder = folder()?.join(format!("helm-{version}-{}", std::env::consts::ARCH));
    if !folder.join("helm").exists() {
        let work = scratch(&folder)?;
        let flags = format!("-s -w -X {MODULE}/internal/version.version={version}");
        build_tool(&module, &format!("{MODULE}/cmd/helm"), &["-ldflags", &flags], &work.join("helm"))?;
        keep(&work, &folder, &[(work.join("helm"), "helm")])?;
    }
    Ok(folder)
}

/// A folder with the `mdbook` that makes a site of the documentation: taken from the cache, else built there (some minutes).
pub(crate) fn mdbook() -> Result<PathBuf> {
    const VERSION: &str = "0.5.4";
    let folder = folder()?.join(format!("mdbook-{VERSION}-{}", std::env::consts::ARCH));
    if !folder.join("mdbook").exists() {
        let work = scratch(&folder)?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Of its features those that serve and watch are not needed.
        cargo.current_dir(&work).args(["install", "mdbook", "--locked", "--version", VERSION, "--no-default-features"]);
        cargo.args(["--features", "search", "--root"]).arg(&work).env("CARGO_TARGET_DIR", work.join("target"));
        step("build mdbook (once a machine, some minutes)", &mut cargo)?;
        keep(&work, &folder, &[(work.join("bin/mdbook"), "mdbook")])?;
    }
    Ok(folder)
}

/// The version of a dependency that the go.mod in a folder requires: `v1.36.3`.
fn required(module: &Path, dependency: &str) -> Result<String> {
    let path = module.join("go.mod");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let version = text.lines().find_map(|line| {
        let mut words = line.trim_start_matches("require").split_whitespace();
        words.next().filter(|word| *word == dependency).and_then(|_| words.next()).filter(|word| word.starts_with('v'))
    });
    Ok(version.with_context(|| format!("{} does not name a version of {dependency}", path.display()))?.to_owned())
}

/// Builds a package that the module in a folder names as its tool.
fn build_tool(module: &Path, package: &str, options: &[&str], binary: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.current_dir(module).arg("build").args(options).arg("-o").arg(binary).arg(package);
    go.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local");
    go.env("GOFLAGS", "-mod=readonly -buildvcs=false -trimpath");
    let name = binary.file_name().unwrap_or_default().to_string_lossy();
    step(&format!("build {name} (once a machine, some minutes)"), &mut go)
}

const PROMETHEUS: &str = "github.com/prometheus/prometheus";

/// The version of the module of Prometheus that Weft is compatible with and measured against: `v0.316.0`.
fn prometheus_version() -> Result<String> {
    required(&root().join("benches/peers"), PROMETHEUS)
}

/// A folder with the PromQL test scripts of that version: taken from the cache, else from its Go module.
pub(crate) fn promqltest() -> Result<PathBuf> {
    let version = prometheus_version()?;
    let folder = folder()?.join(format!("promqltest-{version}"));
    if !folder.exists() {
        let mut go = Command::new("go");
        // Outside of any module of ours, so that no go.mod is looked at.
        go.current_dir(std::env::temp_dir()).args(["mod", "download", "-json", &format!("{PROMETHEUS}@{version}")]);
        println!("== fetch the PromQL test scripts of {PROMETHEUS} {version} (once a machine)");
        let output = go.env("GOTOOLCHAIN", "local").output().context("cannot start go")?;
        let told = String::from_utf8_lossy(&output.stdout);
        let module = told.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": \"")?.split('"').next());
        let module = module.with_context(|| format!("go cannot download {PROMETHEUS}@{version}: {told}"))?;
        let scripts = Path::new(module).join("promql/promqltest/testdata");
        let work = scratch(&folder)?;
        let entries = fs::read_dir(&scripts).with_context(|| format!("cannot read {}", scripts.display()))?;
        let found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let name = |path: &PathBuf| Some((path.clone(), path.file_name()?.to_str()?.to_owned()));
        let named: Vec<(PathBuf, String)> = found.iter().filter_map(name).collect();
        let kept: Vec<(PathBuf, &str)> = named.iter().map(|(path, name)| (path.clone(), name.as_str())).collect();
        keep(&work, &folder, &kept)?;
    }
    Ok(folder)
}

/// A folder with the `prometheus` that Weft is measured against: taken from the cache, else built there (some minutes).
pub(crate) fn prometheus() -> Result<PathBuf> {
    of_prometheus("prometheus")
}

/// A folder with its `promtool`, by which data goes over to Weft and back: built after `prometheus`, it takes a minute.
pub(crate) fn promtool() -> Result<PathBuf> {
    of_prometheus("promtool")
}

/// A folder with one of the commands of that version.
fn of_prometheus(command: &str) -> Result<PathBuf> {
    let module = root().join("benches/peers");
    let version = prometheus_version()?;
    let folder = folder()?.join(format!("{command}-{version}-{}", std::env::consts::ARCH));
    if !folder.join(command).exists() {
        let work = scratch(&folder)?;
        // The module v0.316.0 is the release 3.16.0.
        let mut numbers = version.trim_start_matches("v0.").splitn(2, '.');
        let (joined, patch) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let release = format!("{}.{}.{patch}", &joined[..1], joined[1..].trim_start_matches('0'));
        let flags = format!("-s -w -X github.com/prometheus/common/version.Version={release}");
        let options = ["-tags", "netgo", "-ldflags", &flags];
        build_tool(&module, &format!("{PROMETHEUS}/cmd/{command}"), &options, &work.join(command))?;
        keep(&work, &folder, &[(work.join(command), command)])?;
    }
    Ok(folder)
}

/// A folder with the modules of Python's client of the HTTP API: taken from the cache, else installed there by pip.
pub(crate) fn python_client() -> Result<PathBuf> {
    let list = root().join("tests/pyclient/requirements.txt");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("prometheus-api-client=="));
    let version = version.with_context(|| format!("{} does not name prometheus-api-client", list.display()))?;
    let folder = folder()?.join(format!("prometheus-api-client-{version}-{}", std::env::consts::ARCH));
    // Some modules are compiled for one version of Python.
    let imports = || {
        let mut python = Command::new("python3");
        python.args(["-I", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import prometheus_api_client"]);
        python.arg(&folder).output().is_ok_and(|output| output.status.success())
    };
    if !folder.exists() || !imports() {
        let work = scratch(&folder)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
        pip.arg(work.join("modules")).arg("--requirement").arg(&list);
        step("install prometheus-api-client (once a machine)", &mut pip)?;
        fs::remove_dir_all(&folder).ok();
        if fs::rename(work.join("modules"), &folder).is_err() && !folder.exists() {
            bail!("cannot move {} to {}", work.display(), folder.display());
        }
        fs::remove_dir_all(&work).ok();
    }
    Ok(folder)
}

/// `$WEFT_CACHE`, else `weft` in the user's cache folder.
fn folder() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let user = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|cache| cache.join("weft"));
    std::env::var_os("WEFT_CACHE").map(PathBuf::from).or_else(user).context("neither WEFT_CACHE nor HOME is set")
}

/// An empty folder beside the one to be made. Of two that build at once, each has its own.
fn scratch(folder: &Path) -> Result<PathBuf> {
    let work = beside(folder, "building");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    Ok(work)
}

fn beside(folder: &Path, what: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!("{name}.{what}-{}", std::process::id()))
}

/// Moves what was built into place in one step, so that nobody ever sees half of it.
fn keep(work: &Path, folder: &Path, built: &[(PathBuf, &str)]) -> Result<()> {
    let ready = beside(folder, "ready");
    fs::create_dir_all(&ready)?;
    for (from, name) in built {
        fs::copy(from, ready.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    if fs::rename(&ready, folder).is_err() && !folder.exists() {
        bail!("cannot move {} to {}", ready.display(), folder.display());
    }
    fs::remove_dir_all(work).ok();
    fs::remove_dir_all(&ready).ok();
    Ok(())
}

fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let candidate = entry?.path().join("out").join(name);
        if candidate.exists() {
            return Ok(candidate);
        }
    }
    bail!("the build left no {name} under {}", folder.display())
}

/// The version of a package in Cargo.lock.
fn locked_version(package: &str) -> Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut lines = lock.lines();
    let name = format!("name = \"{package}\"");
    lines.by_ref().find(|line| *line == name).with_context(|| format!("Cargo.lock does not name {package}"))?;
    let version = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version.with_context(|| format!("Cargo.lock has no version of {package}"))?.to_owned())
}
