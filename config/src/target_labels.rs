//! `target_labels_from`: labels of Kubernetes objects that targets get without relabelling.

use model::labels::{RESERVED_PREFIX, is_legacy_label_name};

use crate::Error;
use crate::schema::{Fields, Texts, section};

section! {
    /// Labels of the Kubernetes objects behind a target that it gets as labels of its own, after `relabel_configs`. Each item is the name
    /// of a label, `app.kubernetes.io/name`, or a label and the name that it gets: `app.kubernetes.io/name as app`. Without one, characters
    /// that are no letter, digit or underscore become underscores, as in `__meta_kubernetes_pod_label_<name>`. A label that the target has
    /// after `relabel_configs` stays as it is; of several objects with a label of one name, the pod's wins over the node's, and that over
    /// the namespace's.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TargetLabelsFrom as "target_labels_from" {
        /// Labels of the pod.
        #[yaml(Texts)]
        pub pod: Vec<String>,
        /// Labels of the node that the pod runs on. Implies `attach_metadata.node`.
        #[yaml(Texts)]
        pub node: Vec<String>,
        /// Labels of the namespace. Implies `attach_metadata.namespace`.
        #[yaml(Texts)]
        pub namespace: Vec<String>,
    }
    check = check_target_labels;
}

/// Separates a label from the name that a target gets.
const AS: &str = " as ";

impl TargetLabelsFrom {
    /// Each label as discovery gives it, and the name that the target gets; what wins comes first.
    pub fn labels(&self) -> impl Iterator<Item = (String, String)> {
        self.lists().into_iter().flat_map(|(object, list)| {
            list.iter().map(move |item| {
                let (label, target) = parts(item);
                (format!("__meta_kubernetes_{object}_label_{}", sanitised(label)), target)
            })
        })
    }

    fn lists(&self) -> [(&'static str, &[String]); 3] {
        [("pod", &self.pod), ("node", &self.node), ("namespace", &self.namespace)]
    }
}

fn check_target_labels(from: &mut TargetLabelsFrom, f: &mut Fields<'_>) -> Result<(), Error> {
    for (object, list) in from.lists() {
        for item in list {
            let (label, target) = parts(item);
            if label.is_empty() {
                return Err(f.refuse(object, format!("{item:?} names no label")));
            }
            if !is_legacy_label_name(&target) || target.starts_with(RESERVED_PREFIX) {
                let wanted = "write `label as name` with a name of letters, digits and underscores";
                return Err(f.refuse(object, format!("{item:?} would become the label {target:?}; {wanted}")));
            }
        }
    }
    Ok(())
}

/// The label of the object, and the name that the target gets.
fn parts(item: &str) -> (&str, String) {
    match item.split_once(AS) {
        Some((label, target)) => (label.trim(), target.trim().to_owned()),
        None => (item.trim(), sanitised(item.trim())),
    }
}

/// As discovery names labels.
fn sanitised(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Config, SdConfig};

    fn parse(from: &str) -> Result<Config, crate::Error> {
        let sd = "kubernetes_sd_configs: [{role: pod}], static_configs: [{targets: ['a:1']}]";
        let text = format!("scrape_configs: [{{job_name: j, {sd}, target_labels_from: {from}}}]");
        Config::parse(&text, "p.yml".as_ref(), &|_| None)
    }

    #[test]
    fn labels_are_named_and_attached() {
        let from = "{pod: [app.kubernetes.io/name, team as owner], node: ['topology.kubernetes.io/zone as zone']}";
        let config = parse(from).unwrap();
        let job = &config.scrape_configs[0];
        let labels: Vec<(String, String)> = job.target_labels_from.labels().collect();
        let pair = |meta: &str, target: &str| (format!("__meta_kubernetes_{meta}"), target.to_owned());
        assert_eq!(
            labels,
            [
                pair("pod_label_app_kubernetes_io_name", "app_kubernetes_io_name"),
                pair("pod_label_team", "owner"),
                pair("node_label_topology_kubernetes_io_zone", "zone"),
            ]
        );
        let attached = |config: &Config| {
            let of = |sd: &SdConfig| match sd {
                SdConfig::Kubernetes(sd) => Some((sd.attach_metadata.node, sd.attach_metadata.namespace)),
                _ => None,
            };
            config.scrape_configs[0].sd.iter().find_map(of).unwrap()
        };
        assert_eq!(attached(&config), (true, false));
        assert_eq!(attached(&parse("{namespace: [a]}").unwrap()), (false, true));
        assert_eq!(attached(&parse("{pod: [a]}").unwrap()), (false, false));
        // What is printed is read as the same again.
        let item = Config::job_yaml(job).replace('\n', "\n  ");
        let printed = Config::parse(&format!("scrape_configs:\n- {item}"), "p.yml".as_ref(), &|_| None).unwrap();
        assert_eq!(printed.scrape_configs[0].target_labels_from, job.target_labels_from);
        assert_eq!(attached(&printed), (true, false));
        assert!(!parse("{}").unwrap().to_yaml().contains("target_labels_from"));
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for (from, said) in [
            ("{pod: ['5g']}", "\"5g\" would become the label \"5g\"; write `label as name`"),
            ("{node: [a as __b]}", "would become the label \"__b\""),
            ("{namespace: [a as b-c]}", "would become the label \"b-c\""),
            ("{pod: ['']}", "names no label"),
        ] {
            let error = parse(from).unwrap_err().to_string();
            assert!(error.contains(said), "{from}: {error}");
        }
        assert!(parse("{pod: ['5g as generation']}").is_ok());
    }
}
