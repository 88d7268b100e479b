//! What a selection is for.

use std::collections::HashSet;

use super::{Grow, QuerierError};
#[cfg(doc)]
use crate::Labels;
use crate::{Memo, SourceId};

/// What a selection is for. A store may read less because of it, and never answers less than is asked; one that ignores all
/// hints but `order` is correct. (Prometheus: `storage.SelectHints`.)
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadHints<'h> {
    /// Which samples of each series are needed.
    pub samples: SamplesNeeded,
    /// The order in which series are handed out.
    pub order: SeriesOrder<'h>,
    /// At most so many series are needed; 0: all. With [`SeriesOrder::ByLabels`] these are the first in that order.
    pub limit: usize,
    /// The function or aggregation that the samples go to, `rate` for instance; empty when there is none.
    pub function: &'h str,
    /// The distance between two evaluations, milliseconds; 0 when there is one.
    pub step_ms: i64,
    /// The width of the window before each evaluation, milliseconds; 0 for a selector without a range.
    pub range_ms: i64,
    /// How the series are aggregated, if they are: other labels are not looked at.
    pub grouping: Option<GroupingHint<'h>>,
    /// Only series of these sources are needed.
    pub sources: Option<&'h HashSet<SourceId>>,
    /// Who waits for the selection to be opened.
    pub caller: Caller<'h>,
    /// Of who asks for the same matchers again and again.
    pub memo: Option<&'h Memo>,
}

impl ReadHints<'_> {
    /// Only the newest sample of each series is needed.
    pub const NEWEST: ReadHints<'static> = ReadHints {
        samples: SamplesNeeded::Newest,
        order: SeriesOrder::Any,
        limit: 0,
        function: "",
        step_ms: 0,
        range_ms: 0,
        grouping: None,
        sources: None,
        caller: Caller(None),
        memo: None,
    };
}

/// Whom a store asks while it opens a selection, where that waits for others or takes much memory, as it does of a store on
/// another server: before it takes memory, and with 0 bytes now and then. Without anybody to ask nothing is bounded.
#[derive(Clone, Copy, Default)]
pub struct Caller<'h>(pub Option<&'h Grow<'h>>);

impl Caller<'_> {
    /// Asks for so many bytes more, and whether the selection is still wanted.
    ///
    /// # Errors
    /// When it is not, or there is no memory for it.
    pub fn grow(&self, bytes: usize) -> Result<(), QuerierError> {
        self.0.map_or(Ok(()), |grow| grow(bytes))
    }
}

impl std::fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Caller").field(&self.0.is_some()).finish()
    }
}

/// Which samples of each series are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SamplesNeeded {
    /// All in the time asked.
    #[default]
    All,
    /// The newest in the time asked: older ones may be left out.
    Newest,
}

/// The labels by which an aggregation groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupingHint<'h> {
    /// Grouped by all labels but these, instead of by these.
    pub without: bool,
    /// The labels of the `by` or `without` clause.
    pub labels: &'h [String],
}

/// The order in which the series of a selection are handed out.
#[derive(Clone, Copy, Default)]
pub enum SeriesOrder<'h> {
    /// Any, the same at each reading.
    #[default]
    Any,
    /// By whole label sets, ascending ([`Labels`]' order): each batch has one column, parts and the batches in them follow one
    /// another, and `source` is empty. The label sets of all series are held in memory for it.
    ByLabels {
        /// Told what these take before they are read.
        grow: &'h Grow<'h>,
    },
}

impl std::fmt::Debug for SeriesOrder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Any => "Any",
            Self::ByLabels { .. } => "ByLabels",
        })
    }
}
