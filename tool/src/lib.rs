//! promtool's commands, thin over the crates that do the work.
//!
//! - **What**: `check config FILE…` reads configurations, `check rules FILE…` rule files · `test rules FILE…` runs unit tests of
//!   rules, `test promql FILE…` PromQL test scripts · `promql explain QUERY` prints the plan of a query · `explain` asks a
//!   running server why something is scraped, or is not, `rules replay` what rules would have done, `rules backfill` to compute
//!   the history of recording rules · `rbac check` asks an API server which rights are missing.
//! - **Path**: none; it is what a person runs beside the server, in the same binary.
//! - **Invariants**: reads only the files named, writes only to the output given and the file of `--junit`; the exit code says
//!   whether all is well (0), something failed (1), the command line was wrong (2) or a lint found something (3).
//! - **Files**: `lib` chooses the command, `flags` reads its flags · `check/` configurations and rule files · `test_rules/` unit
//!   tests · `promql` test scripts and plans · `server` asks a running one, `explain` why, `rules/` about the past of rules · `rbac`
//!   rights.
//! - **Tests**: at the foot of each file.

mod check;
mod explain;
mod flags;
mod promql;
mod rbac;
mod rules;
mod server;
mod test_rules;

use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "usage: promtool test promql [--verbose] [--enable-feature=NAME,...] FILE...";
const EXPLAIN_USAGE: &str = "usage: promtool promql explain [--enable-feature=NAME,...] QUERY";

/// Runs a command: `args` without the name of the program, output to `out`.
pub fn run(args: &[String], out: &mut dyn Write) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test", "promql", rest @ ..] => promql::test(rest, out),
        ["test", "rules", rest @ ..] => test_rules::rules(rest, out),
        // `--junit` is upstream's flag of `test`, so that it may stand before `rules`.
        ["test", "--junit", file, "rules", rest @ ..] => test_rules::rules(&[rest, &["--junit", file]].concat(), out),
        ["test", junit, "rules", rest @ ..] if junit.starts_with("--junit=") => {
            test_rules::rules(&[rest, &[junit]].concat(), out)
        }
        ["promql", "explain", rest @ ..] => promql::explain(rest, out),
        ["explain", rest @ ..] => explain::explain(rest, out),
        ["rules", "replay", rest @ ..] => rules::replay::replay(rest, out),
        ["rules", "backfill", rest @ ..] => rules::backfill::backfill(rest, out),
        ["rbac", "check", rest @ ..] => rbac::check(rest, out),
        ["check", "config", rest @ ..] => check::config::config(rest, out),
        ["check", "rules", rest @ ..] => check::rules::rules(rest, &mut std::io::stdin().lock(), out),
        [] | ["help" | "--help" | "-h"] => writeln!(out, "{}", usages()).map(|()| Outcome::Misused),
        other => {
            let command = other.iter().take(2).copied().collect::<Vec<_>>().join(" ");
            let known = usages();
            writeln!(out, "promtool {command} is not there; these are:\n{known}").map(|()| Outcome::Misused)
        }
    };
    match result {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Misused) => ExitCode::from(2),
        Ok(Outcome::Linted) => ExitCode::from(3),
        // An output that is gone cannot be told either.
        Ok(Outcome::Failed) | Err(_) => ExitCode::FAILURE,
    }
}

/// What there is.
fn usages() -> String {
    let commands = [check::config::USAGE, check::rules::USAGE, test_rules::USAGE, USAGE, EXPLAIN_USAGE];
    let of_servers = [explain::USAGE, rules::replay::USAGE, rules::backfill::USAGE, rbac::USAGE];
    [&commands[..], &of_servers].concat().join("\n")
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Misused,
    /// Lints found something, and that was to be a failure.
    Linted,
}
