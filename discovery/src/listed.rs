//! Target groups that are listed in a document, a file or the answer of an endpoint.

use config::FileGroup;
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup};

/// The groups of a document; each has a label with the document's address, which the document cannot set itself.
pub(crate) fn groups_of(groups: Vec<FileGroup>, origin_label: &str, origin: &str) -> Vec<TargetGroup> {
    let group = |(i, group): (usize, FileGroup)| {
        let mut labels = LabelsBuilder::default();
        for (name, value) in group.labels {
            labels.set(&name, value);
        }
        labels.set(origin_label, origin);
        TargetGroup {
            source: format!("{origin}:{i}"),
            labels: labels.labels(),
            targets: group.targets.iter().map(|target| Labels::from_pairs([(ADDRESS, target)]).into()).collect(),
        }
    };
    groups.into_iter().enumerate().map(group).collect()
}
