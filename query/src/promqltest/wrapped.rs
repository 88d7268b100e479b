//! A store whose reads a test can observe or change.

use std::fmt::Debug;

use model::{Labels, Listing, Parts, Querier, QuerierError, ReadHints, Selection};

use super::Store;

/// Wraps opened selections.
pub(crate) trait Wrap: Debug + Send + Sync {
    /// Wraps one opened selection.
    fn wrap<'q>(&self, parts: Box<dyn Parts + 'q>) -> Box<dyn Parts + 'q>;
}

/// A store with its wrapper.
#[derive(Debug)]
pub(crate) struct Wrapped<W>(pub(crate) Store, pub(crate) W);

impl<W: Wrap> Querier for Wrapped<W> {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        Ok(self.1.wrap(self.0.open(selection, hints)?))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.0.list_series(selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.0.list_label_names(selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        of: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.0.list_label_values(name, of, listing)
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        self.0.listing_warnings(selection)
    }
}
