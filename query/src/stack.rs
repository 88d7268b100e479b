//! Stack space for queries with long chains of operators.
//!
//! `a + b + c` is a tree whose depth is the number of operators, and parsing, building and evaluating it is recursive. The parser
//! limits nesting, but not the length of chains. So a query that may be deep is handled on a thread with a large stack.

use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use crate::Error;
use crate::bounds::Bounds;
use crate::memory::Reservation;
use crate::parse;

/// Queries with fewer operators run on the stack of the calling thread, also with the deepest nesting.
const OPERATORS_FREE: usize = 50;
/// Stack reserved per level: address space, which takes memory only where it is used.
const LEVEL_BYTES: usize = if cfg!(debug_assertions) { 32 << 10 } else { 16 << 10 };
/// Stack used per level at most; counts as memory of the query.
const LEVEL_USED: usize = 4 << 10;

/// The stack that threads of a query need; 0: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    levels: usize,
}

impl Stack {
    /// Enough for any tree that the text can be parsed to.
    pub(crate) fn of(text: &str) -> Self {
        // Nesting is limited by the parser to `DEPTH_MAX` levels; each operator adds at most one more.
        let operators = parse::operators(text);
        let levels = if operators > OPERATORS_FREE { operators + parse::DEPTH_MAX } else { 0 };
        Self { levels }
    }

    /// Runs work with this stack, on a new thread if necessary; its memory is reserved.
    pub(crate) fn run<T: Send>(
        self,
        bounds: &Bounds,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        // The stack of the calling thread is enough.
        if self.levels == 0 {
            return work();
        }
        let used = Reservation::new(&bounds.memory);
        // Only what is expected to be used is counted: the rest of the stack is address space.
        bounds.taking(|| used.take(self.levels.saturating_mul(LEVEL_USED)))?;
        thread::scope(|scope| match self.spawn(scope, work)?.join() {
            Ok(done) => done,
            // As if the work had run on this thread.
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Spawns a thread with this stack.
    pub(crate) fn spawn<'scope, T: Send + 'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<ScopedJoinHandle<'scope, T>, Error> {
        let builder = match self.levels {
            0 => Builder::new(),
            levels => Builder::new().stack_size(levels.saturating_mul(LEVEL_BYTES)),
        };
        let refused = |error| Error::execution(format!("cannot start a thread for the query: {error}"));
        builder.spawn_scoped(scope, work).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;
    use crate::promqltest::Store;
    use crate::{Engine, EngineOptions, MemoryPool, QueryOptions, Value};

    fn chain(first: &str, more: &str, n: usize) -> String {
        format!("{first}{}", more.repeat(n))
    }

    #[test]
    fn a_chain_may_be_as_long_as_a_query() {
        let mut store = Store::default();
        store.load_line("a 1 2 3", (Timestamp(0), 60_000)).unwrap();
        store.load_line("b 1 2 3", (Timestamp(0), 60_000)).unwrap();
        let options = QueryOptions::default();
        for threads in [1, 2] {
            let engine = Engine::new(EngineOptions { threads, extensions: true, ..EngineOptions::default() });
            for (query, expected) in [
                (chain("1", "+1", 9_999), 10_000.0),
                (chain("a", "+1", 3_000), 3_002.0),
                (chain("a", " or b", 500), 2.0),
                (chain("a", " and a", 500), 2.0),
                (chain("c", " default 7", 500), 7.0),
                (chain("sum(a) ", " + on() a", 500), 1_002.0),
                (format!("sum_over_time(a[{}])", chain("60s", "+ 1ms - 1ms", 2_000)), 2.0),
                (format!("-(abs({}))", chain("a", "+1", 500)), -502.0),
                (chain("1", "^1", 5_000), 1.0),
                (chain("2 - 1", "^1 - 1^2", 500), -499.0),
            ] {
                let at = Timestamp(60_000);
                let values: Vec<f64> = match engine.instant(&store, &query, at, &options).unwrap().value {
                    Value::Scalar { value, .. } => vec![value],
                    Value::Vector(samples) => samples.iter().map(|sample| sample.value).collect(),
                    _ => Vec::new(),
                };
                assert_eq!(values.first(), Some(&expected), "{query:.40}");
                engine.range(&store, &query, Timestamp(0), at, 60_000, &options).unwrap();
                let bounds = engine.bounds(&options);
                engine.tree_json(&query, &bounds).unwrap();
                engine.selectors(&query, &bounds).unwrap();
                engine.estimate((&store, 15_000), &query, (Timestamp(0), at, 60_000), &options).unwrap();
            }
        }
    }

    #[test]
    fn what_a_chain_takes_is_taken_from_its_memory() {
        let memory = std::sync::Arc::new(MemoryPool::new(usize::MAX, 32 << 20));
        let engine = Engine::new(EngineOptions { memory: std::sync::Arc::clone(&memory), ..EngineOptions::default() });
        let format = |n| engine.format(&chain("1", "+1", n), &engine.bounds(&QueryOptions::default()));
        let lines = format(500).unwrap();
        // Each operator, and what stands left of it, is indented one level more.
        assert!(lines.starts_with(&format!("{}1", "  ".repeat(500))) || lines.starts_with("  "), "{lines:.80}");
        assert!(matches!(format(9_999), Err(Error::QueryMemory { .. })));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn only_long_chains_have_a_stack_of_their_own() {
        let few = "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (job) (rate(http_requests_total[5m]))";
        assert_eq!(Stack::of(few), Stack::default());
        assert_eq!(Stack::of(&chain("1", "+1", 30)), Stack::default());
        assert_eq!(Stack::of(&chain("1", "+1", 300)).levels, 300 + parse::DEPTH_MAX);
        assert_eq!(Stack::of(&chain("a", " default 1", 300)).levels, 300 + parse::DEPTH_MAX);
        assert_eq!(Stack::of(&format!("a{{b=\"{}\"}}", "+".repeat(300))), Stack::default());
    }
}
