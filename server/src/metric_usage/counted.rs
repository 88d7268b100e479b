//! The store, as those read it whose questions are counted.

use std::sync::Arc;

use model::{Labels, Listing, Matcher, Parts, Querier, QuerierError, ReadHints, Selection};

use super::counts::Origin;
use super::usage::MetricUsage;

/// A store that counts which metrics are read of it. It may be restricted to series that a matcher selects.
#[derive(Clone)]
pub(crate) struct Counted {
    store: Arc<dyn Querier>,
    usage: Arc<MetricUsage>,
    origin: Origin,
    restricted_to: Option<Matcher>,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").field("restricted_to", &self.restricted_to).finish_non_exhaustive()
    }
}

impl Counted {
    /// For questions of this origin.
    pub(crate) fn new(store: Arc<dyn Querier>, usage: &Arc<MetricUsage>, origin: Origin) -> Self {
        Self { store, usage: Arc::clone(usage), origin, restricted_to: None }
    }

    /// The same store with only the series that the matcher selects.
    pub(crate) fn restricted(self, to: Matcher) -> Self {
        Self { restricted_to: Some(to), ..self }
    }

    /// Calls `read` with the selection and the matcher that every one has.
    fn read<T>(&self, selection: &Selection<'_>, read: impl FnOnce(&Selection<'_>) -> T) -> T {
        let Some(matcher) = &self.restricted_to else { return read(selection) };
        let matchers: Vec<Matcher> = selection.matchers.iter().chain([matcher]).cloned().collect();
        read(&Selection { matchers: &matchers, ..*selection })
    }
}

impl Querier for Counted {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        self.usage.count(selection.matchers, self.origin);
        self.read(selection, |selection| self.store.open(selection, hints))
    }

    // Listings are for whoever looks for names, and ask for no metric.
    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.read(selection, |selection| self.store.list_series(selection, listing))
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.read(selection, |selection| self.store.list_label_names(selection, listing))
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.read(selection, |selection| self.store.list_label_values(name, selection, listing))
    }

    fn may_have(&self, selection: &Selection<'_>) -> bool {
        self.read(selection, |selection| self.store.may_have(selection))
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        self.read(selection, |selection| self.store.listing_warnings(selection))
    }
}
