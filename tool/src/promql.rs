//! `promtool test promql [--verbose] [--enable-feature=NAME,…] FILE…`: PromQL test scripts in upstream's language.
//! `promtool promql explain [--enable-feature=NAME,…] QUERY`: the plan of a query, as a tree of text.

use std::io::{self, Write};
use std::{fs, path::Path};

use model::Timestamp;
use query::{Engine, EngineOptions, QueryOptions, promqltest};

use crate::flags::{Flags, Stop};
use crate::{EXPLAIN_USAGE, Outcome, USAGE};

/// Runs the scripts: a line `file: passed/total` for each, then the sums; with `--verbose` also every failure. The features
/// are those that upstream's own test engine has on, unless some are named.
pub(crate) fn test(args: &[&str], out: &mut dyn Write) -> io::Result<Outcome> {
    let (flags, files): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    let verbose = flags.contains(&"--verbose");
    let features = match features(flags.into_iter().filter(|flag| *flag != "--verbose"), USAGE) {
        Ok(features) => features,
        Err(misuse) => {
            writeln!(out, "{misuse}")?;
            return Ok(Outcome::Misused);
        }
    };
    if files.is_empty() {
        writeln!(out, "no file named; {USAGE}")?;
        return Ok(Outcome::Misused);
    }
    let (mut passed, mut failed) = (0, 0);
    for file in files {
        let outcome = fs::read_to_string(file).map_err(|error| error.to_string());
        // Scripts of upstream expect experimental functions; only named features replace that set.
        let run = |text: String| match &features {
            None => promqltest::run(&text),
            Some(names) => promqltest::run_with(&text, EngineOptions::default().with_features(names.iter().copied())),
        };
        match outcome.and_then(run) {
            Ok(report) => {
                // Without folders, so that outputs of different checkouts can be compared.
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
                // A script that cannot be read counts as one failure: the run must not pass.
                failed += 1;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 { Outcome::Passed } else { Outcome::Failed })
}

/// The times that `step()`, `range()`, `start()` and `end()` stand for in a plan: an hour with a step of a minute, or, for
/// what a range query cannot have, an instant.
const TIMES: [(Timestamp, Timestamp, i64); 2] =
    [(Timestamp::EPOCH, Timestamp(3_600_000), 60_000), (Timestamp::EPOCH, Timestamp::EPOCH, 0)];

/// Prints the plan of a query: what each node is, and what the optimiser decided on it. No store is asked.
pub(crate) fn explain(args: &[&str], out: &mut dyn Write) -> io::Result<Outcome> {
    let (flags, queries): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    let features = match features(flags.into_iter(), EXPLAIN_USAGE) {
        Ok(features) => features.unwrap_or_default(),
        Err(misuse) => {
            writeln!(out, "{misuse}")?;
            return Ok(Outcome::Misused);
        }
    };
    let [query] = queries[..] else {
        writeln!(out, "one query is to be named, in quotes; {EXPLAIN_USAGE}")?;
        return Ok(Outcome::Misused);
    };
    let engine = Engine::new(EngineOptions::default().with_features(features));
    let plan = |times| engine.explain(None, query, times, &QueryOptions::default());
    // A query such as a string literal is valid for an instant only.
    match plan(TIMES[0]).or_else(|_| plan(TIMES[1])) {
        Ok(explanation) => {
            write!(out, "{explanation}")?;
            Ok(Outcome::Passed)
        }
        Err(error) => {
            writeln!(out, "{error}")?;
            Ok(Outcome::Failed)
        }
    }
}

/// The features that flags name, if any does; else what is wrong with them.
fn features<'a>(flags: impl Iterator<Item = &'a str>, usage: &str) -> Result<Option<Vec<&'a str>>, String> {
    let mut features: Option<Vec<&str>> = None;
    for flag in flags {
        let Some(names) = flag.strip_prefix("--enable-feature=") else {
            return Err(format!("unknown flag {flag}; {usage}"));
        };
        features.get_or_insert_default().extend(names.split(',').filter(|name| !name.is_empty()));
    }
    check_features(features.as_deref().unwrap_or_default()).map(|()| features)
}

/// Flags whose `--enable-feature` names features of the query language alone.
pub(crate) fn with_known_features(flags: Flags<'_>) -> Result<Flags<'_>, Stop> {
    check_features(&flags.list("enable-feature").unwrap_or_default()).map(|()| flags).map_err(Stop::Misuse)
}

/// Refuses a name that is no feature of the query language.
fn check_features(names: &[&str]) -> Result<(), String> {
    // A misspelt feature is an error: the scripts would silently test something else.
    let known: Vec<&str> = EngineOptions::features().chain(EngineOptions::ALWAYS_ON).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(unknown) => {
            Err(format!("unknown feature {unknown:?} in --enable-feature; there are {}", known.join(", ")))
        }
        None => Ok(()),
    }
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

    #[test]
    fn plans_are_printed() {
        let explained = |args: &[&str]| {
            let mut out = Vec::new();
            let outcome = explain(args, &mut out).unwrap();
            (outcome, String::from_utf8(out).unwrap())
        };
        let plan = "#0 aggregation sum: sum(up)\n  #1 vector selector: up\n     - partitioning: computed in the partitions, \
                    side by side\n     - projection pushdown: labels needed: none\n";
        assert_eq!(explained(&["sum(up)"]), (Outcome::Passed, plan.to_owned()));
        assert_eq!(explained(&["up[5m]"]).1, "#0 range selector: up[5m]\n");
        assert_eq!(explained(&["--enable-feature=promql-extensions", "up default 1"]).0, Outcome::Passed);
        assert_eq!(explained(&["sum("]), (Outcome::Failed, "1:5: parse error: unclosed left parenthesis\n".to_owned()));
        for args in [&[][..], &["up", "up"], &["--quick", "up"], &["--enable-feature=x", "up"]] {
            assert_eq!(explained(args).0, Outcome::Misused, "{args:?}");
        }
    }
}
