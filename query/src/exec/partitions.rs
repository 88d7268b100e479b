//! Partitioned evaluation: the partitions of a scan are read and carried through the streaming nodes above it on several
//! threads. The consumer receives series in the order of the partitions, as from one thread: float sums depend on the order.

use std::cell::RefCell;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use model::{BatchSink, PartReader, Parts, QuerierError};

use super::evaluator::{Evaluator, Partition, Query, Sink};
use super::limits::Reserved;
use super::operands::Operands;
use super::projection::{Needed, Projection};
use crate::Error;
use crate::memory::Reservation;
use crate::plan::NodeId;
use crate::stats::{Counter, Level};
use crate::value::Series;
use crate::window::Grid;

/// A node, the labels needed of it, and the steps.
type Task<'t> = (NodeId, Option<&'t Needed>, &'t Grid);

/// The result of one partition.
type Outcome<'a> = Result<Done<'a>, Error>;

struct Done<'a> {
    series: Vec<Series>,
    /// Their memory.
    taken: Reservation<'a>,
    /// The most samples held while they were computed.
    peak: usize,
    counted: Level,
}

impl Evaluator<'_> {
    /// Streams a node, partitioned where that was decided.
    pub(super) fn stream_partitioned(
        &self,
        (id, needed): (NodeId, Option<&Needed>),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        // Inside a partition this thread reads that one only.
        let scan = if self.partition.is_none() { self.node(id).decisions.partitioned } else { None };
        let Some(selection) = scan.and_then(|scan| self.wanted(scan, grid)) else {
            return self.stream_node(id, grid, sink);
        };
        let parts = self.open(&selection)?;
        let (threads, _reading) = self.readers(&*parts)?;
        // One thread, or not enough memory for several readers.
        if threads < 2 {
            self.one_by_one(&*parts, (id, needed, grid), sink)?;
            self.annotations().warn_of_store(parts.warnings());
            return Ok(());
        }
        let parts = &*parts;
        let mut largest = 0;
        let taken = thread::scope(|scope| {
            let (query, held, samples) = (self.query, self.held.get(), &self.samples);
            let threads: Result<Vec<Receiver<Outcome<'_>>>, Error> = (0..threads)
                .map(|first| {
                    // A channel of one: a thread works at most one partition ahead of the consumer.
                    let (out, outcomes) = mpsc::sync_channel(1);
                    // Partitions are dealt out in turn, so that results can be consumed in order.
                    let mine = (first..parts.count()).step_by(threads);
                    let work = move || work((query, held, samples), parts, mine, (id, needed, grid), &out);
                    query.stack.spawn(scope, work)?;
                    Ok(outcomes)
                })
                .collect();
            let threads = threads?;
            for part in 0..parts.count() {
                // A closed channel means that the thread panicked; the scope propagates that.
                let Ok(done) = threads[part % threads.len()].recv() else { return Ok(()) };
                let Done { series, taken, peak, counted } = done?;
                // Statistics of the partition are added as if it had been read here.
                self.samples.absorb(&counted);
                largest = largest.max(peak - held);
                series.into_iter().try_for_each(&mut *sink)?;
                drop(taken);
            }
            Ok(())
        });
        self.annotations().warn_of_store(parts.warnings());
        // Counts the peak of the largest partition, as if it had been the last.
        let before = self.held();
        self.hold(largest, 0)?;
        self.back_to(before);
        taken
    }

    /// The number of threads, with the memory of their readers reserved; one where there is not enough for several.
    fn readers(&self, parts: &dyn Parts) -> Result<(usize, Reserved<'_>), Error> {
        let threads = self.query.options.threads().min(parts.count()).max(1);
        let bytes = parts.reader_bytes();
        if threads > 1
            && let Some(reading) = self.reserve_free(bytes.saturating_mul(threads))
        {
            return Ok((threads, reading));
        }
        Ok((1, self.reserve(bytes)?))
    }

    fn one_by_one(&self, parts: &dyn Parts, (id, needed, grid): Task<'_>, sink: &mut Sink<'_>) -> Result<(), Error> {
        // Without partitions the node is evaluated once over nothing, for the errors of its other arguments.
        let reader = if parts.count() == 0 { Box::new(Nothing) } else { parts.reader().map_err(Error::Store)? };
        let projection = needed.map(|needed| RefCell::new(Projection::new(needed, &self.query.bounds.memory)));
        for part in 0..parts.count().max(1) {
            let part = Partition { reader: &*reader, part, projection: projection.as_ref() };
            // A new evaluator per partition counts its samples and peak apart.
            let evaluator = Evaluator::of_partition(self.query, self.held.get(), part, self.samples.apart());
            evaluator.stream_node(id, grid, sink)?;
            let (peak, counted) = evaluator.into_cost();
            self.samples.absorb(&counted);
            self.peak.set(self.peak.get().max(peak));
        }
        Ok(())
    }
}

struct Nothing;

impl PartReader for Nothing {
    fn read(&self, _: usize, _: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        Ok(())
    }
}

/// Evaluates a node over some partitions, until all are done, one fails, or the consumer stopped.
fn work<'a>(
    (query, held, samples): (&'a Query<'_>, usize, &Counter),
    parts: &dyn Parts,
    mine: impl Iterator<Item = usize>,
    (id, needed, grid): Task<'_>,
    out: &SyncSender<Outcome<'a>>,
) {
    let reader = match parts.reader() {
        Ok(reader) => reader,
        Err(error) => return drop(out.send(Err(Error::Store(error)))),
    };
    let projection = needed.map(|needed| RefCell::new(Projection::new(needed, &query.bounds.memory)));
    for part in mine {
        let part = Partition { reader: &*reader, part, projection: projection.as_ref() };
        let evaluator = Evaluator::of_partition(query, held, part, samples.apart());
        let (mut series, taken) = (Vec::new(), query.reservation());
        let streamed = evaluator.stream_node(id, grid, &mut |one| {
            query.take(&taken, one.bytes())?;
            series.push(one);
            Ok(())
        });
        let (peak, counted) = evaluator.into_cost();
        let done = streamed.map(|()| Done { series, taken, peak, counted });
        // After an error, or when the consumer is gone, the remaining partitions are not read.
        let failed = done.is_err();
        if out.send(done).is_err() || failed {
            return;
        }
    }
}
