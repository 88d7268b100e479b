//! One target: its labels, its address, and what it answers at a time.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use model::Timestamp;
use serde_json::{Value, json};

use super::catalogue::Species;
use super::number;
use super::shape::Shape;
use super::value::{self, Of, mix, unit};

/// A pod. A replacement of it has another number, and with it another name and address.
#[derive(Debug)]
pub struct Pod {
    slot: usize,
    number: u32,
    seed: u64,
    load: f64,
    born: Timestamp,
    shape: Arc<Shape>,
}

impl Pod {
    /// The `number`-th pod of the fleet, which takes the place `slot`.
    #[must_use]
    pub fn new(fleet_seed: u64, slot: usize, number: u32, born: Timestamp, shape: Arc<Shape>) -> Self {
        let seed = mix(fleet_seed, u64::from(number));
        Self { slot, number, seed, load: 0.2 + 1.6 * unit(seed, 1), born, shape }
    }

    /// Where it answers: an address of its own from 127.10.0.1 on.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        let [_, high, middle, low] = (self.number + 1).to_be_bytes();
        Ipv4Addr::new(127, 10 + high, middle, low)
    }

    /// Its name, as a ReplicaSet gives it.
    #[must_use]
    pub fn name(&self) -> String {
        let app = Species::of(self.slot).app();
        let id = mix(self.seed, 2);
        format!("{app}-{:09x}-{:05x}", mix(self.slot as u64, 3) >> 28, id >> 44)
    }

    /// How many series it has.
    #[must_use]
    pub fn series(&self) -> usize {
        self.shape.len()
    }

    /// Its entry in the file that the servers watch.
    #[must_use]
    pub fn entry(&self, port: u16) -> Value {
        json!({
            "targets": [format!("{}:{port}", self.address())],
            "labels": {
                "app": Species::of(self.slot).app(),
                "container": "main",
                "namespace": format!("team-{}", self.slot % 7),
                "node": format!("node-{:02}", mix(self.seed, 4) % 40),
                "pod": self.name(),
            },
        })
    }

    /// Appends its exposition at a time. `generation` is the value of the labels that churn.
    pub fn render(&self, now: Timestamp, generation: u64, out: &mut Vec<u8>) {
        let age_ms = u64::try_from(now - self.born).unwrap_or_default();
        for (text, series) in self.shape.lines() {
            out.extend_from_slice(text.as_bytes());
            let seed = mix(self.seed, series.salt);
            if series.churns {
                // Writing to a Vec cannot fail.
                write!(out, "{:016x}\"}} ", mix(seed, generation)).ok();
            }
            number::write(value::at(series.kind, Of { seed, load: self.load }, age_ms), out);
        }
        out.push(b'\n');
    }
}
