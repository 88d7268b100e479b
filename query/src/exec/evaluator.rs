//! A query while it is evaluated, and its evaluation on one thread.

use std::cell::{Cell, RefCell};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{PartReader, Querier};

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

/// What a query asks, of whom, and within which bounds.
pub(crate) struct Query<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) querier: &'a dyn Querier,
    /// What its threads need.
    pub(crate) stack: Stack,
    pub(crate) options: &'a EngineOptions,
    pub(crate) text: &'a str,
    pub(crate) times: Times,
    pub(crate) lookback_ms: i64,
    /// Start timestamps of samples matter.
    pub(crate) uses_starts: bool,
    pub(crate) bounds: &'a Bounds,
    /// What it may cost, where that is counted.
    pub(crate) budget: Option<Budget>,
    pub(crate) annotations: Mutex<Annotations>,
    /// Results of common subexpressions.
    pub(crate) common: CommonCache,
    /// What several scans read.
    pub(crate) scans: ScanCache,
    /// Where each node's cost is counted, if it is asked for.
    pub(crate) profile: Option<&'a Profile>,
}

/// One partition of a scan, and what reads it.
#[derive(Clone, Copy)]
pub(super) struct Partition<'a> {
    pub(super) reader: &'a dyn PartReader,
    pub(super) part: usize,
    /// Makes the labels that are needed, unless all are.
    pub(super) projection: Option<&'a RefCell<Projection>>,
}

/// A query being evaluated on one thread.
pub(crate) struct Evaluator<'a> {
    pub(super) query: &'a Query<'a>,
    /// The partition of the one scan of the expression that is all this thread reads.
    pub(super) partition: Option<Partition<'a>>,
    /// Samples in memory now, and at most so far; and the memory itself.
    pub(super) held: Cell<usize>,
    pub(super) peak: Cell<usize>,
    pub(super) taken: Reservation<'a>,
    /// Samples worked on since it was last checked whether the query is still wanted.
    pub(super) worked: Cell<usize>,
    /// Samples looked at and read.
    pub(super) samples: Counter,
}

/// Takes series one by one.
pub(crate) type Sink<'s> = dyn FnMut(Series) -> Result<(), Error> + 's;

impl<'a> Evaluator<'a> {
    pub(crate) fn new(query: &'a Query<'a>, samples: Counter) -> Self {
        let (held, peak, worked, taken) = (<_>::default(), <_>::default(), <_>::default(), query.reservation());
        Self { query, partition: None, held, peak, taken, worked, samples }
    }

    /// An evaluator that reads one partition alone, where so many samples are held already.
    pub(super) fn of_partition(query: &'a Query<'a>, held: usize, of: Partition<'a>, samples: Counter) -> Self {
        let (held, peak) = (Cell::new(held), Cell::new(held));
        Self { partition: Some(of), held, peak, ..Self::new(query, samples) }
    }

    /// The most samples held at once, and what was looked at and read.
    pub(crate) fn into_cost(self) -> (usize, Level) {
        (self.peak.get(), self.samples.finish())
    }

    pub(super) fn node(&self, id: NodeId) -> &'a Node {
        self.query.plan.node(id)
    }

    /// Where a node stands in the text: annotations point there.
    pub(super) fn span(&self, id: NodeId) -> Span {
        self.node(id).span
    }

    pub(super) fn projection(&self) -> Option<&RefCell<Projection>> {
        self.partition.and_then(|partition| partition.projection)
    }

    /// Removes the name, now or at the end of the query.
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

    /// Annotates the result at a place of the query, about a metric.
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
        self.query.annotations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Query<'_> {
    pub(super) fn reservation(&self) -> Reservation<'_> {
        Reservation::new(&self.bounds.memory)
    }

    /// Takes memory; what is kept to spare time is dropped for it.
    pub(super) fn take(&self, taken: &Reservation<'_>, bytes: usize) -> Result<(), Error> {
        match taken.take(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.is_of_all() => {
                self.drop_caches();
                self.bounds.taking(|| taken.take(bytes))
            }
            Err(_) if self.drop_caches() => taken.take(bytes),
            refused => refused,
        }
    }

    /// Drops what is kept to spare time. Was there any?
    pub(crate) fn drop_caches(&self) -> bool {
        let common = self.common.clear(&self.bounds.memory);
        self.scans.clear() || common
    }
}
