//! An alert as it is sent to Alertmanagers.

use std::sync::Arc;

use model::{Labels, Timestamp};

/// An alert as it is sent to Alertmanagers. (Prometheus: `notifier.Alert`.)
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Identifies the alert, `alertname` among them; without external labels.
    pub labels: Labels,
    /// Text for people, which does not identify the alert.
    pub annotations: Labels,
    /// When the alert began to fire.
    pub starts_at: Timestamp,
    /// When it was resolved; for one that is firing, until when Alertmanager takes it as such if it hears nothing more.
    pub ends_at: Timestamp,
    /// Link to the graph of the rule's expression.
    pub generator_url: Arc<str>,
}

impl Notification {
    /// Is the alert over at this time?
    #[must_use]
    pub fn is_resolved_at(&self, ts: Timestamp) -> bool {
        self.ends_at <= ts
    }
}
