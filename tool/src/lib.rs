//! promtool's commands, thin over the crates that do the work.
//!
//! - **What**: the commands of upstream's promtool, with its arguments, output and exit codes, and ours beside them: `explain`,
//!   `promql explain`, `rules replay`, `rules backfill`, `rbac check`, `test promql`, `diff-query`, `schema`, `size` (`docs/promtool.md`).
//! - **Path**: none; it is what a person runs beside the server, in the same binary.
//! - **Invariants**: reads only the files named, writes only to the streams given and the files that a command is asked to make; a
//!   data directory is never written to, unless samples are to be imported; the exit code says whether all is well (0), something failed or
//!   the command line was wrong (1), or a lint found something (3).
//! - **Files**: `commands` chooses the command, `flags` reads its flags, `streams` what it reads and prints · `check/` files and
//!   servers · `test_rules/` unit tests · `promql` test scripts and plans, `promql_edit` queries printed again · `server` asks a
//!   running one, `api` its HTTP API, `http_config` how · `query/` queries · `explain` why, `rules/` about the past of rules · `rbac`
//!   rights · `text_format/` expositions as metric families · `push/` remote write · `debug` archives · `tsdb/` data directories ·
//!   `diff_query/` two servers compared · `size/` what a server needs · `schema` of the files, for editors · `times` points in time and durations of the command line.
//! - **Tests**: at the foot of each file, or beside it.

mod api;
mod check;
mod commands;
mod debug;
mod diff_query;
mod explain;
mod features;
mod flags;
mod http_config;
mod outcome;
mod promql;
mod promql_edit;
mod push;
mod query;
mod rbac;
mod rules;
mod schema;
mod server;
mod size;
mod streams;
mod table;
mod test_rules;
#[cfg(test)]
mod testing;
mod text_format;
mod times;
mod tsdb;

use std::process::ExitCode;

use commands::Command;
pub use streams::Streams;

/// All commands, in the order of their usages.
const COMMANDS: &[Command] = &[
    Command { words: "check config", usage: check::config::USAGE, run: check::config::config },
    Command { words: "check rules", usage: check::rules::USAGE, run: check::rules::rules },
    Command { words: "check healthy", usage: check::server_status::HEALTHY_USAGE, run: check::server_status::healthy },
    Command { words: "check ready", usage: check::server_status::READY_USAGE, run: check::server_status::ready },
    Command { words: "check metrics", usage: check::metrics::USAGE, run: check::metrics::metrics },
    Command { words: "check web-config", usage: check::web_config::USAGE, run: check::web_config::web_config },
    Command {
        words: "check service-discovery",
        usage: check::service_discovery::USAGE,
        run: check::service_discovery::service_discovery,
    },
    Command { words: "test rules", usage: test_rules::USAGE, run: test_rules::rules },
    Command { words: "test promql", usage: promql::TEST_USAGE, run: promql::test },
    Command { words: "query instant", usage: query::INSTANT_USAGE, run: query::instant },
    Command { words: "query range", usage: query::RANGE_USAGE, run: query::range },
    Command { words: "query series", usage: query::SERIES_USAGE, run: query::series },
    Command { words: "query labels", usage: query::LABELS_USAGE, run: query::label_values },
    Command { words: "query analyze", usage: query::analyze::USAGE, run: query::analyze::analyze },
    Command { words: "push metrics", usage: push::USAGE, run: push::metrics },
    Command { words: "debug pprof", usage: debug::PPROF_USAGE, run: debug::pprof },
    Command { words: "debug metrics", usage: debug::METRICS_USAGE, run: debug::metrics },
    Command { words: "debug all", usage: debug::ALL_USAGE, run: debug::all },
    Command { words: "tsdb list", usage: tsdb::list::USAGE, run: tsdb::list::list },
    Command { words: "tsdb analyze", usage: tsdb::analyze::USAGE, run: tsdb::analyze::analyze },
    Command { words: "tsdb dump", usage: tsdb::dump::USAGE, run: tsdb::dump::dump },
    Command { words: "tsdb dump-openmetrics", usage: tsdb::dump::OPENMETRICS_USAGE, run: tsdb::dump::openmetrics },
    Command {
        words: "tsdb create-blocks-from openmetrics",
        usage: tsdb::import::USAGE,
        run: tsdb::import::openmetrics,
    },
    Command { words: "tsdb create-blocks-from rules", usage: tsdb::import::RULES_USAGE, run: tsdb::import::rules },
    Command { words: "tsdb export", usage: tsdb::export::USAGE, run: tsdb::export::export },
    Command { words: "tsdb import", usage: tsdb::take_over::USAGE, run: tsdb::take_over::import },
    Command { words: "tsdb import-victoriametrics", usage: tsdb::victoria::USAGE, run: tsdb::victoria::import },
    Command { words: "promql format", usage: promql_edit::FORMAT_USAGE, run: promql_edit::format },
    Command { words: "promql label-matchers set", usage: promql_edit::SET_USAGE, run: promql_edit::set },
    Command { words: "promql label-matchers delete", usage: promql_edit::DELETE_USAGE, run: promql_edit::delete },
    Command { words: "promql explain", usage: promql::EXPLAIN_USAGE, run: promql::explain },
    Command { words: "diff-query", usage: diff_query::USAGE, run: diff_query::diff_query },
    Command { words: "explain", usage: explain::USAGE, run: explain::explain },
    Command { words: "rules replay", usage: rules::replay::USAGE, run: rules::replay::replay },
    Command { words: "rules backfill", usage: rules::backfill::USAGE, run: rules::backfill::backfill },
    Command { words: "rbac check", usage: rbac::USAGE, run: rbac::check },
    Command { words: "schema", usage: schema::USAGE, run: schema::schema },
    Command { words: "size", usage: size::USAGE, run: size::size },
];

/// Runs a command: `args` without the name of the program.
pub fn run(args: &[String], streams: &mut Streams<'_>) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match commands::run(COMMANDS, &words, streams) {
        Ok(outcome) => outcome.exit_code(),
        // An output that is gone cannot be told either.
        Err(_) => ExitCode::FAILURE,
    }
}
