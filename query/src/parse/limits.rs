//! Limits of parsing: depth and size of the tree, also when expanded by templates; memory and time.

use super::ast::{Expr, ExprKind};
use crate::Error;
use crate::bounds::Bounds;
use crate::memory::Reservation;

/// Maximum nesting of expressions, including templates, which protects the stack. A chain of operators does not count as
/// nesting, however long it is: see [`crate::stack`].
pub(crate) const DEPTH_MAX: usize = 200;
/// Maximum of expressions, matchers and labels of one query; those of templates count at every use.
pub(super) const PARTS_MAX: usize = 50_000;
/// Maximum of template uses in one query, which could double at every level.
pub(super) const USES_MAX: usize = 1_000;
/// Maximum of errors collected for one text; only the first is reported.
pub(super) const FAULTS_MAX: usize = 1_000;
/// Memory of a part of the tree, approximately.
pub(super) const PART_BYTES: usize = 512;
/// Parts parsed between two checks of memory and time.
pub(super) const PACE: usize = 64;
/// Texts are kept in the tree, and copied for messages and results.
const TEXT_COPIES: usize = 3;

/// The limits of parsing, and the reservation for the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) taken: &'a Reservation<'a>,
}

impl Limits<'_> {
    pub(super) fn begin(&self, text: &str) -> Result<(), Error> {
        self.take(text.len() * TEXT_COPIES + PACE * PART_BYTES)
    }

    /// Reserves memory, and checks for cancellation.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Error> {
        self.bounds.taking(|| self.taken.take(bytes))?;
        self.bounds.check()
    }
}

/// Depth and number of parts of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) depth: usize,
    pub(super) parts: usize,
}

/// The direct operands of an expression.
fn below(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(..) => Vec::new(),
        ExprKind::Subquery(s) => vec![&s.expr],
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => vec![inner],
        ExprKind::Binary(b) => vec![&b.left, &b.right],
        ExprKind::Aggregate(a) => a.param.iter().chain([&a.expr]).collect(),
        ExprKind::Call(call) => call.args.iter().collect(),
    }
}

/// Does a tree have at most so many expressions? Visits no more than that.
pub(super) fn is_small(expr: &Expr, most: usize) -> bool {
    fn count(expr: &Expr, left: &mut usize) -> bool {
        let Some(rest) = left.checked_sub(1) else { return false };
        *left = rest;
        below(expr).into_iter().all(|one| count(one, left))
    }
    count(expr, &mut { most })
}

/// The size of a tree; texts count as parts by their memory.
pub(super) fn size(expr: &Expr) -> Size {
    // Long texts are rare; short ones are within the memory of a part.
    let of_text = |len: usize| len / PART_BYTES;
    let own = match &expr.kind {
        ExprKind::String(text) => of_text(text.len()),
        ExprKind::Vector(s) | ExprKind::Matrix(s, _) => {
            let text: usize = s.matchers.iter().map(|m| m.name.len() + 2 * m.value.len()).sum();
            s.matchers.len() + of_text(text)
        }
        ExprKind::Binary(b) => b.matching.labels.len() + b.matching.include.len(),
        ExprKind::Aggregate(a) => a.grouping.labels.len(),
        _ => 0,
    };
    let sizes = below(expr).into_iter().map(size);
    let all = sizes.fold(Size { depth: 0, parts: own }, |all, one| Size {
        depth: all.depth.max(one.depth),
        parts: all.parts.saturating_add(one.parts),
    });
    Size { depth: all.depth + 1, parts: all.parts + 1 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::bounds::Bounds;
    use crate::{Engine, EngineOptions, Error, MemoryPool, QueryOptions, StillWanted};

    fn engine() -> Engine {
        Engine::new(EngineOptions { extensions: true, ..EngineOptions::default() })
    }

    #[test]
    fn what_templates_make_has_the_bounds_of_what_is_written() {
        let abs = |n: usize| format!("{}x{}", "abs(".repeat(n), ")".repeat(n));
        let uses = |n: usize| format!("{}up{}", "f(".repeat(n), ")".repeat(n));
        let wide = "(x + x + x + x + x + x + x + x + x + x)";
        for (query, refusal) in [
            (format!("WITH (f(x) = {}) {}", abs(50), uses(2)), None),
            (format!("WITH (f(x) = {}) {}", abs(50), uses(5)), Some("more than 200 levels")),
            (format!("WITH (f(x) = x + x) {}", uses(30)), Some("query is too large: more than 50000")),
            (format!("WITH (f(x) = {wide}) {}", uses(6)), Some("query is too large: more than 50000")),
            (format!("WITH (f(x) = f1) {}", uses(1_001)), Some("levels")),
            (format!("label_join(up{})", ", \"a\"".repeat(60_000)), Some("query is too large: more than 50000")),
            (format!("up{{{}}}", "a=\"b\",".repeat(60_000)), Some("query is too large: more than 50000")),
            (format!("count by ({}) (up)", "a,".repeat(60_000)), Some("query is too large: more than 50000")),
        ] {
            let got = engine().check(&query).map_err(|error| error.to_string());
            match (refusal, &got) {
                (None, Ok(())) => {}
                (Some(refusal), Err(error)) => assert!(error.contains(refusal), "{:.60}: {error}", query),
                _ => panic!("{query:.60}: {got:?}"),
            }
        }
    }

    #[test]
    fn reading_a_query_ends_with_its_time_and_its_client() {
        let query = format!("up{{{}}}", "a=~\"x.*y\",".repeat(100));
        let late = QueryOptions { timeout: Some(std::time::Duration::ZERO), ..QueryOptions::default() };
        assert!(matches!(engine().format(&query, &engine().bounds(&late)), Err(Error::Timeout)));
        // The client goes when half of the expressions are compiled.
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let wanted = StillWanted(Arc::new(move || counter.fetch_add(1, Ordering::Relaxed) < 100));
        let bounds = Bounds { wanted: Some(wanted), ..Bounds::default() };
        assert!(matches!(engine().format(&query, &bounds), Err(Error::Canceled)));
        assert_eq!(asked.load(Ordering::Relaxed), 101);
    }

    #[test]
    fn the_memory_of_a_tree_is_taken() {
        let memory = Arc::new(MemoryPool::new(usize::MAX, 4 << 20));
        let engine = Engine::new(EngineOptions { memory: Arc::clone(&memory), ..EngineOptions::default() });
        let regexes = |n: usize| format!("up{{{}}}", "a=~\"x.*y\",".repeat(n));
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        for (query, fits) in [(regexes(10), true), (regexes(1_000), false), (text(1_000), true), (text(2 << 20), false)]
        {
            let bounds = engine.bounds(&QueryOptions::default());
            assert_eq!(engine.format(&query, &bounds).is_ok(), fits, "{query:.60}");
            let selectors = engine.selectors(&query, &engine.bounds(&QueryOptions::default()));
            assert_eq!(selectors.is_ok(), fits, "{query:.60}");
            drop(bounds);
            assert_eq!(memory.used(), 0);
        }
    }
}
