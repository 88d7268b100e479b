//! `/api/v1/features`: what this server can do, by category and name, for clients that adapt to it. What upstream has and Weft
//! has not is false.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use config::SdConfig;

use super::format;
use crate::app::App;

/// Names and whether they are there, by category.
type Features = BTreeMap<&'static str, BTreeMap<String, bool>>;

/// Mechanisms of discovery that upstream has beside those that a configuration may name.
const OTHER_DISCOVERIES: [&str; 4] = ["ecs", "elasticache", "msk", "rds"];

/// `/api/v1/features`
pub(crate) async fn features(State(app): State<Arc<App>>) -> Response {
    // Names of operators stand as they are: clients compare them.
    format::success(|out| format::serialize_plain(out, &all(&app)), &[], &[])
}

fn all(app: &App) -> Features {
    let flags = &app.flags;
    let (engine, has) = (app.engine(), &flags.features);
    let (options, language) = (engine.options(), engine.language());
    let named = |words: Vec<(&'static str, bool)>| words.into_iter().map(|(name, is_on)| (name.to_owned(), is_on));
    let discoveries = SdConfig::mechanisms().chain(OTHER_DISCOVERIES.map(|name| (name, false)));
    let mut promql = fixed(&[
        ("at_modifier", true),
        ("delayed_name_removal", options.delayed_name_removal),
        ("duration_expr", true),
        ("negative_offset", true),
        ("per_query_lookback_delta", true),
        ("per_step_stats", has.promql_per_step_stats),
        ("subqueries", true),
        ("type_and_unit_labels", options.type_labels),
        ("unquoted_utf8_names", options.unquoted_utf8_names),
    ]);
    promql.extend(named(language.keywords));
    BTreeMap::from([
        ("api", api(app)),
        (
            "otlp_receiver",
            fixed(&[
                ("delta_conversion", has.otlp_deltatocumulative),
                ("native_delta_ingestion", has.otlp_native_delta_ingestion),
            ]),
        ),
        (
            "prometheus",
            fixed(&[
                ("agent_mode", false),
                ("auto_reload_config", app.flags.reloads_by_itself()),
                ("server_mode", true),
                // How upstream keeps labels in memory.
                ("stringlabels", false),
            ]),
        ),
        ("promql", promql),
        ("promql_functions", named(language.functions).collect()),
        ("promql_operators", named(language.operators).collect()),
        ("rules", fixed(&[("concurrent_rule_eval", true), ("keep_firing_for", true), ("query_offset", true)])),
        (
            "scrape",
            fixed(&[
                ("extra_scrape_metrics", true),
                ("openmetrics2", has.openmetrics2),
                ("start_timestamp_zero_ingestion", has.created_timestamp_zero_ingestion),
                ("type_and_unit_labels", has.type_and_unit_labels),
            ]),
        ),
        ("service_discovery_providers", named(discoveries.collect()).collect()),
        ("templating_functions", rules::template_functions().map(|name| (name.to_owned(), true)).collect()),
        (
            "tsdb",
            fixed(&[
                ("delayed_compaction", false),
                ("exemplar_storage", has.exemplar_storage),
                ("histograms_st_encoding", false),
                // A query sees all of a scrape or nothing of it.
                ("isolation", true),
                ("native_histograms", true),
                ("st_storage", false),
                ("use_uncached_io", false),
                ("xor2_encoding", false),
            ]),
        ),
        ("ui", fixed(&[("ui_v2", false), ("ui_v3", false)])),
    ])
}

fn api(app: &App) -> BTreeMap<String, bool> {
    fixed(&[
        ("admin", app.flags.web_enable_admin_api),
        ("exclude_alerts", true),
        ("label_values_match", true),
        ("lifecycle", app.settings.lifecycle),
        ("openapi_3.1", true),
        ("openapi_3.2", true),
        ("otlp_write_receiver", app.flags.web_enable_otlp_receiver),
        ("query_cost", app.flags.features.query_cost),
        ("query_stats", true),
        ("query_warnings", true),
        ("remote_write_receiver", app.flags.web_enable_remote_write_receiver),
        ("search", app.settings.search_max_limit.is_some()),
        ("search_fuzz_alg_jarowinkler", true),
        ("search_fuzz_alg_subsequence", true),
        ("time_range_labels", true),
        ("time_range_series", true),
    ])
}

fn fixed(names: &[(&str, bool)]) -> BTreeMap<String, bool> {
    names.iter().map(|(name, is_on)| ((*name).to_owned(), *is_on)).collect()
}
