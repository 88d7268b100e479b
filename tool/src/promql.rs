//! `promtool test promql [--verbose] [--enable-feature=NAME,…] FILE…`: PromQL test scripts in upstream's language.
//! `promtool promql explain [--enable-feature=NAME,…] QUERY`: the plan of a query, as a tree of text.

use std::{fs, path::Path};

use model::Timestamp;
use query::{Engine, EngineOptions, QueryOptions, promqltest};

use crate::features;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const TEST_USAGE: &str = "usage: promtool test promql [--verbose] [--enable-feature=NAME,...] FILE...";
pub(crate) const EXPLAIN_USAGE: &str = "usage: promtool promql explain [--enable-feature=NAME,...] QUERY";

const TEST_FLAGS: Known = Known { switches: &["verbose"], ..Known::NONE };

/// Runs the scripts: a line `file: passed/total` for each, then the sums; with `--verbose` also every failure. The features
/// are those that upstream's own test engine has on, unless some are named.
pub(crate) fn test(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, TEST_FLAGS)?;
    let features = flags.list("enable-feature").map(|_| features::known(&flags)).transpose()?;
    let (verbose, out) = (flags.is_on("verbose"), &mut *streams.out);
    let (mut passed, mut failed) = (0, 0);
    for file in flags.some_files("file")? {
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
pub(crate) fn explain(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, Known::NONE)?;
    let features = features::known(&flags)?;
    let [query] = flags.exactly(["query"])?;
    let engine = Engine::new(EngineOptions::default().with_features(features));
    let plan = |times| engine.explain(None, query, times, &QueryOptions::default());
    // A query such as a string literal is valid for an instant only.
    let explanation = plan(TIMES[0]).or_else(|_| plan(TIMES[1])).map_err(|error| error.to_string())?;
    write!(streams.out, "{explanation}")?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::testing::run;

    fn output(script: &str, flags: &[&str]) -> (Outcome, String) {
        let mut file = tempfile::Builder::new().suffix(".test").tempfile().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let ran = run(&[&["test", "promql"], flags, &[path]].concat());
        let name = file.path().file_name().unwrap().to_str().unwrap();
        (ran.outcome, ran.both.replace(path, "FILE").replace(name, "FILE"))
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
            text.starts_with(
                "promtool: error: unknown feature \"promql-extension\" in --enable-feature; there are promql-"
            ),
            "{text}"
        );
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(output("nonsense\n", &[]).0, Outcome::Failed);
        assert!(output("nonsense\n", &[]).1.contains("line 1: unknown command \"nonsense\""));
        assert_eq!(run(&["test", "promql"]).outcome, Outcome::Misused);
        assert_eq!(run(&["test", "promql", "--quick", "x"]).outcome, Outcome::Misused);
    }

    #[test]
    fn plans_are_printed() {
        let explained = |args: &[&str]| {
            let ran = run(&[&["promql", "explain"], args].concat());
            (ran.outcome, ran.both)
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
