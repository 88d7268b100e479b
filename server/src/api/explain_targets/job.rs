//! One job: what discovery found for it, what each rule did to that, and what scraping says of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{KubernetesSdConfig, ScrapeConfig, SdConfig};
use discovery::WithoutTargets;
use model::{Labels, LabelsBuilder, RelabelRule, TargetGroup};
use operator::Origin;
use scraper::{Funnel, PoolStatus, Populated, RuleDrops};
use serde::Serialize;

use super::lost::LostReport;
use super::relabel_text::rule_text;
use crate::api::targets::health;

/// Targets and reasons that are listed of one job.
const LISTED_MAX: usize = 100;
/// Names that a sentence lists.
const NAMED_MAX: usize = 5;

/// What is known of a job.
pub(super) struct JobFacts<'f> {
    pub(super) config: &'f ScrapeConfig,
    /// What asks for each rule; empty for jobs of a file.
    pub(super) origins: &'f [Origin],
    pub(super) groups: &'f [Arc<TargetGroup>],
    pub(super) pool: Option<&'f PoolStatus>,
    /// What is wrong with its discoveries.
    pub(super) errors: Vec<String>,
    /// Objects in which nothing was found; known only if that is asked for.
    pub(super) without_targets: Vec<WithoutTargets>,
    /// Targets that are gone, and how many further ones.
    pub(super) lost: (Vec<LostReport>, u64),
}

/// A job, explained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobReport {
    pub(super) job: String,
    /// The state of the job in one sentence.
    pub(super) sentence: String,
    /// Where it looks.
    pub(super) discovery: Vec<String>,
    pub(super) discovery_errors: Vec<String>,
    /// What discovery found.
    pub(super) candidates: usize,
    /// The rules that dropped something.
    pub(super) rules: Vec<RuleReport>,
    /// The rules that matched nothing of what was found, without those that ask for something that often is not there.
    pub(super) unmatched_rules: Vec<String>,
    pub(super) targets: Vec<TargetReport>,
    /// Why targets cannot be scraped.
    pub(super) invalid: Vec<String>,
    /// The targets that were lost within the last hour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lost: Vec<LostReport>,
    /// How many further ones, which are not remembered.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) lost_left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A rule that dropped something.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleReport {
    /// Its place in `relabel_configs`.
    pub(super) index: usize,
    pub(super) rule: String,
    /// The field of the object that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    pub(super) dropped: usize,
    /// What it saw, and how often.
    pub(super) values: BTreeMap<String, usize>,
}

/// A target and its last scrape.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetReport {
    pub(super) url: String,
    pub(super) health: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) last_error: String,
}

impl JobReport {
    pub(super) fn new(facts: &JobFacts<'_>) -> Self {
        let funnel = Funnel::new(facts.groups, facts.config);
        let rules = funnel.rules.iter().enumerate().filter(|(_, drops)| drops.dropped > 0);
        let rules = rules.map(|(i, drops)| RuleReport::new(facts, i, drops)).collect();
        let is_written = |rule: &usize| facts.origins.get(*rule).is_none_or(Origin::is_rule);
        let unmatched = funnel.matches.unmatched().filter(is_written).map(|rule| unmatched(facts, rule));
        let active = facts.pool.map(|pool| pool.active.as_slice()).unwrap_or_default();
        let targets = active.iter().take(LISTED_MAX).map(|one| TargetReport {
            url: one.target.url.clone(),
            health: health(one.status.up),
            last_error: one.status.last_error.clone(),
        });
        Self {
            job: facts.config.job_name.clone(),
            sentence: sentence(facts, &funnel),
            discovery: facts.config.sd.iter().map(where_it_looks).collect(),
            discovery_errors: facts.errors.clone(),
            candidates: funnel.candidates,
            rules,
            unmatched_rules: unmatched.take(LISTED_MAX).collect(),
            targets: targets.collect(),
            invalid: funnel.invalid.into_iter().take(LISTED_MAX).collect(),
            lost: facts.lost.0.clone(),
            lost_left_out: facts.lost.1,
        }
    }
}

impl RuleReport {
    pub(super) fn new(facts: &JobFacts<'_>, index: usize, drops: &RuleDrops) -> Self {
        Self {
            index,
            rule: rule_text(&facts.config.relabel_configs[index]),
            field: facts.origins.get(index).map(Origin::to_string),
            dropped: drops.dropped,
            values: drops.values.iter().map(|(value, n)| (seen(facts.origins.get(index), value), *n)).collect(),
        }
    }
}

/// What a rule saw, in words where it is a selector's, which looks at a label and at whether it is there.
pub(super) fn seen(origin: Option<&Origin>, value: &str) -> String {
    match value.split_once(';') {
        Some((value, "true")) if is_selector_field(origin) => value.to_owned(),
        Some(("", "")) if is_selector_field(origin) => "no such label".to_owned(),
        _ => value.to_owned(),
    }
}

/// The health of a target in a sentence.
pub(super) fn health_in_words(up: Option<bool>) -> &'static str {
    match up {
        None => "not scraped yet",
        up => health(up),
    }
}

fn unmatched(facts: &JobFacts<'_>, rule: usize) -> String {
    let field = facts.origins.get(rule).map_or_else(|| format!("relabel_configs[{rule}]"), Origin::to_string);
    format!("{field} ({}) matches nothing of what was found", rule_text(&facts.config.relabel_configs[rule]))
}

/// The discovery in words: `endpoints in the namespaces default, web`.
fn where_it_looks(sd: &SdConfig) -> String {
    match sd {
        SdConfig::Kubernetes(config) => format!("{} {}", config.role.as_str(), namespaces(config)),
        other => other.field().to_owned(),
    }
}

fn namespaces(config: &KubernetesSdConfig) -> String {
    match config.namespaces.names.as_slice() {
        [] if config.namespaces.own_namespace => "in Weft's own namespace".to_owned(),
        [] => "in all namespaces".to_owned(),
        [one] => format!("in the namespace {one}"),
        several => format!("in the namespaces {}", several.join(", ")),
    }
}

/// The state of a job in one sentence: its targets, or the step at which the last candidate fell out.
fn sentence(facts: &JobFacts<'_>, funnel: &Funnel) -> String {
    let active = facts.pool.map(|pool| pool.active.as_slice()).unwrap_or_default();
    if !active.is_empty() {
        return of_targets(active);
    }
    if !funnel.targets.is_empty() {
        return format!("{} found, not scraped yet", count(funnel.targets.len(), "target"));
    }
    if let Some(reason) = funnel.invalid.first() {
        return format!("no target can be scraped: {reason}");
    }
    // The last rule that dropped something is where the last candidate fell out.
    let last = funnel.rules.iter().rposition(|drops| drops.dropped > 0);
    let looked = facts.config.sd.iter().map(where_it_looks).collect::<Vec<_>>().join("; ");
    // A Service without endpoints that is selected is meant rather than others that are not.
    let selected = || (without_targets(facts).into_iter().find(|one| one.is_selected)).map(|one| one.sentence());
    let why = match last {
        Some(rule) if is_selector(facts, rule) => {
            selected().unwrap_or_else(|| dropped_all(facts, rule, &funnel.rules[rule]))
        }
        Some(rule) => dropped_all(facts, rule, &funnel.rules[rule]),
        None => selected().unwrap_or_else(|| nothing_found(facts, &looked)),
    };
    format!("no targets: {why}")
}

fn of_targets(active: &[scraper::ActiveTarget]) -> String {
    let down: Vec<_> = active.iter().filter(|one| one.status.up == Some(false)).collect();
    let up = active.iter().filter(|one| one.status.up == Some(true)).count();
    let waiting = active.len() - up - down.len();
    let mut text = format!("{}, {up} up", count(active.len(), "target"));
    if waiting > 0 {
        text.push_str(&format!(", {waiting} not scraped yet"));
    }
    if let Some(first) = down.first() {
        text.push_str(&format!(", {} down: {}: {}", down.len(), first.target.url, first.status.last_error));
    }
    text
}

/// Discovery found nothing that rules could drop, and no object that is selected.
fn nothing_found(facts: &JobFacts<'_>, looked: &str) -> String {
    let others = without_targets(facts);
    if let Some(rule) = others.iter().find_map(|one| one.dropped_by) {
        let of_rule = others.iter().filter(|one| one.dropped_by == Some(rule));
        let value = |one: &Untargeted<'_>| value_of(&one.object.labels, &facts.config.relabel_configs[rule]);
        let seen: Vec<_> = of_rule.map(|one| (name(&one.object.labels), value(one))).collect();
        return missed(facts, rule, &seen);
    }
    match facts.errors.first() {
        Some(error) => format!("nothing was found ({looked}): {error}"),
        None => format!("nothing was found: there is no object to look at ({looked})"),
    }
}

/// An object in which nothing was found, and what the rules of the job make of its labels.
struct Untargeted<'f> {
    object: &'f WithoutTargets,
    is_selected: bool,
    /// The rule that drops it.
    dropped_by: Option<usize>,
}

impl Untargeted<'_> {
    fn sentence(&self) -> String {
        format!("{} is selected, but {}", name(&self.object.labels), self.object.why)
    }
}

fn without_targets<'f>(facts: &'f JobFacts<'_>) -> Vec<Untargeted<'f>> {
    let untargeted = |object: &'f WithoutTargets| {
        // Without an address it can be no target; up to there it is followed as if it were one.
        let dropped_by = match Funnel::of_one(&object.labels, facts.config) {
            Ok(Populated::Dropped { rule, .. }) => Some(rule),
            _ => None,
        };
        Untargeted { object, is_selected: !dropped_by.is_some_and(|rule| is_selector(facts, rule)), dropped_by }
    };
    facts.without_targets.iter().map(untargeted).collect()
}

/// One rule dropped the last candidates.
fn dropped_all(facts: &JobFacts<'_>, rule: usize, drops: &RuleDrops) -> String {
    let config = &facts.config.relabel_configs[rule];
    let origin = facts.origins.get(rule);
    if is_selector(facts, rule) {
        let seen: Vec<(String, String)> =
            drops.examples.iter().map(|labels| (name(labels), value_of(labels, config))).collect();
        return missed(facts, rule, &seen);
    }
    let values: Vec<String> = drops.values.keys().map(|value| format!("{value:?}")).collect();
    let wanted = config.spec().regex.as_deref().unwrap_or_default();
    match origin {
        Some(Origin::Field(field)) if field.ends_with("ort") || field.ends_with("ortNumber") => {
            let examples: Vec<String> = drops.examples.iter().map(name).collect();
            let there: Vec<&str> = drops.values.keys().map(String::as_str).filter(|name| !name.is_empty()).collect();
            let are = if there.is_empty() {
                "no such ports are declared".to_owned()
            } else {
                format!("there are {}", there.join(", "))
            };
            format!("{field} {wanted:?} does not exist on {}: {are}", listed(&examples))
        }
        Some(Origin::Field(field)) if field.ends_with("filterRunning") => {
            format!("all {} are of pods that have ended", count(drops.dropped, "candidate"))
        }
        Some(Origin::Prometheus(field)) if field.starts_with("spec.shard") => {
            format!("all {} belong to other shards ({field})", count(drops.dropped, "candidate"))
        }
        origin => {
            let whose = origin.map_or_else(|| format!("relabel_configs[{rule}]"), Origin::to_string);
            format!(
                "{whose} ({}) dropped the last {}; it saw {}",
                rule_text(config),
                count(drops.dropped, "candidate"),
                values.join(", ")
            )
        }
    }
}

/// Nothing has the label that a selector asks for; with what is there instead.
fn missed(facts: &JobFacts<'_>, rule: usize, seen: &[(String, String)]) -> String {
    let field = facts.origins.get(rule).map_or_else(|| format!("relabel_configs[{rule}]"), Origin::to_string);
    let wanted = facts.config.relabel_configs[rule].spec().regex.clone().unwrap_or_default();
    let wanted = wanted.trim_end_matches(";true").trim_start_matches('(').trim_end_matches(')').to_owned();
    let has = |(who, value): &(String, String)| match value.split_once(';') {
        Some((value, "true")) => format!("{who} has {value:?}"),
        _ => format!("{who} has no such label"),
    };
    let mut nearest: Vec<&(String, String)> = seen.iter().collect();
    // Something with the label, and nearly the value, is what was meant.
    nearest.sort_by_key(|(_, value)| match value.split_once(';') {
        Some((value, "true")) => strsim::osa_distance(value, &wanted),
        _ => usize::MAX,
    });
    nearest.dedup_by_key(|(who, _)| who);
    let near = nearest.iter().take(2).map(|one| has(one)).collect::<Vec<_>>().join(", ");
    format!("nothing that was found has what {field} asks for, {wanted:?}: {near}")
}

/// Does a rule ask which objects are meant? Of a job of a file, by the labels that it looks at.
fn is_selector(facts: &JobFacts<'_>, rule: usize) -> bool {
    if !facts.origins.is_empty() {
        return is_selector_field(facts.origins.get(rule));
    }
    let is_of_object = |label: &String| {
        let label = label.strip_prefix("__meta_kubernetes_").unwrap_or_default();
        ["namespace", "service_", "pod_label", "pod_annotation", "pod_name"].iter().any(|kind| label.starts_with(kind))
    };
    let spec = facts.config.relabel_configs[rule].spec();
    !spec.source_labels.is_empty() && spec.source_labels.iter().all(is_of_object)
}

fn is_selector_field(origin: Option<&Origin>) -> bool {
    matches!(origin, Some(Origin::Field(field)) if field.contains("elector.match"))
}

/// What a rule sees of a label set as it was found.
fn value_of(labels: &Labels, rule: &RelabelRule) -> String {
    rule.source(&LabelsBuilder::new(labels)).into_owned()
}

/// What a label set was found as: `Service default/web`, `pod default/web-0`.
pub(super) fn name(labels: &Labels) -> String {
    let meta = |name: &str| labels.value(&format!("__meta_kubernetes_{name}"));
    let namespace = meta("namespace");
    for (kind, label) in
        [("Service", "service_name"), ("pod", "pod_name"), ("Ingress", "ingress_name"), ("node", "node_name")]
    {
        let name = meta(label);
        if !name.is_empty() {
            let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
            return format!("{kind} {namespace}{name}");
        }
    }
    format!("target {}", labels.value("__address__"))
}

/// Some names, each once.
fn listed(names: &[String]) -> String {
    let mut unique: Vec<&str> = names.iter().map(String::as_str).collect();
    unique.sort_unstable();
    unique.dedup();
    let shown = unique.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match unique.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

pub(super) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job of a monitor whose rules are: select `app=web`, the port `metrics`, a rule of the user's.
    const JOB: &str = "
scrape_configs:
- job_name: serviceMonitor/default/web/0
  kubernetes_sd_configs:
  - {role: endpoints, namespaces: {names: [default]}}
  relabel_configs:
  - source_labels: [__meta_kubernetes_service_label_app, __meta_kubernetes_service_labelpresent_app]
    regex: (web);true
    action: keep
  - {source_labels: [__meta_kubernetes_endpoint_port_name], regex: metrics, action: keep}
  - {source_labels: [__meta_kubernetes_pod_name], regex: web-0, action: drop}
";

    fn origins() -> Vec<Origin> {
        ["spec.selector.matchLabels[\"app\"]", "spec.endpoints[0].port", "spec.endpoints[0].relabelings[0]"]
            .map(|field| Origin::Field(field.to_owned()))
            .into()
    }

    /// Endpoints of a Service: `service app=… port/pod port/pod`.
    fn group(text: &str) -> Arc<TargetGroup> {
        let mut words = text.split(' ');
        let (service, label) = (words.next().unwrap(), words.next().unwrap());
        let mut labels = vec![("__meta_kubernetes_namespace", "default"), ("__meta_kubernetes_service_name", service)];
        if let Some(app) = label.strip_prefix("app=") {
            labels.push(("__meta_kubernetes_service_label_app", app));
            labels.push(("__meta_kubernetes_service_labelpresent_app", "true"));
        }
        let target = |word: &str| {
            let (port, pod) = word.split_once('/').unwrap();
            Labels::from_pairs([
                ("__address__", "10.0.0.1:1"),
                ("__meta_kubernetes_endpoint_port_name", port),
                ("__meta_kubernetes_pod_name", pod),
            ])
            .into()
        };
        Arc::new(TargetGroup {
            source: format!("endpoints/default/{service}"),
            labels: Labels::from_pairs(labels),
            targets: words.map(target).collect(),
        })
    }

    fn sentence_of(groups: &[&str], errors: &[&str]) -> String {
        let config = config::Config::parse(JOB, "p.yml".as_ref(), &|_| None).unwrap();
        let (groups, without_groups): (Vec<_>, Vec<_>) =
            groups.iter().map(|text| group(text)).partition(|group| !group.targets.is_empty());
        let without = |group: &Arc<TargetGroup>| WithoutTargets {
            labels: group.labels.clone(),
            why: "its selector matches no pod".to_owned(),
        };
        let without_targets = without_groups.iter().map(without).collect();
        let facts = JobFacts {
            config: &config.scrape_configs[0],
            origins: &origins(),
            groups: &groups,
            pool: None,
            errors: errors.iter().map(|error| (*error).to_owned()).collect(),
            without_targets,
            lost: Default::default(),
        };
        JobReport::new(&facts).sentence
    }

    #[test]
    fn the_step_at_which_the_last_candidate_falls_out_is_named() {
        for (groups, sentence) in [
            (&["web app=web metrics/web-1"][..], "1 target found, not scraped yet"),
            (&[], "no targets: nothing was found: there is no object to look at (endpoints in the namespace default)"),
            (
                &["web app=wep metrics/web-1 http/web-1", "db - metrics/db-0"],
                "no targets: nothing that was found has what spec.selector.matchLabels[\"app\"] asks for, \"web\": \
                 Service default/web has \"wep\", Service default/db has no such label",
            ),
            (
                &["web app=web http/web-1 admin/web-1", "db app=db metrics/db-0"],
                "no targets: spec.endpoints[0].port \"metrics\" does not exist on Service default/web: there are admin, http",
            ),
            (
                &["web app=web /web-1"],
                "no targets: spec.endpoints[0].port \"metrics\" does not exist on Service default/web: no such ports are \
                 declared",
            ),
            (
                &["web app=web metrics/web-0"],
                "no targets: spec.endpoints[0].relabelings[0] (drop [__meta_kubernetes_pod_name] =~ \"web-0\") dropped the last \
                 1 candidate; it saw \"web-0\"",
            ),
            (
                &["web app=web", "db app=db metrics/db-0"],
                "no targets: Service default/web is selected, but its selector matches no pod",
            ),
            (
                &["other app=x", "web app=web"],
                "no targets: Service default/web is selected, but its selector matches no pod",
            ),
            (
                &["web app=wep", "other app=x"],
                "no targets: nothing that was found has what spec.selector.matchLabels[\"app\"] asks for, \"web\": \
                 Service default/web has \"wep\", Service default/other has \"x\"",
            ),
        ] {
            assert_eq!(sentence_of(groups, &[]), sentence, "{groups:?}");
        }
        let forbidden = "no targets: nothing was found (endpoints in the namespace default): cannot list endpoints";
        assert_eq!(sentence_of(&[], &["cannot list endpoints"]), forbidden);
    }

    #[test]
    fn rules_name_the_field_that_asks_for_them_and_what_they_saw() {
        let config = config::Config::parse(JOB, "p.yml".as_ref(), &|_| None).unwrap();
        let groups = [group("web app=web http/web-1 metrics/web-1"), group("db - metrics/db-0")];
        let (origins, errors) = (origins(), Vec::new());
        let facts = JobFacts {
            config: &config.scrape_configs[0],
            origins: &origins,
            groups: &groups,
            pool: None,
            errors,
            without_targets: Vec::new(),
            lost: Default::default(),
        };
        let report = JobReport::new(&facts);
        let rules: Vec<_> =
            report.rules.iter().map(|rule| (rule.index, rule.dropped, format!("{:?}", rule.values))).collect();
        assert_eq!(rules, [(0, 1, r#"{"no such label": 1}"#.to_owned()), (1, 1, r#"{"http": 1}"#.to_owned())]);
        assert_eq!(report.rules[1].field.as_deref(), Some("spec.endpoints[0].port"));
        assert_eq!(report.rules[1].rule, "keep [__meta_kubernetes_endpoint_port_name] =~ \"metrics\"");
        let unmatched = "spec.endpoints[0].relabelings[0] (drop [__meta_kubernetes_pod_name] =~ \"web-0\") matches nothing of what \
                         was found";
        assert_eq!(report.unmatched_rules, [unmatched]);
        assert_eq!((report.candidates, report.discovery), (3, vec!["endpoints in the namespace default".to_owned()]));
    }
}
