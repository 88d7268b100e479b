//! The status of objects: what became of each, where the right to write it exists. Without a Prometheus object there is nothing that
//! an object could be bound to, and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube_watch::{ApiServer, StatusOf, StatusWriter, Written};
use model::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::inputs::{FoundPrometheus, Seen};
use crate::objects::{GROUP, ObjectRef, PrometheusSpec};
use crate::outcome::{Outcome, State};
use crate::reported::Verdict;
use crate::watched::{CONTROLLER, Spec as _, WRITER, Watched};

/// The reasons as Prometheus-Operator has them, so that alerts on them go on.
const INVALID: &str = "InvalidConfiguration";
const FAILED: &str = "ReconciliationFailed";
/// After a refusal objects of that kind and namespace are left out for so long.
const ASK_AGAIN: Duration = Duration::from_secs(300);
/// The pauses while the API server does not answer.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_secs(60);

/// Whose status it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// The Prometheus object.
    Prometheus,
    /// A monitor or PrometheusRule.
    Object(ObjectRef),
}

/// What the status of an object says, and what it should say.
#[derive(Debug)]
struct Entry {
    uid: String,
    /// `None` for no binding.
    wanted: Option<Verdict>,
    /// With the time since when it is true, or false. As it was seen first, or written last: what others write over it stays, so that
    /// two writers do not take turns for ever.
    written: Option<(Verdict, String)>,
}

/// One status to write.
#[derive(Debug)]
struct Next {
    subject: Subject,
    uid: String,
    written: Option<(Verdict, String)>,
    status: Value,
}

/// The statuses as they are and as they should be, and who writes them.
#[derive(Debug)]
pub(crate) struct Statuses {
    writer: StatusWriter,
    /// The Prometheus object, namespace and name.
    workload: Option<(String, String)>,
    known: Mutex<Known>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<Subject, Entry>,
    /// Prometheus-Operator writes the status of the Prometheus object.
    is_operated: bool,
}

impl Statuses {
    pub(crate) fn new(server: ApiServer, workload: Option<(String, String)>) -> Self {
        Self { writer: StatusWriter::new(server, WRITER), workload, known: Mutex::default(), woken: Notify::new() }
    }

    /// Takes over what became of the objects.
    pub(crate) fn note(&self, outcome: &Outcome, seen: &Seen) {
        let (Some((namespace, name)), FoundPrometheus::Object(prometheus)) = (&self.workload, &seen.prometheus) else {
            return;
        };
        let mut known = self.known.lock();
        let was_operated = std::mem::replace(&mut known.is_operated, prometheus.is_operated);
        if prometheus.is_operated {
            if !was_operated {
                tracing::info!(
                    prometheus = %format_args!("{namespace}/{name}"),
                    "Prometheus-Operator writes the status of the Prometheus object and is left to it; where it is gone, set the \
                     annotation {}: {WRITER}",
                    CONTROLLER
                );
            }
            known.entries.clear();
            return;
        }
        let before = std::mem::take(&mut known.entries);
        known.entries = entries(before, outcome, (seen, prometheus), (namespace, name));
        drop(known);
        self.woken.notify_one();
    }

    /// Writes what is not written yet, for as long as it is polled.
    pub(crate) async fn write(&self) {
        let mut refused = Refused::default();
        let mut pause = PAUSE_FIRST;
        loop {
            let Some(next) = self.next(&refused) else {
                // What was refused is tried again at times, without a change.
                let _ = timeout(ASK_AGAIN, self.woken.notified()).await;
                continue;
            };
            let of = next.subject.status_of(self.workload());
            match self.writer.apply(&of, &next.status).await {
                Ok(Written::Done) => self.is_written(&next),
                Ok(Written::Gone) => self.forget(&next.subject),
                Ok(Written::NotAllowed(why)) => refused.add(&of, &why),
                Ok(Written::Refused(why)) => {
                    tracing::warn!(object = %of_text(&of), %why, "the API server does not take the status of an object");
                    // The next one may be another one.
                    self.is_written(&next);
                }
                Err(error) => {
                    if pause == PAUSE_FIRST {
                        tracing::warn!(err = %model::with_causes(&error), "cannot write the status of objects, trying again");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_LONGEST);
                    continue;
                }
            }
            pause = PAUSE_FIRST;
        }
    }

    /// Namespace and name of the Prometheus object.
    fn workload(&self) -> (&str, &str) {
        self.workload.as_ref().map_or(("", ""), |(namespace, name)| (namespace, name))
    }

    fn next(&self, refused: &Refused) -> Option<Next> {
        let known = self.known.lock();
        let is_next = |(subject, entry): &(&Subject, &Entry)| {
            !entry.is_written() && refused.may_write(&subject.status_of(self.workload()))
        };
        let (subject, entry) = known.entries.iter().find(is_next)?;
        let since = entry.since();
        let status = match (&entry.wanted, subject) {
            // What was ours and is not applied again goes.
            (None, _) => json!({}),
            (Some(verdict), Subject::Prometheus) => verdict.conditions(&since),
            (Some(verdict), Subject::Object(_)) => verdict.binding(self.workload(), &since),
        };
        let written = entry.wanted.clone().map(|verdict| (verdict, since));
        Some(Next { subject: subject.clone(), uid: entry.uid.clone(), written, status })
    }

    fn is_written(&self, next: &Next) {
        let mut known = self.known.lock();
        if let Some(entry) = known.entries.get_mut(&next.subject).filter(|entry| entry.uid == next.uid) {
            entry.written.clone_from(&next.written);
        }
    }

    fn forget(&self, subject: &Subject) {
        self.known.lock().entries.remove(subject);
    }
}

/// What is known of each object, and what should be.
fn entries(
    mut before: BTreeMap<Subject, Entry>,
    outcome: &Outcome,
    (seen, prometheus): (&Seen, &Watched<PrometheusSpec>),
    workload: (&str, &str),
) -> BTreeMap<Subject, Entry> {
    let mut entries = BTreeMap::new();
    let mut add = |subject: Subject, uid: &str, wanted: Wanted, read: &dyn Fn() -> Option<(Verdict, String)>| {
        // Another object of the same name has a status of its own.
        let before = before.remove(&subject).filter(|entry| entry.uid == uid);
        let wanted = match wanted {
            Wanted::AsBefore => return entries.extend(before.map(|entry| (subject, entry))),
            Wanted::Nothing => None,
            Wanted::Verdict(verdict) => Some(verdict),
        };
        let written = before.map_or_else(read, |entry| entry.written);
        entries.insert(subject, Entry { uid: uid.to_owned(), wanted, written });
    };
    for one in &outcome.objects {
        let read = || seen.reported(&one.object)?.accepted(workload);
        add(Subject::Object(one.object.clone()), &one.uid, accepted(&one.state, one.generation), &read);
    }
    let meta = &prometheus.meta;
    let wanted = match &outcome.prometheus {
        Some(state) if !state.is_paused => reconciled(state.error.as_ref(), meta.generation),
        _ => Wanted::AsBefore,
    };
    add(Subject::Prometheus, &meta.uid, wanted, &|| prometheus.reported.reconciled());
    entries
}

/// What a status should say.
enum Wanted {
    AsBefore,
    Nothing,
    Verdict(Verdict),
}

fn accepted(state: &State, generation: i64) -> Wanted {
    match state {
        State::Pending => Wanted::AsBefore,
        State::NotSelected(_) => Wanted::Nothing,
        State::Accepted => Wanted::Verdict(Verdict::ok(generation)),
        State::Invalid { message, .. } => Wanted::Verdict(Verdict::failed(INVALID, message, generation)),
    }
}

fn reconciled(error: Option<&String>, generation: i64) -> Wanted {
    Wanted::Verdict(match error {
        None => Verdict::ok(generation),
        Some(error) => Verdict::failed(FAILED, error, generation),
    })
}

impl Subject {
    fn status_of<'s>(&'s self, (namespace, name): (&'s str, &'s str)) -> StatusOf<'s> {
        let (version, kind, resource, namespace, name) = match self {
            Self::Prometheus => {
                (PrometheusSpec::VERSION, PrometheusSpec::KIND, PrometheusSpec::PLURAL, namespace, name)
            }
            Self::Object(ObjectRef { kind, namespace, name }) => {
                (kind.version(), kind.as_str(), kind.resource(), namespace.as_str(), name.as_str())
            }
        };
        StatusOf { group: GROUP, version, kind, resource, namespace, name }
    }
}

impl Entry {
    fn is_written(&self) -> bool {
        self.wanted.as_ref() == self.written.as_ref().map(|(verdict, _)| verdict)
    }

    /// Since when what is wanted is true, or false.
    fn since(&self) -> String {
        let is_true = self.wanted.as_ref().map(|verdict| verdict.is_true);
        let written =
            self.written.as_ref().filter(|(verdict, since)| Some(verdict.is_true) == is_true && !since.is_empty());
        written.map_or_else(now, |(_, since)| since.clone())
    }
}

/// `2026-01-02T03:04:05Z`
fn now() -> String {
    let now = jiff::Timestamp::from_millisecond(Timestamp::now().0).unwrap_or_default();
    format!("{now:.0}")
}

/// The kinds whose status may not be written, by namespace, and when that was said.
#[derive(Debug, Default)]
struct Refused {
    places: BTreeMap<(String, String), Instant>,
    /// Said once for each kind.
    said: BTreeSet<String>,
}

impl Refused {
    fn add(&mut self, of: &StatusOf<'_>, why: &str) {
        let resource = of.resource.to_owned();
        if self.said.insert(resource.clone()) {
            tracing::info!(resource, why, "the status of objects is not written");
        }
        self.places.insert((resource, of.namespace.to_owned()), Instant::now());
    }

    fn may_write(&self, of: &StatusOf<'_>) -> bool {
        let at = self.places.get(&(of.resource.to_owned(), of.namespace.to_owned()));
        at.is_none_or(|at| at.elapsed() >= ASK_AGAIN)
    }
}

fn of_text(of: &StatusOf<'_>) -> String {
    format!("{} {}/{}", of.kind, of.namespace, of.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_verdict_stays_while_it_is_the_same_in_kind() {
        let entry = |wanted: Verdict, written: Verdict| Entry {
            uid: String::new(),
            wanted: Some(wanted),
            written: Some((written, "long ago".to_owned())),
        };
        let bad = |why: &str| Verdict::failed(INVALID, why, 1);
        assert_eq!(entry(bad("a"), bad("b")).since(), "long ago");
        assert_eq!(entry(Verdict::ok(2), Verdict::ok(1)).since(), "long ago");
        let other = entry(Verdict::ok(1), bad("a")).since();
        assert!(other.len() == 20 && other.ends_with('Z'), "{other}");
        assert!(entry(bad("a"), bad("a")).is_written() && !entry(bad("a"), bad("b")).is_written());
    }
}
