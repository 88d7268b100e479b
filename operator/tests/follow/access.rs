//! Kinds that the API server does not know, or does not show.

use kit::eventually;
use operator::Outcome;

use crate::world::{PROBES, SERVICE_MONITORS, World, web};

const OWN: &str = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/servicemonitors";

fn errors(outcome: &Outcome, kind: usize) -> String {
    outcome.kinds.get(kind).map_or_else(|| "unknown".to_owned(), |kind| kind.errors.join("\n"))
}

const ABSENT: &str = "the API server does not know servicemonitors (its CustomResourceDefinition is not installed); they are \
                      picked up when it is";
const FORBIDDEN: &str = "cannot watch servicemonitors: cannot list: no such right (HTTP 403); give its service account the right \
                         in a Role or ClusterRole";
const FALLEN_BACK: &str = "; until it is given, only namespace monitoring is looked in";

#[test]
fn a_kind_that_is_not_installed_is_picked_up_when_it_is() {
    let objects = [(SERVICE_MONITORS, web("a", "web"))];
    let world = World::with(&objects, |api, _| api.refuse(SERVICE_MONITORS, 404));
    let outcome = world.until("the kind", |outcome| errors(outcome, 0), ABSENT);
    assert!(outcome.is_complete && outcome.jobs.is_empty() && outcome.objects.is_empty());
    assert!(outcome.kinds[1..].iter().all(|kind| kind.errors.is_empty()), "other kinds are not affected");
    assert_eq!(world.api.n_lists(OWN), 0, "the kind is nowhere, so that its own namespace is not asked");
    world.api.allow(SERVICE_MONITORS);
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    assert_eq!(outcome.kinds[0].objects, 1);
    world.until("the kind", |outcome| errors(outcome, 0), "");
}

#[test]
fn several_namespaces_without_the_kind_say_so_once() {
    let of = |namespace: &str| format!("/apis/monitoring.coreos.com/v1/namespaces/{namespace}/servicemonitors");
    let world = World::with(&[], |api, options| {
        options.namespaces = vec!["a".to_owned(), "b".to_owned()];
        options.namespaces.iter().for_each(|namespace| api.refuse(&of(namespace), 404));
    });
    world.until("the kind", |outcome| errors(outcome, 0), ABSENT);
}

#[test]
fn a_cluster_that_is_forbidden_is_seen_in_the_own_namespace() {
    let objects = [(SERVICE_MONITORS, web("a", "web")), (SERVICE_MONITORS, web("monitoring", "own"))];
    let world = World::with(&objects, |api, _| api.refuse(SERVICE_MONITORS, 403));
    world.runs(&["serviceMonitor/monitoring/own/0"]);
    let fallen_back = format!("{FORBIDDEN}{FALLEN_BACK}");
    world.until("the kind", |outcome| errors(outcome, 0), &fallen_back);
    // A server that fails otherwise gives no right: what is seen stays.
    world.api.refuse(SERVICE_MONITORS, 500);
    let n_asked = world.api.n_lists(SERVICE_MONITORS);
    eventually("whether the cluster may be seen now", || {
        if world.api.n_lists(SERVICE_MONITORS) > n_asked { Ok(()) } else { Err("is not asked".to_owned()) }
    });
    world.put(SERVICE_MONITORS, &web("monitoring", "two"));
    world.runs(&["serviceMonitor/monitoring/own/0", "serviceMonitor/monitoring/two/0"]);
    world.api.allow(SERVICE_MONITORS);
    let outcome =
        world.runs(&["serviceMonitor/a/web/0", "serviceMonitor/monitoring/own/0", "serviceMonitor/monitoring/two/0"]);
    assert_eq!(outcome.kinds[0].objects, 3, "each is counted once");
    world.until("the kind", |outcome| errors(outcome, 0), "");
    // The right is taken away: what was known elsewhere stays, and in the own namespace objects still come and go.
    world.api.refuse(SERVICE_MONITORS, 403);
    world.until(
        "the kind",
        |outcome| errors(outcome, 0),
        &format!("{}, and others stay as they were", fallen_back.replace("cannot list: ", "")),
    );
    world.api.remove(SERVICE_MONITORS, "monitoring", "two");
    world.api.remove(SERVICE_MONITORS, "a", "web");
    world.runs(&["serviceMonitor/a/web/0", "serviceMonitor/monitoring/own/0"]);
}

#[test]
fn a_kind_that_is_forbidden_everywhere_keeps_no_other_from_running() {
    let world = World::with(&[(SERVICE_MONITORS, web("a", "web"))], |api, options| {
        api.refuse(PROBES, 403);
        options.own_namespace = String::new();
    });
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    let expected = FORBIDDEN.replace("servicemonitors", "probes");
    assert_eq!((errors(&outcome, 0), errors(&outcome, 2)), (String::new(), expected));
}
