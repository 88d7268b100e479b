//! The store, as those read it whose questions are counted.

use std::sync::Arc;

use model::{Labels, Listing, Parts, Querier, QuerierError, ReadHints, Selection};

use super::counts::Origin;
use super::usage::MetricUsage;

/// A store that counts which metrics are read of it.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    db: Arc<storage::Db>,
    usage: Arc<MetricUsage>,
    origin: Origin,
}

impl Counted {
    /// For questions of this origin.
    pub(crate) fn new(db: &Arc<storage::Db>, usage: &Arc<MetricUsage>, origin: Origin) -> Self {
        Self { db: Arc::clone(db), usage: Arc::clone(usage), origin }
    }
}

impl Querier for Counted {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        self.usage.count(selection.matchers, self.origin);
        self.db.open(selection, hints)
    }

    // Listings are for whoever looks for names, and ask for no metric.
    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.db.list_series(selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.db.list_label_names(selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.db.list_label_values(name, selection, listing)
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        self.db.listing_warnings(selection)
    }
}
