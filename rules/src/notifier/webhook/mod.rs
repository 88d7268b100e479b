//! Webhooks: alerts in Alertmanager's format to a server that is none, grouped and repeated as Alertmanager does it. For small
//! clusters; what was sent is not remembered across a restart, so what fires then is sent once more.

mod group;
mod message;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use config::AlertWebhookConfig;
use model::{Labels, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::group::{Group, Told, Waits};
use self::message::Message;
use super::metrics::ReceiverMetrics;
use super::send_loop::{Next, Outbox};
use crate::Notification;

/// Groups by all labels, as in Alertmanager's `group_by`.
const ALL_LABELS: &str = "...";

/// The groups of one webhook.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Mutex<BTreeMap<Labels, Group>>,
    config: AlertWebhookConfig,
    waits: Waits,
    external_url: String,
    /// The most alerts of all groups together.
    capacity: usize,
    woken: Notify,
    metrics: ReceiverMetrics,
    now: fn() -> Timestamp,
}

impl Groups {
    pub(super) fn new(
        config: AlertWebhookConfig,
        external_url: &str,
        capacity: usize,
        metrics: ReceiverMetrics,
    ) -> Self {
        let wait = |ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let waits = Waits {
            group_wait: wait(config.group_wait_ms),
            group_interval: wait(config.group_interval_ms),
            repeat_interval: wait(config.repeat_interval_ms),
            send_resolved: config.send_resolved,
        };
        let external_url = external_url.to_owned();
        let (groups, woken) = (Mutex::default(), Notify::new());
        Self { groups, config, waits, external_url, capacity, woken, metrics, now: Timestamp::now }
    }

    /// Takes notifications; of alerts beyond the capacity, the newest are dropped, as the others may be known to the receiver.
    pub(super) fn add(&self, alerts: &[Notification]) {
        let (now, at) = ((self.now)(), Instant::now());
        let mut groups = self.groups.lock();
        let mut held: usize = groups.values().map(Group::len).sum();
        let mut dropped = 0;
        for alert in alerts {
            let key = self.key(&alert.labels);
            let group = groups.get(&key);
            let knows = group.is_some_and(|group| group.knows(&alert.labels));
            // Rules repeat for a while that an alert is resolved, also after the receiver was told.
            if alert.is_resolved_at(now) && !knows {
                continue;
            }
            if !group.is_some_and(|group| group.holds(&alert.labels)) {
                if held >= self.capacity {
                    dropped += 1;
                    continue;
                }
                held += 1;
            }
            groups.entry(key).or_insert_with(|| Group::new(self.first_due(alert, now, at))).put(alert);
        }
        drop(groups);
        if dropped > 0 {
            self.metrics.dropped.inc_by(dropped);
            tracing::warn!(webhook = %self.config.name, count = dropped, "alerts dropped: too many at once");
        }
        self.woken.notify_one();
    }

    /// When a new group is sent first: at once if its alert has fired for longer than new groups wait.
    fn first_due(&self, alert: &Notification, now: Timestamp, at: Instant) -> Instant {
        let is_old = alert.starts_at.saturating_add(self.config.group_wait_ms) < now;
        if is_old { at } else { at + self.waits.group_wait }
    }

    fn key(&self, labels: &Labels) -> Labels {
        let by = &self.config.group_by;
        let all = by.iter().any(|name| name == ALL_LABELS);
        labels.filtered(|name| all || by.iter().any(|by| by == name))
    }

    fn message(&self, key: &Labels, group: &Group, now: Timestamp) -> (Vec<u8>, usize) {
        let alerts: Vec<_> = group.alerts(now).filter(|(_, fires)| *fires || self.config.send_resolved).collect();
        let max_alerts = usize::try_from(self.config.max_alerts).unwrap_or(usize::MAX);
        let message = Message {
            receiver: &self.config.name,
            group_labels: key,
            alerts: &alerts,
            max_alerts,
            external_url: &self.external_url,
        };
        (message.to_json(), alerts.len())
    }
}

impl Outbox for Groups {
    type Batch = (Labels, Told);

    fn next(&self, ends: bool) -> Next<Self::Batch> {
        let (now, at) = ((self.now)(), Instant::now());
        let mut groups = self.groups.lock();
        loop {
            // At the end there is no later time at which the receiver may think otherwise.
            let is_sent = |group: &Group| !ends || !group.is_refused && group.needs_message(&self.waits, now, at);
            let waiting = groups.iter_mut().filter(|(_, group)| is_sent(group));
            let Some((key, group)) = waiting.min_by_key(|(_, group)| group.due) else { return Next::Nothing };
            if group.due > at && !ends {
                return Next::At(group.due);
            }
            let key = key.clone();
            if group.needs_message(&self.waits, now, at) {
                group.is_refused = false;
                let (body, alerts) = self.message(&key, group, now);
                return Next::Send { batch: (key, group.told(now)), body: Bytes::from(body), alerts };
            }
            group.settle(group.told(now), None, at + self.waits.group_interval);
            if group.is_over() {
                groups.remove(&key);
            }
        }
    }

    fn accepted(&self, (key, told): Self::Batch) {
        let at = Instant::now();
        let mut groups = self.groups.lock();
        let Some(group) = groups.get_mut(&key) else { return };
        group.settle(told, Some(at), at + self.waits.group_interval);
        if group.is_over() {
            groups.remove(&key);
        }
    }

    /// Like Alertmanager, it tries again with the next message of the group.
    fn refused(&self, (key, _): Self::Batch) {
        if let Some(group) = self.groups.lock().get_mut(&key) {
            (group.due, group.is_refused) = (Instant::now() + self.waits.group_interval, true);
        }
    }

    fn failed(&self, (key, _): Self::Batch) {
        // Behind the groups that are due already: one that the receiver cannot take does not hold up the others.
        if let Some(group) = self.groups.lock().get_mut(&key) {
            group.due = Instant::now();
        }
    }

    fn clear(&self) -> usize {
        let groups = std::mem::take(&mut *self.groups.lock());
        groups.values().map(|group| group.unsent(self.config.send_resolved, (self.now)())).sum()
    }

    fn woken(&self) -> &Notify {
        &self.woken
    }

    fn metrics(&self) -> &ReceiverMetrics {
        &self.metrics
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use prometheus::Registry;
    use serde_json::Value;

    use super::*;
    use crate::notifier::metrics::Metrics;

    /// The time of all tests here; it does not go on by itself.
    const NOW: i64 = 1_000_000_000;

    fn groups(fields: &str, capacity: usize) -> Groups {
        let text = format!("alerting: {{webhooks: [{{url: 'http://h', name: chat, {fields}}}]}}");
        let config = config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        let webhook = config.alerting.webhooks[0].clone();
        let metrics = Metrics::new(&Registry::new(), capacity).unwrap();
        Groups { now: || Timestamp(NOW), ..Groups::new(webhook, "http://p", capacity, metrics.of("webhook/chat")) }
    }

    fn alert(name: &str, instance: &str, ends_at: i64) -> Notification {
        Notification {
            labels: Labels::from_pairs([("alertname", name), ("instance", instance)]),
            annotations: Labels::empty(),
            starts_at: Timestamp(NOW - 1),
            ends_at: Timestamp(NOW + ends_at),
            generator_url: "".into(),
        }
    }

    fn firing(name: &str, instance: &str) -> Notification {
        alert(name, instance, 240_000)
    }

    fn resolved(name: &str, instance: &str) -> Notification {
        alert(name, instance, 0)
    }

    /// A message as `status: instance status, …`.
    fn shown(body: &[u8]) -> String {
        let message: Value = serde_json::from_slice(body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let alerts = message["alerts"].as_array().unwrap().iter();
        let alerts = alerts.map(|alert| format!("{} {}", text(&alert["labels"]["instance"]), text(&alert["status"])));
        format!("{}: {}", text(&message["status"]), alerts.collect::<Vec<_>>().join(", "))
    }

    /// Waits for the next message as the loop does, and settles it; how long that took, and the message.
    async fn sent(groups: &Groups) -> (u64, String) {
        let began = Instant::now();
        loop {
            match groups.next(false) {
                Next::Send { batch, body, .. } => {
                    groups.accepted(batch);
                    return (began.elapsed().as_secs(), shown(&body));
                }
                Next::At(at) => tokio::time::sleep_until(at).await,
                Next::Nothing => return (began.elapsed().as_secs(), "nothing".to_owned()),
            }
        }
    }

    fn is(seconds: u64, message: &str) -> (u64, String) {
        (seconds, message.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_waits_changes_and_repeats() {
        let groups = groups("", 100);
        groups.add(&[firing("x", "a"), firing("x", "b")]);
        assert_eq!(sent(&groups).await, is(30, "firing: a firing, b firing"));
        // What is repeated is no change; after four hours the message is.
        groups.add(&[firing("x", "a"), firing("x", "b")]);
        assert_eq!(sent(&groups).await, is(14_400, "firing: a firing, b firing"));
        groups.add(&[firing("x", "c"), resolved("x", "a")]);
        assert_eq!(sent(&groups).await, is(300, "firing: a resolved, b firing, c firing"));
        // Rules repeat for a while that an alert is resolved.
        groups.add(&[resolved("x", "a"), resolved("x", "b"), resolved("x", "c")]);
        assert_eq!(sent(&groups).await, is(300, "resolved: b resolved, c resolved"));
        groups.add(&[resolved("x", "a"), resolved("x", "b")]);
        assert_eq!(sent(&groups).await, is(0, "nothing"));
        assert!(groups.groups.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_before_the_first_message_is_not_mentioned() {
        let groups = groups("", 100);
        groups.add(&[firing("x", "a")]);
        groups.add(&[resolved("x", "a")]);
        assert_eq!(sent(&groups).await, is(30, "nothing"));
    }

    #[tokio::test(start_paused = true)]
    async fn resolved_alerts_may_be_left_out() {
        let groups = groups("send_resolved: false, group_by: []", 100);
        groups.add(&[firing("x", "a"), firing("y", "b")]);
        assert_eq!(sent(&groups).await, is(30, "firing: a firing, b firing"));
        groups.add(&[resolved("x", "a")]);
        groups.add(&[firing("z", "c")]);
        assert_eq!(sent(&groups).await, is(300, "firing: b firing, c firing"));
        groups.add(&[resolved("y", "b"), resolved("z", "c")]);
        assert_eq!(sent(&groups).await, is(300, "nothing"));
        // Nobody was told that it is resolved, but it is a new alert all the same.
        groups.add(&[firing("x", "a")]);
        assert_eq!(sent(&groups).await, is(30, "firing: a firing"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_alert_that_fires_for_long_does_not_wait() {
        let groups = groups("group_by: ['...']", 100);
        let old = Notification { starts_at: Timestamp(NOW - 60_000), ..firing("x", "a") };
        groups.add(&[old, firing("x", "b")]);
        assert_eq!(sent(&groups).await, is(0, "firing: a firing"));
        assert_eq!(sent(&groups).await, is(30, "firing: b firing"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_fails_lets_the_others_pass() {
        let groups = groups("group_wait: 0s", 100);
        groups.add(&[firing("x", "a")]);
        groups.add(&[firing("y", "b")]);
        let Next::Send { batch, body, .. } = groups.next(false) else { panic!("a message") };
        assert_eq!(shown(&body), "firing: a firing");
        tokio::time::advance(Duration::from_secs(1)).await;
        groups.failed(batch);
        assert_eq!(sent(&groups).await, is(0, "firing: b firing"));
        assert_eq!(sent(&groups).await, is(0, "firing: a firing"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_refused_is_sent_with_the_next() {
        let groups = groups("", 100);
        groups.add(&[firing("x", "a")]);
        tokio::time::advance(Duration::from_secs(30)).await;
        let Next::Send { batch, .. } = groups.next(false) else { panic!("a message") };
        groups.refused(batch);
        assert!(matches!(groups.next(true), Next::Nothing));
        groups.add(&[firing("x", "b")]);
        assert_eq!(sent(&groups).await, is(300, "firing: a firing, b firing"));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_groups_do_not_wait_and_what_is_left_is_counted() {
        let groups = groups("", 100);
        groups.add(&[firing("x", "a"), firing("y", "b")]);
        let Next::Send { batch, body, .. } = groups.next(true) else { panic!("a message") };
        assert_eq!(shown(&body), "firing: a firing");
        groups.accepted(batch);
        assert_eq!(groups.clear(), 1);
        assert!(matches!(groups.next(true), Next::Nothing));
    }

    #[tokio::test(start_paused = true)]
    async fn alerts_beyond_the_capacity_are_dropped() {
        let groups = groups("", 2);
        groups.add(&[firing("x", "a"), firing("y", "b"), firing("z", "c"), firing("x", "a")]);
        assert_eq!(groups.metrics.dropped.get(), 1);
        assert_eq!(groups.groups.lock().values().map(Group::len).sum::<usize>(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alert_that_is_not_repeated_is_over() {
        static CLOCK: AtomicI64 = AtomicI64::new(NOW);
        let groups = Groups { now: || Timestamp(CLOCK.load(Ordering::Relaxed)), ..groups("", 100) };
        groups.add(&[firing("x", "a")]);
        assert_eq!(sent(&groups).await, is(30, "firing: a firing"));
        CLOCK.store(NOW + 240_000, Ordering::Relaxed);
        assert_eq!(sent(&groups).await, is(300, "resolved: a resolved"));
    }
}
