//! What a recording rule makes of the result of its query. (Prometheus: `rules/recording.go`.)

use std::collections::HashSet;

use model::Labels;
use model::labels::METRIC_NAME;
use query::Sample;

use crate::error::EvaluationError;
use crate::output::Output;
use crate::spec::RuleSpec;

/// The series that a recording rule writes.
pub(crate) struct Recorded(AddedLabels);

impl Recorded {
    pub(crate) fn new(spec: &RuleSpec) -> Self {
        let labels = spec.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Self(AddedLabels::new(&spec.name, labels))
    }

    /// The labels that a series of the result is recorded with.
    pub(crate) fn labels(&self, labels: &Labels) -> Labels {
        self.0.to(labels)
    }

    /// The result with the name and the labels of the rule. `before` are the series of an earlier evaluation, no two equal:
    /// mostly they come again in the same order, and their label sets are then used once more.
    pub(crate) fn outputs(
        &self,
        result: Vec<Sample>,
        before: &[Labels],
        limit: usize,
    ) -> Result<Vec<Output>, EvaluationError> {
        let found = result.len();
        let mut all_known = true;
        let mut before = before.iter();
        let outputs: Vec<Output> = result
            .into_iter()
            .map(|Sample { labels, value, histogram, .. }| {
                let known = before.next().filter(|before| self.0.makes(&labels, before)).cloned();
                all_known &= known.is_some();
                Output { labels: known.unwrap_or_else(|| self.0.to(&labels)), value, histogram }
            })
            .collect();
        let mut seen = HashSet::with_capacity(if all_known { 0 } else { found });
        if !all_known && !outputs.iter().all(|output| seen.insert(&output.labels)) {
            return Err(EvaluationError::SameSeries);
        }
        if limit > 0 && found > limit {
            return Err(EvaluationError::Limit { limit, found, what: "series" });
        }
        Ok(outputs)
    }
}

/// Labels of a series with those of a rule, which win; an empty one removes a label.
struct AddedLabels {
    set: Labels,
    removed: Vec<String>,
}

impl AddedLabels {
    /// A metric name and labels.
    fn new<'a>(name: &'a str, labels: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        let removed = labels.clone().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.to_owned()).collect();
        Self { set: Labels::from_pairs(std::iter::once((METRIC_NAME, name)).chain(labels)), removed }
    }

    /// Is `made` what [`Self::to`] makes of these labels?
    fn makes(&self, labels: &Labels, made: &Labels) -> bool {
        if self.removed.is_empty() { labels.joins_to(&self.set, made) } else { self.to(labels) == *made }
    }

    /// The labels of a series with these.
    fn to(&self, labels: &Labels) -> Labels {
        if self.removed.is_empty() {
            return labels.joined(&self.set);
        }
        labels.filtered(|name| !self.removed.iter().any(|removed| removed == name)).joined(&self.set)
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
        let labels = Labels::from_pairs(labels.iter().copied());
        Sample { labels, ts: Timestamp(0), value, histogram: None }
    }

    fn recorded(labels: &[(&str, &str)]) -> Recorded {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Recorded::new(&RuleSpec { labels, ..RuleSpec::recording("job:up", "up") })
    }

    #[test]
    fn name_and_labels_are_the_rules() {
        let rule = recorded(&[("gone", ""), ("team", "a")]);
        let result = vec![sample(&[("__name__", "up"), ("gone", "x"), ("job", "b"), ("team", "z")], 1.0)];
        let outputs = rule.outputs(result, &[], 0).unwrap();
        let expected = Labels::from_pairs([("__name__", "job:up"), ("job", "b"), ("team", "a")]);
        assert_eq!(outputs, [Output { labels: expected, value: 1.0, histogram: None }]);
    }

    #[test]
    fn series_that_become_equal_and_too_many_are_refused() {
        let result = || vec![sample(&[("job", "a")], 1.0), sample(&[("job", "b")], 2.0)];
        let error = |rule: Recorded, limit| rule.outputs(result(), &[], limit).unwrap_err().to_string();
        assert_eq!(
            error(recorded(&[("job", "")]), 0),
            "vector contains metrics with the same labelset after applying rule labels"
        );
        assert_eq!(error(recorded(&[]), 1), "exceeded limit of 1 with 2 series");
        assert_eq!(recorded(&[]).outputs(result(), &[], 2).unwrap().len(), 2);
    }

    #[test]
    fn what_was_recorded_before_changes_no_result() {
        let rules = [&[][..], &[("team", "a")], &[("job", "")], &[("job", ""), ("team", "a")]];
        let jobs = |jobs: &[&str]| -> Vec<Sample> {
            jobs.iter().map(|job| sample(&[("job", job), ("pod", &format!("of-{job}"))], 1.0)).collect()
        };
        for labels in rules {
            let rule = recorded(labels);
            let outputs = |result: &[&str], before: &[Labels]| rule.outputs(jobs(result), before, 0).unwrap();
            let before: Vec<Labels> = outputs(&["a", "b", "c"], &[]).into_iter().map(|one| one.labels).collect();
            for result in
                [&["a", "b", "c"][..], &["a", "b"], &["b", "c"], &["c", "a"], &["a", "b", "c", "d"], &["d"], &[]]
            {
                assert_eq!(outputs(result, &before), outputs(result, &[]), "{labels:?} {result:?}");
            }
            // The label sets themselves.
            let again = outputs(&["a", "b", "c"], &before);
            assert!(
                again.iter().zip(&before).all(|(one, before)| std::ptr::eq(one.labels.as_text(), before.as_text()))
            );
        }
        // Two that become equal are found also where the first is known.
        let rule = recorded(&[("job", "")]);
        let result = || vec![sample(&[("job", "a")], 1.0), sample(&[("job", "b")], 2.0)];
        let before = [rule.labels(&Labels::from_pairs([("job", "a")]))];
        assert!(rule.outputs(result(), &before, 0).is_err());
    }
}
