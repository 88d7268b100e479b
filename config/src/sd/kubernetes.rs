//! `kubernetes_sd_configs`: targets from the objects of a Kubernetes API server.

use std::path::PathBuf;
use std::str::FromStr as _;

use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{
    Bool, Codec, Fields, Inline, Keyword, ListOf, OmitDefault, Path, Shape, Text, Texts, Url, Word, section,
};
use crate::selector::{check_field_selector, check_label_selector};
use crate::yaml::Yaml;

section! {
    /// Targets from the objects of a Kubernetes API server. Without `api_server` and `kubeconfig_file` it is that of the cluster
    /// in which the process runs.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct KubernetesSdConfig as "kubernetes_sd_config" {
        /// The URL of the API server.
        #[yaml(Url)]
        pub api_server: Option<String>,
        /// Which objects become targets.
        #[yaml(Role; always)]
        pub role: KubernetesRole,
        /// A kubeconfig file.
        #[yaml(Path; always)]
        pub kubeconfig_file: Option<PathBuf>,
        /// How the API server is connected to; only with `api_server`.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// Which namespaces to look in; all of them if it is missing.
        #[yaml(OmitDefault<KubernetesNamespaces>)]
        pub namespaces: KubernetesNamespaces,
        /// Selectors that the API server applies, by the kind of object.
        #[yaml(ListOf<KubernetesSelector>, with = (role, "empty or null section in selectors"))]
        pub selectors: Vec<KubernetesSelector>,
        /// Of which related objects labels are added.
        #[yaml(OmitDefault<AttachMetadata>)]
        pub attach_metadata: AttachMetadata,
    }
    check = check_kubernetes;
}

fn check_kubernetes(config: &mut KubernetesSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    // Upstream compares with the defaults, so writing a default out is allowed.
    let custom_http = config.http != HttpClientConfig::default();
    let refuse = |name, message: &str| Err(f.refuse(name, message));
    if let Some(url) = &config.api_server {
        if let Err(error) = url::Url::from_str(url) {
            return Err(f.refuse("api_server", format!("not a URL: {error}")));
        }
        if config.kubeconfig_file.is_some() {
            return refuse("kubeconfig_file", "cannot use 'kubeconfig_file' and 'api_server' simultaneously");
        }
        // The own namespace is that of the service account, which says nothing about another cluster.
        if config.namespaces.own_namespace {
            return refuse("namespaces", "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously");
        }
    } else if config.kubeconfig_file.is_some() {
        // A kubeconfig says itself how to connect and as whom.
        if custom_http {
            let message = "cannot use a custom HTTP client configuration together with 'kubeconfig_file'";
            return refuse("kubeconfig_file", message);
        }
        if config.namespaces.own_namespace {
            let message = "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously";
            return refuse("namespaces", message);
        }
    // In the cluster, the service account decides how the API server is connected to.
    } else if custom_http {
        let message = "to use custom HTTP client configuration please provide the 'api_server' URL explicitly";
        return refuse("role", message);
    }
    for (i, selector) in config.selectors.iter().enumerate() {
        // One list request takes one selector of each kind.
        if config.selectors[..i].iter().any(|other| other.role == selector.role) {
            let (item, path) = f.items("selectors")?.swap_remove(i);
            let message = format!("duplicated selector role: {}", selector.role.as_str());
            return Err(Fields::new(f.source, Some(item), path)?.refuse("role", message));
        }
    }
    Ok(())
}

section! {
    /// Which namespaces to look in.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct KubernetesNamespaces as "kubernetes_namespaces" {
        /// Look in the namespace in which the process runs.
        #[yaml(Bool; always)]
        pub own_namespace: bool,
        /// Look in these namespaces.
        #[yaml(Texts; always)]
        pub names: Vec<String>,
    }
}

section! {
    /// A selector that the API server applies to one kind of object.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct KubernetesSelector as "kubernetes_selector" in (of: KubernetesRole) {
        /// The kind of object. Which kinds may be selected depends on the role of the discovery.
        #[yaml(SelectorRole, with = of; always)]
        pub role: KubernetesRole,
        /// A label selector: `app in (a,b)`.
        #[yaml(Text)]
        pub label: String,
        /// A field selector: `spec.nodeName=n1`.
        #[yaml(Text)]
        pub field: String,
    }
    check = check_selector;
}

fn check_selector(selector: &mut KubernetesSelector, f: &mut Fields<'_>, _: KubernetesRole) -> Result<(), Error> {
    // When loading: the API server would answer every list request with 400 instead.
    check_label_selector(&selector.label).map_err(|error| f.refuse("label", error))?;
    check_field_selector(&selector.field).map_err(|error| f.refuse("field", error))
}

section! {
    /// Of which related objects labels are added to a target.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct AttachMetadata as "attach_metadata" {
        /// The node that the pod runs on.
        #[yaml(Bool; always)]
        pub node: bool,
        /// The namespace.
        #[yaml(Bool; always)]
        pub namespace: bool,
        /// The deployment that owns the pod.
        #[yaml(Bool; always)]
        pub deployment: bool,
        /// The job that owns the pod.
        #[yaml(Bool; always)]
        pub job: bool,
        /// The cron job that owns the job of the pod.
        #[yaml(Bool; always)]
        pub cronjob: bool,
    }
}

/// Which objects become targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KubernetesRole {
    /// Every container port of every pod.
    #[default]
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
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Pod, Self::Service, Self::Endpoints, Self::EndpointSlice, Self::Node, Self::Ingress];

    /// The spelling in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }

    /// The kinds of object that selectors may restrict.
    fn selectable(self) -> &'static [Self] {
        // The role's own kind and those that its labels may come from; a selector for another would have no effect.
        // `allowedSelectors` in upstream's `discovery/kubernetes/kubernetes.go`.
        match self {
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Node => &[Self::Node],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

impl Keyword for KubernetesRole {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("pod", Self::Pod),
        ("service", Self::Service),
        ("endpoints", Self::Endpoints),
        ("endpointslice", Self::EndpointSlice),
        ("node", Self::Node),
        ("ingress", Self::Ingress),
    ];

    const EMPTY_IS_UNSET: bool = false;

    fn unknown(word: &str) -> String {
        format!(
            "unknown Kubernetes SD role {word:?}; it is one of pod, service, endpoints, endpointslice, node, ingress"
        )
    }
}

fn roles() -> Shape {
    Shape::Words(KubernetesRole::WORDS.iter().map(|(word, _)| *word).collect())
}

/// The role of a discovery, which must be given.
enum Role {}

impl Codec<KubernetesRole> for Role {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<KubernetesRole>, Error> {
        // A null role is missing, too; the zero value of the enum is no choice of the user.
        if f.value(name).is_none() {
            let message = "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)";
            return Err(f.refuse(name, message));
        }
        Word::<KubernetesRole>::decode(f, name, ())
    }

    fn is_zero(_: &KubernetesRole) -> bool {
        false
    }

    fn encode(role: &KubernetesRole) -> Yaml {
        Yaml::text(role.as_str())
    }

    fn shape() -> Shape {
        roles()
    }
}

/// The role of a selector: one of those that the role of the discovery allows.
enum SelectorRole {}

impl Codec<KubernetesRole> for SelectorRole {
    type Args<'a> = KubernetesRole;

    fn decode(f: &mut Fields<'_>, name: &'static str, of: KubernetesRole) -> Result<Option<KubernetesRole>, Error> {
        let text = f.text(name)?.unwrap_or_default();
        let role = of.selectable().iter().find(|role| role.as_str() == text);
        // Which roles are supported is unknown if that of the discovery has a fault.
        let discovery = f.path.rsplit_once(".selectors").map(|(discovery, _)| format!("{discovery}.role"));
        if role.is_none() && discovery.is_some_and(|role| f.source.has_fault_at(&role)) {
            return Ok(None);
        }
        role.map(|role| Some(*role)).ok_or_else(|| {
            let names: Vec<&str> = of.selectable().iter().map(|role| role.as_str()).collect();
            f.refuse(name, format!("{} role supports only {} selectors", of.as_str(), names.join(", ")))
        })
    }

    fn is_zero(_: &KubernetesRole) -> bool {
        false
    }

    fn encode(role: &KubernetesRole) -> Yaml {
        Yaml::text(role.as_str())
    }

    fn shape() -> Shape {
        roles()
    }
}
