//! What is scraped: pods on loopback addresses, some of them replaced by new ones now and then.

pub mod catalogue;
pub mod control;
pub mod number;
pub mod pod;
pub mod serve;
pub mod shape;
pub mod value;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use model::Timestamp;
use serde_json::Value;

use catalogue::Species;
use pod::Pod;
use shape::Shape;
use value::mix;

/// Of what size and kind the fleet is.
#[derive(Args, Clone, Debug)]
pub struct FleetOptions {
    /// Targets at once.
    #[arg(long, default_value_t = 100)]
    pub targets: usize,
    /// Series of each target.
    #[arg(long, default_value_t = 1_000)]
    pub series: usize,
    /// Series of a thousand that get a new label value each --series-churn-every.
    #[arg(long, default_value_t = 0)]
    pub series_churn_per_mille: usize,
    /// Seconds between two generations of the series that churn.
    #[arg(long, default_value_t = 60)]
    pub series_churn_every: u64,
    /// Answer with gzip those who accept it.
    #[arg(long)]
    pub gzip: bool,
    /// Two fleets of one seed say the same at the same age.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The pods that are there now.
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    pods: Vec<Arc<Pod>>,
    next_slot: usize,
    made: u32,
    shapes: HashMap<Species, Arc<Shape>>,
}

impl Fleet {
    /// A fleet whose pods were born some days before `now`, as in a cluster that has been running.
    #[must_use]
    pub fn new(options: &FleetOptions, now: Timestamp) -> Self {
        let pods = Vec::with_capacity(options.targets);
        let mut fleet = Self { options: options.clone(), pods, next_slot: 0, made: 0, shapes: HashMap::new() };
        for slot in 0..options.targets {
            let age_ms = i64::try_from(mix(options.seed, slot as u64) % (10 * 86_400_000)).unwrap_or_default();
            let pod = fleet.make(slot, now - age_ms);
            fleet.pods.push(pod);
        }
        fleet
    }

    /// The pods, by place.
    #[must_use]
    pub fn pods(&self) -> &[Arc<Pod>] {
        &self.pods
    }

    /// How many pods there have been.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Replaces the pod that has been there longest; returns the new one.
    pub fn replace(&mut self, now: Timestamp) -> Option<Arc<Pod>> {
        let slot = self.next_slot;
        if slot >= self.pods.len() {
            return None;
        }
        self.next_slot = (slot + 1) % self.pods.len();
        self.pods[slot] = self.make(slot, now);
        Some(Arc::clone(&self.pods[slot]))
    }

    fn make(&mut self, slot: usize, born: Timestamp) -> Arc<Pod> {
        let number = self.made;
        self.made += 1;
        let (series, churn) = (self.options.series, self.options.series_churn_per_mille);
        let species = Species::of(slot);
        let shape = match species {
            // No two name the same pods.
            Species::KubeState => {
                let unique = format!("{:08x}", mix(self.options.seed, u64::from(number)) >> 32);
                Arc::new(species.shape(series, churn, &unique))
            }
            _ => Arc::clone(self.shapes.entry(species).or_insert_with(|| Arc::new(species.shape(series, churn, "")))),
        };
        Arc::new(Pod::new(self.options.seed, slot, number, born, shape))
    }
}

/// Writes the file that `file_sd_configs` reads, in one step.
///
/// # Errors
/// When it cannot be written.
pub fn write_targets(path: &Path, pods: &[Arc<Pod>], port: u16) -> Result<()> {
    let entries: Value = pods.iter().map(|pod| pod.entry(port)).collect();
    let beside = PathBuf::from(format!("{}.new", path.display()));
    std::fs::write(&beside, serde_json::to_vec(&entries)?)
        .with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot replace {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn options() -> FleetOptions {
        FleetOptions {
            targets: 20,
            series: 500,
            series_churn_per_mille: 0,
            series_churn_every: 60,
            gzip: false,
            seed: 1,
        }
    }

    fn text(pod: &Pod, now: Timestamp, generation: u64) -> String {
        let mut out = Vec::new();
        pod.render(now, generation, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Names and labels, in order, without values and comments.
    fn names(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect()
    }

    #[test]
    fn every_target_serves_valid_text_of_the_size_asked_for() {
        let fleet = Fleet::new(&options(), NOW);
        for pod in fleet.pods() {
            let text = text(pod, NOW, 0);
            let parsed = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
            let samples: usize = parsed
                .samples
                .iter()
                .map(|sample| match &sample.value {
                    prometheus_parse::Value::Histogram(buckets) => buckets.len(),
                    prometheus_parse::Value::Summary(quantiles) => quantiles.len(),
                    _ => 1,
                })
                .sum();
            assert_eq!(samples, 500, "{}", pod.name());
            let names = names(&text);
            assert_eq!(names.len(), 500);
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), 500, "{} repeats a series", pod.name());
        }
    }

    #[test]
    fn values_are_a_function_of_time_and_move_with_it() {
        let (one, two) = (Fleet::new(&options(), NOW), Fleet::new(&options(), NOW));
        for (a, b) in one.pods().iter().zip(two.pods()) {
            assert_eq!(text(a, NOW + 5_000, 0), text(b, NOW + 5_000, 0));
            assert_ne!(text(a, NOW, 0), text(a, NOW + 60_000, 0));
            assert_eq!(names(&text(a, NOW, 0)), names(&text(a, NOW + 60_000, 0)), "only values move");
        }
    }

    #[test]
    fn a_quarter_of_the_series_stand_still() {
        let fleet = Fleet::new(&FleetOptions { series: 1_000, ..options() }, NOW);
        let (mut still, mut all) = (0, 0);
        for pod in fleet.pods() {
            let (early, late) = (text(pod, NOW, 0), text(pod, NOW + 3_600_000, 0));
            let lines = early.lines().zip(late.lines()).filter(|(line, _)| !line.starts_with('#'));
            lines.for_each(|(a, b)| {
                all += 1;
                still += usize::from(a == b);
            });
        }
        assert!((20..35).contains(&(still * 100 / all)), "{still} of {all}");
    }

    #[test]
    fn a_replaced_pod_has_other_labels_and_another_address() {
        let mut fleet = Fleet::new(&options(), NOW);
        let before = Arc::clone(&fleet.pods()[0]);
        let after = fleet.replace(NOW).unwrap();
        let (old, new) = (before.entry(9000), after.entry(9000));
        assert_ne!(old["targets"], new["targets"]);
        assert_ne!(old["labels"]["pod"], new["labels"]["pod"]);
        assert_eq!(old["labels"]["app"], new["labels"]["app"]);
        assert_eq!((fleet.pods().len(), fleet.made()), (20, 21));
    }

    #[test]
    fn series_churn_changes_the_share_that_was_asked_for() {
        let fleet = Fleet::new(&FleetOptions { series_churn_per_mille: 100, ..options() }, NOW);
        for pod in fleet.pods() {
            let (one, two) = (text(pod, NOW, 1), text(pod, NOW, 2));
            let changed = names(&one).iter().zip(names(&two)).filter(|(a, b)| **a != *b).count();
            assert!((40..=50).contains(&changed), "{changed} of 500 in {}", pod.name());
        }
    }
}
