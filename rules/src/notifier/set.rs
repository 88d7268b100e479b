//! The receivers of one section of the configuration, and their loops.

use std::collections::HashMap;
use std::sync::Arc;

use config::{AlertWebhookConfig, AlertmanagerConfig};
use model::{Labels, TargetGroup, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::address::Addresses;
use super::delivery::Delivery;
use super::options::Shared;
use super::queue::Queue;
use super::relabel::relabelled;
use super::send_loop::{SendLoop, Stop};
use super::webhook::Groups;
use crate::Notification;

/// Why a section with `sigv4` sends nothing: unsigned requests would be refused, or taken by whoever answers.
const NOT_SIGNED: &str = "sigv4 is not built in: requests cannot be signed for AWS";

/// The Alertmanagers of one section.
#[derive(Debug)]
pub(super) struct AlertmanagerSet {
    pub(super) config: AlertmanagerConfig,
    delivery: Arc<Delivery>,
    /// In the order of discovery.
    active: Vec<Url>,
    /// Those that relabelling dropped.
    pub(super) dropped: Vec<String>,
    invalid: Vec<String>,
    loops: HashMap<Url, (Arc<Queue>, Stop)>,
}

impl AlertmanagerSet {
    pub(super) fn new(config: AlertmanagerConfig, shared: &Shared) -> Self {
        let options = &shared.options;
        let delivery = match &config.sigv4 {
            Some(_) => Delivery::impossible(NOT_SIGNED),
            None => Delivery::new(&config.http, config.timeout_ms, &options.user_agent, &options.resolver),
        };
        if let Some(why) = delivery.error() {
            tracing::error!(err = %why, "no alerts are sent to the Alertmanagers of a section");
        }
        let delivery = Arc::new(delivery);
        let (active, dropped, invalid) = (Vec::new(), Vec::new(), Vec::new());
        Self { config, delivery, active, dropped, invalid, loops: HashMap::new() }
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &str> {
        self.active.iter().map(Url::as_str)
    }

    /// Starts and ends loops so that exactly the Alertmanagers of these groups get alerts; a new one starts with an empty queue.
    pub(super) fn sync(&mut self, groups: &[Arc<TargetGroup>], shared: &Shared, tasks: &mut JoinSet<()>) {
        let Addresses { active, dropped, invalid } = Addresses::of(groups, &self.config);
        // Logged when it is new: the same groups are synced again and again.
        for why in invalid.iter().filter(|why| !self.invalid.contains(*why)) {
            tracing::error!(err = %why, "cannot use a discovered Alertmanager");
        }
        for url in &active {
            if !self.loops.contains_key(url) {
                let (metrics, options) = (shared.metrics.of(url.as_str()), &shared.options);
                let queue = Arc::new(Queue::new(options.queue_capacity, options.batch_size, metrics, url.as_str()));
                let receiver = (url.clone(), url.to_string());
                let (send_loop, stop) = SendLoop::new(Arc::clone(&queue), Arc::clone(&self.delivery), receiver);
                tasks.spawn(send_loop.run());
                self.loops.insert(url.clone(), (queue, stop));
            }
        }
        let until = shared.drained_until();
        self.loops.retain(|url, (_, stop)| {
            let is_active = active.contains(url);
            if !is_active {
                stop.send_replace(Some(until));
            }
            is_active
        });
        (self.active, self.dropped, self.invalid) = (active, dropped, invalid);
    }

    pub(super) fn send(&self, alerts: &[Notification], now: Timestamp) {
        let alerts = relabelled(alerts, &Labels::empty(), &self.config.alert_relabel_configs);
        for (queue, _) in self.loops.values() {
            queue.add(&alerts, now);
        }
    }

    /// Tells the loops to end.
    pub(super) fn stop(&self, until: Instant) {
        for (_, stop) in self.loops.values() {
            stop.send_replace(Some(until));
        }
    }
}

/// One webhook.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) config: AlertWebhookConfig,
    /// `None` if it has no URL, which the configuration does not allow.
    running: Option<(Arc<Groups>, Stop)>,
}

impl Webhook {
    pub(super) fn new(config: AlertWebhookConfig, shared: &Shared, tasks: &mut JoinSet<()>) -> Self {
        let options = &shared.options;
        let delivery = Delivery::new(&config.http, config.timeout_ms, &options.user_agent, &options.resolver);
        if let Some(why) = delivery.error() {
            tracing::error!(webhook = %config.name, err = %why, "no alerts are sent to a webhook");
        }
        let url = config.url.as_ref().and_then(|url| Url::parse(url.expose()).ok());
        let running = url.map(|url| {
            // Not the URL, which may hold a token.
            let receiver = format!("webhook/{}", config.name);
            let metrics = shared.metrics.of(&receiver);
            let groups = Arc::new(Groups::new(config.clone(), &options.external_url, options.queue_capacity, metrics));
            let (send_loop, stop) = SendLoop::new(Arc::clone(&groups), Arc::new(delivery), (url, receiver));
            tasks.spawn(send_loop.run());
            (groups, stop)
        });
        Self { config, running }
    }

    pub(super) fn send(&self, alerts: &[Notification]) {
        if let Some((groups, _)) = &self.running {
            groups.add(&relabelled(alerts, &Labels::empty(), &self.config.alert_relabel_configs));
        }
    }

    /// Tells the loop to end.
    pub(super) fn stop(&self, until: Instant) {
        if let Some((_, stop)) = &self.running {
            stop.send_replace(Some(until));
        }
    }
}
