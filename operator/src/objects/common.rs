//! What several kinds have in common.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Selects by labels. Not set and empty differ: a missing selector selects nothing, an empty one everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must have these values.
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements; all must hold.
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values of the first two.
    pub values: Vec<String>,
}

/// The namespaces in which a monitor looks; its own if nothing is set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSelector {
    /// All of them.
    pub any: bool,
    /// These.
    pub match_names: Vec<String>,
}

/// A port: by name or by number.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Port {
    /// By number.
    // The number first: a text that looks like one stays a text, which is the name of a port.
    Number(i64),
    /// By name.
    Name(String),
}

impl Default for Port {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A number as Kubernetes writes quantities: `1.5`, `500m`, `1k`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Quantity {
    /// Written as a number.
    Number(f64),
    /// Written as text.
    Text(String),
}

impl Quantity {
    /// Its value; NaN if it is none.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => parse_quantity(text).unwrap_or(f64::NAN),
        }
    }
}

/// Kubernetes: `apimachinery/pkg/api/resource/suffix.go`.
fn parse_quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    // With an exponent too, which `E` alone is not.
    if let Ok(plain) = text.parse::<f64>() {
        return Some(plain);
    }
    let scaled = |(suffix, factor): &(&str, f64)| text.strip_suffix(suffix)?.parse::<f64>().ok().map(|n| n * factor);
    SUFFIXES.iter().find_map(scaled)
}

/// One relabelling rule.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RelabelConfig {
    /// The labels whose values are matched.
    pub source_labels: Vec<String>,
    /// Stands between their values.
    pub separator: Option<String>,
    /// The label that is set.
    pub target_label: String,
    /// What the values must match.
    pub regex: String,
    /// The modulus of `hashmod`.
    pub modulus: i64,
    /// The value that is set.
    pub replacement: Option<String>,
    /// What the rule does, in any letter case.
    pub action: String,
}

/// What is read of native histograms.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NativeHistograms {
    /// Scrape them.
    pub scrape_native_histograms: Option<bool>,
    /// Keep the classic form as well.
    pub scrape_classic_histograms: Option<bool>,
    /// At most so many buckets.
    pub native_histogram_bucket_limit: Option<i64>,
    /// Buckets are merged until they differ by at least this factor.
    pub native_histogram_min_bucket_factor: Option<Quantity>,
    /// Convert classic histograms to native ones with custom buckets.
    #[serde(rename = "convertClassicHistogramsToNHCB")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
}

/// What is attached to targets.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct AttachMetadata {
    /// Labels and annotations of the node.
    pub node: Option<bool>,
}

/// What all kinds that jobs are made from can set for each of these.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct JobLimits {
    /// Samples of one scrape.
    pub sample_limit: Option<i64>,
    /// Targets.
    pub target_limit: Option<i64>,
    /// Labels of a series.
    pub label_limit: Option<i64>,
    /// Bytes of a label's name.
    pub label_name_length_limit: Option<i64>,
    /// Bytes of a label's value.
    pub label_value_length_limit: Option<i64>,
    /// Dropped targets that are remembered.
    pub keep_dropped_targets: Option<i64>,
    /// Bytes of a response.
    pub body_size_limit: Option<String>,
    /// The formats to ask for.
    pub scrape_protocols: Vec<String>,
    /// The format of a response that names none.
    pub fallback_scrape_protocol: Option<String>,
    /// Native histograms.
    #[serde(flatten)]
    pub native_histograms: NativeHistograms,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, value) in [("1.5", 1.5), ("500m", 0.5), ("2Ki", 2048.0), ("1e3", 1000.0), ("3G", 3e9), ("-1", -1.0)]
        {
            assert_eq!(Quantity::Text(text.to_owned()).value(), value, "{text}");
        }
        assert!(Quantity::Text("ten".to_owned()).value().is_nan());
    }
}
