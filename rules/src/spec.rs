//! Rule groups as they are configured, checked and complete: intervals filled in, labels of the group merged into its rules.

use std::collections::BTreeMap;

use config::{Rule, RuleFile, RuleGroup};
use query::{Engine, QueryOptions};

use crate::alert::Holds;

/// A group of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// The file that it is from, or what stands in its place.
    pub file: String,
    /// Unique in the file.
    pub name: String,
    /// From one evaluation to the next.
    pub interval_ms: i64,
    /// Rules look at the time before by so much; of all groups where it is not set.
    pub query_offset_ms: Option<i64>,
    /// Recording rules are also evaluated for times up to this long before the group was there.
    pub backfill_ms: Option<i64>,
    /// The most series or alerts that a rule may yield; 0: any number.
    pub limit: usize,
    /// In the order in which they are evaluated.
    pub rules: Vec<RuleSpec>,
}

/// A recording or alerting rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// Of the metric that it records, or of the alert.
    pub name: String,
    /// The expression, in canonical form.
    pub expr: String,
    /// Labels of the group and the rule, in byte order of their names. Of a recording rule an empty one removes a label.
    pub labels: Vec<(String, String)>,
    /// What only alerting rules have.
    pub alert: Option<AlertSpec>,
}

/// What only alerting rules have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSpec {
    /// `for`
    pub for_ms: i64,
    /// `keep_firing_for`
    pub keep_firing_for_ms: i64,
    /// Templates, in byte order of their names.
    pub annotations: Vec<(String, String)>,
}

impl AlertSpec {
    pub(crate) fn holds(&self) -> Holds {
        Holds { for_ms: self.for_ms, keep_firing_for_ms: self.keep_firing_for_ms }
    }
}

impl GroupSpec {
    /// The groups of a rule file. One without an interval has that of all groups, `global.evaluation_interval`.
    ///
    /// # Errors
    /// When an expression does not parse; those of a file that was checked do.
    pub fn of_file(file: &RuleFile, interval_ms: i64, engine: &Engine) -> Result<Vec<Self>, query::Error> {
        let path = file.file.display().to_string();
        let of_group = |group: &RuleGroup| {
            let rules = group.rules.iter().map(|rule| RuleSpec::of_rule(rule, &group.labels, engine));
            Ok(Self {
                file: path.clone(),
                name: group.name.clone(),
                interval_ms: group.interval_ms.unwrap_or(interval_ms),
                query_offset_ms: group.query_offset_ms,
                backfill_ms: group.backfill_ms,
                // Negative ones limit nothing, as upstream has it.
                limit: usize::try_from(group.limit).unwrap_or(0),
                rules: rules.collect::<Result<_, query::Error>>()?,
            })
        };
        file.groups.iter().map(of_group).collect()
    }

    /// Upstream's `GroupKey`: unique among all groups, and the label `rule_group` of the metrics.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.name)
    }
}

impl RuleSpec {
    fn of_rule(rule: &Rule, labels: &BTreeMap<String, String>, engine: &Engine) -> Result<Self, query::Error> {
        let mut labels = labels.clone();
        labels.extend(rule.labels.clone());
        let alert = rule.alert.is_some().then(|| AlertSpec {
            for_ms: rule.for_ms,
            keep_firing_for_ms: rule.keep_firing_for_ms,
            annotations: rule.annotations.clone().into_iter().collect(),
        });
        let bounds = engine.bounds(&QueryOptions::default());
        let expr = engine.canonical(&rule.expr, &bounds)?;
        Ok(Self { name: rule.name().to_owned(), expr, labels: labels.into_iter().collect(), alert })
    }

    /// A recording rule without labels.
    #[must_use]
    pub fn recording(name: &str, expr: &str) -> Self {
        Self { name: name.to_owned(), expr: expr.to_owned(), labels: Vec::new(), alert: None }
    }

    /// An alerting rule without labels and annotations, that fires at once.
    #[must_use]
    pub fn alerting(name: &str, expr: &str) -> Self {
        Self { alert: Some(AlertSpec::default()), ..Self::recording(name, expr) }
    }

    /// Does it raise alerts?
    #[must_use]
    pub fn is_alerting(&self) -> bool {
        self.alert.is_some()
    }

    /// The labels that all series of a recording rule have.
    pub(crate) fn constant_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// By what a reload recognises a rule whose expression may have changed.
    pub(crate) fn identity(&self) -> (&str, &[(String, String)]) {
        (&self.name, &self.labels)
    }
}
