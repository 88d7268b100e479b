//! The objects of the cluster as JSON. They are written when they are asked for, as functions of their index and of the
//! little that changes.

use std::fmt::Write as _;

use clap::Args;

use crate::fleet::value;

/// One in so many pods is kept by the job's last relabelling rule.
pub const KEPT_ONE_IN: usize = 1_000;

/// The size of the cluster.
#[derive(Args, Clone, Debug)]
pub struct ClusterOptions {
    /// Nodes.
    #[arg(long, default_value_t = 500)]
    pub nodes: usize,
    /// Pods, each of two containers with a port.
    #[arg(long, default_value_t = 15_000)]
    pub pods: usize,
    /// Services with Endpoints and EndpointSlices; all pods belong to one of them.
    #[arg(long, default_value_t = 1_000)]
    pub services: usize,
    /// Namespaces.
    #[arg(long, default_value_t = 50)]
    pub namespaces: usize,
    /// Of a thousand changes, those that replace a pod by another; half of the others change a label, half only the status.
    #[arg(long, default_value_t = 20)]
    pub replaced_per_mille: u64,
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Nodes.
    Nodes,
    /// Namespaces.
    Namespaces,
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// Endpoints.
    Endpoints,
    /// EndpointSlices.
    EndpointSlices,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Nodes, Self::Namespaces, Self::Pods, Self::Services, Self::Endpoints, Self::EndpointSlices];

    /// Path, `apiVersion` and `kind`.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Nodes => ("/api/v1/nodes", "v1", "Node"),
            Self::Namespaces => ("/api/v1/namespaces", "v1", "Namespace"),
            Self::Pods => ("/api/v1/pods", "v1", "Pod"),
            Self::Services => ("/api/v1/services", "v1", "Service"),
            Self::Endpoints => ("/api/v1/endpoints", "v1", "Endpoints"),
            Self::EndpointSlices => {
                ("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice")
            }
        }
    }
}

/// What of a pod changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodState {
    /// How often it was replaced.
    pub incarnation: u32,
    /// In a label.
    pub revision: u32,
    /// In the status, where discovery does not look.
    pub restarts: u32,
    /// It has the label by which it is kept.
    pub is_marked: bool,
}

/// Sizes, and what changes.
#[derive(Debug)]
pub struct Cluster {
    nodes: usize,
    namespaces: usize,
    services: usize,
    /// By their indexes.
    pub pods: Vec<PodState>,
}

impl Cluster {
    /// Without changes.
    #[must_use]
    pub fn new(options: &ClusterOptions) -> Self {
        let mut pods = vec![PodState::default(); options.pods];
        pods.iter_mut().step_by(KEPT_ONE_IN).for_each(|pod| pod.is_marked = true);
        Self {
            nodes: options.nodes.max(1),
            namespaces: options.namespaces.max(1),
            services: options.services.max(1),
            pods,
        }
    }

    /// How many objects there are.
    #[must_use]
    pub fn count(&self, resource: Resource) -> usize {
        match resource {
            Resource::Nodes => self.nodes,
            Resource::Namespaces => self.namespaces,
            Resource::Pods => self.pods.len(),
            Resource::Services | Resource::Endpoints | Resource::EndpointSlices => self.services,
        }
    }

    /// The service of a pod. Its pods have neighbouring indexes.
    #[must_use]
    pub fn service_of(&self, pod: usize) -> usize {
        pod * self.services / self.pods.len().max(1)
    }

    /// Appends an object.
    pub fn write(&self, resource: Resource, index: usize, version: u64, out: &mut String) {
        // Writing to a String cannot fail.
        match resource {
            Resource::Nodes => self.node(index, version, out),
            Resource::Namespaces => namespace(index, version, out),
            Resource::Pods => self.pod(index, self.pods[index].incarnation, version, out),
            Resource::Services => self.service(index, version, out),
            Resource::Endpoints => self.endpoints(index, version, out),
            Resource::EndpointSlices => self.slice(index, version, out),
        }
        .ok();
    }

    /// Appends a pod that may have been replaced.
    ///
    /// # Errors
    /// None; writing to a String cannot fail.
    pub fn pod(&self, index: usize, incarnation: u32, version: u64, out: &mut String) -> std::fmt::Result {
        let PodState { revision, restarts, is_marked, .. } = self.pods[index];
        let service = self.service_of(index);
        let (namespace, app, hash) = (self.namespace_of(service), App(service), Hash(service as u64));
        let (node, ip, name) = (self.node_of(index), self.ip(index, incarnation), PodName(index, service, incarnation));
        let uid = Uid(mix(index as u64 ^ u64::from(incarnation) << 40));
        let kept = if is_marked { r#","bench/kept":"true""# } else { "" };
        let team = service % 40;
        let (image, digest) = (service % 300, Digest(service as u64 % 300));
        write!(
            out,
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","generateName":"{app}-{hash}-","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{version}","generation":1,"creationTimestamp":"2026-10-01T08:12:43Z","labels":{{"app":"{app}","app.kubernetes.io/component":"backend","app.kubernetes.io/instance":"{app}","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"{app}","app.kubernetes.io/part-of":"shop-{team}","app.kubernetes.io/version":"1.{image}.2","helm.sh/chart":"service-4.2.1","pod-template-hash":"{hash}","team":"team-{team}","topology.kubernetes.io/region":"eu-central-1","topology.kubernetes.io/zone":"eu-central-1{zone}","tier":"web","revision":"r{revision}"{kept}}},"annotations":{{"checksum/config":"{digest}","checksum/secrets":"{digest}","kubectl.kubernetes.io/default-container":"app","kubectl.kubernetes.io/restartedAt":"2026-10-01T08:12:40Z","prometheus.io/path":"/metrics","prometheus.io/port":"8080","prometheus.io/scheme":"http","prometheus.io/scrape":"true","sidecar.istio.io/inject":"false","cluster-autoscaler.kubernetes.io/safe-to-evict":"true"}},"#,
            zone = (b'a' + u8::try_from(index % 3).unwrap_or_default()) as char
        )?;
        write!(
            out,
            r#""ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{app}-{hash}","uid":"{owner}","controller":true,"blockOwnerDeletion":true}}],{MANAGED}}},"spec":{{{VOLUMES},"containers":[{{"name":"app","image":"registry.example.com/team-{team}/{app}:1.{image}.2","ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}],{CONTAINER}}},{{"name":"proxy","image":"registry.example.com/platform/proxy:2.11.{team}","ports":[{{"name":"http-proxy","containerPort":15020,"protocol":"TCP"}}],{CONTAINER}}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"{app}","serviceAccount":"{app}","nodeName":"{node}",{POD_SPEC}}},"#,
            owner = Uid(mix(service as u64)),
        )?;
        write!(
            out,
            r#""status":{{"phase":"Running",{CONDITIONS},"hostIP":"{host}","hostIPs":[{{"ip":"{host}"}}],"podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}],"startTime":"2026-10-01T08:12:43Z","containerStatuses":["#,
            host = host_ip(index % self.nodes),
        )?;
        for (at, (container, repository)) in [("app", "app"), ("proxy", "platform/proxy")].into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let id = Digest(mix(index as u64 * 2 + at as u64) ^ u64::from(incarnation));
            write!(
                out,
                r#"{comma}{{"name":"{container}","state":{{"running":{{"startedAt":"2026-10-01T08:12:49Z"}}}},"lastState":{{}},"ready":true,"restartCount":{restarts},"image":"registry.example.com/{repository}:1.{image}.2","imageID":"registry.example.com/{repository}@sha256:{digest}","containerID":"containerd://{id}","started":true}}"#
            )?;
        }
        write!(out, r#"],"qosClass":"Burstable"}}}}"#)
    }

    fn node(&self, index: usize, version: u64, out: &mut String) -> std::fmt::Result {
        let (name, ip) = (self.node_of(index), host_ip(index));
        write!(
            out,
            r#"{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"{name}","uid":"{uid}","resourceVersion":"{version}","creationTimestamp":"2026-09-01T00:00:00Z","labels":{{"kubernetes.io/arch":"amd64","kubernetes.io/hostname":"{name}","kubernetes.io/os":"linux","node.kubernetes.io/instance-type":"m6i.4xlarge"}}}},"spec":{{"providerID":"aws:///eu-central-1a/i-{index:017x}"}},"status":{{"addresses":[{{"type":"InternalIP","address":"{ip}"}},{{"type":"Hostname","address":"{name}"}}],"conditions":[{{"type":"Ready","status":"True","lastHeartbeatTime":"2026-10-01T08:12:43Z","lastTransitionTime":"2026-10-01T08:12:43Z","reason":"KubeletReady"}}],"daemonEndpoints":{{"kubeletEndpoint":{{"Port":10250}}}}}}}}"#,
            uid = Uid(mix(index as u64 + 77)),
        )
    }

    fn service(&self, index: usize, version: u64, out: &mut String) -> std::fmt::Result {
        self.service_meta("Service", "v1", (index, version), out)?;
        write!(
            out,
            r#","spec":{{"type":"ClusterIP","clusterIP":"{ip}","clusterIPs":["{ip}"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","ports":[{{"name":"http","port":80,"targetPort":"http","protocol":"TCP"}}],"selector":{{"app":"{app}"}},"sessionAffinity":"None"}},"status":{{"loadBalancer":{{}}}}}}"#,
            ip = format_args!("172.20.{}.{}", index / 250, index % 250 + 1),
            app = App(index),
        )
    }

    /// The head of an object of a service, up to the end of its metadata.
    fn service_meta(
        &self,
        kind: &str,
        api: &str,
        (index, version): (usize, u64),
        out: &mut String,
    ) -> std::fmt::Result {
        let (app, namespace) = (App(index), self.namespace_of(index));
        let suffix = if kind == "EndpointSlice" { "-x7k2p" } else { "" };
        let scraped = if index.is_multiple_of(KEPT_ONE_IN) { "true" } else { "false" };
        write!(
            out,
            r#"{{"kind":"{kind}","apiVersion":"{api}","metadata":{{"name":"{app}{suffix}","namespace":"{namespace}","uid":"{uid}","resourceVersion":"{version}","creationTimestamp":"2026-10-01T08:00:00Z","labels":{{"app":"{app}","app.kubernetes.io/instance":"{app}","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"{app}","helm.sh/chart":"service-4.2.1","kubernetes.io/service-name":"{app}","team":"team-{team}"}},"annotations":{{"meta.helm.sh/release-name":"{app}","meta.helm.sh/release-namespace":"{namespace}","prometheus.io/scrape":"{scraped}"}}}}"#,
            uid = Uid(mix(index as u64 + 99) ^ kind.len() as u64),
            team = index % 40,
        )
    }

    /// The pods of a service.
    fn members(&self, service: usize) -> std::ops::Range<usize> {
        let from = |service: usize| (service * self.pods.len()).div_ceil(self.services);
        from(service)..from(service + 1)
    }

    fn endpoints(&self, index: usize, version: u64, out: &mut String) -> std::fmt::Result {
        self.service_meta("Endpoints", "v1", (index, version), out)?;
        out.push_str(r#","subsets":[{"addresses":["#);
        for (at, pod) in self.members(index).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            self.address(pod, |ip, rest, out| write!(out, r#"{comma}{{"ip":"{ip}",{rest}}}"#), out)?;
        }
        write!(out, r#"],"ports":[{{"name":"http","port":8080,"protocol":"TCP"}}]}}]}}"#)
    }

    fn slice(&self, index: usize, version: u64, out: &mut String) -> std::fmt::Result {
        self.service_meta("EndpointSlice", "discovery.k8s.io/v1", (index, version), out)?;
        out.push_str(r#","addressType":"IPv4","endpoints":["#);
        for (at, pod) in self.members(index).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let condition = r#""conditions":{"ready":true,"serving":true,"terminating":false}"#;
            self.address(
                pod,
                |ip, rest, out| write!(out, r#"{comma}{{"addresses":["{ip}"],{condition},{rest}}}"#),
                out,
            )?;
        }
        write!(out, r#"],"ports":[{{"name":"http","port":8080,"protocol":"TCP"}}]}}"#)
    }

    /// An address of a pod: its IP, and its node and the reference to it.
    fn address(
        &self,
        pod: usize,
        write: impl FnOnce(&str, std::fmt::Arguments<'_>, &mut String) -> std::fmt::Result,
        out: &mut String,
    ) -> std::fmt::Result {
        let (incarnation, service) = (self.pods[pod].incarnation, self.service_of(pod));
        let (node, namespace, name) =
            (self.node_of(pod), self.namespace_of(service), PodName(pod, service, incarnation));
        let ip = self.ip(pod, incarnation);
        write(
            &ip,
            format_args!(
                r#""nodeName":"{node}","targetRef":{{"kind":"Pod","namespace":"{namespace}","name":"{name}"}}"#
            ),
            out,
        )
    }

    fn namespace_of(&self, service: usize) -> String {
        format!("team-{}", service % self.namespaces)
    }

    fn node_of(&self, index: usize) -> String {
        let node = index % self.nodes;
        format!("ip-10-0-{}-{}.eu-central-1.compute.internal", node / 250, node % 250)
    }

    /// A pod that replaces another has an address of its own.
    fn ip(&self, index: usize, incarnation: u32) -> String {
        let n = index + self.pods.len() * incarnation as usize;
        format!("100.{}.{}.{}", 64 + (n >> 16) % 64, (n >> 8) & 0xff, n & 0xff)
    }
}

fn namespace(index: usize, version: u64, out: &mut String) -> std::fmt::Result {
    write!(
        out,
        r#"{{"kind":"Namespace","apiVersion":"v1","metadata":{{"name":"team-{index}","uid":"{uid}","resourceVersion":"{version}","labels":{{"kubernetes.io/metadata.name":"team-{index}"}}}},"status":{{"phase":"Active"}}}}"#,
        uid = Uid(mix(index as u64 + 55)),
    )
}

fn host_ip(node: usize) -> String {
    format!("10.0.{}.{}", node / 250, node % 250)
}

/// A number that looks like chance.
pub(super) fn mix(n: u64) -> u64 {
    value::mix(7, n)
}

/// Declares texts that are made of numbers.
macro_rules! shown {
    ($($(#[$doc:meta])* $name:ident($($type:ty),*) as |$self:ident, $f:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        struct $name($($type),*);

        impl std::fmt::Display for $name {
            fn fmt(&self, $f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $self = self;
                $body
            }
        }
    )*};
}

shown! {
    /// The name of an application, which is that of its service.
    App(usize) as |it, f| write!(f, "checkout-backend-{}", it.0);
    /// The hash of a pod template.
    Hash(u64) as |it, f| write!(f, "{:010x}", mix(it.0) >> 24);
    /// Of a pod: by index, service and how often it was replaced.
    PodName(usize, usize, u32) as |it, f| {
        write!(f, "{}-{}-{:05x}{}", App(it.1), Hash(it.1 as u64), it.0, it.2)
    };
    /// A UID.
    Uid(u64) as |it, f| {
        let (high, low) = (it.0, mix(it.0));
        write!(f, "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", high >> 32, high & 0xffff, low >> 52, low & 0xfff, low >> 16)
    };
    /// A SHA-256.
    Digest(u64) as |it, f| {
        let (a, b) = (mix(it.0), mix(it.0 + 1));
        write!(f, "{a:016x}{b:016x}{:016x}{:016x}", a ^ b.rotate_left(7), b ^ a.rotate_left(13))
    };
}

const MANAGED: &str = r#""managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-10-01T08:12:43Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{},"f:prometheus.io/path":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{},"f:team":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"7c1f\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{".":{}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{},"f:name":{},"f:ports":{".":{}},"f:resources":{},"f:volumeMounts":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{}}}},{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"2026-10-01T08:12:50Z","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Ready\"}":{".":{},"f:status":{},"f:type":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},"f:startTime":{}}},"subresource":"status"}]"#;
const VOLUMES: &str = r#""volumes":[{"name":"config","configMap":{"name":"config","defaultMode":420}},{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}],"defaultMode":420}}]"#;
const CONTAINER: &str = r#""env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}},{"name":"LOG_LEVEL","value":"info"}],"resources":{"limits":{"memory":"512Mi"},"requests":{"cpu":"100m","memory":"256Mi"}},"volumeMounts":[{"name":"config","readOnly":true,"mountPath":"/etc/app"}],"livenessProbe":{"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent""#;
const POD_SPEC: &str = r#""securityContext":{"runAsNonRoot":true},"schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority""#;
const CONDITIONS: &str = r#""conditions":[{"type":"PodScheduled","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-10-01T08:12:43Z"},{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-10-01T08:12:43Z"},{"type":"ContainersReady","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-10-01T08:12:50Z"},{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-10-01T08:12:50Z"}]"#;
