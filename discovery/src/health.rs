//! How sources of targets fare: each watch of an API server, and each service or file that is asked again and again.

use std::collections::BTreeMap;

use kube_watch::{Asked, Right, WatchStatus};
use model::Timestamp;

use crate::consumer::Consumer;

/// One source at one moment. Discoveries that share a watch have it as one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// The field of the configuration: `kubernetes_sd_configs`.
    pub field: &'static str,
    /// The resource of the API server that is watched (`pods`), or the kind of discovery (`http`).
    pub kind: &'static str,
    /// Who uses it, and under which key.
    pub used_by: Vec<(Consumer, String)>,
    /// Who is asked: a URL, files, names, or the API server. Empty where there is but one of the kind.
    pub place: String,
    /// Of a watch: only this namespace.
    pub namespace: Option<String>,
    /// Of a watch: its label selector, or empty.
    pub label_selector: String,
    /// Of a watch: its field selector, or empty.
    pub field_selector: String,
    /// When it was asked, and when it answered all of it.
    pub asked: Asked,
    /// Objects of a watch, or else targets.
    pub n_objects: usize,
    /// The rights that are missing to see all.
    pub refused: Vec<Right>,
    /// Why not all can be found.
    pub error: Option<String>,
    /// Since when what was found is not kept up to date.
    pub stale_since: Option<Timestamp>,
}

impl SourceStatus {
    /// Did it answer when it was last asked, and for all that it was asked?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.asked.answered_at.is_some() && self.asked.n_failures == 0 && self.refused.is_empty()
    }

    pub(crate) fn of_watch(field: &'static str, status: WatchStatus) -> Self {
        let (error, stale_since) =
            status.failure.map_or((None, None), |failure| (Some(failure.message), failure.stale_since));
        Self {
            field,
            kind: status.resource,
            used_by: Vec::new(),
            place: status.server,
            namespace: status.namespace,
            label_selector: status.label_selector,
            field_selector: status.field_selector,
            asked: status.asked,
            n_objects: status.n_objects,
            refused: status.refused,
            error,
            stale_since,
        }
    }
}

/// What a series says of the sources of one kind that one key of a consumer uses: that of the worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Worst {
    pub(crate) is_up: bool,
    pub(crate) answered_at: Option<Timestamp>,
}

/// The sources by consumer, key and kind.
pub(crate) fn worst(sources: &[SourceStatus]) -> BTreeMap<(Consumer, &str, &'static str), Worst> {
    let mut all: BTreeMap<(Consumer, &str, &'static str), Worst> = BTreeMap::new();
    for source in sources {
        let own = Worst { is_up: source.is_up(), answered_at: source.asked.answered_at };
        for (consumer, key) in &source.used_by {
            let known = all.entry((*consumer, key.as_str(), source.kind)).or_insert(own);
            // One that has never answered is `None`, which is the least.
            *known = Worst { is_up: known.is_up && own.is_up, answered_at: known.answered_at.min(own.answered_at) };
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(jobs: &[&str], n_failures: u64, answered_at: Option<i64>) -> SourceStatus {
        SourceStatus {
            field: "http_sd_configs",
            kind: "http",
            used_by: jobs.iter().map(|job| (Consumer::SCRAPE, (*job).to_owned())).collect(),
            asked: Asked { at: None, answered_at: answered_at.map(Timestamp), n_failures },
            ..SourceStatus::default()
        }
    }

    #[test]
    fn a_series_is_that_of_the_worst_source() {
        let sources = [source(&["a", "b"], 0, Some(7)), source(&["b"], 2, Some(5)), source(&["c"], 0, None)];
        let all: Vec<_> = worst(&sources).into_iter().map(|((_, job, kind), worst)| (job, kind, worst)).collect();
        let of = |is_up, at: Option<i64>| Worst { is_up, answered_at: at.map(Timestamp) };
        assert_eq!(
            all,
            [("a", "http", of(true, Some(7))), ("b", "http", of(false, Some(5))), ("c", "http", of(false, None))]
        );
        let refused = kube_watch::Right { group: "", resource: "pods", verb: "list", namespace: None };
        assert!(!SourceStatus { refused: vec![refused], ..source(&[], 0, Some(1)) }.is_up());
    }
}
