//! Where targets are: the service discoveries of a job.

use std::path::PathBuf;

use model::Labels;

use crate::HttpClientConfig;
use crate::yaml::Yaml;

/// One service discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdConfig {
    /// Targets that stand in the configuration itself: one entry of `static_configs`.
    Static(StaticConfig),
    /// Targets from files that somebody else writes.
    File(FileSdConfig),
    /// Targets from a Kubernetes API server.
    Kubernetes(Box<KubernetesSdConfig>),
    /// A discovery that is understood but not served; it finds nothing.
    Unserved(UnservedSd),
}

impl SdConfig {
    /// The field's name: `static_configs`, `kubernetes_sd_configs`.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Static(_) => "static_configs",
            Self::File(_) => "file_sd_configs",
            Self::Kubernetes(_) => "kubernetes_sd_configs",
            Self::Unserved(sd) => &sd.kind,
        }
    }
}

/// One group of targets that stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticConfig {
    /// `0`, `1`, …: the place of the group in its list, by which upstream names it.
    pub source: String,
    /// The addresses.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: Labels,
}

/// Files of target groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSdConfig {
    /// Absolute or relative to the configuration file's folder; the last part may hold one `*`.
    pub files: Vec<PathBuf>,
    /// The files are read again this often even when nothing says that they changed.
    pub refresh_interval_ms: i64,
}

/// Objects of a Kubernetes API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSdConfig {
    /// Which objects become targets.
    pub role: KubernetesRole,
    /// The API server; without it and without `kubeconfig_file` the one of the cluster the process runs in.
    pub api_server: Option<String>,
    /// Where a kubeconfig is.
    pub kubeconfig_file: Option<PathBuf>,
    /// How the API server is spoken to; only with `api_server`.
    pub http: HttpClientConfig,
    /// Namespaces to look in; all of them when empty.
    pub namespaces: Vec<String>,
    /// Look in the namespace the process runs in.
    pub own_namespace: bool,
    /// What restricts the objects, by kind.
    pub selectors: Vec<KubernetesSelector>,
    /// Labels of related objects to add.
    pub attach_metadata: AttachMetadata,
}

/// Which objects become targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KubernetesRole {
    /// Every container port of every pod.
    Pod,
    /// Every port of every service.
    Service,
    /// Every address and port of every Endpoints object, and the other ports of their pods.
    Endpoints,
    /// Every address and port of every EndpointSlice, and the other ports of their pods.
    EndpointSlice,
    /// Every node.
    Node,
    /// Every path of every ingress.
    Ingress,
}

impl KubernetesRole {
    /// Every role, in upstream's order.
    pub const ALL: [Self; 6] =
        [Self::Pod, Self::Service, Self::Endpoints, Self::EndpointSlice, Self::Node, Self::Ingress];

    /// As configurations spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Node => "node",
            Self::Ingress => "ingress",
        }
    }
}

/// What restricts the objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSelector {
    /// The kind.
    pub role: KubernetesRole,
    /// A label selector, `app in (a,b)`; or empty.
    pub label: String,
    /// A field selector, `spec.nodeName=n1`; or empty.
    pub field: String,
}

/// Labels of which related objects are added to a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachMetadata {
    /// The node the pod runs on.
    pub node: bool,
    /// The namespace.
    pub namespace: bool,
    /// The deployment that owns the pod.
    pub deployment: bool,
    /// The job that owns the pod.
    pub job: bool,
    /// The cron job that owns the pod's job.
    pub cronjob: bool,
}

/// A discovery of a kind that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnservedSd {
    /// The field's name: `consul_sd_configs`.
    pub kind: String,
    /// As it is printed.
    pub(crate) shown: Yaml,
}
