//! `promtool check service-discovery FILE JOB`: which targets the discoveries of a job find, before and after relabelling.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Config, Defaults, ScrapeConfig};
use discovery::{Consumer, Manager, Options, Subscription};
use model::{Labels, TargetGroup};
use prometheus::Registry;
use scraper::{Populated, RuleMatches, discovered_labels, populate};

use crate::api::json::{push_list, push_map, push_string};
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;
use crate::times::duration_flag;

pub(crate) const USAGE: &str = "usage: promtool check service-discovery [--timeout=30s] FILE JOB";

const FLAGS: Known = Known { values: &["timeout"], ..Known::NONE };
const TIMEOUT_NS: i64 = 30_000_000_000;
/// What is found is published this soon.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// So often it is looked whether all discoveries have found what there is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A target before and after relabelling.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    discovered: Labels,
    /// Empty for one that is dropped.
    labels: Labels,
    error: Option<String>,
}

/// Waits until all discoveries of the job have found what there is, or for the time given, and prints it.
pub(crate) fn service_discovery(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [file, name] = flags.exactly(["config-file", "job"])?;
    let timeout = duration_flag(&flags, "timeout")?.unwrap_or(TIMEOUT_NS);
    let config = Config::load(Path::new(file), &Defaults::default())
        .map_err(|error| format!("Cannot load config {}", model::with_causes(&error)))?;
    let jobs = &config.scrape_configs;
    let Some(job) = jobs.iter().find(|job| job.job_name == name) else {
        let names: String = jobs.iter().map(|job| format!("\n\t{}", job.job_name)).collect();
        return Err(format!("Job {name} not found. Select one of:{names}").into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start discovery: {error}"))?;
    let timeout = Duration::from_nanos(u64::try_from(timeout).unwrap_or(0));
    let (groups, faults) = runtime.block_on(discover(job, timeout))?;
    faults.iter().try_for_each(|fault| writeln!(streams.err, "{fault}"))?;
    let mut out = String::new();
    let found = found(&groups, job);
    push_results(&mut out, &found);
    write!(streams.out, "{out}")?;
    Ok(Outcome::Passed)
}

/// The target groups of a job, and what is wrong with its discoveries.
async fn discover(job: &ScrapeConfig, timeout: Duration) -> Result<(Vec<Arc<TargetGroup>>, Vec<String>), String> {
    let options = Options { debounce: DEBOUNCE, ..Options::default() };
    let manager = Manager::alone(options, &Registry::new());
    let mut manager = manager.map_err(|error| model::with_causes(&error))?;
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    manager.apply(Consumer::SCRAPE, [(job.job_name.as_str(), &*job.sd)]);
    let began = Instant::now();
    while !is_complete(&manager, &mut targets, job) && began.elapsed() < timeout {
        tokio::time::sleep(LOOK_EVERY.min(timeout)).await;
    }
    let told = |kind: &str, error: String| if error.starts_with(kind) { error } else { format!("{kind}: {error}") };
    let faults = manager.health().into_iter();
    let faults = faults.filter_map(|one| Some(told(one.kind, one.error?))).collect();
    let groups = groups(&mut targets, &job.job_name);
    manager.shutdown().await;
    Ok((groups, faults))
}

fn groups(targets: &mut Subscription, job: &str) -> Vec<Arc<TargetGroup>> {
    targets.current().get(job).cloned().unwrap_or_default()
}

/// Has every discovery found what there is, and has all of that been published? Those that are not served find nothing.
fn is_complete(manager: &Manager, targets: &mut Subscription, job: &ScrapeConfig) -> bool {
    let mut health = manager.health();
    health.retain(|one| job.sd.iter().any(|sd| sd.is_served() && sd.field() == one.kind));
    let n_found: usize = health.iter().map(|one| one.n_targets).sum();
    let n_published: usize = groups(targets, &job.job_name).iter().map(|group| group.targets.len()).sum();
    health.iter().all(|one| one.last_sync.is_some() && one.stale_since.is_none()) && n_found == n_published
}

/// The targets of the groups; those of a source that are alike once.
fn found(groups: &[Arc<TargetGroup>], job: &ScrapeConfig) -> Vec<Found> {
    let mut all: Vec<(&str, Found)> = Vec::new();
    for group in groups {
        let mut matches = RuleMatches::default();
        for (index, populated) in populate(group, job, &mut matches).enumerate() {
            let discovered = discovered_labels(group, index, job);
            let (labels, error) = match populated {
                Populated::Target(target) => (target.labels, None),
                Populated::Dropped { .. } => (Labels::empty(), None),
                Populated::Invalid { reason } => (Labels::empty(), Some(reason)),
            };
            let one = (group.source.as_str(), Found { discovered, labels, error });
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all.into_iter().map(|(_, found)| found).collect()
}

/// Adds the results as indented JSON.
fn push_results(out: &mut String, found: &[Found]) {
    let mut compact = String::new();
    push_list(&mut compact, found, |out, one| {
        out.push_str("{\"discoveredLabels\":");
        push_map(out, &one.discovered);
        out.push_str(",\"labels\":");
        push_map(out, &one.labels);
        if let Some(error) = &one.error {
            out.push_str(",\"error\":");
            push_string(out, error);
        }
        out.push('}');
    });
    push_indented(out, &compact);
}

/// Adds JSON with a line for each member, indented by two blanks a level, as Go's encoder does.
fn push_indented(out: &mut String, compact: &str) {
    let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
    let mut chars = compact.chars().peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                // What is empty stays on its line.
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                    continue;
                }
                depth += 1;
                new_line(out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                out.push(c);
                in_string = c == '"';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ran, run};

    const CONFIG: &str = "
scrape_configs:
- job_name: one
  static_configs:
  - targets: [a:1, b:2, 'c:3', 'x/y']
    labels: {team: t<}
  file_sd_configs: [{files: [sd.json]}]
  relabel_configs:
  - {source_labels: [__address__], regex: 'b:2', action: drop}
  - {source_labels: [team], target_label: crew}
- job_name: two
- job_name: other
  static_configs: [{targets: [a]}]
  nerve_sd_configs: [{servers: [c]}]
- job_name: gone
  file_sd_configs: [{files: [none.json]}]
";

    fn check(job: &str, flags: &[&str]) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yml");
        std::fs::write(&file, CONFIG).unwrap();
        std::fs::write(folder.path().join("sd.json"), r#"[{"targets": ["f:1", "f:1"]}]"#).unwrap();
        run(&[&["check", "service-discovery", file.to_str().unwrap(), job], flags].concat())
    }

    #[test]
    fn targets_are_shown_before_and_after_relabelling() {
        let ran = check("one", &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let by_address = |address: &str| {
            let all = found.as_array().unwrap().iter();
            let of: Vec<_> = all.filter(|one| one["discoveredLabels"]["__address__"] == address).collect();
            assert_eq!(of.len(), 1, "{address}: {}", ran.out);
            of[0].clone()
        };
        let a = by_address("a:1");
        assert_eq!((&a["labels"]["crew"], &a["labels"]["instance"]), (&"t<".into(), &"a:1".into()));
        assert_eq!(a["discoveredLabels"]["__scrape_interval__"], "1m");
        assert_eq!(by_address("b:2")["labels"], serde_json::json!({}));
        let error = by_address("x/y")["error"].as_str().unwrap().to_owned();
        assert!(error.contains("\"x/y\" is not a valid hostname"), "{error}");
        assert!(by_address("f:1")["labels"]["__meta_filepath"].is_null());
        assert!(by_address("f:1")["discoveredLabels"]["__meta_filepath"].as_str().unwrap().ends_with("sd.json"));
    }

    #[test]
    fn json_is_indented_as_go_does() {
        let mut out = String::new();
        push_indented(&mut out, r#"[{"a":{},"b":{"c\"{,":"\\"}},{}]"#);
        assert_eq!(out, "[\n  {\n    \"a\": {},\n    \"b\": {\n      \"c\\\"{,\": \"\\\\\"\n    }\n  },\n  {}\n]");
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(check("two", &[]).out, "[]");
        let ran = check("other", &["--timeout=1h"]);
        let told = "nerve_sd_configs is not served yet and finds no targets\n";
        assert_eq!((ran.code, ran.err.as_str()), (0, told), "{}", ran.out);
        assert_eq!(ran.out.matches("discoveredLabels").count(), 1);
        let ran = check("three", &[]);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (1, "Job three not found. Select one of:\n\tone\n\ttwo\n\tother\n\tgone\n")
        );
        assert_eq!(check("gone", &["--timeout=20ms"]).out, "[]");
        let ran = run(&["check", "service-discovery", "/no/such.yml", "a"]);
        assert!(ran.code == 1 && ran.err.starts_with("Cannot load config "), "{}", ran.err);
    }
}
