//! Scan sharing: batches read by the first scan of a group are kept, and replayed to others with the same times.
//!
//! It only saves time: batches are kept in spare memory, dropped when memory gets scarce, and then read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{
    Batch, BatchSink, Column, PartReader, Parts, Querier, QuerierError, ReadHints, SamplesNeeded, Selection, Timestamp,
};
use parking_lot::{Mutex, MutexGuard};

use crate::memory::QueryMemory;
use crate::plan::Plan;
use crate::value::{SAMPLE_BYTES, SERIES_BYTES, histogram_bytes, label_bytes};

/// Kept batches, by scan group of the plan.
#[derive(Debug, Default)]
pub(crate) struct ScanCache(Mutex<Vec<Group>>);

/// A group of scans with equal matchers.
#[derive(Debug)]
struct Group {
    /// Scans that have not been opened yet.
    left: usize,
    kept: Option<Arc<Reading>>,
}

/// The batches of one selection, by partition.
#[derive(Debug)]
struct Reading {
    /// The first and the last time, and which samples were read.
    of: (Timestamp, Timestamp, SamplesNeeded),
    parts: Vec<Mutex<Part>>,
    memory: Arc<QueryMemory>,
    /// It was dropped: nothing more is kept.
    over: AtomicBool,
    /// It is being replayed, or was.
    replayed: AtomicBool,
}

#[derive(Debug, Default)]
struct Part {
    batches: Vec<Batch>,
    bytes: usize,
    whole: bool,
}

impl ScanCache {
    /// An empty cache with the scan groups of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self(Mutex::new(plan.scan_groups.iter().map(|scans| Group { left: *scans, kept: None }).collect()))
    }

    /// Opens a selection, or its kept batches; true for the latter.
    pub(super) fn open<'q>(
        &self,
        (querier, memory): (&'q dyn Querier, &Arc<QueryMemory>),
        group: Option<usize>,
        (selection, hints): (&Selection<'_>, &ReadHints<'_>),
    ) -> Result<(Box<dyn Parts + 'q>, bool), QuerierError> {
        let Some(group) = group else { return Ok((querier.open(selection, hints)?, false)) };
        let of = (selection.start, selection.end, hints.samples);
        // Held while the store opens the selection, or two scans of a group could both record.
        let mut groups = lock(&self.0);
        let known = &mut groups[group];
        // Nothing is kept for the last scan of a group.
        known.left = known.left.saturating_sub(1);
        let more = known.left > 0;
        // The last scan takes the batches over; a reading of other times, or an incomplete one, is of no use to the
        // others.
        if let Some(reading) = known.kept.take_if(|reading| reading.of != of || !more || !reading.is_whole())
            && reading.of == of
            && reading.is_whole()
        {
            // The scan reserves each batch it receives: the cache must not count them as well.
            reading.give();
            return Ok((Box::new(Replay { reading, is_last: true }), true));
        }
        if let Some(reading) = &known.kept {
            reading.replayed.store(true, Ordering::SeqCst);
            return Ok((Box::new(Replay { reading: Arc::clone(reading), is_last: false }), true));
        }
        let parts = querier.open(selection, hints)?;
        if !more {
            return Ok((parts, false));
        }
        let kept = (0..parts.count()).map(|_| Mutex::default()).collect();
        let memory = Arc::clone(memory);
        let reading = Arc::new(Reading { of, parts: kept, memory, over: false.into(), replayed: false.into() });
        known.kept = Some(Arc::clone(&reading));
        Ok((Box::new(Recording { parts, reading }), false))
    }

    /// Drops what is not being replayed. True if there was any.
    pub(super) fn clear(&self) -> bool {
        // A second owner may be the scan that still records, which can do without the cache; a replay cannot.
        let unread = |kept: &mut Arc<Reading>| !kept.replayed.load(Ordering::SeqCst) || Arc::strong_count(kept) == 1;
        let mut groups = lock(&self.0);
        let gone: Vec<Arc<Reading>> = groups.iter_mut().filter_map(|known| known.kept.take_if(unread)).collect();
        gone.iter().filter(|reading| reading.clear()).count() > 0
    }
}

impl Reading {
    fn is_whole(&self) -> bool {
        !self.over.load(Ordering::SeqCst) && self.parts.iter().all(|part| lock(part).whole)
    }

    fn keep(&self, part: usize, batch: &Batch) {
        if self.over.load(Ordering::SeqCst) {
            return;
        }
        let (_, bytes) = cost_of(batch);
        // Without spare memory the whole reading is given up: an incomplete one cannot be replayed.
        if !self.memory.take_spare(bytes) {
            self.clear();
            return;
        }
        let mut kept = lock(&self.parts[part]);
        // It was dropped by another thread in between.
        if self.over.load(Ordering::SeqCst) {
            drop(kept);
            self.memory.give(bytes);
            return;
        }
        kept.bytes += bytes;
        kept.batches.push(batch.clone());
    }

    fn clear(&self) -> bool {
        // First, so that no thread adds a batch behind the loop.
        self.over.store(true, Ordering::SeqCst);
        self.parts.iter().for_each(|part| lock(part).batches.clear());
        self.give()
    }

    /// Releases the memory of the batches.
    fn give(&self) -> bool {
        // Taken, not read: `give` may run again when the reading is dropped.
        let bytes = self.parts.iter().map(|part| std::mem::take(&mut lock(part).bytes)).sum();
        self.memory.give(bytes);
        bytes > 0
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Reads from the store and keeps the batches.
struct Recording<'q> {
    parts: Box<dyn Parts + 'q>,
    reading: Arc<Reading>,
}

impl Parts for Recording<'_> {
    fn count(&self) -> usize {
        self.parts.count()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(Recorder { reader: self.parts.reader()?, reading: &self.reading }))
    }

    fn reader_bytes(&self) -> usize {
        self.parts.reader_bytes()
    }

    // Warnings of the store are reported once, by the first reading.
    fn warnings(&self) -> Vec<String> {
        self.parts.warnings()
    }
}

struct Recorder<'p> {
    reader: Box<dyn PartReader + 'p>,
    reading: &'p Reading,
}

impl PartReader for Recorder<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        self.reader.read(part, &mut |batch| {
            self.reading.keep(part, &batch);
            sink(batch)
        })?;
        // Only after the last batch: an error or a cancelled query leaves the part incomplete.
        lock(&self.reading.parts[part]).whole = true;
        Ok(())
    }
}

/// Replays kept batches.
struct Replay {
    reading: Arc<Reading>,
    is_last: bool,
}

impl Parts for Replay {
    fn count(&self) -> usize {
        self.reading.parts.len()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(Replayer(self)))
    }
}

struct Replayer<'p>(&'p Replay);

impl PartReader for Replayer<'_> {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let mut kept = lock(&self.0.reading.parts[part]);
        let batches = if self.0.is_last { std::mem::take(&mut kept.batches) } else { kept.batches.clone() };
        drop(kept);
        batches.into_iter().try_for_each(sink)
    }
}

/// The number of samples of a batch, and about how much memory it takes.
pub(super) fn cost_of(batch: &Batch) -> (usize, usize) {
    let samples = batch.timestamps.len() * batch.columns.len();
    let of_column = |column: &Column| {
        // Estimated from the first and the last histogram: measuring each would cost as much as reading it.
        let largest = [column.histograms.first(), column.histograms.last()].into_iter().flatten();
        let largest = largest.map(|(_, h)| histogram_bytes(h)).max().unwrap_or_default();
        let histograms = largest * column.histograms.len();
        SERIES_BYTES + label_bytes(&column.metric) + histograms
    };
    let columns: usize = batch.columns.iter().map(of_column).sum();
    (samples, samples * SAMPLE_BYTES + label_bytes(&batch.source) + columns)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::options::Times;
    use crate::promqltest::Store;
    use crate::promqltest::wrapped::Wrapped;
    use crate::{Engine, EngineOptions, MemoryPool, QueryOptions, QueryResult};

    fn filled() -> Wrapped<AtomicUsize> {
        let mut store = Store::default();
        for i in 0..40 {
            store.load_line(&format!("x_total{{i=\"{i}\"}} {i}+{i}x40"), (Timestamp(0), 30_000)).unwrap();
            store.load_line(&format!("y_total{{i=\"{i}\"}} {i}+{i}x40"), (Timestamp(0), 30_000)).unwrap();
        }
        for i in 0..200 {
            store.load_line(&format!("many{{i=\"{i}\"}} {i}x40"), (Timestamp(0), 30_000)).unwrap();
        }
        Wrapped(store, AtomicUsize::new(0))
    }

    /// The result, and how often the store was read.
    fn run(store: &Wrapped<AtomicUsize>, query: &str, most: usize) -> (Option<QueryResult>, usize) {
        let memory = Arc::new(MemoryPool::new(usize::MAX, most));
        // What one thread takes does not depend on how far another is.
        let options = EngineOptions { memory: Arc::clone(&memory), threads: 1, ..EngineOptions::default() };
        let engine = Engine::new(options);
        let expr = engine.parse(query).unwrap();
        let times = Times { start: Timestamp(420_000), end: Timestamp(840_000), step_ms: 60_000 };
        let result = engine.run(store, (query, expr), times, &QueryOptions::default()).ok();
        assert_eq!(memory.used(), result.as_ref().map_or(0, |result| result.value.bytes()));
        (result, store.1.swap(0, Ordering::Relaxed))
    }

    #[test]
    fn what_selectors_read_alike_is_read_once() {
        let store = filled();
        for (query, reads) in [
            ("rate(x_total[2m]) / increase(x_total[2m])", 1),
            ("max_over_time(x_total[2m]) - min_over_time(x_total[2m]) + sum_over_time(x_total[2m])", 1),
            ("topk(2, x_total) or bottomk(2, x_total)", 1),
            ("sum(abs(x_total)) / count(x_total)", 1),
            // What is evaluated once is not kept in vain.
            ("rate(x_total[2m]) / rate(x_total[2m])", 1),
            ("sum(rate(x_total[2m])) / count(rate(x_total[2m]))", 1),
            // Other times, other series, only the latest samples.
            ("rate(x_total[2m]) / rate(x_total[3m])", 2),
            ("rate(x_total[2m]) / increase(y_total[2m])", 2),
            ("rate(x_total[2m]) / increase(x_total[2m] offset 1m)", 2),
            ("x_total > 3 and x_total @ 500 < 9", 2),
        ] {
            let (result, read) = run(&store, query, usize::MAX);
            assert_eq!(read, reads, "{query}");
            // One at a time, each selector of its own.
            let mut n = 0;
            let apart: String = query.split("_total").fold(String::new(), |text, piece| {
                n += 1;
                if text.is_empty() { piece.to_owned() } else { format!("{text}_total{{none_{n}=\"\"}}{piece}") }
            });
            let (alone, _) = run(&store, &apart, usize::MAX);
            assert_eq!(format!("{:?}", result.unwrap().value), format!("{:?}", alone.unwrap().value), "{query}");
        }
    }

    #[test]
    fn a_reading_gives_way() {
        let store = filled();
        // The operator between vectors needs its memory while what was read before is kept for the last function.
        let query = "max(max_over_time(x_total[5m])) - min(min_over_time(x_total[5m])) \
                     + count(many + on (i) y_total) + sum(sum_over_time(x_total[5m]))";
        let mut seen = [false; 6];
        for most in (2_000..400_000).step_by(2_000) {
            if let (Some(_), reads) = run(&store, query, most) {
                seen[reads] = true;
            }
        }
        // Kept for all three, or let go before the last.
        assert_eq!(seen, [false, false, false, true, true, false]);
    }
}
