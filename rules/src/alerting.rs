//! What an alerting rule makes of the result of its query: alerts, and the series `ALERTS` and `ALERTS_FOR_STATE`.
//! (Prometheus: `rules/alerting.go`.)

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::labels::{LabelsBuilder, METRIC_NAME};
use model::{Labels, Timestamp};
use parking_lot::Mutex;
use query::{QueryOptions, Sample};

use crate::alert::{Alert, AlertState, Holds, Outcome};
use crate::context::Context;
use crate::error::EvaluationError;
use crate::metrics::Metrics;
use crate::notification::Notification;
use crate::output::Output;
use crate::spec::{AlertSpec, RuleSpec};
use crate::template::{Template, TemplateData};

/// The metric of each active alert.
pub(crate) const ALERTS: &str = "ALERTS";
/// The metric that says since when each is active.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
const ALERT_NAME: &str = "alertname";
const ALERT_STATE: &str = "alertstate";
/// Alertmanager takes an alert as firing for so many resend delays, or intervals: two may be lost.
const VALID_FOR: i64 = 4;

/// The alerts of a rule.
pub(crate) struct Alerts {
    name: String,
    holds: Holds,
    labels: Vec<(String, Template)>,
    annotations: Vec<(String, Template)>,
    /// The labels as they are written, with `alertname`: where a template yields nothing, the series have its text, as
    /// upstream's.
    written: Labels,
    active: Mutex<HashMap<Labels, Alert>>,
    /// Not before the state of alerts was restored are their series written: they are what it is restored from.
    restored: AtomicBool,
}

/// An evaluation of an alerting rule.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) context: &'a Context,
    pub(crate) ts: Timestamp,
    pub(crate) limit: usize,
    pub(crate) metrics: &'a Metrics,
}

impl Alerts {
    /// Reads the templates.
    pub(crate) fn new(spec: &RuleSpec, alert: &AlertSpec) -> Result<Self, EvaluationError> {
        let template = format!("__alert_{}", spec.name);
        let read = |texts: &[(String, String)]| {
            let read = |(name, text): &(String, String)| Ok((name.clone(), Template::parse(&template, text)?));
            texts.iter().map(read).collect::<Result<Vec<_>, EvaluationError>>()
        };
        let mut written = LabelsBuilder::default();
        for (name, text) in &spec.labels {
            written.set(name, text.as_str());
        }
        written.set(ALERT_NAME, spec.name.as_str());
        Ok(Self {
            name: spec.name.clone(),
            holds: alert.holds(),
            labels: read(&spec.labels)?,
            annotations: read(&alert.annotations)?,
            written: written.labels(),
            active: Mutex::default(),
            restored: AtomicBool::new(true),
        })
    }

    /// Evaluates templates and moves all alerts on; returns the series to be stored.
    pub(crate) fn outputs(&self, result: &[Sample], at: At<'_>) -> Result<Vec<Output>, EvaluationError> {
        let found = self.found(result, at)?;
        let mut active = self.active.lock();
        let mut is_found = HashSet::with_capacity(found.len());
        for alert in found {
            is_found.insert(alert.labels.clone());
            match active.get_mut(&alert.labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    (known.value, known.annotations) = (alert.value, alert.annotations);
                }
                // One that was resolved begins anew.
                _ => drop(active.insert(alert.labels.clone(), alert)),
            }
        }
        let mut count = 0;
        let mut outputs = Vec::new();
        let is_restored = self.is_restored();
        active.retain(|labels, alert| {
            let outcome = alert.advance(is_found.contains(labels), at.ts, self.holds);
            if outcome == Outcome::Active {
                count += 1;
                if is_restored {
                    outputs.extend(self.series(alert));
                }
            }
            outcome != Outcome::Gone
        });
        if at.limit > 0 && count > at.limit {
            active.clear();
            return Err(EvaluationError::Limit { limit: at.limit, found: count, what: "alerts" });
        }
        Ok(outputs)
    }

    /// The alerts of a result.
    fn found(&self, result: &[Sample], at: At<'_>) -> Result<Vec<Alert>, EvaluationError> {
        let mut alerts: Vec<Alert> = Vec::with_capacity(result.len());
        let mut seen = HashSet::with_capacity(result.len());
        for sample in result {
            let mut labels = LabelsBuilder::new(&sample.labels);
            labels.del(METRIC_NAME);
            for (name, template) in &self.labels {
                labels.set(name, self.expanded(template, sample, at));
            }
            labels.set(ALERT_NAME, self.name.as_str());
            let labels = labels.labels();
            if !seen.insert(labels.clone()) {
                return Err(EvaluationError::SameAlert);
            }
            let annotations = self.annotations.iter();
            let annotations = annotations.map(|(name, template)| (name, self.expanded(template, sample, at)));
            let annotations = Labels::from_pairs(annotations);
            alerts.push(Alert::new((labels, annotations), sample.value, at.ts));
        }
        Ok(alerts)
    }

    /// The text of a template, or upstream's words for an error in its place.
    fn expanded(&self, template: &Template, sample: &Sample, At { context, ts, metrics, .. }: At<'_>) -> String {
        let query = |text: &str| {
            let prepared = context.engine.prepare(text, &QueryOptions::default()).map_err(|error| error.to_string())?;
            context.query(&prepared, ts).map_err(|error| error.to_string())
        };
        let data = TemplateData {
            sample,
            external_labels: &context.external_labels,
            external_url: &context.external_url,
            now: ts,
            query: &query,
            still_wanted: &|| context.is_wanted(),
        };
        metrics.expansions.inc();
        template.expand(&data).unwrap_or_else(|error| {
            metrics.failed_expansions.inc();
            tracing::warn!(alert = self.name, %error, labels = %sample.labels, "Expanding alert template failed");
            format!("<error expanding template: {error}>")
        })
    }

    /// The two series of an alert.
    fn series(&self, alert: &Alert) -> [Output; 2] {
        let all = self.written.joined(&alert.labels);
        let state = Labels::from_sorted([(METRIC_NAME, ALERTS), (ALERT_STATE, alert.state.as_str())]);
        let since = Labels::from_sorted([(METRIC_NAME, ALERTS_FOR_STATE)]);
        // Whole seconds, as upstream writes it.
        let active_at = alert.active_at.0.div_euclid(1000) as f64;
        let output = |labels: &Labels, value| Output { labels: all.joined(labels), value, histogram: None };
        [output(&state, 1.0), output(&since, active_at)]
    }

    /// What is to be sent now. Such alerts count as sent.
    pub(crate) fn to_send(
        &self,
        ts: Timestamp,
        (interval_ms, resend_delay_ms): (i64, i64),
        link: impl FnOnce() -> Arc<str>,
    ) -> Vec<Notification> {
        let valid_until = ts.saturating_add(interval_ms.max(resend_delay_ms).saturating_mul(VALID_FOR));
        let mut active = self.active.lock();
        let mut due = active.values_mut().filter(|alert| alert.needs_sending(ts, resend_delay_ms)).peekable();
        // Nothing is due at most evaluations.
        let Some(url) = due.peek().is_some().then(link) else { return Vec::new() };
        due.map(|alert| {
            alert.last_sent_at = Some(ts);
            Notification {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                starts_at: alert.fired_at.unwrap_or(alert.active_at),
                ends_at: alert.resolved_at.unwrap_or(valid_until),
                generator_url: Arc::clone(&url),
            }
        })
        .collect()
    }

    /// The state of the rule: the highest of its alerts.
    pub(crate) fn state(&self) -> AlertState {
        self.active.lock().values().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }

    /// The alerts that are pending or firing, in order of their labels.
    pub(crate) fn list(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.active.lock().values().filter(|alert| alert.is_active()).cloned().collect();
        model::labels::sort_by_labels(&mut alerts, |alert| &alert.labels);
        alerts
    }

    /// Goes on with the alerts of a rule that this one replaces. Whether they are restored, the group decides for all its rules.
    pub(crate) fn take_over(&self, from: &Self) {
        *self.active.lock() = std::mem::take(&mut *from.active.lock());
    }

    pub(crate) fn is_restored(&self) -> bool {
        self.restored.load(Ordering::Acquire)
    }

    pub(crate) fn set_restored(&self, is_restored: bool) {
        self.restored.store(is_restored, Ordering::Release);
    }

    /// `for`
    pub(crate) fn for_ms(&self) -> i64 {
        self.holds.for_ms
    }

    /// Changes all alerts.
    pub(crate) fn for_each(&self, change: impl FnMut(&mut Alert)) {
        self.active.lock().values_mut().for_each(change);
    }

    /// The labels that all series of the rule have, without those that templates make.
    pub(crate) fn constant_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        // As upstream tells them apart.
        self.written.iter().filter(|(_, value)| !value.contains("{{"))
    }
}
