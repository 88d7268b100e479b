//! The test binaries of the workspace, several at a time: most tests wait, for processes, scrapes and probes, and leave the machine to
//! others meanwhile (decision 0053).

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cache::RocksDb;
use crate::{cargo, files, step, target};

/// How many run at once.
const LANES: usize = 3;
/// The longest, which begin first. The others follow in the order of cargo.
const FIRST: &[&str] = &["operator", "ui", "differential", "rules", "chart", "deploy"];

/// A binary of tests.
#[derive(Debug, PartialEq)]
struct Suite {
    /// Of the target: `e2e`, `operator`.
    name: String,
    executable: PathBuf,
    /// Of its package, in which it runs.
    folder: PathBuf,
}

/// Builds all of them and runs them with further environment variables, then the tests in the documentation.
pub(crate) fn run(rocksdb: &RocksDb, paths: &[(&'static str, PathBuf)]) -> Result<()> {
    let mut suites = build(rocksdb)?;
    suites.sort_by_key(|suite| FIRST.iter().position(|name| *name == suite.name).unwrap_or(FIRST.len()));
    let outputs = target().join("test-output");
    fs::create_dir_all(&outputs).with_context(|| format!("cannot create {}", outputs.display()))?;
    let documented: BTreeSet<PathBuf> = suites.iter().map(|suite| suite.folder.clone()).collect();
    eprintln!("== tests: {} binaries, {LANES} at a time", suites.len());
    let began = Instant::now();
    let (waiting, failed) = (Mutex::new(VecDeque::from(suites)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(suite) = next(&waiting) {
                    if let Err(error) = one(&suite, &outputs, paths) {
                        eprintln!("xtask: {error:#}");
                        lock(&failed).push(suite.name);
                    }
                }
            });
        }
    });
    eprintln!("== tests: {} s", began.elapsed().as_secs());
    let failed = failed.into_inner().unwrap_or_default();
    if !failed.is_empty() {
        bail!("tests failed: {}", failed.join(", "));
    }
    if documented.iter().any(|folder| has_examples(folder).unwrap_or(true)) {
        let mut cargo = cargo(rocksdb, &["test", "--workspace", "--doc", "--quiet"]);
        step("tests in the documentation", cargo.envs(paths.iter().cloned()))?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn next(waiting: &Mutex<VecDeque<Suite>>) -> Option<Suite> {
    lock(waiting).pop_front()
}

/// Has cargo build them, and say where they are.
fn build(rocksdb: &RocksDb) -> Result<Vec<Suite>> {
    eprintln!("== build the tests");
    let args = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let output = cargo(rocksdb, &args).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the tests cannot be built ({})", output.status);
    }
    let suites = parse(&String::from_utf8_lossy(&output.stdout));
    if suites.is_empty() {
        bail!("cargo has built no tests");
    }
    Ok(suites)
}

/// The binaries of tests among what cargo says that it has built.
fn parse(said: &str) -> Vec<Suite> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let suite = |message: Value| {
        let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
        let executable = message["executable"].as_str().filter(|_| is_test)?;
        let manifest = Path::new(message["manifest_path"].as_str()?);
        Some(Suite {
            name: message["target"]["name"].as_str()?.to_owned(),
            executable: executable.into(),
            folder: manifest.parent()?.to_owned(),
        })
    };
    messages.filter_map(suite).collect()
}

/// Runs one as cargo would, and prints what it said once it has ended.
fn one(suite: &Suite, outputs: &Path, paths: &[(&'static str, PathBuf)]) -> Result<()> {
    let name = suite.executable.file_name().unwrap_or_default().to_string_lossy();
    let path = outputs.join(format!("{name}.txt"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let began = Instant::now();
    let status = Command::new(&suite.executable)
        .current_dir(&suite.folder)
        .env("CARGO_MANIFEST_DIR", &suite.folder)
        .envs(paths.iter().cloned())
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start {}", suite.executable.display()))?;
    let said = fs::read_to_string(&path).unwrap_or_default();
    eprintln!("== {} ({}): {:.1} s\n{said}", suite.name, suite.folder.display(), began.elapsed().as_secs_f64());
    if !status.success() {
        bail!("{}: {status}; what it said is in {}", suite.name, path.display());
    }
    Ok(())
}

/// Has a package examples in its documentation that cargo would run? Asking cargo takes a minute, whether there are any or not.
fn has_examples(folder: &Path) -> Result<bool> {
    for file in files::below(&folder.join("src"), "rs")? {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if is_example(&text) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does a block begin in a comment of the documentation that is not said to be something else than code?
fn is_example(text: &str) -> bool {
    let comments = text.lines().map(str::trim_start);
    let comments = comments.filter_map(|line| line.strip_prefix("///").or_else(|| line.strip_prefix("//!")));
    let fences = comments.filter_map(|comment| comment.trim_start().strip_prefix("```"));
    // Every other one ends a block.
    fences.step_by(2).any(|language| !matches!(language.trim(), "text" | "yaml" | "json" | "console" | "promql"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_in_documentation() {
        for (text, expected) in [
            ("/// ```text\n/// a\n/// ```\nfn f() {}\n", false),
            ("    //! ```\n    //! f();\n    //! ```\n", true),
            ("/// ```text\n/// ```\n/// ```should_panic\n/// ```\n", true),
            ("let text = \"```\";\n// ```\n", false),
        ] {
            assert_eq!(is_example(text), expected, "{text}");
        }
    }

    #[test]
    fn binaries_of_tests_and_no_others() {
        let line = |test: bool, executable: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/w/tests/e2e/Cargo.toml\",\"target\":{{\"name\":\"kube\"}},\
                 \"profile\":{{\"test\":{test}}},\"executable\":{executable}}}\n"
            )
        };
        let said = [
            line(true, "\"/w/target/debug/deps/kube-1\""),
            line(false, "\"/w/target/debug/weft\""),
            line(true, "null"),
            "{\"reason\":\"build-finished\",\"success\":true}\nno JSON\n".to_owned(),
        ];
        let expected = Suite {
            name: "kube".into(),
            executable: "/w/target/debug/deps/kube-1".into(),
            folder: "/w/tests/e2e".into(),
        };
        assert_eq!(parse(&said.concat()), [expected]);
    }

    #[test]
    fn what_a_binary_says_is_kept_and_its_failure_is_told() {
        let outputs = std::env::temp_dir().join(format!("weft-suites-{}", std::process::id()));
        fs::create_dir_all(&outputs).expect("a folder");
        let suite =
            |name: &str| Suite { name: name.into(), executable: format!("/bin/{name}").into(), folder: "/".into() };
        let kept = [one(&suite("env"), &outputs, &[("WEFT_OTHER", "x".into())]), one(&suite("false"), &outputs, &[])];
        let said = fs::read_to_string(outputs.join("env.txt")).expect("what it said");
        fs::remove_dir_all(&outputs).expect("it is there");
        assert!(said.contains("CARGO_MANIFEST_DIR=/\n") && said.contains("WEFT_OTHER=x\n"), "{said}");
        assert!(kept[0].is_ok());
        let error = kept[1].as_ref().expect_err("it failed").to_string();
        assert!(error.starts_with("false: exit status: 1; what it said is in "), "{error}");
    }
}
