//! `promtool test promql [--verbose] [--enable-feature=NAME,…] FILE…`: PromQL test scripts in upstream's language.

use std::io::{self, Write};
use std::{fs, path::Path};

use query::{EngineOptions, promqltest};

use crate::{Outcome, USAGE};

/// Runs the scripts: a line `file: passed/total` for each, then the sums; with `--verbose` also every failure. The features
/// are those that upstream's own test engine has on, unless some are named.
pub(crate) fn test(args: &[&str], out: &mut dyn Write) -> io::Result<Outcome> {
    let (flags, files): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    let mut verbose = false;
    let mut features: Option<Vec<&str>> = None;
    for flag in flags {
        match (flag, flag.strip_prefix("--enable-feature=")) {
            ("--verbose", _) => verbose = true,
            (_, Some(names)) => {
                features.get_or_insert_default().extend(names.split(',').filter(|name| !name.is_empty()))
            }
            _ => {
                writeln!(out, "unknown flag {flag}; {USAGE}")?;
                return Ok(Outcome::Misused);
            }
        }
    }
    let known: Vec<&str> = EngineOptions::features().chain(EngineOptions::ALWAYS_ON).collect();
    if let Some(unknown) = features.iter().flatten().find(|name| !known.contains(name)) {
        writeln!(out, "unknown feature {unknown:?} in --enable-feature; there are {}", known.join(", "))?;
        return Ok(Outcome::Misused);
    }
    if files.is_empty() {
        writeln!(out, "no file named; {USAGE}")?;
        return Ok(Outcome::Misused);
    }
    let (mut passed, mut failed) = (0, 0);
    for file in files {
        let outcome = fs::read_to_string(file).map_err(|error| error.to_string());
        let run = |text: String| match &features {
            None => promqltest::run(&text),
            Some(names) => promqltest::run_with(&text, EngineOptions::default().with_features(names.iter().copied())),
        };
        match outcome.and_then(run) {
            Ok(report) => {
                let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
                writeln!(out, "{name}: {}/{}", report.passed, report.total)?;
                passed += report.passed;
                failed += report.total - report.passed;
                if verbose {
                    for failure in &report.failures {
                        writeln!(out, "  {file}:{}: {}: {}", failure.line, failure.query, failure.reason)?;
                    }
                }
            }
            Err(reason) => {
                writeln!(out, "{file}: cannot read the script: {reason}")?;
                failed += 1;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 { Outcome::Passed } else { Outcome::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(script: &str, flags: &[&str]) -> (Outcome, String) {
        let mut file = tempfile::Builder::new().suffix(".test").tempfile().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let mut out = Vec::new();
        let outcome = test(&[flags, &[path]].concat(), &mut out).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap();
        (outcome, String::from_utf8(out).unwrap().replace(path, "FILE").replace(name, "FILE"))
    }

    #[test]
    fn counts_per_file_and_in_all() {
        let script = "load 1m\n  up 1 0\n\neval instant at 1m up\n  up 0\n\neval instant at 1m up + 1\n  {} 2\n";
        let (outcome, text) = output(script, &["--verbose"]);
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(text, "FILE: 1/2\n  FILE:7: up + 1: {}: got 1, expected 2\n1 passed, 1 failed\n");
        let (outcome, text) = output("eval instant at 0 1 + 1\n  2\n", &[]);
        assert_eq!((outcome, text.as_str()), (Outcome::Passed, "FILE: 1/1\n1 passed, 0 failed\n"));
    }

    #[test]
    fn features_are_chosen() {
        let script = "eval instant at 0 max_of(1, 2)\n  2\n\neval instant at 0 vector(1) default 2\n  {} 1\n";
        let passed = |flags: &[&str]| output(script, flags).1.lines().last().unwrap().to_owned();
        assert_eq!(passed(&[]), "1 passed, 1 failed");
        assert_eq!(passed(&["--enable-feature="]), "0 passed, 2 failed");
        assert_eq!(passed(&["--enable-feature=promql-extensions"]), "1 passed, 1 failed");
        let both = ["--enable-feature=promql-extensions", "--enable-feature=promql-experimental-functions"];
        assert_eq!(passed(&both), "2 passed, 0 failed");
        let (outcome, text) = output(script, &["--enable-feature=promql-extension"]);
        assert_eq!(outcome, Outcome::Misused);
        assert!(
            text.starts_with("unknown feature \"promql-extension\" in --enable-feature; there are promql-"),
            "{text}"
        );
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(output("nonsense\n", &[]).0, Outcome::Failed);
        assert!(output("nonsense\n", &[]).1.contains("line 1: unknown command \"nonsense\""));
        let mut out = Vec::new();
        assert_eq!(test(&[], &mut out).unwrap(), Outcome::Misused);
        assert_eq!(test(&["--quick", "x"], &mut out).unwrap(), Outcome::Misused);
    }
}
