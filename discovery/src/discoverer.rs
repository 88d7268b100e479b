//! The contract of a service discovery.

use std::sync::Arc;

use futures::future::BoxFuture;
use http_client::Resolver;
use kube_watch::{Key, Watches};

use crate::kubernetes::pod_labels::PodLabels;
use crate::metrics::Metrics;
use crate::store::Publisher;

/// One configured service discovery: finds targets and publishes them as target groups.
///
/// - It publishes **whole groups by their source**: a group replaces the one of the same source, one without targets removes it.
///   Groups that are not mentioned stay. A source is unique within the discovery, and stays the same over restarts.
/// - **It ends when it is cancelled**: its future is dropped at any await. What it published is then dropped by the manager, so
///   there is nothing to clean up; what it holds (watches, file handles) ends with it. It does not end by itself, unless nothing
///   can change any more.
/// - **It keeps what it found while it fails**, reports the error by [`Publisher::report`], tries again by itself, and reports
///   `None` once it works.
/// - It knows nothing about who uses the targets: several consumers may share it.
pub(crate) trait Discoverer: Send {
    /// Publishes what is known without waiting. Called while a configuration is applied, before [`Discoverer::run`].
    fn publish_now(&self, _publisher: &Publisher) {}

    /// Finds targets until it is cancelled.
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()>;
}

/// What discoveries share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) metrics: Metrics,
    pub(crate) kubernetes: Surroundings,
    /// The user agent of requests, and who resolves names.
    pub(crate) http: (String, Resolver),
}

/// What discoveries in Kubernetes share.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) watches: Arc<Watches>,
    /// The namespace of this process.
    pub(crate) own_namespace: Option<String>,
    /// The Service of all kubelets that is made up where there is none.
    pub(crate) kubelet_service: Option<Key>,
    pub(crate) pod_labels: Arc<PodLabels>,
}
