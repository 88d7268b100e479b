//! HELP, TYPE and UNIT of the metric families of one target.

use std::collections::BTreeMap;

use crate::parse::MetricKind;

/// Families remembered per target; further ones have no metadata.
const FAMILIES_MAX: usize = 10_000;

/// What a target says of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its type.
    pub kind: MetricKind,
    /// Its help text, empty if there is none.
    pub help: String,
    /// Its unit, empty if there is none.
    pub unit: String,
}

/// The families of one target by name.
#[derive(Clone, Debug, Default)]
pub struct MetadataCache {
    families: BTreeMap<String, Metadata>,
    generation: u64,
}

impl MetadataCache {
    /// Another number whenever something changed.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn set_help(&mut self, metric: &str, help: &str) {
        if let Some(family) = self.family(metric) {
            help.clone_into(&mut family.help);
        }
    }

    pub(crate) fn set_kind(&mut self, metric: &str, kind: MetricKind) {
        if let Some(family) = self.family(metric) {
            family.kind = kind;
        }
    }

    pub(crate) fn set_unit(&mut self, metric: &str, unit: &str) {
        if let Some(family) = self.family(metric) {
            unit.clone_into(&mut family.unit);
        }
    }

    /// The families in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metadata)> {
        self.families.iter().map(|(name, metadata)| (name.as_str(), metadata))
    }

    fn family(&mut self, metric: &str) -> Option<&mut Metadata> {
        if self.families.len() >= FAMILIES_MAX && !self.families.contains_key(metric) {
            return None;
        }
        self.generation += 1;
        Some(self.families.entry(metric.to_owned()).or_default())
    }
}
