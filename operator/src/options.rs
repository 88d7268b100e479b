//! What the operator looks at.

use kube_watch::ApiServer;

use crate::generate::Options;
use crate::objects::LabelSelector;
use crate::resolve::Placeholders;

/// What the operator looks at.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// The API server.
    pub server: ApiServer,
    /// The Prometheus object that is followed, namespace and name; without one everything is selected.
    pub prometheus: Option<(String, String)>,
    /// The namespace of this server; empty if it is not known.
    pub own_namespace: String,
    /// Only objects in these namespaces; empty for all.
    pub namespaces: Vec<String>,
    /// Which objects are selected, without a Prometheus object.
    pub selector: LabelSelector,
    /// What the deployment is like.
    pub options: Options,
    /// The values of placeholders such as `$(SHARD)`.
    pub placeholders: Placeholders,
}
