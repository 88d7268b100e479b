//! The binary `weft`, installed as `prometheus` and `promtool` too.
//!
//! - **What**: joins the engines into a server.
//! - **Path**: both paths begin or end here: `bootstrap` starts what scrapes, `api` takes queries.
//! - **Invariants**: the only crate that sees all others; parts are built and joined in `bootstrap` alone, HTTP statuses are
//!   chosen in `api/error` alone.
//! - **Files**: `flags`, `settings` the command line · `bootstrap` parts built and joined, start and end · `app` what they
//!   share · `config_file`, `reload`, `auto_reload` the configuration · `listen`, `serve/`, `api/` HTTP · `logging`,
//!   `notifications`, `query_log`, `active_queries/`, `top_queries`, `last_run`, `metric_usage/`, `self_metrics`, `summary`, `profiles/`, `protobuf`, `version`, `clock`, `default_config`,
//!   `node_exporter`, `resources`.
//! - **Tests**: at the foot of the files; the whole binary in `tests/e2e`.

mod active_queries;
mod annotations;
mod api;
mod app;
mod auto_reload;
mod bootstrap;
mod catch_up;
mod clock;
mod component;
mod components;
mod config_file;
mod container;
mod default_config;
mod flags;
mod forecast;
mod last_run;
mod listen;
mod logging;
mod metric_usage;
mod monitor_metrics;
mod node_exporter;
mod notifications;
mod profiles;
mod protobuf;
mod query_log;
mod reload;
mod resources;
mod rule_groups;
mod rule_language;
mod self_metrics;
mod serve;
mod settings;
mod summary;
mod top_queries;
mod version;

use std::io::Write as _;
use std::process::ExitCode;

use flags::Flags;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the allocator looks for when it starts, before `main`.
#[expect(unsafe_code, reason = "a symbol for jemalloc")]
// SAFETY: jemalloc declares it as `const char *`: a pointer to a text that ends with a zero.
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: &[u8; profiles::CONF.len()] = profiles::CONF;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().collect();
    let called = args.first().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
    let promtool = match called {
        "promtool" => args.get(1..),
        _ => args.get(2..).filter(|_| args[1] == "promtool"),
    };
    if let Some(args) = promtool {
        // Kubernetes clients take the provider of the process.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let (mut input, mut out, mut err) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let check_web_tls = |tls: &config::WebTls, http2| {
            serve::tls::server_config(tls, http2).map(drop).map_err(|error| format!("{error:#}"))
        };
        let mut streams = tool::Streams { input: &mut input, out: &mut out, err: &mut err, check_web_tls };
        return tool::run(args, &mut streams);
    }
    // Prometheus' own spelling of short flags.
    args.iter_mut().filter(|arg| *arg == "-version").for_each(|arg| *arg = "--version".to_owned());
    let flags = match Flags::parse(args) {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    let level = match bootstrap::start_logging(&flags) {
        Ok(level) => level,
        Err(error) => {
            writeln!(std::io::stderr(), "{error:#}").ok();
            return ExitCode::FAILURE;
        }
    };
    match bootstrap::run(flags, level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(err = %format!("{error:#}"), "fatal error, exiting");
            ExitCode::FAILURE
        }
    }
}
