//! Events of objects that are not valid, where the right to write them exists. Whoever looks at a monitor by
//! `kubectl describe` finds the reason there.

use std::time::Duration;

use kube_watch::{ApiServer, EventObject, EventWriter};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use crate::objects::{Kind, ObjectRef};
use crate::outcome::{ObjectState, State};

/// Reason and action as Prometheus-Operator has them (`pkg/operator/resource_reconciler.go`), so that alerts on them go on.
const REASON: &str = "InvalidConfiguration";
const ACTION: &str = "SelectingConfigurationResources";
const ACTION_OF_RULES: &str = "SelectingPrometheusRuleResources";

/// Events that wait for a slow API server. What is more is left out: the log and `/api/v1/explain` have it too.
const QUEUE: usize = 4_096;
/// After a refusal Events are dropped for that long, rather than each refused.
const ASK_AGAIN: Duration = Duration::from_secs(300);

/// An Event to be.
#[derive(Debug, PartialEq, Eq)]
struct Notice {
    object: EventObject,
    action: &'static str,
    note: String,
}

/// The Events that are to be written, and who writes them.
#[derive(Debug)]
pub(crate) struct Events {
    writer: EventWriter,
    queue: mpsc::Sender<Notice>,
    waiting: Mutex<mpsc::Receiver<Notice>>,
}

impl Events {
    pub(crate) fn new(server: ApiServer) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self { writer: EventWriter::new(server, "weft"), queue, waiting: Mutex::new(waiting) }
    }

    /// Queues an Event for each of these objects that is not valid.
    pub(crate) fn publish(&self, changed: &[&ObjectState]) {
        for notice in notices(changed) {
            if self.queue.try_send(notice).is_err() {
                tracing::warn!("the API server takes Events too slowly; some are left out");
                return;
            }
        }
    }

    /// Writes what is queued, for as long as it is polled.
    pub(crate) async fn write(&self) {
        let mut waiting = self.waiting.lock().await;
        let mut refused: Option<Instant> = None;
        while let Some(Notice { object, action, note }) = waiting.recv().await {
            if refused.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
                continue;
            }
            match self.writer.warn(&object, REASON, action, &note).await {
                Ok(true) => refused = None,
                Ok(false) => {
                    if refused.is_none() {
                        tracing::info!("no right to create events.events.k8s.io: objects get no Events");
                    }
                    refused = Some(Instant::now());
                }
                Err(error) => {
                    let (kind, name) = (&object.kind, format!("{}/{}", object.namespace, object.name));
                    tracing::warn!(kind, name, err = %model::with_causes(&error), "cannot write an Event");
                }
            }
        }
    }
}

fn notices(changed: &[&ObjectState]) -> Vec<Notice> {
    let notice = |one: &&ObjectState| {
        let ObjectRef { kind, namespace, name } = &one.object;
        let object = EventObject {
            api_version: kind.api_version(),
            kind: kind.as_str().to_owned(),
            namespace: namespace.clone(),
            name: name.clone(),
            uid: one.uid.clone(),
        };
        let action = if *kind == Kind::PrometheusRule { ACTION_OF_RULES } else { ACTION };
        Notice { object, action, note: one.state.to_string() }
    };
    changed.iter().filter(|one| matches!(one.state, State::Invalid { .. })).map(notice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    fn outcome(uid: &str, state: State) -> Outcome {
        let object = ObjectRef { kind: Kind::ScrapeConfig, namespace: "a".to_owned(), name: "web".to_owned() };
        let uid = uid.to_owned();
        Outcome {
            objects: vec![ObjectState { object, uid, generation: 1, state, jobs: Vec::new() }],
            ..Outcome::default()
        }
    }

    #[test]
    fn an_object_that_is_invalid_for_another_reason_gets_an_event() {
        let invalid = |uid: &str, message: &str| {
            outcome(uid, State::Invalid { message: message.to_owned(), last_valid_in_use: false })
        };
        let notices = |before: &Outcome, now: &Outcome| super::notices(&now.changed_since(before));
        let (nothing, valid) = (Outcome::default(), outcome("1", State::Accepted));
        assert_eq!(notices(&nothing, &valid), []);
        let first = notices(&valid, &invalid("1", "no port"));
        assert_eq!((first[0].note.as_str(), first[0].object.uid.as_str()), ("not valid: no port", "1"));
        assert_eq!(first[0].object.api_version, "monitoring.coreos.com/v1alpha1");
        assert_eq!(notices(&invalid("1", "no port"), &invalid("1", "no port")), []);
        assert_eq!(notices(&invalid("1", "no port"), &invalid("1", "no path")).len(), 1);
        assert_eq!(notices(&invalid("1", "no port"), &invalid("2", "no port")).len(), 1, "created again");
    }
}
