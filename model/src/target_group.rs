//! What discovery says: groups of targets with the labels they were found with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Labels;

/// Targets that were found together, say the addresses of one Endpoints object.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TargetGroup {
    /// What the group was made from, unique within its provider: `endpoints/default/kubernetes`, `file.json:0`.
    pub source: String,
    /// Labels that all targets of the group share.
    pub labels: Labels,
    /// Each target's own labels, `__address__` among them; they win over the group's.
    pub targets: Vec<Labels>,
}

/// All groups known now, by the name of the scrape job that asked for them.
pub type TargetGroups = BTreeMap<String, Vec<Arc<TargetGroup>>>;
