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
    };
    Selectors { objects: (objects.0, objects.1.as_ref()), namespaces: (namespaces.0, namespaces.1.as_ref()) }
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
    for (field, selector) in [(field, Some(selector)), (namespace_field, namespace_selector)] {
        if let Some(Err(message)) = selector.map(crate::validate::check_label_selector) {
            return Err(NotSelected::BadSelector { field, message });
        }
    }
    match namespace_selector {
        None if object.namespace != own => {
            return Err(NotSelected::OtherNamespace { field: namespace_field, only: own.to_owned() });
        }
        Some(selector) => {
            // A namespace that is not known has no labels: it may be listed in a moment.
            let labels = namespaces.get(&object.namespace).cloned().unwrap_or_default();
            selector::matches(selector, &labels).map_err(|requirement| {
                let has = actual(&requirement, "the namespace", &labels);
                NotSelected::Namespace { field: namespace_field, requirement: requirement.text, has }
            })?;
        }
        None => {}
    }
    selector::matches(selector, &object.labels).map_err(|requirement| {
        let has = actual(&requirement, "it", &object.labels);
        NotSelected::Labels { field, requirement: requirement.text, has }
    })
}

/// What there is instead of what is required: the same label with another value, a label with nearly the same name, or
/// nothing.
fn actual(requirement: &selector::Unmet, who: &str, labels: &BTreeMap<String, String>) -> String {
    let key = &requirement.key;
    if let Some(value) = labels.get(key) {
        return format!("{who} has {key}={value}");
    }
    let near = |name: &&String| strsim::osa_distance(name, key) <= 2.max(key.len() / 4);
    match labels.keys().filter(near).min_by_key(|name| strsim::osa_distance(name, key)) {
        Some(name) => format!("{who} has {name}={}", labels[name]),
        None => format!("{who} has no label {key}"),
    }
}
