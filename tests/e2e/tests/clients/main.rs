//! What clients send, read from their sources and kept as a table, asked of Weft and of the Prometheus it stands in for: both
//! give what the client needs, and Weft what Prometheus gives. And Python's client, which is asked to do all that it can.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test: a failed step is its message"
)]

mod answer;
mod consoles;
mod grafana;
mod python;
mod row;
mod scalers;
#[path = "../shown_cluster/mod.rs"]
mod shown_cluster;
mod thanos;
mod world;

use kit::skipped;

use answer::Answer;
use row::Row;
use world::World;

fn rows() -> impl Iterator<Item = &'static Row> {
    [grafana::ROWS, scalers::ROWS, consoles::ROWS, thanos::ROWS].into_iter().flatten()
}

/// What of a row is not as it should be.
fn faults(row: &Row, world: &World) -> Vec<String> {
    let (ours, theirs) = (world.ask_weft(row), world.ask_prometheus(row));
    let mut faults = Vec::new();
    // What Prometheus does not give no client needs.
    faults.extend(theirs.lacks(row).into_iter().map(|what| format!("Prometheus: {what}")));
    faults.extend(ours.lacks(row).into_iter().map(|what| format!("Weft: {what}")));
    faults.extend(Answer::differences(&ours, &theirs, row.same));
    faults
}

#[test]
fn every_client_gets_what_it_needs() {
    let world = match World::start() {
        Ok(world) => world,
        Err(why) => return skipped(&why),
    };
    let mut found = Vec::new();
    let mut n = 0;
    for row in rows() {
        n += 1;
        let faults = faults(row, &world);
        let what = format!("{} ({}): {:?} {} {:?}", row.client, row.source, row.request, row.path, row.params);
        found.extend(faults.into_iter().map(|fault| format!("{what}\n    {fault}")));
    }
    eprintln!("{n} requests of clients");
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

#[test]
fn pythons_client_gets_the_same_from_both() {
    let modules = match python::modules() {
        Ok(modules) => modules,
        Err(why) => return skipped(&why),
    };
    let world = match World::start() {
        Ok(world) => world,
        Err(why) => return skipped(&why),
    };
    let ours = python::run(&modules, world.weft.http.base(), &world, &["page"]);
    let theirs = python::run(&modules, world.prometheus.http.base(), &world, &[]);
    assert_eq!(ours["check_prometheus_connection"], true);
    assert!(ours.len() > 14, "{ours:?}");
    for (name, answer) in &theirs {
        let ours = &ours[name];
        assert!(answer::are_alike(ours, answer), "{name}: Weft {ours}, Prometheus {answer}");
    }
}
