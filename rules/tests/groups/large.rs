//! A rule that yields very many series.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{
    Batch, BatchSink, Column, Committed, Labels, Listing, PartReader, Parts, Querier, QuerierError, ReadHints,
    Selection, SeriesAppendError, SeriesAppender, SeriesBatch,
};
use query::promqltest::SharedStore;
use query::{Engine, EngineOptions, MemoryPool};
use rules::{Context, RuleSpec};

use crate::world::{MINUTE, Server, clock, context, group, store};

/// Series of a batch, and of a part.
const BATCH: usize = 1_000;

/// A store that has so many series `many` besides, and counts those of `copy` instead of keeping them.
struct Large {
    store: Arc<SharedStore>,
    many: usize,
    copies: AtomicUsize,
}

impl Querier for Large {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        if selection.matchers.iter().any(|matcher| matcher.name == "__name__" && matcher.matches("many")) {
            return Ok(Box::new(Many { at: selection.end, series: self.many }));
        }
        self.store.open(selection, hints)
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.store.list_series(selection, listing)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.store.list_label_names(selection, listing)
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.store.list_label_values(name, selection, listing)
    }
}

impl SeriesAppender for Large {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        let copies = batch.series.iter().filter(|series| series.labels.name() == "copy").count();
        self.copies.fetch_add(copies, Ordering::Relaxed);
        let series: Vec<_> = batch.series.iter().filter(|series| series.labels.name() != "copy").copied().collect();
        self.store.append_series(&SeriesBatch { series: &series, ..*batch })
    }
}

struct Many {
    at: model::Timestamp,
    series: usize,
}

impl Parts for Many {
    fn count(&self) -> usize {
        self.series / BATCH
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(self))
    }
}

impl PartReader for &Many {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let column = |i: usize| {
            let metric = Labels::from_pairs([("__name__", "many".to_owned()), ("i", (part * BATCH + i).to_string())]);
            Column { metric, values: vec![1.0], ..Column::default() }
        };
        sink(Batch { timestamps: vec![self.at], columns: (0..BATCH).map(column).collect(), ..Batch::default() })
    }
}

/// Evaluates such a rule between two others, with so much memory for a query: how many series it stored, and the errors of all.
async fn evaluated(many: usize, per_query: usize) -> (usize, Vec<Option<Arc<str>>>) {
    let server = Server::new(&store(), &clock());
    let large = Arc::new(Large { store: Arc::clone(&server.store), many, copies: AtomicUsize::new(0) });
    let memory = Arc::new(MemoryPool::new(usize::MAX, per_query));
    let engine = Arc::new(Engine::new(EngineOptions { memory: Arc::clone(&memory), ..EngineOptions::default() }));
    let context = Context {
        engine,
        querier: Arc::<Large>::clone(&large),
        appender: Arc::<Large>::clone(&large),
        ..context(&server.store, &server.sent)
    };
    let rules = [
        RuleSpec::recording("before", "sum(up)"),
        RuleSpec::recording("copy", "many"),
        RuleSpec::recording("behind", "count(before)"),
    ];
    server.manager.apply(vec![group("g", &rules), group("other", &rules[..1])], context).await.unwrap();
    server.pass(MINUTE / 2).await;
    let errors = server.group("g").rules().map(|rule| rule.last.unwrap().error).collect();
    assert_eq!(server.values("before", "job").len(), 1);
    assert_eq!(server.values("behind", "job"), [(String::new(), 1.0)]);
    assert_eq!(server.group("other").history(0).len(), 1);
    server.manager.shutdown().await;
    assert_eq!(memory.used(), 0);
    (large.copies.load(Ordering::Relaxed), errors)
}

#[tokio::test(start_paused = true)]
async fn very_many_series_are_stored_where_there_is_memory_for_them() {
    assert_eq!(evaluated(100_000, usize::MAX).await, (100_000, vec![None, None, None]));
}

#[tokio::test(start_paused = true)]
async fn a_million_series_fail_with_the_reason_where_there_is_not() {
    let (stored, errors) = evaluated(1_000_000, 64 << 20).await;
    assert_eq!((stored, &errors[0], &errors[2]), (0, &None, &None));
    assert!(errors[1].as_ref().unwrap().contains("(--query.max-memory-per-query)"), "{errors:?}");
}
