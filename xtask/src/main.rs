//! The task runner: what a newcomer, a developer and CI call.
//!
//! - **What**: `cargo xtask run` and `cargo xtask test` are the two commands of the README; the others are their parts.
//! - **Path**: none; it stands outside the product.
//! - **Invariants**: a cache is never a dependency: without it the same command does the same, only later. Nothing is
//!   installed but Debian packages, and only as root; otherwise it says which are missing.
//! - **Files**: `bench` the comparison with peers · `book` the documentation's site · `image` container images · `dist` releases · `demo` a cluster to look at · `suites` test binaries side by side · `packages` what Weft is made of · `licences`, `versions` of it · `setup` system packages · `cache` what takes minutes to build, once a machine · `files` what is below a folder · `tree`, `digest` archives · `fuzz` libFuzzer · `torture` the long campaigns · `ui` the web page · `tidy`
//!   house rules that no lint knows.
//! - **Tests**: `cargo xtask test` runs them all.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to a terminal")]

mod bench;
mod book;
mod cache;
mod circles;
mod demo;
mod digest;
mod dist;
mod files;
mod fuzz;
mod image;
mod licences;
mod packages;
mod pages;
mod setup;
mod suites;
mod tidy;
mod torture;
mod tree;
mod ui;
mod versions;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask run [FLAG…]   build a release binary and start Weft with its embedded configuration (FLAGs go to weft)
cargo xtask test          every check and test
cargo xtask demo [FLAG…]  a cluster on this machine to look at: a real API server, exporters, and Weft with its page (--listen=ADDRESS)
cargo xtask bench [FLAG…] measure Weft beside Prometheus and VictoriaMetrics (20 minutes; --smoke, --full, --help)
cargo xtask setup         only what those two install and build once a machine
cargo xtask image [FLAG…] write container images as OCI archives, one minimal and one with a shell (--help)
cargo xtask dist [FLAG…]  everything of a release: binaries, images, chart, list of parts, checksums, notes (--help)
cargo xtask ui            build the web page, which the server has inside; run and test do so by themselves
cargo xtask book          build the documentation as a site, and check its links
cargo xtask env           print what to export before calling cargo by hand, so that it finds the built RocksDB
cargo xtask tidy          only the house rules
cargo xtask conformance   how many of upstream's PromQL evaluations pass, file by file
cargo xtask fuzz [ARG…]   what targets send (exposition, response) and people ask (promql), changed at random and led by coverage:
                          one of them by name, and so many seconds each (300)
cargo xtask torture [MINUTES]
                          damaged files, hostile clients, queries and targets, a clock that steps, kill -9: for so long (10)";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match command.as_str() {
        "run" => run(&rest),
        "test" => test(),
        "bench" => bench::run(&rest),
        "demo" => demo::run(&rest),
        "dist" => dist::run(&rest),
        "setup" => setup().map(drop),
        "env" => env(),
        "ui" => ui::build(),
        "book" => book::build(),
        "image" => image::run(&rest),
        "tidy" => tidy::check(&root()),
        "conformance" => conformance(),
        "fuzz" => fuzz::run(&rest),
        "torture" => torture::run(&rest),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a step and says which one it is.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    // Not on the standard output, which `cargo xtask env` has for the shell alone.
    eprintln!("== {name}");
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{name}: {:?} failed ({status})", command.get_program());
    }
    Ok(())
}

/// Cargo in this workspace, with the built RocksDB.
pub(crate) fn cargo(rocksdb: &cache::RocksDb, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args).envs(rocksdb.env());
    command
}

fn run(flags: &[String]) -> Result<()> {
    setup::packages(setup::BUILD)?;
    // Without Node.js everything but the page works, and the page says how to build it.
    if let Err(error) = ui::build() {
        eprintln!("xtask: the web page is not built: {error:#}");
    }
    let rocksdb = cache::rocksdb()?;
    step("build", &mut cargo(&rocksdb, &["build", "--release", "--bin", "weft"]))?;
    step("weft", Command::new(target().join("release/weft")).args(flags))
}

/// Everything that building and testing need: RocksDB, and by their variables what the tests look for.
fn setup() -> Result<(cache::RocksDb, Vec<(&'static str, PathBuf)>)> {
    setup::packages(setup::BUILD)?;
    setup::packages(setup::TEST)?;
    setup::packages(setup::IMAGE)?;
    setup::go()?;
    let rocksdb = cache::rocksdb()?;
    let paths = vec![
        ("WEFT_KUBE_BIN", cache::kube()?),
        ("WEFT_PROMETHEUS_OPERATOR", cache::operator()?.join("operator")),
        ("WEFT_PROMQLTEST", cache::promqltest()?),
        ("WEFT_PROMETHEUS", cache::prometheus()?.join("prometheus")),
        ("WEFT_PROMTOOL", cache::promtool()?.join("promtool")),
        ("WEFT_ALERTMANAGER", cache::alertmanager()?.join("alertmanager")),
        ("WEFT_PYTHON_CLIENT", cache::python_client()?),
        ("WEFT_KUSTOMIZE", cache::kustomize()?.join("kustomize")),
        ("WEFT_HELM", cache::helm()?.join("helm")),
        ("WEFT_CONFORMANCE", conformance_data()),
    ];
    Ok((rocksdb, paths))
}

/// The recordings of upstream: `$WEFT_CONFORMANCE`, else `../shared/conformance` beside the checkout or, of a clone, beside the
/// repository that it was made from.
fn conformance_data() -> PathBuf {
    const BESIDE: &str = "../shared/conformance";
    let origin = || {
        let git = Command::new("git").current_dir(root()).args(["config", "remote.origin.url"]).output().ok()?;
        let url = String::from_utf8(git.stdout).ok()?;
        Some(root().join(url.trim().trim_start_matches("file://")).join(BESIDE)).filter(|data| data.exists())
    };
    let beside = root().join(BESIDE);
    std::env::var_os("WEFT_CONFORMANCE")
        .map(PathBuf::from)
        .or_else(|| if beside.exists() { None } else { origin() })
        .unwrap_or(beside)
}

fn test() -> Result<()> {
    tidy::check(&root())?;
    let (rocksdb, paths) = setup()?;
    ui::check()?;
    ui::build()?;
    book::build()?;
    step("format", &mut cargo(&rocksdb, &["fmt", "--all", "--check"]))?;
    step("lints", &mut cargo(&rocksdb, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The binary that end-to-end tests start, built together with the tests: alone it would want another set of features of every dependency.
    step("build", &mut cargo(&rocksdb, &["build", "--workspace", "--bins", "--tests"]))?;
    suites::run(&rocksdb, &paths)
}

fn env() -> Result<()> {
    setup::packages(setup::BUILD)?;
    for (name, value) in cache::rocksdb()?.env() {
        println!("export {name}={value}");
    }
    Ok(())
}

/// How many evaluations of the scripts in a folder pass, file by file.
fn of_folder(rocksdb: &cache::RocksDb, folder: &std::path::Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let mut weft = cargo(rocksdb, &["run", "--quiet", "--bin", "weft", "--", "promtool", "test", "promql"]);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    step(&format!("conformance: {name}"), weft.args(files))
}

fn conformance() -> Result<()> {
    setup::go()?;
    let (rocksdb, scripts) = (cache::rocksdb()?, cache::promqltest()?);
    let data = conformance_data();
    of_folder(&rocksdb, &scripts)?;
    // Of the recorded release some come out otherwise since: `query/tests/conformance.rs` knows which.
    match of_folder(&rocksdb, &data.join("promql/testdata")) {
        Err(error) if !data.exists() => Err(error.context("set WEFT_CONFORMANCE")),
        Err(error) => {
            println!("{error:#}: `cargo test -p query --test conformance` tells whether that is expected");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
