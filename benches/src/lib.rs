//! Weft side by side with Prometheus and VictoriaMetrics: the same fleet, one server after another, one table.
//!
//! - **What**: the program `fleet` serves targets with believable metrics; the program `bench` starts each server on
//!   them, measures it from outside and prints the comparison. `cargo xtask bench` builds and starts both. The program
//!   `discovery` compares Kubernetes discovery, `rules` the evaluation of recording rules, `federate` federation, `requests` requests a second, `small_cluster` memory and rules with the pages of
//!   a cluster of three nodes.
//! - **Path**: `options` → for each of `servers`, the `phases` → `report`.
//! - **Invariants**: every number comes from `/proc`, from the server's own counters or from a clock held outside it;
//!   a number that could not be had is shown as missing. All traffic stays on 127.0.0.0/8. What was started ends with
//!   the bench, however that ends.
//! - **Files**: `fleet/` what is scraped · `kube_api/` what is discovered, for `discovery` · `rules` rule files and what they
//!   read, for `rules` · `small_cluster` the pages of a small cluster, for the program of that name · `pages` serves pages · `servers` how each is started and what it says of itself · `process`, `machine` `/proc` · `http` a
//!   client · `phases/` what is done to a server · `queries` the list · `report` the table and the JSON · `options` flags ·
//!   `clock` waiting.
//! - **Tests**: the fleet's text is valid, a function of time, and moves when pods are replaced; no server is needed.

pub mod clock;
pub mod fleet;
pub mod http;
pub mod kube_api;
pub mod machine;
pub mod options;
pub mod pages;
pub mod phases;
pub mod process;
pub mod queries;
pub mod report;
pub mod rules;
pub mod servers;
pub mod small_cluster;
