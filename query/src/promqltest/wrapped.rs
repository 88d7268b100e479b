//! A store of which a test watches or changes how it is read.

use std::fmt::Debug;

use model::{Labels, Parts, Querier, QuerierError, Selection};

use super::Store;

/// What becomes of each reading.
pub(crate) trait Wrap: Debug + Send + Sync {
    /// Called with what the store opened.
    fn wrap<'q>(&self, parts: Box<dyn Parts + 'q>) -> Box<dyn Parts + 'q>;
}

/// A store, and what stands around it.
#[derive(Debug)]
pub(crate) struct Wrapped<W>(pub(crate) Store, pub(crate) W);

impl<W: Wrap> Querier for Wrapped<W> {
    fn open<'q>(&'q self, selection: &Selection<'_>, latest: bool) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        Ok(self.1.wrap(self.0.open(selection, latest)?))
    }

    fn series(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<Labels>, QuerierError> {
        self.0.series(selection, limit)
    }

    fn label_names(&self, selection: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        self.0.label_names(selection, limit)
    }

    fn label_values(&self, name: &str, of: &Selection<'_>, limit: usize) -> Result<Vec<String>, QuerierError> {
        self.0.label_values(name, of, limit)
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        self.0.listing_warnings(selection)
    }
}
