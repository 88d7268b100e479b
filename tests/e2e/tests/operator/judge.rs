//! The same objects for Weft and for Prometheus-Operator with Prometheus: all targets must be the same.

use kit::{Pki, Prometheus, PrometheusOperator, add_addresses};

use crate::objects;
use crate::pair::Pair;
use crate::world::{self, World};

/// Why it cannot run.
pub fn cannot() -> Option<String> {
    world::cannot().or_else(|| PrometheusOperator::binary().err()).or_else(|| Prometheus::binary().err())
}

/// One control plane for all objects; they are there when Prometheus-Operator starts, so that what it generates first is all.
pub fn same_targets() {
    let world = World::start();
    let program = PrometheusOperator::binary().unwrap();
    add_addresses(&["10.168.0.6", "10.168.1.2", "10.168.0.15", "10.225.28.220", "10.225.28.171", "10.225.28.227"]);

    println!("the objects of the articles");
    let articles = objects::articles(&Pki::new());
    world.apply(&articles);
    let operator = PrometheusOperator::start(&program, &world.plane);
    for (name, n) in [("default/prometheus", (2, 4)), ("monitoring/prometheus", (7, 14))] {
        let pair = Pair::start(&world, name, 0);
        pair.settle(n, &articles);
        pair.same_jobs(&articles);
    }
    drop(operator);
}
