//! Batches out, through whichever opening of the directory there is.

use model::{Labels, Listing, PartReader, Parts, Querier, QuerierError, ReadHints, Selection};

use super::{Db, InUse, StoreError};
use crate::error::Error;

impl StoreError for QuerierError {
    fn of_store(&self) -> Option<&Error> {
        if let Self::Store(error) = self { error.downcast_ref() } else { None }
    }

    fn from_store(error: Error) -> Self {
        Self::Store(Box::new(error))
    }
}

/// A selection together with the opening that it is of, which stays open as long.
struct Held<'d> {
    /// Borrows from the opening, and is dropped before it.
    parts: Box<dyn Parts + 'd>,
    _opening: InUse<'d>,
}

impl<'d> Held<'d> {
    fn open(opening: InUse<'d>, selection: &Selection<'_>, hints: &ReadHints<'_>) -> Result<Self, QuerierError> {
        let parts = Querier::open(&*opening, selection, hints)?;
        // SAFETY: `parts` borrows what the `Arc` in `_opening` holds, which neither moves nor is dropped before `parts` is:
        // fields are dropped in their order, and nothing takes `_opening` out of `Self`. No one gets at `parts` but through
        // `&self`, so that what it hands out lives no longer than `Self` does.
        #[expect(unsafe_code, reason = "the selection borrows from the database that is kept open beside it")]
        let parts = unsafe { std::mem::transmute::<Box<dyn Parts + '_>, Box<dyn Parts + 'd>>(parts) };
        Ok(Self { parts, _opening: opening })
    }
}

impl Parts for Held<'_> {
    fn count(&self) -> usize {
        self.parts.count()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        self.parts.reader()
    }

    fn reader_bytes(&self) -> usize {
        self.parts.reader_bytes()
    }

    fn warnings(&self) -> Vec<String> {
        self.parts.warnings()
    }
}

impl Db {
    fn listing<T>(&self, list: impl FnOnce(&crate::db::Db) -> Result<T, QuerierError>) -> Result<T, QuerierError> {
        let opening = self.enter_query().map_err(QuerierError::from_store)?;
        let listed = list(&opening);
        self.note(&opening, &listed);
        listed
    }
}

impl Querier for Db {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let opening = self.enter_query().map_err(QuerierError::from_store)?;
        let held = Held::open(opening, selection, hints)?;
        Ok(Box::new(held))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.listing(|opening| opening.list_series(selection, listing))
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.listing(|opening| opening.list_label_names(selection, listing))
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.listing(|opening| opening.list_label_values(name, selection, listing))
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        self.enter_query().map_or_else(|_| Vec::new(), |opening| opening.listing_warnings(selection))
    }
}
