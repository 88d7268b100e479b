//! HELP, TYPE and UNIT of metric families, in requests of their own now and then (version 1.0).

use std::time::Duration;

use prost::Message as _;

use super::remote::Remote;
use super::transport::Outcome;
use crate::proto::write::{MetricMetadata, WriteRequest};

/// What is known of a metric family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: FamilyKind,
    /// Its help text.
    pub help: String,
    /// Its unit.
    pub unit: String,
}

/// The type of a metric family, numbered as in the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyKind {
    /// Not known.
    #[default]
    Unknown = 0,
    /// A counter.
    Counter = 1,
    /// A gauge.
    Gauge = 2,
    /// A histogram.
    Histogram = 3,
    /// A histogram of gauges.
    GaugeHistogram = 4,
    /// A summary.
    Summary = 5,
    /// Information.
    Info = 6,
    /// A set of states.
    StateSet = 7,
}

/// Sends what is known, again and again.
pub(super) async fn run(remote: &Remote) {
    let config = &remote.config.metadata_config;
    let mut ticks = tokio::time::interval(Duration::from_millis(config.send_interval_ms.max(1).unsigned_abs()));
    let most = usize::try_from(config.max_samples_per_send).unwrap_or(0).max(1);
    loop {
        ticks.tick().await;
        let families = remote.shared.metadata.families().await;
        for some in families.chunks(most) {
            send(remote, some).await;
        }
    }
}

async fn send(remote: &Remote, families: &[FamilyMetadata]) {
    let metadata = families.iter().map(|one| MetricMetadata {
        kind: one.kind as i32,
        metric_family_name: one.name.clone(),
        help: one.help.clone(),
        unit: one.unit.clone(),
    });
    let request = WriteRequest { timeseries: Vec::new(), metadata: metadata.collect() };
    let Some(body) = remote.compressed(&request.encode_to_vec()) else { return };
    let (n, Some(metrics)) = (families.len() as u64, &remote.metrics.metadata) else { return };
    let mut backoff = remote.backoff();
    for attempt in 0.. {
        match remote.transport.post(body.clone(), remote.protocol, attempt).await {
            Outcome::Accepted(_) => {
                metrics.sent.inc_by(n);
                metrics.bytes.inc_by(body.len() as u64);
                return;
            }
            Outcome::Refused(message, _) => {
                metrics.sent.inc_by(n);
                metrics.failed.inc_by(n);
                remote.refused("metadata", n, &message);
                return;
            }
            Outcome::Failed(message, retry_after) => {
                metrics.retried.inc_by(n);
                remote.failed(&message);
                tokio::time::sleep(backoff.pause(retry_after)).await;
            }
        }
    }
}
