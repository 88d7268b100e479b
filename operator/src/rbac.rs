//! The rights that following objects and discovering their targets needs; which of them are missing, and the Role that gives them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kube_watch::{Access, Right};

use crate::objects::GROUP;
use crate::options::OperatorOptions;

/// A resource, and what it is needed for.
struct Need {
    group: &'static str,
    resource: &'static str,
    /// What does not work without it.
    without: &'static str,
    /// It lives outside of namespaces.
    is_cluster_wide: bool,
    verbs: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    need(GROUP, "servicemonitors", "ServiceMonitors are not seen"),
    need(GROUP, "podmonitors", "PodMonitors are not seen"),
    need(GROUP, "probes", "Probes are not seen"),
    need(GROUP, "scrapeconfigs", "ScrapeConfigs are not seen"),
    need(GROUP, "prometheusrules", "PrometheusRules are not seen"),
    need("", "services", "ServiceMonitors find no targets"),
    need("", "endpoints", "ServiceMonitors find no targets"),
    need(
        "discovery.k8s.io",
        "endpointslices",
        "ServiceMonitors with serviceDiscoveryRole EndpointSlice find no targets",
    ),
    need("", "pods", "PodMonitors find no targets, and those of ServiceMonitors lack the labels of pods"),
    need("networking.k8s.io", "ingresses", "Probes of Ingresses find no targets"),
    Need { is_cluster_wide: true, ..need("", "nodes", "attachMetadata has no effect, and kubelets are not found") },
    Need { verbs: &["create"], ..need("events.k8s.io", "events", "objects that are not valid get no Events") },
];

/// Of the Prometheus object alone.
const PROMETHEUS: [Need; 2] = [
    need(GROUP, "prometheuses", "the Prometheus object is not followed"),
    status("prometheuses/status", "the Prometheus object does not say in status.conditions whether it is in force"),
];

/// With a Prometheus object.
const WITH_PROMETHEUS: [Need; 6] = [
    Need { is_cluster_wide: true, ..need("", "namespaces", "selectors of namespaces select nothing but all of them") },
    status("servicemonitors/status", "ServiceMonitors do not say in status.bindings whether they are accepted"),
    status("podmonitors/status", "PodMonitors do not say in status.bindings whether they are accepted"),
    status("probes/status", "Probes do not say in status.bindings whether they are accepted"),
    status("scrapeconfigs/status", "ScrapeConfigs do not say in status.bindings whether they are accepted"),
    status("prometheusrules/status", "PrometheusRules do not say in status.bindings whether they are accepted"),
];

const fn need(group: &'static str, resource: &'static str, without: &'static str) -> Need {
    Need { group, resource, without, is_cluster_wide: false, verbs: FOLLOW }
}

const fn status(resource: &'static str, without: &'static str) -> Need {
    Need { verbs: &["patch"], ..need(GROUP, resource, without) }
}

/// Both are needed to follow objects.
const FOLLOW: &[&str] = &["list", "watch"];

/// A right that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// The resource, and where.
    pub right: Right,
    /// The verbs that are not allowed.
    pub verbs: Vec<&'static str>,
    /// What does not work without it.
    pub without: &'static str,
}

impl std::fmt::Display for MissingRight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Right { group, resource, namespace, .. } = &self.right;
        let verbs = self.verbs.join(" or ");
        let of_group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let place =
            namespace.as_ref().map_or_else(|| "in the whole cluster".to_owned(), |name| format!("in namespace {name}"));
        write!(f, "may not {verbs} {resource}{of_group} {place}: {}", self.without)
    }
}

/// Asks the API server which rights are missing.
///
/// # Errors
/// When it does not answer.
pub async fn missing_rights(options: &OperatorOptions) -> Result<Vec<MissingRight>, kube_watch::Error> {
    let access = Access::new(options.server.clone());
    let mut missing: Vec<MissingRight> = Vec::new();
    for (right, without) in wanted(options) {
        if access.is_allowed(&right).await? {
            continue;
        }
        let verb = right.verb;
        // The verbs of one resource follow one another.
        match missing.last_mut().filter(|last| last.right == Right { verb: last.right.verb, ..right.clone() }) {
            Some(last) => last.verbs.push(verb),
            None => missing.push(MissingRight { right, verbs: vec![verb], without }),
        }
    }
    Ok(missing)
}

/// All rights, for what the flags ask for.
fn wanted(options: &OperatorOptions) -> Vec<(Right, &'static str)> {
    let mut wanted = Vec::new();
    let mut want = |need: &Need, namespace: Option<&String>| {
        for verb in need.verbs {
            let right = Right { group: need.group, resource: need.resource, verb, namespace: namespace.cloned() };
            wanted.push((right, need.without));
        }
    };
    let mut needs: Vec<&Need> = NEEDS.iter().collect();
    if let Some((namespace, _)) = &options.prometheus {
        PROMETHEUS.iter().for_each(|need| want(need, Some(namespace)));
        needs.extend(&WITH_PROMETHEUS);
    }
    for need in needs {
        if options.namespaces.is_empty() || need.is_cluster_wide {
            want(need, None);
        } else {
            options.namespaces.iter().for_each(|namespace| want(need, Some(namespace)));
        }
    }
    wanted
}

/// The manifests that give these rights to a service account, `namespace/name`: a ClusterRole for what is of the whole cluster, and
/// a Role in each namespace.
#[must_use]
pub fn role_manifests(missing: &[MissingRight], account: (&str, &str)) -> String {
    /// Resources by group and verbs.
    type Rules<'a> = BTreeMap<(&'a str, String), Vec<&'a str>>;
    let mut by_place: BTreeMap<Option<&str>, Rules<'_>> = BTreeMap::new();
    for one in missing {
        let of_place = by_place.entry(one.right.namespace.as_deref()).or_default();
        // Whoever may follow objects should be able to look at one.
        let is_followed = one.verbs.iter().any(|verb| FOLLOW.contains(verb));
        let verbs = if is_followed { "get, list, watch".to_owned() } else { one.verbs.join(", ") };
        let resources = of_place.entry((one.right.group, verbs)).or_default();
        if !resources.contains(&one.right.resource) {
            resources.push(one.right.resource);
        }
    }
    let mut out = String::new();
    for (namespace, groups) in by_place {
        let (kind, binding) =
            if namespace.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
        let place = namespace.map(|name| format!(", namespace: {name}")).unwrap_or_default();
        let (account_namespace, account) = account;
        let _ = write!(
            out,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {account}-operator{place}}}\nrules:\n"
        );
        for ((group, verbs), resources) in groups {
            let resources = resources.join(", ");
            let _ = writeln!(out, "  - {{apiGroups: [\"{group}\"], resources: [{resources}], verbs: [{verbs}]}}");
        }
        let _ = write!(
            out,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {binding}\nmetadata: {{name: {account}-operator{place}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {account}-operator}}\n\
             subjects:\n  - {{kind: ServiceAccount, name: {account}, namespace: {account_namespace}}}\n"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_follows_the_flags() {
        let everywhere = OperatorOptions::default();
        assert!(wanted(&everywhere).iter().all(|(right, _)| right.namespace.is_none()));
        assert_eq!(wanted(&everywhere).len(), NEEDS.len() * 2 - 1, "Events are only created");
        assert!(
            wanted(&everywhere).iter().all(|(right, _)| right.resource != "namespaces"),
            "no selector asks for their labels"
        );
        let narrowed = OperatorOptions {
            namespaces: vec!["a".to_owned(), "b".to_owned()],
            prometheus: Some(("m".to_owned(), "p".to_owned())),
            ..OperatorOptions::default()
        };
        let wanted = wanted(&narrowed);
        let in_namespace =
            |name: &str| wanted.iter().filter(|(right, _)| right.namespace.as_deref() == Some(name)).count();
        let in_cluster = wanted.iter().filter(|(right, _)| right.namespace.is_none()).map(|(right, _)| right.resource);
        assert_eq!((in_namespace("a"), in_namespace("b"), in_namespace("m")), (26, 26, 3));
        assert_eq!(in_cluster.collect::<Vec<_>>(), ["nodes", "nodes", "namespaces", "namespaces"]);
    }

    #[test]
    fn the_role_gives_what_is_missing_and_no_more() {
        let missing = |group, resource, namespace: Option<&str>| MissingRight {
            right: Right { group, resource, verb: "list", namespace: namespace.map(str::to_owned) },
            verbs: vec!["list", "watch"],
            without: "nothing works",
        };
        let events = MissingRight { verbs: vec!["create"], ..missing("events.k8s.io", "events", Some("a")) };
        let all = [
            missing(GROUP, "probes", None),
            missing("", "pods", Some("a")),
            missing("", "services", Some("a")),
            events,
        ];
        assert_eq!(
            all[0].to_string(),
            "may not list or watch probes.monitoring.coreos.com in the whole cluster: nothing works"
        );
        assert_eq!(all[1].to_string(), "may not list or watch pods in namespace a: nothing works");
        let text = role_manifests(&all, ("monitoring", "weft"));
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let kinds: Vec<_> = documents.iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]);
        let rule = serde_json::json!({"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch"]});
        let create = serde_json::json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]});
        assert_eq!(documents[2]["rules"], serde_json::json!([rule, create]));
        assert_eq!(documents[2]["metadata"]["namespace"], "a");
        assert_eq!(documents[3]["subjects"][0]["namespace"], "monitoring");
        assert_eq!(role_manifests(&[], ("m", "w")), "");
    }
}
