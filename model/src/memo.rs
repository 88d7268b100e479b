//! What a store remembers on behalf of who asks it the same again and again.

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;

/// What a store found out about a batch of series, or a selection, for the next one of the same: rules send and ask theirs at each
/// evaluation. The caller keeps it; only the store knows what is in it, and whether that still holds.
#[derive(Debug, Default)]
pub struct Memo(Mutex<Option<Arc<dyn Any + Send + Sync>>>);

impl Memo {
    /// What a store has put here, if it is of this type.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.lock().clone()?.downcast().ok()
    }

    /// Puts something here, in the place of what was here.
    pub fn set<T: Any + Send + Sync>(&self, found: T) {
        *self.0.lock() = Some(Arc::new(found));
    }
}
