//! The optimiser: passes over the plan, in the order of [`PASSES`]. Each is one file under its usual name, and records what
//! it decided on the nodes (`plan::Decisions`, matchers and flags of scans). Step 4 of the query path.
//!
//! No pass may change a result, a warning or an info. What may differ is how much is read and held.

mod common_subexpressions;
mod constant_folding;
mod histogram_stats;
mod matcher_propagation;
mod partial_topk;
mod partitions;
mod projection;
mod read_hints;
mod scan_sharing;

use crate::options::EngineOptions;
use crate::plan::{Plan, analysis};

/// A pass: it looks at the plan as those before it left it.
type Pass = fn(&mut Plan, &EngineOptions);

/// The passes. Facts are computed once what could change them is done: folded constants and propagated matchers neither
/// read more nor less of names.
const PASSES: [Pass; 10] = [
    constant_folding::fold,
    |plan, _| analysis::analyse(plan),
    histogram_stats::mark,
    matcher_propagation::propagate,
    common_subexpressions::merge,
    scan_sharing::group,
    partitions::choose,
    projection::push_down,
    partial_topk::choose,
    read_hints::set,
];

/// Optimises a plan whose durations are known.
pub(crate) fn optimize(plan: &mut Plan, options: &EngineOptions) {
    PASSES.iter().for_each(|pass| pass(plan, options));
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use proptest::prelude::*;

    use super::{analysis, histogram_stats, optimize};
    use crate::exec::Form;
    use crate::options::Times;
    use crate::parse::random::{Part, query};
    use crate::plan::{self, Plan};
    use crate::prepared::{Asked, Planned, evaluate};
    use crate::promqltest::everything;
    use crate::promqltest::random_queries::store;
    use crate::stack::Stack;
    use crate::{Engine, QueryOptions};

    const SIMPLE: [&str; 8] = [
        "up",
        r#"x_total{job="a"}"#,
        "rate(x_total[5m])",
        "sum by (job) (up)",
        "2 * (3 - 1)",
        "topk(1, a:b)",
        "max by (job) (rate(x_total[5m]))",
        r#"count without (le) ({job=~"a|b"})"#,
    ];

    const FORMS: [&str; 9] = [
        "A",
        "A and B",
        "A unless on (job) (B)",
        "sum(A) / count(A)",
        "A + on (job) group_left () count by (job) (B)",
        "A == bool (A)",
        "topk by (job) (2 - 1, A) or bottomk(1, B)",
        "max_over_time(A[3m:1m]) - min_over_time(A[3m:1m])",
        "quantile by (job) (0.5, A) > -B",
    ];

    fn operand() -> impl Strategy<Value = String> {
        let simple = prop::sample::select(&SIMPLE[..]).prop_map(str::to_owned);
        prop_oneof![query(Part::All).prop_map(|(text, _)| text), simple]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// No pass changes a value, a warning, an info or an error.
        #[test]
        fn as_from_the_plan_that_is_not_optimised(
            (a, b) in (operand(), operand()),
            form in prop::sample::select(&FORMS[..]),
            is_range in any::<bool>(),
            delayed_name_removal in any::<bool>(),
        ) {
            let mut options = everything();
            options.delayed_name_removal = delayed_name_removal;
            let engine = Engine::new(options.clone());
            let text = form.replace('A', &format!("({a})")).replace('B', &format!("({b})"));
            let Ok(expr) = engine.parse(&text) else { return Ok(()) };
            let (form, times) = match is_range {
                true => (Form::Matrix, Times { start: Timestamp(420_000), end: Timestamp(840_000), step_ms: 60_000 }),
                false => (Form::Vector, Times::instant(Timestamp(600_000))),
            };
            let mut optimised = plan::build(expr);
            if plan::resolve(&mut optimised, times).is_err() {
                return Ok(());
            }
            let mut plain = optimised.clone();
            analysis::analyse(&mut plain);
            // What a histogram's statistics are is part of the language, not a matter of speed.
            histogram_stats::mark(&mut plain, &options);
            optimize(&mut optimised, &options);
            let (store, query_options) = (store(), QueryOptions::default());
            let run = |plan: Plan| {
                let bounds = options.bounds(&query_options);
                let asked =
                    Asked { querier: &store, bounds: &bounds, engine: &options, options: &query_options, form, times, memos: &[] };
                match evaluate(&Planned::Ready(plan), (&text, Stack::of(&text)), asked) {
                    Ok(result) => format!("{:?} {:?} {:?}", result.value, result.warnings, result.infos),
                    Err(error) => error.to_string(),
                }
            };
            prop_assert_eq!(run(optimised), run(plain), "{}", &text);
        }
    }
}
