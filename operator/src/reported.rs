//! What the `status` of objects says: which Prometheus objects accept a monitor or a PrometheusRule, and conditions.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::objects::{GROUP, remove_nulls};

/// The resource of Prometheus objects, as bindings spell it.
const PROMETHEUSES: &str = "prometheuses";
const TRUE: &str = "True";

/// What a status says when it is read. Never a difference between two objects: what is written there asks for nothing, and what we
/// write ourselves must not have jobs made again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reported {
    bindings: Vec<Binding>,
    conditions: Vec<Condition>,
}

impl PartialEq for Reported {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Binding {
    resource: String,
    namespace: String,
    name: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
    observed_generation: i64,
    last_transition_time: String,
}

/// What a condition says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_true: bool,
    /// A word in `CamelCase`; may be empty.
    pub(crate) reason: String,
    /// A sentence; may be empty.
    pub(crate) message: String,
    /// The version of the spec that it is about.
    pub(crate) generation: i64,
}

impl Reported {
    /// A status that cannot be read says nothing.
    pub(crate) fn read(mut status: Value) -> Self {
        remove_nulls(&mut status);
        serde_json::from_value(status).unwrap_or_default()
    }

    /// Is the object accepted by this Prometheus object, and since when is that so?
    pub(crate) fn accepted(&self, (namespace, name): (&str, &str)) -> Option<(Verdict, String)> {
        let is_it = |one: &&Binding| one.resource == PROMETHEUSES && one.namespace == namespace && one.name == name;
        verdict(&self.bindings.iter().find(is_it)?.conditions, "Accepted")
    }

    /// Is the Prometheus object in force, and since when is that so?
    pub(crate) fn reconciled(&self) -> Option<(Verdict, String)> {
        verdict(&self.conditions, "Reconciled")
    }
}

fn verdict(conditions: &[Condition], kind: &str) -> Option<(Verdict, String)> {
    let Condition { status, reason, message, observed_generation, last_transition_time, .. } =
        conditions.iter().find(|one| one.kind == kind)?;
    let verdict = Verdict {
        is_true: status == TRUE,
        reason: reason.clone(),
        message: message.clone(),
        generation: *observed_generation,
    };
    Some((verdict, last_transition_time.clone()))
}

impl Verdict {
    pub(crate) fn ok(generation: i64) -> Self {
        Self { is_true: true, reason: String::new(), message: String::new(), generation }
    }

    pub(crate) fn failed(reason: &str, message: &str, generation: i64) -> Self {
        Self { is_true: false, reason: reason.to_owned(), message: message.to_owned(), generation }
    }

    /// The status of a monitor or PrometheusRule: the binding to a Prometheus object, as Prometheus-Operator writes it
    /// (`pkg/operator/config_resource.go`).
    pub(crate) fn binding(&self, (namespace, name): (&str, &str), since: &str) -> Value {
        let conditions = [self.condition("Accepted", since)];
        let binding = json!({
            "group": GROUP, "resource": PROMETHEUSES, "namespace": namespace, "name": name, "conditions": conditions,
        });
        json!({"bindings": [binding]})
    }

    /// The status of a Prometheus object.
    pub(crate) fn conditions(&self, since: &str) -> Value {
        json!({"conditions": [self.condition("Reconciled", since)]})
    }

    fn condition(&self, kind: &str, since: &str) -> Value {
        let status = if self.is_true { TRUE } else { "False" };
        let mut condition = Map::from_iter([
            ("type".to_owned(), kind.into()),
            ("status".to_owned(), status.into()),
            ("observedGeneration".to_owned(), self.generation.into()),
            ("lastTransitionTime".to_owned(), since.into()),
        ]);
        for (name, text) in [("reason", &self.reason), ("message", &self.message)] {
            if !text.is_empty() {
                condition.insert(name.to_owned(), text.as_str().into());
            }
        }
        condition.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (is_true, reason, message) in [(true, "", ""), (false, "InvalidConfiguration", "no port")] {
            let verdict = Verdict { is_true, reason: reason.to_owned(), message: message.to_owned(), generation: 7 };
            let since = "2026-01-02T03:04:05Z";
            let mut status = verdict.binding(("monitoring", "main"), since);
            status["bindings"][0]["conditions"][0]["unknown"] = Value::Null;
            let read = Reported::read(status);
            assert_eq!(read.accepted(("monitoring", "main")), Some((verdict.clone(), since.to_owned())));
            assert_eq!(read.accepted(("monitoring", "other")), None);
            let read = Reported::read(verdict.conditions(since));
            assert_eq!(read.reconciled(), Some((verdict, since.to_owned())));
        }
        assert_eq!(Reported::read(json!({"bindings": 5})).reconciled(), None);
    }
}
