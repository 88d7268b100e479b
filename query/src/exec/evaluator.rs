//! The state of a running query, and of its evaluation on one thread.

use std::cell::{Cell, RefCell};

use model::{Memo, PartReader, Querier};
use parking_lot::{Mutex, MutexGuard};

use super::common_cache::CommonCache;
use super::profile::Profile;
use super::projection::Projection;
use super::scan_cache::ScanCache;
use crate::Error;
use crate::annotations::{Annotation, AnnotationList, Annotations};
use crate::bounds::Bounds;
use crate::cost::Budget;
use crate::memory::Reservation;
use crate::options::{EngineOptions, Times};
use crate::parse::ast::Span;
use crate::plan::{Node, NodeId, Plan};
use crate::stack::Stack;
use crate::stats::{Counter, Level};
use crate::value::{Series, without_name};

/// A running query: its plan, times, store, limits, and what its threads share.
pub(crate) struct Query<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) querier: &'a dyn Querier,
    /// The stack its threads need.
    pub(crate) stack: Stack,
    pub(crate) options: &'a EngineOptions,
    pub(crate) text: &'a str,
    pub(crate) times: Times,
    pub(crate) lookback_ms: i64,
    /// Start timestamps of samples are used.
    pub(crate) uses_starts: bool,
    pub(crate) bounds: &'a Bounds,
    /// Limits of series and samples read, if there are any.
    pub(crate) budget: Option<Budget>,
    pub(crate) annotations: Mutex<Annotations>,
    /// Results of common subexpressions.
    pub(crate) common: CommonCache,
    /// Batches that several scans read.
    pub(crate) scans: ScanCache,
    /// Cost per node, if it is measured.
    pub(crate) profile: Option<&'a Profile>,
    /// What stores remember of selections, by node; none for a query that is evaluated but once.
    pub(crate) memos: &'a [Memo],
}

/// One partition of a scan and its reader.
#[derive(Clone, Copy)]
pub(super) struct Partition<'a> {
    pub(super) reader: &'a dyn PartReader,
    pub(super) part: usize,
    /// Projects labels, unless whole label sets are needed.
    pub(super) projection: Option<&'a RefCell<Projection>>,
}

/// The evaluation of a query on one thread.
pub(crate) struct Evaluator<'a> {
    pub(super) query: &'a Query<'a>,
    /// The only partition that this evaluator reads; `None` outside of partitioned nodes.
    pub(super) partition: Option<Partition<'a>>,
    /// Samples in memory now and at most so far, and the memory reserved for them.
    pub(super) held: Cell<usize>,
    pub(super) peak: Cell<usize>,
    pub(super) taken: Reservation<'a>,
    /// Samples processed since the last check for cancellation.
    pub(super) worked: Cell<usize>,
    /// Counts samples looked at and read.
    pub(super) samples: Counter,
}

/// Receives series one by one.
pub(crate) type Sink<'s> = dyn FnMut(Series) -> Result<(), Error> + 's;

impl<'a> Evaluator<'a> {
    pub(crate) fn new(query: &'a Query<'a>, samples: Counter) -> Self {
        let (held, peak, worked, taken) = (<_>::default(), <_>::default(), <_>::default(), query.reservation());
        Self { query, partition: None, held, peak, taken, worked, samples }
    }

    /// An evaluator of one partition; `held` samples are in memory already.
    pub(super) fn of_partition(query: &'a Query<'a>, held: usize, of: Partition<'a>, samples: Counter) -> Self {
        let (held, peak) = (Cell::new(held), Cell::new(held));
        Self { partition: Some(of), held, peak, ..Self::new(query, samples) }
    }

    /// The most samples held at once, and the samples looked at and read.
    pub(crate) fn into_cost(self) -> (usize, Level) {
        (self.peak.get(), self.samples.finish())
    }

    pub(super) fn node(&self, id: NodeId) -> &'a Node {
        self.query.plan.node(id)
    }

    /// The position of a node in the text, for annotations.
    pub(super) fn span(&self, id: NodeId) -> Span {
        self.node(id).span
    }

    pub(super) fn projection(&self) -> Option<&RefCell<Projection>> {
        self.partition.and_then(|partition| partition.projection)
    }

    /// Removes the metric name, now or at the end of the query (delayed name removal).
    pub(super) fn drop_name(&self, series: &mut Series) {
        if self.query.options.delayed_name_removal {
            series.drop_name = true;
        } else {
            series.labels = match self.projection() {
                Some(projection) => projection.borrow_mut().without_name(&series.labels),
                None => without_name(&series.labels),
            };
        }
    }

    /// Adds an annotation about a metric at a position of the query.
    pub(super) fn annotate(&self, span: Span, metric: &str, annotation: Annotation) {
        self.annotations().annotate(self.query.text, span, metric, annotation);
    }

    pub(super) fn annotate_all(&self, span: Span, metric: &str, annotations: &mut AnnotationList) {
        annotations.0.drain(..).for_each(|annotation| self.annotate(span, metric, annotation));
    }

    pub(super) fn warn(&self, span: Span, message: &str) {
        self.annotations().warn(self.query.text, span, message);
    }

    pub(super) fn info(&self, span: Span, message: &str) {
        self.annotations().info(self.query.text, span, message);
    }

    pub(super) fn annotations(&self) -> MutexGuard<'_, Annotations> {
        self.query.annotations.lock()
    }
}

impl Query<'_> {
    pub(super) fn reservation(&self) -> Reservation<'_> {
        Reservation::new(&self.bounds.memory)
    }

    /// Reserves memory; drops caches if there is not enough.
    pub(super) fn take(&self, taken: &Reservation<'_>, bytes: usize) -> Result<(), Error> {
        match taken.take(bytes) {
            Ok(()) => Ok(()),
            // Other queries hold the memory: drop caches first, then wait for it.
            Err(error) if error.is_memory_contention() => {
                self.drop_caches();
                self.bounds.taking(|| taken.take(bytes))
            }
            // The query's own limit: only its caches can make room.
            Err(_) if self.drop_caches() => taken.take(bytes),
            refused => refused,
        }
    }

    /// Drops the caches of the query. True if there was anything in them.
    pub(crate) fn drop_caches(&self) -> bool {
        // Both are cleared, so the operator must not stop after the first.
        let common = self.common.clear(&self.bounds.memory);
        self.scans.clear() || common
    }
}
