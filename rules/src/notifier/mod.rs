//! Sends alerts to Alertmanagers and webhooks.
//!
//! Nothing that rules hand over waits for a receiver: each has a bounded queue and a loop of its own. A request that fails is
//! sent again, later and later, as long as what it says is of use (`queue`); one that is refused is not.

mod address;
mod alerts_json;
mod backoff;
mod delivery;
mod metrics;
mod options;
mod queue;
mod relabel;
mod send_loop;
mod set;
mod webhook;

use std::sync::Arc;

use config::AlertingConfig;
use model::{Labels, RelabelRule, TargetGroups, Timestamp};
use parking_lot::RwLock;
use prometheus::Registry;
use tokio::task::JoinSet;

use self::metrics::Metrics;
pub use self::options::NotifierOptions;
use self::options::Shared;
use self::relabel::relabelled;
use self::set::{AlertmanagerSet, Webhook};
use crate::Notification;

/// The Alertmanagers, by the URLs that alerts are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alertmanagers {
    /// Those that get alerts.
    pub active: Vec<String>,
    /// Those that relabelling dropped.
    pub dropped: Vec<String>,
}

/// Sends alerts.
#[derive(Debug)]
pub struct Notifier {
    shared: Shared,
    state: RwLock<State>,
    /// The loops, also those that are about to end. Held while receivers change.
    loops: tokio::sync::Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct State {
    external_labels: Labels,
    rules: Vec<RelabelRule>,
    sets: Vec<AlertmanagerSet>,
    webhooks: Vec<Webhook>,
    is_ended: bool,
}

impl Notifier {
    /// A notifier without receivers.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(options: NotifierOptions, registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry, options.queue_capacity)?;
        let shared = Shared { options, metrics };
        Ok(Self { shared, state: RwLock::default(), loops: tokio::sync::Mutex::default() })
    }

    /// The name under which discovery publishes the Alertmanagers of a section, as upstream's.
    #[must_use]
    pub fn discovery_key(section: usize) -> String {
        format!("config-{section}")
    }

    /// Applies a configuration. Sections that did not change keep their Alertmanagers and queues, wherever they stand in the list;
    /// others have no Alertmanagers until the next [`Notifier::sync`]. So discovery is to get a configuration after this, lest
    /// its targets are taken for those of another section.
    pub async fn apply(&self, alerting: &AlertingConfig, external_labels: &Labels) {
        let mut loops = self.loops.lock().await;
        let (sets, webhooks) = {
            let mut state = self.state.write();
            if state.is_ended {
                return;
            }
            state.external_labels = external_labels.clone();
            state.rules.clone_from(&alerting.alert_relabel_configs);
            let (mut old_sets, mut old_webhooks) =
                (std::mem::take(&mut state.sets), std::mem::take(&mut state.webhooks));
            for config in &alerting.alertmanagers {
                let known = old_sets.iter().position(|set| set.config == *config);
                state.sets.push(match known {
                    Some(known) => old_sets.swap_remove(known),
                    None => AlertmanagerSet::new(config.clone(), &self.shared),
                });
            }
            for config in &alerting.webhooks {
                let known = old_webhooks.iter().position(|webhook| webhook.config == *config);
                state.webhooks.push(match known {
                    Some(known) => old_webhooks.swap_remove(known),
                    None => Webhook::new(config.clone(), &self.shared, &mut loops),
                });
            }
            self.count(&state);
            (old_sets, old_webhooks)
        };
        let until = self.shared.drained_until();
        sets.iter().for_each(|set| set.stop(until));
        webhooks.iter().for_each(|webhook| webhook.stop(until));
        reap(&mut loops);
    }

    /// Applies the Alertmanagers that discovery has found, by [`Notifier::discovery_key`].
    pub async fn sync(&self, groups: Arc<TargetGroups>) {
        let mut loops = self.loops.lock().await;
        let mut state = self.state.write();
        if state.is_ended {
            return;
        }
        for (i, set) in state.sets.iter_mut().enumerate() {
            if let Some(groups) = groups.get(&Self::discovery_key(i)) {
                set.sync(groups, &self.shared, &mut loops);
            }
        }
        self.count(&state);
        drop(state);
        reap(&mut loops);
    }

    /// Queues alerts for every receiver. Never waits for one.
    pub fn send(&self, alerts: &[Notification]) {
        let state = self.state.read();
        if state.is_ended {
            return;
        }
        let alerts = relabelled(alerts, &state.external_labels, &state.rules);
        if alerts.is_empty() {
            return;
        }
        let now = Timestamp::now();
        state.sets.iter().for_each(|set| set.send(&alerts, now));
        state.webhooks.iter().for_each(|webhook| webhook.send(&alerts));
    }

    /// The Alertmanagers that are known now.
    #[must_use]
    pub fn alertmanagers(&self) -> Alertmanagers {
        let state = self.state.read();
        Alertmanagers {
            active: state.sets.iter().flat_map(AlertmanagerSet::active).map(str::to_owned).collect(),
            dropped: state.sets.iter().flat_map(|set| &set.dropped).cloned().collect(),
        }
    }

    /// Ends all loops, and takes no more alerts. What waits is sent if the options say so, within a bounded time.
    pub async fn shutdown(&self) {
        let mut loops = self.loops.lock().await;
        let ended = {
            let mut state = self.state.write();
            std::mem::replace(&mut *state, State { is_ended: true, ..State::default() })
        };
        let until = self.shared.drained_until();
        let State { sets, webhooks, .. } = ended;
        sets.iter().for_each(|set| set.stop(until));
        webhooks.iter().for_each(|webhook| webhook.stop(until));
        while loops.join_next().await.is_some() {}
    }

    fn count(&self, state: &State) {
        let active = state.sets.iter().map(|set| set.active().count()).sum::<usize>();
        self.shared.metrics.discovered.set(i64::try_from(active).unwrap_or(i64::MAX));
    }
}

/// Takes ended loops off the set, which would otherwise grow with every Alertmanager that was ever there.
fn reap(loops: &mut JoinSet<()>) {
    while loops.try_join_next().is_some() {}
}
