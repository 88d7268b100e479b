//! Sample mutation: exposed labels to the series that is stored. Joins the target's labels, runs metric relabelling, checks
//! limits, and splits the result into source and metric labels. Runs only for lines that were not in the last scrape. Part
//! of step 5. (Prometheus: `mutateSampleLabels` in `scrape/scrape.go`.)

use model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use model::relabel::{RelabelRule, relabel};
use model::{Labels, LabelsBuilder};

use crate::parse::LabelPairs;
use crate::scrape_cache::error::{ContentError, SeriesLimit};

/// The rules and limits of a job for the series of its targets.
#[derive(Clone, Debug, Default)]
pub struct SeriesRules {
    /// Exposed labels win over target labels of the same name.
    pub honor_labels: bool,
    /// `metric_relabel_configs`.
    pub relabel: Vec<RelabelRule>,
    /// Names outside the legacy alphabets fail the scrape.
    pub legacy_names: bool,
    /// Most labels of one series, the name and the target's among them; 0: any number.
    pub label_limit: usize,
    /// Longest label name, bytes; 0: any.
    pub label_name_length_limit: usize,
    /// Longest label value, bytes; 0: any.
    pub label_value_length_limit: usize,
}

/// A series in two parts: its labels are those of the source that are not in `removed`, overridden by `metric`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// The labels that differ from those of the source, the metric name among them.
    pub(crate) metric: Labels,
    /// Names of source labels that relabelling took away from this series.
    pub(crate) removed: Vec<String>,
}

/// Why a series fails the scrape.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    reason: String,
    /// The limit that it exceeds, if any.
    limit: Option<SeriesLimit>,
}

impl Refusal {
    /// An invalid series that exceeds no limit.
    pub(crate) fn invalid(reason: String) -> Self {
        Self { reason, limit: None }
    }

    fn over_limit(reason: String) -> Self {
        Self { reason, limit: Some(SeriesLimit::Labels) }
    }

    /// A native histogram with more buckets than it may have.
    pub(crate) fn of_buckets(buckets: usize, limit: usize) -> Self {
        let reason = format!(
            "histogram bucket limit exceeded ({buckets} buckets at the coarsest resolution, limit: {limit}); raise \
             native_histogram_bucket_limit"
        );
        Self { reason, limit: Some(SeriesLimit::Buckets) }
    }

    /// The error of the scrape, with the place of the series.
    pub(crate) fn at(self, place: String) -> ContentError {
        ContentError::Series { place, reason: self.reason, limit: self.limit }
    }
}

/// The target's labels, which all its series get.
#[derive(Debug)]
pub(crate) struct Side {
    labels: Labels,
    /// The names of `labels`, in order.
    names: Vec<String>,
}

impl Side {
    pub(crate) fn new(labels: &Labels) -> Self {
        let names = labels.iter().map(|(name, _)| name.to_owned()).collect();
        Self { labels: labels.clone(), names }
    }
}

/// The series that a line stands for; `None` when relabelling drops it; an error fails the whole scrape. Puts what was
/// exposed in order.
pub(crate) fn series(
    exposed: &mut LabelPairs<'_>,
    side: &Side,
    rules: &SeriesRules,
) -> Result<Option<Series>, Refusal> {
    // Mostly the first letter says it.
    exposed.sort_by(|(a, _), (b, _)| a.as_bytes().first().cmp(&b.as_bytes().first()).then_with(|| a.cmp(b)));
    let source = &side.labels;
    // The common case needs no builder: nothing is overridden, so the exposed labels are the metric's part.
    if rules.relabel.is_empty() && are_apart(exposed, &side.names) {
        // An empty value means that there is no such label.
        let pairs = exposed.iter().map(|(name, value)| (&**name, &**value)).filter(|(_, value)| !value.is_empty());
        check(pairs.clone().chain(source.iter()), rules)?;
        return Ok(Some(Series { metric: Labels::from_sorted(pairs), removed: Vec::new() }));
    }
    let mut builder = join(exposed, source, rules.honor_labels).map_err(Refusal::invalid)?;
    // Limits are checked on what relabelling leaves, and not at all for a dropped series, as with upstream.
    if !relabel(&mut builder, &rules.relabel).is_kept() {
        return Ok(None);
    }
    check(builder.iter(), rules)?;
    // A source label that relabelling removed cannot be left out of the metric's part: it has to be named.
    let removed = source.iter().filter(|(name, _)| builder.get(name).is_empty()).map(|(name, _)| name.to_owned());
    let removed = removed.collect();
    // Only differences to the source are stored with the metric, so that all series of a target share one source.
    builder.retain(|name, value| source.get(name) != Some(value));
    Ok(Some(Series { metric: builder.labels(), removed }))
}

/// True if no name is on both sides and none repeats among the (sorted) exposed labels. This is the common case, in which
/// the metric's labels are the exposed ones unchanged.
fn are_apart(exposed: &LabelPairs<'_>, names: &[String]) -> bool {
    if exposed.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return false;
    }
    let mut exposed = exposed.iter().map(|(name, _)| name.as_ref()).peekable();
    !names.iter().any(|name| {
        // Both sides are sorted, so one pass over the exposed names is enough.
        while exposed.next_if(|exposed| *exposed < name.as_str()).is_some() {}
        exposed.peek() == Some(&name.as_str())
    })
}

/// Exposed and target labels together. Without `honor_labels` the target wins and the exposed label moves to
/// `exported_<name>`, again and again until the name is free, shorter names first.
fn join(exposed: &LabelPairs<'_>, source: &Labels, honor_labels: bool) -> Result<LabelsBuilder, String> {
    let mut builder = LabelsBuilder::default();
    // Duplicates are found before the builder would silently keep the last of them.
    let mut names: Vec<&str> = exposed.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("label name {:?} is not unique: invalid sample", pair[0]));
    }
    for (name, value) in exposed {
        builder.set(name, value.as_ref());
    }
    let mut conflicts: Vec<(&str, String)> = Vec::new();
    for (name, value) in source {
        // The builder holds the exposed labels and the target's that were set so far.
        let existing = builder.get(name);
        if honor_labels {
            // An exposed empty value still counts as exposed.
            if names.binary_search(&name).is_err() {
                builder.set(name, value);
            }
            continue;
        }
        if !existing.is_empty() {
            conflicts.push((name, existing.to_owned()));
        }
        builder.set(name, value);
    }
    // Upstream's `resolveConflictingExposedLabels` takes shorter names first: which label gets `exported_x` must not
    // depend on the order of labels.
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut free = format!("exported_{name}");
        while !builder.get(&free).is_empty() {
            free.insert_str(0, "exported_");
        }
        builder.set(&free, value);
    }
    Ok(builder)
}

fn check<'a>(labels: impl Iterator<Item = (&'a str, &'a str)> + Clone, rules: &SeriesRules) -> Result<(), Refusal> {
    // A series that relabelling left without a name fails the scrape (`errNameLabelMandatory` upstream).
    let metric = labels.clone().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
    if metric.is_empty() {
        return Err(Refusal::invalid("missing metric name (__name__ label)".to_owned()));
    }
    if rules.legacy_names {
        let bad_label = labels.clone().any(|(name, _)| !is_legacy_label_name(name));
        if bad_label || !is_legacy_metric_name(metric) {
            let shown = Labels::from_pairs(labels);
            return Err(Refusal::invalid(format!("invalid metric name or label names: {shown}")));
        }
    }
    let count = if rules.label_limit > 0 { labels.clone().count() } else { 0 };
    if count > rules.label_limit {
        return Err(Refusal::over_limit(format!(
            "label_limit exceeded (metric: {metric:.50}, number of labels: {count}, limit: {})",
            rules.label_limit
        )));
    }
    // The usual configuration has no limits: no further pass over the labels.
    if rules.label_name_length_limit == 0 && rules.label_value_length_limit == 0 {
        return Ok(());
    }
    for (name, value) in labels {
        let (length, limit) = (name.len(), rules.label_name_length_limit);
        if limit > 0 && length > limit {
            return Err(Refusal::over_limit(format!(
                "label_name_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, length: {length}, limit: {limit})"
            )));
        }
        let (length, limit) = (value.len(), rules.label_value_length_limit);
        if limit > 0 && length > limit {
            let shown: String = value.chars().take(50).collect();
            return Err(Refusal::over_limit(format!(
                "label_value_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, value: {shown:?}, length: {length}, limit: {limit})"
            )));
        }
    }
    Ok(())
}
