//! What rules yield.

use std::sync::Arc;

use model::{Histogram, Labels};

/// A sample to be stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    pub(crate) histogram: Option<Arc<Histogram>>,
}
