//! How metrics become series, and what is odd about them.

use std::collections::BTreeSet;

use super::names::Naming;

/// How metrics become series.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the configuration")]
pub struct OtlpSettings {
    /// How names are translated.
    pub naming: Naming,
    /// Attributes of resources that become labels of their points; with `promote_all` those that do not.
    pub resource_attributes: BTreeSet<String>,
    /// All other attributes of resources become labels.
    pub promote_all: bool,
    /// Those that name a resource become labels of `target_info`, too.
    pub keep_identifying_resource_attributes: bool,
    /// Histograms with bounds become native ones.
    pub convert_histograms_to_nhcb: bool,
    /// Name, version and attributes of scopes become labels.
    pub promote_scope_metadata: bool,
    /// What becomes of differences.
    pub deltas: Deltas,
    /// Types and units become labels.
    pub type_labels: bool,
    /// A zero is stored where counting began.
    pub start_zeros: bool,
    /// `target_info` has a sample in every half of it.
    pub lookback_ms: i64,
}

/// What becomes of differences (delta temporality).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deltas {
    /// They are refused.
    #[default]
    Refused,
    /// They are stored as they come.
    Stored,
    /// They are added up, and their totals stored.
    AddedUp,
}

impl OtlpSettings {
    pub(super) fn promotes(&self, attribute: &str) -> bool {
        self.resource_attributes.contains(attribute) != self.promote_all
    }
}

/// What is odd about a request, and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warning {
    EmptyDataPoints,
    LabelNameCollision,
    HistogramZeroCountNonZeroSum,
    HistogramPlusInfBound,
}
