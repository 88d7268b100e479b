//! Which objects a Prometheus object selects, and why it does not select one.

use std::collections::BTreeMap;
use std::fmt;

use crate::objects::{Kind, LabelSelector, Meta, PrometheusSpec};
use crate::selector;

/// The labels of namespaces, by name.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// Why an object is not selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSelected {
    /// The selector of its kind is not set, which selects nothing.
    NoSelector {
        /// The field of the Prometheus object.
        field: &'static str,
    },
    /// The selector of namespaces is not set, and the object is not in the namespace of the Prometheus object.
    OtherNamespace {
        /// The field of the Prometheus object.
        field: &'static str,
        /// The namespace of the Prometheus object.
        only: String,
    },
    /// The namespace of the object does not match.
    Namespace {
        /// The field of the Prometheus object.
        field: &'static str,
        /// The requirement that does not hold.
        requirement: String,
        /// What the namespace has instead.
        has: String,
    },
    /// The labels of the object do not match.
    Labels {
        /// The field of the Prometheus object.
        field: &'static str,
        /// The requirement that does not hold.
        requirement: String,
        /// What the object has instead.
        has: String,
    },
    /// A selector of the Prometheus object is not valid.
    BadSelector {
        /// The field of the Prometheus object.
        field: &'static str,
        /// Why.
        message: String,
    },
}

impl fmt::Display for NotSelected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSelector { field } => {
                write!(f, "{field} is not set, which selects nothing; {{}} selects all objects of the kind")
            }
            Self::OtherNamespace { field, only } => write!(
                f,
                "{field} is not set, so that only objects in the namespace {only} are selected; {{}} selects all namespaces"
            ),
            Self::Namespace { field, requirement, has } => {
                write!(f, "its namespace does not match {field}: {requirement} is required, {has}")
            }
            Self::Labels { field, requirement, has } => {
                write!(f, "its labels do not match {field}: {requirement} is required, {has}")
            }
            Self::BadSelector { field, message } => write!(f, "{field} is not valid: {message}"),
        }
    }
}

/// The selectors of one kind, with the names of their fields.
struct Selectors<'p> {
    objects: (&'static str, Option<&'p LabelSelector>),
    namespaces: (&'static str, Option<&'p LabelSelector>),
}

fn selectors(spec: &PrometheusSpec, kind: Kind) -> Selectors<'_> {
    let (objects, namespaces) = match kind {
        Kind::ServiceMonitor => (
            ("spec.serviceMonitorSelector", &spec.service_monitor_selector),
            ("spec.serviceMonitorNamespaceSelector", &spec.service_monitor_namespace_selector),
        ),
        Kind::PodMonitor => (
            ("spec.podMonitorSelector", &spec.pod_monitor_selector),
            ("spec.podMonitorNamespaceSelector", &spec.pod_monitor_namespace_selector),
        ),
        Kind::Probe => (
            ("spec.probeSelector", &spec.probe_selector),
            ("spec.probeNamespaceSelector", &spec.probe_namespace_selector),
        ),
        Kind::ScrapeConfig => (
            ("spec.scrapeConfigSelector", &spec.scrape_config_selector),
            ("spec.scrapeConfigNamespaceSelector", &spec.scrape_config_namespace_selector),
        ),
        Kind::PrometheusRule => {
            (("spec.ruleSelector", &spec.rule_selector), ("spec.ruleNamespaceSelector", &spec.rule_namespace_selector))
        }
    };
    Selectors { objects: (objects.0, objects.1.as_ref()), namespaces: (namespaces.0, namespaces.1.as_ref()) }
}

/// Does any selector of the Prometheus object ask for labels of namespaces?
pub(crate) fn reads_namespaces(spec: &PrometheusSpec) -> bool {
    let by_labels = |kind| selectors(spec, kind).namespaces.1.is_some_and(|selector| !selects_all(selector));
    Kind::ALL.into_iter().any(by_labels)
}

/// Everything needs no labels, and so no right to read them.
fn selects_all(selector: &LabelSelector) -> bool {
    *selector == LabelSelector::default()
}

/// Does the Prometheus object, which is in the namespace `own`, select this object?
///
/// # Errors
/// Why it does not.
pub fn select(
    (spec, own): (&PrometheusSpec, &str),
    kind: Kind,
    object: &Meta,
    namespaces: &Namespaces,
) -> Result<(), NotSelected> {
    let Selectors { objects: (field, selector), namespaces: (namespace_field, namespace_selector) } =
        selectors(spec, kind);
    let selector = selector.ok_or(NotSelected::NoSelector { field })?;
    // Both are checked first: one that is not valid is wrong for all objects, whatever the other one selects.
    for (field, selector) in [(field, Some(selector)), (namespace_field, namespace_selector)] {
        if let Some(Err(message)) = selector.map(crate::validate::check_label_selector) {
            return Err(NotSelected::BadSelector { field, message });
        }
    }
    // The namespace before the labels, as upstream looks: it lists the objects of the namespaces it has selected.
    match namespace_selector {
        None if object.namespace != own => {
            return Err(NotSelected::OtherNamespace { field: namespace_field, only: own.to_owned() });
        }
        Some(selector) => selects_namespace(selector, (namespace_field, &object.namespace), namespaces)?,
        None => {}
    }
    selector::matches(selector, &object.labels).map_err(|requirement| {
        let has = actual(&requirement, "it", &object.labels);
        NotSelected::Labels { field, requirement: requirement.text, has }
    })
}

fn selects_namespace(
    selector: &LabelSelector,
    (field, name): (&'static str, &str),
    namespaces: &Namespaces,
) -> Result<(), NotSelected> {
    if selects_all(selector) {
        return Ok(());
    }
    let Some(labels) = namespaces.get(name) else {
        // Not as if it had no labels: one that must not have a certain label would be selected until it is known.
        let has = "the labels of its namespace are not known".to_owned();
        return Err(NotSelected::Namespace { field, requirement: selector::label_selector_text(selector), has });
    };
    selector::matches(selector, labels).map_err(|unmet| {
        let has = actual(&unmet, "the namespace", labels);
        NotSelected::Namespace { field, requirement: unmet.text, has }
    })
}

/// What there is instead of what is required: the same label with another value, a label with nearly the same name, one of
/// another name with the value, or nothing.
fn actual(unmet: &selector::Unmet, who: &str, labels: &BTreeMap<String, String>) -> String {
    let key = &unmet.key;
    if let Some(value) = labels.get(key) {
        // The nearest of several values, and of two that are equally near the first one by name.
        let near = unmet.values.iter().filter_map(|wanted| Some((typo(wanted, value)?, wanted)));
        return match near.min() {
            Some((typo, _)) if unmet.values.len() == 1 => format!("{who} has {key}={value}, which differs {typo}"),
            Some((typo, wanted)) => format!("{who} has {key}={value}, which differs from {wanted} {typo}"),
            None => format!("{who} has {key}={value}"),
        };
    }
    let near = labels.iter().filter_map(|(name, value)| Some((typo(key, name)?, name, value)));
    if let Some((typo, name, value)) = near.min() {
        return format!("{who} has {name}={value}, whose name differs {typo}");
    }
    // Short values, `true` for instance, say nothing.
    let is_wanted = |value: &String| value.len() > 4 && unmet.values.contains(value);
    match labels.iter().find(|(_, value)| is_wanted(value)) {
        Some((name, value)) => format!("{who} has no label {key}, but {name}={value}"),
        None => format!("{who} has no label {key}"),
    }
}

/// How a text differs from another one that was probably meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Typo {
    Case,
    Letters(usize),
}

impl fmt::Display for Typo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case => f.write_str("in upper and lower case"),
            Self::Letters(1) => f.write_str("in one letter"),
            Self::Letters(n) => write!(f, "in {n} letters"),
        }
    }
}

/// `None` if the two have nothing to do with each other, or are the same.
fn typo(wanted: &str, found: &str) -> Option<Typo> {
    if wanted == found {
        return None;
    }
    if wanted.eq_ignore_ascii_case(found) {
        return Some(Typo::Case);
    }
    // Of a short word more than one letter makes another word: `dev` is not meant by `web`.
    let most = (wanted.len() / 4).clamp(1, 3);
    // Before the distance is computed, which takes time by the product of both.
    if wanted.len() < 3 || wanted.len().abs_diff(found.len()) > most {
        return None;
    }
    let distance = strsim::osa_distance(wanted, found);
    (distance <= most).then_some(Typo::Letters(distance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn labels(json: Value) -> BTreeMap<String, String> {
        serde_json::from_value(json).unwrap()
    }

    /// What is said of a ServiceMonitor `team-a/web` with these labels, whose namespace has `team: a`.
    fn verdict(spec: Value, own_labels: Value) -> String {
        let spec: PrometheusSpec = serde_json::from_value(spec).unwrap();
        let meta = Meta {
            namespace: "team-a".to_owned(),
            name: "web".to_owned(),
            labels: labels(own_labels),
            ..Meta::default()
        };
        let namespaces = [("team-a".to_owned(), labels(json!({"team": "a"})))].into();
        match select((&spec, "monitoring"), Kind::ServiceMonitor, &meta, &namespaces) {
            Ok(()) => "selected".to_owned(),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn each_reason_is_a_sentence() {
        let labels = json!({"app": "web"});
        let all = json!({"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}});
        assert_eq!(verdict(all.clone(), labels.clone()), "selected");
        let with = |field: &str, value: Value| {
            let mut spec = all.clone();
            spec[field] = value;
            verdict(spec, labels.clone())
        };
        assert_eq!(
            verdict(json!({"serviceMonitorNamespaceSelector": {}}), labels.clone()),
            "spec.serviceMonitorSelector is not set, which selects nothing; {} selects all objects of the kind"
        );
        assert_eq!(
            verdict(json!({"serviceMonitorSelector": {}}), labels.clone()),
            "spec.serviceMonitorNamespaceSelector is not set, so that only objects in the namespace monitoring are selected; {} \
             selects all namespaces"
        );
        assert_eq!(
            with("serviceMonitorNamespaceSelector", json!({"matchLabels": {"team": "b"}})),
            "its namespace does not match spec.serviceMonitorNamespaceSelector: team=b is required, the namespace has team=a"
        );
        assert_eq!(
            with("serviceMonitorSelector", json!({"matchLabels": {"release": "stack"}})),
            "its labels do not match spec.serviceMonitorSelector: release=stack is required, it has no label release"
        );
        assert_eq!(
            with("serviceMonitorSelector", json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})),
            "its labels do not match spec.serviceMonitorSelector: !app is required, it has app=web"
        );
        assert_eq!(
            with("serviceMonitorSelector", json!({"matchExpressions": [{"key": "app", "operator": "In"}]})),
            "spec.serviceMonitorSelector is not valid: values: Invalid value: null: for 'in', 'notin' operators, values set can't \
             be empty"
        );
        // A selector of namespaces that is none is said even where that of objects would not match either.
        assert_eq!(
            with("serviceMonitorNamespaceSelector", json!({"matchLabels": {"": "x"}})),
            "spec.serviceMonitorNamespaceSelector is not valid: key: Invalid value: \"\": name part must consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        );
    }

    #[test]
    fn a_namespace_that_is_not_known_is_only_selected_with_all_others() {
        let spec = |selector: Value| -> PrometheusSpec {
            let spec = json!({"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": selector});
            serde_json::from_value(spec).unwrap()
        };
        let meta = Meta { namespace: "new".to_owned(), ..Meta::default() };
        let selects = |selector: Value| {
            select((&spec(selector), "monitoring"), Kind::ServiceMonitor, &meta, &Namespaces::new())
                .map_err(|why| why.to_string())
        };
        assert_eq!(selects(json!({})), Ok(()));
        let why = "its namespace does not match spec.serviceMonitorNamespaceSelector: !a,b=c is required, the labels of its \
                   namespace are not known";
        let negative =
            json!({"matchLabels": {"b": "c"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]});
        assert_eq!(selects(negative), Err(why.to_owned()));
    }

    /// What is said to be there instead of this label, or of one of these values.
    #[track_caller]
    fn check(key: &str, values: &[&str], found: Value, expected: &str) {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let unmet = selector::Unmet { key: key.to_owned(), text: String::new(), values };
        assert_eq!(actual(&unmet, "it", &labels(found)), expected);
    }

    #[test]
    fn typos_are_found_in_values() {
        let one = &["etcd-exporter"];
        check("app", one, json!({"app": "etcd-expoter"}), "it has app=etcd-expoter, which differs in one letter");
        check("app", one, json!({"app": "ectd-expoter"}), "it has app=ectd-expoter, which differs in 2 letters");
        check(
            "app",
            one,
            json!({"app": "Etcd-Exporter"}),
            "it has app=Etcd-Exporter, which differs in upper and lower case",
        );
        check("app", one, json!({"app": "node-exporter"}), "it has app=node-exporter");
        check("app", one, json!({"app": ""}), "it has app=");
        let two = &["etcd-exporter", "etcd-exporters"];
        let why = "it has app=etcd-exportes, which differs from etcd-exporter in one letter";
        check("app", two, json!({"app": "etcd-exportes"}), why);
        check("tier", &["web"], json!({"tier": "dev"}), "it has tier=dev");
        // A requirement that no value meets.
        check("app", &[], json!({"app": "web"}), "it has app=web");
    }

    #[test]
    fn typos_are_found_in_names() {
        let one = &["stack"];
        check("release", one, json!({"relase": "stack"}), "it has relase=stack, whose name differs in one letter");
        check("release", one, json!({"Release": "x"}), "it has Release=x, whose name differs in upper and lower case");
        check("app", one, json!({"api": "x", "env": "y"}), "it has api=x, whose name differs in one letter");
        check("app", one, json!({"env": "y"}), "it has no label app");
        check(
            "release",
            one,
            json!({"helm.sh/release": "stack"}),
            "it has no label release, but helm.sh/release=stack",
        );
        check("release", &["true"], json!({"enabled": "true"}), "it has no label release");
        check("release", one, json!({}), "it has no label release");
    }

    /// Texts of users may be long, and of any letters.
    #[test]
    fn no_text_takes_long() {
        let long = "é".repeat(100_000);
        check("a", &[&long], json!({"a": "b"}), "it has a=b");
        assert_eq!(typo(&"x".repeat(63), &format!("{}é", "x".repeat(62))), Some(Typo::Letters(1)));
    }
}
