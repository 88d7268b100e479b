//! Follows the objects, and says what they ask for whenever that changes.

use std::sync::Arc;
use std::time::Duration;

use config::{Config, Defaults};
use kube_watch::{Changes, Key, Watches};
use parking_lot::Mutex;

use crate::events::Events;
use crate::inputs::{FileConfig, Inputs, Settings};
use crate::options::OperatorOptions;
use crate::outcome::{ObjectState, Outcome, State};
use crate::rbac::{MissingRight, missing_rights};
use crate::reconcile::Memory;
use crate::rule_language::RuleLanguage;
use crate::sources::{Opener, Sources, Tag};
use crate::statuses::Statuses;

/// Changes that follow one another faster are taken together: an apply of many objects is one change of the configuration.
const SETTLE: Duration = Duration::from_millis(200);

/// The operator. Dropping it ends its watches.
#[derive(Debug)]
pub struct Operator {
    options: OperatorOptions,
    changes: Arc<Changes<Tag>>,
    events: Events,
    statuses: Statuses,
    settings: Settings,
    language: Arc<dyn RuleLanguage>,
    state: Mutex<OperatorState>,
    /// Apart from `state`: who asks does not wait until thousands of objects are looked at.
    outcome: Mutex<Arc<Outcome>>,
}

#[derive(Debug)]
struct OperatorState {
    sources: Sources,
    memory: Memory,
    /// The configuration file that jobs inherit from; without one there are none yet.
    file: Option<Arc<FileConfig>>,
}

impl Operator {
    /// Starts to follow the objects, within a tokio runtime. Rules are checked by `language`.
    #[must_use]
    pub fn new(watches: Arc<Watches>, options: OperatorOptions, language: Arc<dyn RuleLanguage>) -> Self {
        let asked = options.clone();
        let OperatorOptions { server, prometheus, own_namespace, namespaces, selector, options, placeholders } =
            options;
        let changes = Arc::new(Changes::default());
        let events = Events::new(server.clone());
        let statuses = Statuses::new(server.clone(), prometheus.clone());
        let opener = Opener { watches, server, changes: Arc::clone(&changes) };
        let key = prometheus.map(|(namespace, name)| Key::new(namespace, name));
        // A Prometheus object selects monitors of its own namespace first.
        let own = key.as_ref().map_or(own_namespace, |key| key.namespace.clone());
        let sources = Sources::new(opener, key, &own, &namespaces);
        let settings = Settings { options, placeholders, namespace: own, selector };
        let state = OperatorState { sources, memory: Memory::default(), file: None };
        Self {
            options: asked,
            changes,
            events,
            statuses,
            settings,
            language,
            state: Mutex::new(state),
            outcome: Mutex::default(),
        }
    }

    /// The rights that the API server does not give to this server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn missing_rights(&self) -> Result<Vec<MissingRight>, kube_watch::Error> {
        missing_rights(&self.options).await
    }

    /// What the objects ask for with this configuration file, which jobs inherit from unless a Prometheus object says
    /// otherwise.
    pub fn apply(&self, file: &Config, defaults: &Defaults) -> Arc<Outcome> {
        let mut state = self.state.lock();
        let file = FileConfig { global: file.global.clone(), defaults: defaults.clone() };
        // With the same file nothing is made again: `follow` has looked at the objects, and the base knows the file by address.
        if state.file.as_deref() != Some(&file) {
            state.file = Some(Arc::new(file));
            self.reconcile(&mut state);
        }
        self.outcome()
    }

    /// What the objects ask for, as it was known last.
    #[must_use]
    pub fn outcome(&self) -> Arc<Outcome> {
        Arc::clone(&self.outcome.lock())
    }

    /// Calls `changed` whenever the configuration that follows from the objects is another one; writes Events and the status of objects.
    pub async fn run<F: Future<Output = ()>>(&self, changed: impl Fn() -> F) {
        // Beside one another: a slow API server does not hold up changes.
        tokio::join!(self.follow(changed), self.events.write(), self.statuses.write());
    }

    async fn follow<F: Future<Output = ()>>(&self, changed: impl Fn() -> F) {
        loop {
            self.changes.wait().await;
            // Not a pause between two looks: the first change of a burst waits for the rest of it.
            tokio::time::sleep(SETTLE).await;
            // Before the look: what changes while it lasts wakes the next wait.
            self.changes.take();
            let is_other = {
                let mut state = self.state.lock();
                let before = self.outcome();
                self.reconcile(&mut state);
                !before.is_same_configuration(&self.outcome())
            };
            if is_other {
                changed().await;
            }
        }
    }

    fn reconcile(&self, state: &mut OperatorState) {
        let OperatorState { sources, memory, file } = state;
        // Before a configuration file is there too: its watches are open by then.
        let Some(seen) = sources.look(memory, &self.settings) else { return };
        let Some(file) = file else { return };
        let (settings, language) = (&self.settings, &*self.language);
        let inputs = Inputs { seen: &seen, assets: sources.assets(), settings, file, language };
        let before = self.outcome();
        let new = memory.reconcile(inputs, &before);
        let changed = new.changed_since(&before);
        log_changes(&before, &new, &changed);
        self.events.publish(&changed);
        self.statuses.note(&new, &seen);
        *self.outcome.lock() = Arc::new(new);
    }
}

/// Says what became of objects, once for each time that it changes. Why a kind is not seen, its watch says.
fn log_changes(before: &Outcome, now: &Outcome, changed: &[&ObjectState]) {
    if let Some(prometheus) = &now.prometheus
        && before.prometheus.as_ref() != Some(prometheus)
    {
        let name = &prometheus.name;
        if let Some(error) = &prometheus.error {
            tracing::error!(prometheus = name, %error, "Prometheus object is not in force; its last valid version goes on");
        }
        if prometheus.is_paused {
            tracing::warn!(prometheus = name, "Prometheus object is paused: no change of any object is put into force");
        }
        let said = before.prometheus.as_ref().map_or(&[][..], |before| before.not_applied.as_slice());
        for fields in prometheus.not_applied.iter().filter(|fields| !said.contains(fields)) {
            tracing::warn!(prometheus = name, "fields of the Prometheus object are not applied: {fields}");
        }
    }
    for object in changed {
        match &object.state {
            // Not worth a line: the sum below says how many there are.
            State::Accepted | State::Pending => {
                tracing::debug!(object = %object.object, jobs = object.jobs.len(), "object is selected")
            }
            State::NotSelected(why) => tracing::info!(object = %object.object, "object is not selected: {why}"),
            State::Invalid { .. } => tracing::warn!(object = %object.object, "object is {}", object.state),
        }
    }
    if !before.is_same_configuration(now) || before.objects.len() != now.objects.len() {
        let mut counts = [0usize; 3];
        for object in &now.objects {
            let count = match &object.state {
                State::Accepted | State::Pending => 0,
                State::NotSelected(_) => 1,
                State::Invalid { .. } => 2,
            };
            counts[count] += 1;
        }
        let [accepted, not_selected, invalid] = counts;
        let (jobs, groups) = (now.jobs.len(), now.rules.iter().map(|one| one.groups.groups.len()).sum::<usize>());
        tracing::info!(accepted, not_selected, invalid, jobs, groups, "objects of monitoring.coreos.com");
    }
}
