//! The rights of each mode are those that Weft asks for, and no others.

use std::collections::BTreeSet;
use std::process::Command;

use kit::{Weft, eventually};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::helm::{NAMESPACE, of_kind, parse, template};

/// Where, which group and resource, and which verbs.
type Rights = BTreeSet<(String, String, String, String)>;

/// What Weft is told of where to look, with the values for it.
pub const OPERATOR: (&str, &[&str]) = ("mode=operator", &["--operator.prometheus=watch/weft"]);
const NAMESPACES: (&str, &[&str]) = (
    "mode=namespace,prometheusOperator.namespaces.additional={shop}",
    &["--operator.prometheus=watch/weft", "--operator.namespaces=watch,shop"],
);

pub fn exact() {
    let cluster = Cluster::start();
    cluster.namespace("shop");
    check(&cluster, OPERATOR, true);
    check(&cluster, NAMESPACES, false);
}

fn check(cluster: &Cluster, (set, flags): (&str, &[&str]), has_cluster_role: bool) {
    let without = template(&["--set", set, "--set", "global.rbac.create=false"]);
    cluster.apply(&without);
    let objects = template(&["--set", set]);
    let given = rights(&objects);
    assert!(given.len() > 15, "{given:?}");
    // What was taken away a moment ago may still be in force.
    eventually(&format!("{set}: nothing is allowed yet"), || {
        let mut asked = rights(&parse(&missing(cluster, flags)));
        let of_cluster: Vec<String> =
            asked.iter().filter(|right| right.0.is_empty()).map(|right| right.2.clone()).collect();
        if !has_cluster_role {
            // What Roles cannot give.
            asked.retain(|right| !right.0.is_empty());
        }
        let is_known = has_cluster_role || of_cluster == ["namespaces", "nodes"];
        if asked == given && is_known {
            Ok(())
        } else {
            Err(format!("{of_cluster:?}\nasked for {asked:#?}\ngiven {given:#?}"))
        }
    });
    cluster.apply(&objects);
    complete(cluster, flags, has_cluster_role);
    cluster.delete(&objects);
}

/// Waits until the rights of the account `weft` are in force, all that it asks for in its namespaces, and with a ClusterRole all.
pub fn complete(cluster: &Cluster, flags: &[&str], has_cluster_role: bool) {
    eventually("the rights are in force", || {
        let left = missing(cluster, flags);
        let is_complete = if has_cluster_role {
            left.trim() == "nothing is missing"
        } else {
            rights(&parse(&left)).iter().all(|right| right.0.is_empty())
        };
        if is_complete { Ok(()) } else { Err(left) }
    });
}

/// What Weft says that its account is missing, with the Roles that give it.
fn missing(cluster: &Cluster, flags: &[&str]) -> String {
    let token = cluster.plane.token(NAMESPACE, "weft");
    let mut command = Command::new(Weft::binary());
    command.args(["promtool", "rbac", "check", "--service-account=watch/weft"]).args(flags);
    let output = command.envs(cluster.plane.as_a_pod(NAMESPACE, Some(&token))).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The rights that Roles and ClusterRoles give, but for what targets are asked for with.
fn rights(objects: &[Value]) -> Rights {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = Rights::new();
    for role in of_kind(objects, "ClusterRole").chain(of_kind(objects, "Role")) {
        let place = role["metadata"]["namespace"].as_str().unwrap_or_default();
        for rule in role["rules"].as_array().unwrap() {
            let (groups, resources) = (texts(&rule["apiGroups"]), texts(&rule["resources"]));
            let verbs = texts(&rule["verbs"]).join(",");
            let is_of_targets = rule["nonResourceURLs"].is_array() || resources == ["nodes/metrics"];
            for resource in resources.iter().filter(|_| !is_of_targets) {
                rights.insert((place.to_owned(), groups[0].clone(), resource.clone(), verbs.clone()));
            }
        }
    }
    rights
}
