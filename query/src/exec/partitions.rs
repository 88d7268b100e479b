//! Expressions whose series each come from one series of one selection: the selection is read in parts, and each part
//! carried through the expression, on all cores. Who asked gets the series in the order of the parts, as if one thread had
//! read them: sums of floats depend on it.

use std::cell::{Cell, RefCell};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use model::{BatchSink, PartReader, Parts, QuerierError};

use super::analysis::{has_own_times, leaf};
use super::limits::Reserved;
use super::projection::{Needed, Outlines};
use super::{Evaluator, Query, Sink};
use crate::Error;
use crate::memory::Reservation;
use crate::parse::ast::Expr;
use crate::stats::{Counter, Level};
use crate::value::Series;
use crate::window::Grid;

/// A part of a selection and what reads it.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) reader: &'a dyn PartReader,
    pub(super) part: usize,
    /// What knows the labels that are needed, unless all are.
    pub(super) outlines: Option<&'a RefCell<Outlines>>,
}

/// An expression, what is needed of its labels, and when.
type Task<'t> = (&'t Expr, Option<&'t Needed>, &'t Grid);

/// What a thread says of its parts, one after another.
type Outcome<'a> = Result<Done<'a>, Error>;

struct Done<'a> {
    series: Vec<Series>,
    /// The memory they take.
    taken: Reservation<'a>,
    /// Samples held at most while they were made.
    peak: usize,
    counted: Level,
}

impl Evaluator<'_> {
    /// The series of an expression that streams.
    pub(super) fn stream_parts(
        &self,
        (expr, needed): (&Expr, Option<&Needed>),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let reads = self.part.is_none() && !self.query.shared.is_inside(expr);
        let leaf = if reads { leaf(expr) } else { None };
        let Some(selection) = leaf.and_then(|leaf| self.wanted(leaf, grid)) else {
            return self.stream_node(expr, grid, sink);
        };
        // What is evaluated once for all steps is looked at whole.
        let needed = needed.filter(|_| leaf.is_some_and(has_own_times));
        let parts = self.open(&selection)?;
        let (threads, _reading) = self.readers(&*parts)?;
        if threads < 2 {
            self.one_by_one(&*parts, (expr, needed, grid), sink)?;
            self.annotations().warn_of_store(parts.warnings());
            return Ok(());
        }
        let parts = &*parts;
        let mut largest = 0;
        let taken = thread::scope(|scope| {
            let (query, held, samples) = (self.query, self.held.get(), &self.samples);
            let threads: Result<Vec<Receiver<Outcome<'_>>>, Error> = (0..threads)
                .map(|first| {
                    let (out, outcomes) = mpsc::sync_channel(1);
                    let mine = (first..parts.count()).step_by(threads);
                    let work = move || work((query, held, samples), parts, mine, (expr, needed, grid), &out);
                    query.stack.spawn(scope, work)?;
                    Ok(outcomes)
                })
                .collect();
            let threads = threads?;
            for part in 0..parts.count() {
                // Without an answer the thread panicked, which the scope passes on.
                let Ok(done) = threads[part % threads.len()].recv() else { return Ok(()) };
                let Done { series, taken, peak, counted } = done?;
                self.samples.absorb(&counted);
                largest = largest.max(peak - held);
                series.into_iter().try_for_each(&mut *sink)?;
                drop(taken);
            }
            Ok(())
        });
        self.annotations().warn_of_store(parts.warnings());
        // As if the largest part had been the last.
        let before = self.held();
        self.hold(largest, 0)?;
        self.back_to(before);
        taken
    }

    /// How many threads read, with the memory that their reading takes: where there is not enough for all, one reads.
    fn readers(&self, parts: &dyn Parts) -> Result<(usize, Reserved<'_>), Error> {
        let threads = self.query.options.threads.min(parts.count()).max(1);
        let bytes = parts.reader_bytes();
        if threads > 1
            && let Some(reading) = self.reserve_free(bytes.saturating_mul(threads))
        {
            return Ok((threads, reading));
        }
        Ok((1, self.reserve(bytes)?))
    }

    fn one_by_one(&self, parts: &dyn Parts, (expr, needed, grid): Task<'_>, sink: &mut Sink<'_>) -> Result<(), Error> {
        // Also where there is nothing to read, the expression has its say: its other arguments may be wrong.
        let reader = if parts.count() == 0 { Box::new(Nothing) } else { parts.reader().map_err(Error::Store)? };
        let outlines = needed.map(|needed| RefCell::new(Outlines::new(needed, &self.query.bounds.share)));
        for part in 0..parts.count().max(1) {
            let part = Part { reader: &*reader, part, outlines: outlines.as_ref() };
            let evaluator = self.query.of_part(self.held.get(), part, self.samples.apart());
            evaluator.stream_node(expr, grid, sink)?;
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

impl Query<'_> {
    /// An evaluator that reads one part alone, where so many samples are held already.
    fn of_part<'a>(&'a self, held: usize, part: Part<'a>, samples: Counter) -> Evaluator<'a> {
        let (held, peak, worked) = (Cell::new(held), Cell::new(held), Cell::default());
        Evaluator {
            query: self,
            part: Some(part),
            held,
            peak,
            worked,
            taken: Reservation::new(&self.bounds.share),
            samples,
        }
    }
}

/// Carries some parts through the expression, until all are done, one fails, or nobody wants more.
fn work<'a>(
    (query, held, samples): (&'a Query<'_>, usize, &Counter),
    parts: &dyn Parts,
    mine: impl Iterator<Item = usize>,
    (expr, needed, grid): Task<'_>,
    out: &SyncSender<Outcome<'a>>,
) {
    let reader = match parts.reader() {
        Ok(reader) => reader,
        Err(error) => return drop(out.send(Err(Error::Store(error)))),
    };
    let outlines = needed.map(|needed| RefCell::new(Outlines::new(needed, &query.bounds.share)));
    for part in mine {
        let part = Part { reader: &*reader, part, outlines: outlines.as_ref() };
        let evaluator = query.of_part(held, part, samples.apart());
        let (mut series, taken) = (Vec::new(), Reservation::new(&query.bounds.share));
        let streamed = evaluator.stream_node(expr, grid, &mut |one| {
            query.take(&taken, one.bytes())?;
            series.push(one);
            Ok(())
        });
        let (peak, counted) = evaluator.into_cost();
        let done = streamed.map(|()| Done { series, taken, peak, counted });
        let failed = done.is_err();
        if out.send(done).is_err() || failed {
            return;
        }
    }
}
