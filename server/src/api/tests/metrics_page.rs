//! `docs/metrics.md`: every metric of `/metrics`, made from what registers them.
//!
//! A server that was just started says type and help of most. Others have no series before something happens (a scrape, an alert, a
//! monitor): their names and helps are read from the calls that register them, and the types from the names of these calls, by a rule
//! that must be right for all those that the server shows, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::super::exposition::families;
use super::app_with;

const HEAD: &str = "\
# Metrics of Weft itself

What `/metrics` shows, as text or as protobuf by the header `Accept`. This page is made from the source: change the calls that register
a metric and run `UPDATE_EXPECT=1 cargo test -p server --bin weft metrics_page`.

Metrics that Prometheus has too keep its names and meanings, so that its dashboards and alerts work; those of Weft alone begin with
`weft_`. A metric with labels has no series before there is something to count.

Prometheus' `prometheus_target_interval_length_seconds`, `prometheus_target_sync_length_seconds` and
`prometheus_notifications_latency_seconds` are summaries; here they are histograms, of which `_sum` and `_count` are the same.
";

/// What users' dashboards and alerts (kube-prometheus, the Prometheus mixin) ask for and Weft has not.
const ABSENT: &str = "
## Not there

What kube-prometheus' dashboards and alerts about Prometheus ask for besides, and why Weft has no such metric. An alert on one of
these never fires; a panel stays empty.

| Name | Why |
|---|---|
| `prometheus_wal_watcher_current_segment` | remote write reads the store, not a log; `/api/v1/status/remote_write` says how far it is |
| `prometheus_tsdb_head_chunks`, `prometheus_tsdb_wal_segment_current` | there is no head and no log of Prometheus' kind; `weft_rocksdb_bytes` has what the store holds in memory |
| `prometheus_tsdb_compactions_failed_total`, `prometheus_tsdb_reloads_failures_total` | there are no blocks; `weft_storage_seal_failures_total` counts failures of what takes their place |
| `prometheus_target_metadata_cache_entries`, `prometheus_target_metadata_cache_bytes` | metadata is no cache of a target |
| `go_*` | Weft is not written in Go; `process_*` is there |
";

/// Metrics that are there only if something is switched on, by how their names begin.
const CONDITIONS: [(&str, &str); 6] = [
    ("prometheus_api_otlp_", "With `--web.enable-otlp-receiver`."),
    ("prometheus_api_remote_write_", "With `--web.enable-remote-write-receiver`."),
    ("weft_monitor", "With `--operator`."),
    ("prometheus_engine_query_rejected_total", OF_COST),
    ("prometheus_engine_query_samples_read", OF_COST),
    ("prometheus_engine_query_series_touched", OF_COST),
];
const OF_COST: &str = "With `--enable-feature=query-cost`.";

/// Text in the source that looks like the name of a metric and is none.
const NO_METRICS: [&str; 2] = ["prometheus_replica", "weft_version"];

/// A call that registers a metric is not longer, its help included.
const CALL_BYTES_MAX: usize = 400;

/// The crates that count something.
const CRATES: [&str; 9] =
    ["discovery", "http-client", "kube-watch", "operator", "remote", "rules", "scraper", "server", "storage"];

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    kind: String,
    help: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_current() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--enable-feature=query-cost", "--web.enable-otlp-receiver", "--web.enable-remote-write-receiver"];
    let app = app_with(&folder.path().join("data"), &flags);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut entries = registered(&root);
    for family in families(&app).await {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let shown = Entry { kind, help: family.help().to_owned() };
        let name = family.name().to_owned();
        if let Some(read) = entries.get(&name) {
            assert_eq!(read.kind, shown.kind, "{name}: the rule by which types are read from the source is wrong");
        } else {
            assert!(name.starts_with("process_"), "{name} is not found in the source");
        }
        entries.insert(name, shown);
    }
    let page = page(&entries);
    let path = root.join("docs/metrics.md");
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let difference = page.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(
        page == found,
        "docs/metrics.md is not what the source says ({difference:?}); run UPDATE_EXPECT=1 cargo test -p server --bin weft metrics_page"
    );
}

#[test]
fn metrics_are_found_in_the_source() {
    let mut found = BTreeMap::new();
    let text = "let a = gauge(\"weft_a\", \"A \\\n     b.\")?;\n let b = IntCounterVec::new(Opts::new(\"prometheus_b_total\", help), &[]);\n\
                lengths(registry, (\"weft_c_seconds\", JOB),\n  \"C of \\\"d\\\".\");\n\
                #[cfg(test)]\nmod tests { gauge(\"weft_d\", \"D e.\") }";
    read_source(&format!("let help = \"B of c.\";\n{text}"), &mut found);
    let entry = |kind: &str, help: &str| Entry { kind: kind.to_owned(), help: help.to_owned() };
    let expected = [
        ("prometheus_b_total".to_owned(), entry("counter", "C of \"d\".")),
        ("weft_a".to_owned(), entry("gauge", "A b.")),
        ("weft_c_seconds".to_owned(), entry("histogram", "C of \"d\".")),
    ];
    // Of the second the help stands elsewhere; a server that was just started must show it.
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

/// What the source registers, by name.
fn registered(root: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root.join(name).join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                read_source(&fs::read_to_string(path).unwrap(), &mut found);
            }
        }
    }
    found
}

/// Names as they are written, each with the first sentence behind it.
fn read_source(source: &str, found: &mut BTreeMap<String, Entry>) {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let literals = literals(source);
    for (at, (start, name)) in literals.iter().enumerate() {
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let is_metric = is_name && ["prometheus_", "weft_"].iter().any(|prefix| name.starts_with(prefix));
        if !is_metric || NO_METRICS.contains(&name.as_str()) {
            continue;
        }
        let behind = literals[at + 1..].iter().take_while(|(at, _)| at - start < CALL_BYTES_MAX);
        let help = behind.map(|(_, text)| text).find(|text| text.ends_with('.') && text.contains(' '));
        let entry = Entry { kind: kind(&source[..*start], name).to_owned(), help: help.cloned().unwrap_or_default() };
        // Where it is only looked for there is no help.
        if !entry.help.is_empty() || !found.contains_key(name) {
            found.insert(name.clone(), entry);
        }
    }
}

/// The type by what is called: the last word before the name that tells.
fn kind(before: &str, name: &str) -> &'static str {
    if name.ends_with("_total") {
        return "counter";
    }
    let statement = before.rsplit([';', '?']).next().unwrap_or_default().to_lowercase();
    let words = ["histogram", "lengths(", "latencies(", "summary", "gauge"];
    match words.iter().filter_map(|word| Some((statement.rfind(word)?, *word))).max() {
        Some((_, "histogram" | "lengths(" | "latencies(")) => "histogram",
        Some((_, "summary")) => "summary",
        _ => "gauge",
    }
}

/// The string literals of a source and where they begin.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut chars = source.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        match c {
            // A comment may have an odd number of quotes.
            '/' if source[start..].starts_with("//") => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            // So may a character.
            '\'' if source[start..].starts_with("'\"'") => drop(chars.nth(1)),
            '"' => {
                let mut text = String::new();
                while let Some((_, c)) = chars.next().filter(|(_, c)| *c != '"') {
                    match c {
                        '\\' => match chars.next() {
                            // The line goes on below.
                            Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                            Some((_, escaped)) => text.push(escaped),
                            None => break,
                        },
                        c => text.push(c),
                    }
                }
                found.push((start, text));
            }
            _ => {}
        }
    }
    found
}

fn page(entries: &BTreeMap<String, Entry>) -> String {
    let mut page = HEAD.to_owned();
    let ours = |name: &str| name.starts_with("weft_");
    for (title, of_us) in [("Names of Prometheus", false), ("Names of Weft", true)] {
        write!(page, "\n## {title}\n\n| Name | Type | Meaning |\n|---|---|---|\n").unwrap();
        for (name, Entry { kind, help }) in entries.iter().filter(|(name, _)| ours(name) == of_us) {
            assert!(help.ends_with('.') || name.starts_with("process_"), "{name}: {help:?} is no sentence");
            let condition = CONDITIONS.iter().find(|(prefix, _)| name.starts_with(prefix));
            let condition = condition.map(|(_, text)| format!(" {text}")).unwrap_or_default();
            writeln!(page, "| `{name}` | {kind} | {}{condition} |", help.replace('|', "\\|")).unwrap();
        }
    }
    page + ABSENT
}
