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
    /// The targets; their labels win over the group's.
    pub targets: Vec<TargetLabels>,
}

/// The labels of one target of a group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TargetLabels {
    /// Its own, `__address__` among them; they win over the shared ones.
    pub own: Labels,
    /// Those of what it is a part of, such as a pod, in one allocation for all targets of that: in a large cluster they are most of
    /// what discovery holds.
    pub shared: Option<Labels>,
}

impl From<Labels> for TargetLabels {
    fn from(own: Labels) -> Self {
        Self { own, shared: None }
    }
}

impl TargetLabels {
    /// All of its labels, those of its group among them.
    #[must_use]
    pub fn joined(&self, group: &Labels) -> Labels {
        match &self.shared {
            Some(shared) => group.joined(shared).joined(&self.own),
            None => group.joined(&self.own),
        }
    }
}

/// All groups known now, by the name of the scrape job that asked for them.
pub type TargetGroups = BTreeMap<String, Vec<Arc<TargetGroup>>>;
