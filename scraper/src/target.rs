//! Makes targets of discovered label sets: labels after relabelling, URL, interval. Step 2 of the scrape path
//! (upstream: `scrape/target.go`, `PopulateLabels`).

use config::ScrapeConfig;
use http_client::Connection;
use model::duration::{format_duration_ms, parse_duration_ms};
use model::labels::{ADDRESS, INSTANCE, JOB, RESERVED_PREFIX};
use model::relabel::{Relabeled, relabel_seen};
use model::{Labels, LabelsBuilder, TargetGroup};

use crate::parse::Wanted;
use crate::schedule::target_hash;

const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
const UNIX_SOCKET: &str = "__unix_socket__";
const META_PREFIX: &str = "__meta_";
/// Limits of the target that annotations lower; only with `limits_from_annotations`. As labels they are part of what the target is.
const SAMPLE_LIMIT: &str = "__sample_limit__";
const LABEL_LIMIT: &str = "__label_limit__";

/// A target to scrape; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As discovery found it, with the job's defaults; before relabelling.
    pub discovered: Labels,
    /// After relabelling, the internal labels among them.
    pub labels: Labels,
    /// The labels of its series.
    pub public: Labels,
    /// Where it is scraped.
    pub url: String,
    /// Time between scrapes, milliseconds.
    pub interval_ms: i64,
    /// Longest time a scrape may take, milliseconds.
    pub timeout_ms: i64,
    /// Hash of labels and URL. Targets with equal hashes are the same target.
    pub hash: u64,
}

impl Target {
    /// The Unix socket to connect to, whatever the URL says.
    #[must_use]
    pub fn socket(&self) -> Option<&str> {
        self.labels.get(UNIX_SOCKET).filter(|path| !path.is_empty())
    }

    /// A connection to it, not yet made.
    pub(crate) fn connection(&self) -> Connection {
        self.socket().map_or_else(Connection::default, |path| Connection::over_socket(path.into()))
    }
}

impl Target {
    /// The limits that annotations lower for it: of samples, and of labels.
    pub(crate) fn lowered_limits(&self) -> (Option<usize>, Option<usize>) {
        let limit = |label: &str| self.labels.get(label)?.parse().ok();
        (limit(SAMPLE_LIMIT), limit(LABEL_LIMIT))
    }

    /// Its parser options: the handling of histograms is set per target by labels, the rest per job.
    #[must_use]
    pub fn wanted(&self, of_all: Wanted) -> Wanted {
        let on = |switch: usize| self.labels.get(SWITCHES[switch].0).and_then(parse_bool).unwrap_or(false);
        Wanted { native: on(2), classic: on(1), convert: on(0), ..of_all }
    }
}

/// Labels that relabelling may set to switch the handling of histograms, and what errors call them.
const SWITCHES: [(&str, &str); 3] = [
    ("__convert_classic_histograms_to_nhcb__", "convert classic histograms to nhcb"),
    ("__always_scrape_classic_histograms__", "always scrape classic histograms"),
    ("__scrape_native_histograms__", "scrape native histograms"),
];

/// The result of relabelling a discovered label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Populated {
    /// To be scraped.
    Target(Box<Target>),
    /// Relabelling dropped it.
    Dropped {
        /// As discovery found it.
        discovered: Labels,
        /// The index of the rule that dropped it.
        rule: usize,
    },
    /// It cannot be scraped.
    Invalid {
        /// Why, naming the target within its group.
        reason: String,
    },
}

/// Which rules of a job have matched, of all that it has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleMatches(Vec<RuleMatch>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RuleMatch {
    is_applied: bool,
    is_matched: bool,
}

impl RuleMatches {
    fn add(&mut self, rule: usize, is_matched: bool) {
        if self.0.len() <= rule {
            self.0.resize(rule + 1, RuleMatch::default());
        }
        let known = &mut self.0[rule];
        *known = RuleMatch { is_applied: true, is_matched: known.is_matched || is_matched };
    }

    /// The indices of rules that were applied to something and have matched nothing.
    pub fn unmatched(&self) -> impl Iterator<Item = usize> {
        let rules = self.0.iter().enumerate();
        rules.filter(|(_, rule)| rule.is_applied && !rule.is_matched).map(|(index, _)| index)
    }
}

/// Every target of a group.
pub fn populate<'p>(
    group: &'p TargetGroup,
    job: &'p ScrapeConfig,
    matches: &'p mut RuleMatches,
) -> impl Iterator<Item = Populated> + 'p {
    (0..group.targets.len()).map(move |i| populate_target(group, i, job, matches))
}

/// The target at an index of a group.
pub(crate) fn populate_target(
    group: &TargetGroup,
    index: usize,
    job: &ScrapeConfig,
    matches: &mut RuleMatches,
) -> Populated {
    let builder = found(&group.targets[index].joined(&group.labels), job);
    populate_one(&builder.labels(), builder, job, matches).unwrap_or_else(|reason| Populated::Invalid {
        reason: format!("instance {index} in group {}: {reason}", group.source),
    })
}

/// The labels of the target at an index of a group before relabelling; those of an index past its end are the job's alone.
#[must_use]
pub fn discovered_labels(group: &TargetGroup, index: usize, job: &ScrapeConfig) -> Labels {
    let own = group.targets.get(index).map(|target| target.joined(&group.labels));
    found(&own.unwrap_or_default(), job).labels()
}

/// What discovery found of a target, and what the job says where it says nothing.
pub(crate) fn found(discovered: &Labels, job: &ScrapeConfig) -> LabelsBuilder {
    let mut builder = LabelsBuilder::new(discovered);
    let mut default = |name: &str, value: &str| {
        if builder.get(name).is_empty() {
            builder.set(name, value);
        }
    };
    default(JOB, &job.job_name);
    default(INTERVAL, &format_duration_ms(job.scrape_interval_ms));
    default(TIMEOUT, &format_duration_ms(job.scrape_timeout_ms));
    default(METRICS_PATH, &job.metrics_path);
    default(SCHEME, &job.scheme);
    let switches =
        [job.convert_classic_histograms_to_nhcb, job.always_scrape_classic_histograms, job.scrape_native_histograms];
    // Upstream passes these settings as labels, so that relabelling can change them for a single target.
    for ((label, _), on) in SWITCHES.into_iter().zip(switches) {
        default(label, if on { "true" } else { "false" });
    }
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            // Only the first value of a parameter is a label; the others go into the URL unchanged (see `url`).
            default(&format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    builder
}

/// The target of a discovered label set, which is what the builder holds.
pub(crate) fn populate_one(
    discovered: &Labels,
    mut builder: LabelsBuilder,
    job: &ScrapeConfig,
    matches: &mut RuleMatches,
) -> Result<Populated, String> {
    let see = |rule, is_matched| matches.add(rule, is_matched);
    if let Relabeled::DroppedBy(rule) = relabel_seen(&mut builder, &job.relabel_configs, see) {
        return Ok(Populated::Dropped { discovered: discovered.clone(), rule });
    }
    set_labels_of_objects(&mut builder, discovered, job);
    lower_limits(&mut builder, discovered, job);
    let address = builder.get(ADDRESS).to_owned();
    if address.is_empty() {
        // After relabelling, which may set or clear the address.
        return Err("no address".to_owned());
    }
    // Upstream's `config.CheckTargetAddress`: a scheme or a path in the address is a common mistake.
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    // Read from the labels, not from the job: relabelling may have changed them.
    let (interval_ms, timeout_ms) = times(&builder)?;
    for (label, what) in SWITCHES {
        let text = builder.get(label);
        if parse_bool(text).is_none() {
            return Err(format!("error parsing {what}: strconv.ParseBool: parsing {text:?}: invalid syntax"));
        }
    }
    // Meta labels are gone only now, after the rules have used them. Other `__` labels stay in `labels`: they are
    // part of the target's identity and of its URL.
    builder.retain(|name, _| !name.starts_with(META_PREFIX));
    if builder.get(INSTANCE).is_empty() {
        // After relabelling, so that a rule which changes the address changes the default instance too.
        builder.set(INSTANCE, address);
    }
    let labels = builder.labels();
    builder.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
    let url = url(&labels, job);
    // Two targets with the same hash are scraped once (`ScrapePool`).
    let hash = target_hash(&labels, &url);
    let target =
        Target { discovered: discovered.clone(), public: builder.labels(), labels, url, interval_ms, timeout_ms, hash };
    Ok(Populated::Target(Box::new(target)))
}

/// Sets the labels of `target_labels_from`, unless the target has them.
fn set_labels_of_objects(builder: &mut LabelsBuilder, discovered: &Labels, job: &ScrapeConfig) {
    for (meta, label) in job.target_labels_from.labels() {
        // Of what was discovered: rules may have taken the meta labels away.
        let value = discovered.value(&meta);
        if builder.get(&label).is_empty() {
            builder.set(&label, value);
        }
    }
}

/// Sets the limits that annotations of the pod or Service lower.
fn lower_limits(builder: &mut LabelsBuilder, discovered: &Labels, job: &ScrapeConfig) {
    if !job.limits_from_annotations {
        return;
    }
    let limits = &job.limits;
    for (label, annotation, of_job) in
        [(SAMPLE_LIMIT, "sample_limit", limits.samples), (LABEL_LIMIT, "label_limit", limits.labels)]
    {
        let asked = ["pod", "service"].into_iter().filter_map(|object| {
            let text = discovered.value(&format!("__meta_kubernetes_{object}_annotation_weft_io_{annotation}"));
            // 0 would be no limit at all.
            text.trim().parse::<u64>().ok().filter(|limit| *limit > 0)
        });
        let lowest = asked.min().filter(|limit| of_job == 0 || *limit < of_job);
        // An empty value takes the label away, which a rule may have set.
        builder.set(label, lowest.map(|limit| limit.to_string()).unwrap_or_default());
    }
}

/// As Go's `strconv.ParseBool` reads it.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn times(builder: &LabelsBuilder) -> Result<(i64, i64), String> {
    let read = |label: &str, what: &str| -> Result<i64, String> {
        let text = builder.get(label);
        let ms = parse_duration_ms(text).map_err(|e| format!("error parsing {what}: {e}"))?;
        if ms == 0 { Err(format!("{what} cannot be 0")) } else { Ok(ms) }
    };
    let (interval, timeout) = (read(INTERVAL, "scrape interval")?, read(TIMEOUT, "scrape timeout")?);
    if timeout > interval {
        return Err(format!(
            "scrape timeout cannot be greater than scrape interval ({:?} > {:?})",
            builder.get(TIMEOUT),
            builder.get(INTERVAL)
        ));
    }
    Ok((interval, timeout))
}

fn url(labels: &Labels, job: &ScrapeConfig) -> String {
    let mut params: Vec<(String, Vec<String>)> = job.params.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    for (name, value) in labels {
        let Some(name) = name.strip_prefix(PARAM_PREFIX) else { continue };
        match params.iter_mut().find(|(known, _)| known == name) {
            // The label holds the first value only; the job's further values of the parameter are kept.
            Some((_, values)) if !values.is_empty() => value.clone_into(&mut values[0]),
            Some((_, values)) => values.push(value.to_owned()),
            None => params.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    // Go's `url.Values.Encode` sorts by name; the URL is shown and hashed, so it must not vary.
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let pairs = params.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let pairs: Vec<String> =
        pairs.map(|(name, value)| format!("{}={}", escaped_query(name), escaped_query(value))).collect();
    let query = pairs.join("&");
    let path = escaped_path(labels.value(METRICS_PATH));
    let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
    let mark = if query.is_empty() { "" } else { "?" };
    let scheme = labels.value(SCHEME);
    let colon = if scheme.is_empty() { "" } else { ":" };
    format!("{scheme}{colon}//{}{slash}{path}{mark}{query}", labels.value(ADDRESS))
}

/// Escapes as Go's `url.QueryEscape` does: unlike in forms, an asterisk is escaped and a tilde is not.
fn escaped_query(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');
    utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+")
}

/// Escapes a path as Go's `URL.EscapedPath` does, a question mark included.
fn escaped_path(path: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const ESCAPED: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        // A percent sign in `__metrics_path__` is a character of the path, not an escape.
        .add(b'%')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'[')
        .add(b'\\')
        .add(b']')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    utf8_percent_encode(path, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(more: &str) -> ScrapeConfig {
        let text = format!("scrape_configs: [{{job_name: j, {more}}}]");
        let config = config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        ScrapeConfig::clone(&config.scrape_configs[0])
    }

    fn populated(more: &str, pairs: &[(&str, &str)]) -> Target {
        let (job, address) = (job(more), [("__address__", "h:1")]);
        let builder = found(&Labels::from_pairs(address.iter().chain(pairs).copied()), &job);
        match populate_one(&builder.labels(), builder, &job, &mut RuleMatches::default()) {
            Ok(Populated::Target(target)) => *target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_of_objects_are_set_where_there_are_none() {
        let from = "target_labels_from: {pod: [team, app as owner], node: [zone], namespace: [team, cost as owner]}";
        let pairs = [
            ("__meta_kubernetes_pod_label_team", "a"),
            ("__meta_kubernetes_namespace_label_team", "b"),
            ("__meta_kubernetes_namespace_label_cost", "c"),
            ("__meta_kubernetes_node_label_zone", "z"),
        ];
        let shown = |more: &str| populated(&format!("{from}, {more}"), &pairs).public.to_string();
        assert_eq!(shown(""), r#"{instance="h:1", job="j", owner="c", team="a", zone="z"}"#);
        // What a rule sets wins, also where it takes the meta labels away.
        let rules = "relabel_configs: [{target_label: zone, replacement: r}, {action: labeldrop, regex: __meta.*}]";
        assert_eq!(shown(rules), r#"{instance="h:1", job="j", owner="c", team="a", zone="r"}"#);
        assert_eq!(populated("", &pairs).public.to_string(), r#"{instance="h:1", job="j"}"#);
    }

    #[test]
    fn annotations_lower_limits_and_never_raise_them() {
        let limits = |more: &str, pod: &str, service: &str| {
            let pairs = [
                ("__meta_kubernetes_pod_annotation_weft_io_sample_limit", pod),
                ("__meta_kubernetes_service_annotation_weft_io_sample_limit", service),
                ("__meta_kubernetes_pod_annotation_weft_io_label_limit", "9"),
            ];
            populated(more, &pairs).lowered_limits()
        };
        let on = "limits_from_annotations: true";
        assert_eq!(limits(on, "5", "7"), (Some(5), Some(9)));
        assert_eq!(limits(on, "7", "5"), (Some(5), Some(9)));
        assert_eq!(limits(&format!("{on}, sample_limit: 6, label_limit: 8"), "7", "9"), (None, None));
        assert_eq!(limits(&format!("{on}, sample_limit: 6"), "x", "0"), (None, Some(9)));
        assert_eq!(limits("", "5", "7"), (None, None), "it is off");
    }

    #[test]
    fn parameters_are_escaped_as_go_does() {
        // What `url.QueryEscape` of Go 1.26 says.
        let cases =
            [("http://*.b.example/~x", "http%3A%2F%2F%2A.b.example%2F~x"), ("a b+c&d=é-_.", "a+b%2Bc%26d%3D%C3%A9-_.")];
        for (text, escaped) in cases {
            assert_eq!(escaped_query(text), escaped);
        }
    }
}
