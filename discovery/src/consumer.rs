//! Who uses target groups.

/// Who uses target groups. The name is the label `name` of the metrics, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumer(&'static str);

impl Consumer {
    /// Scraping; its keys are the names of jobs.
    pub const SCRAPE: Self = Self("scrape");
    /// Sending of alerts; its keys are the Alertmanager configurations.
    pub const NOTIFY: Self = Self("notify");

    /// Another consumer.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}
