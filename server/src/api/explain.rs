//! Plans of queries: `explain=1` answers with the plan instead of a result, `explain=analyze` evaluates the query and answers
//! with the result and what each node of the plan cost. The form is described in `docs/explain.md`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use model::Querier;
use parking_lot::Mutex;
use query::{CostEstimate, Decision, Error, Explanation, NodeCost, PlanNode};
use serde::Serialize;

use super::error::told;
use super::executor::execute;
use super::query_params::{Times, options};
use super::work::{self, Origin};
use super::{ApiError, Params, format};
use crate::app::App;

/// Approximate memory of one node in a response, as text and as values.
const NODE_BYTES: usize = 2 << 10;

/// The mode that the parameters `explain` and `analyze` select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The result alone.
    Off,
    /// The plan alone: the query is not evaluated.
    Plan,
    /// The result, and the plan with what each node cost.
    Analyze,
}

/// Reads the parameters.
pub(super) fn mode(params: &Params) -> Result<Mode, ApiError> {
    let refused = |name: &str, wanted: &str| ApiError::parameter(name, format!("must be {wanted}"));
    if params.switch("analyze", false).map_err(|_| refused("analyze", "a boolean"))? {
        return Ok(Mode::Analyze);
    }
    match params.switch("explain", false) {
        Ok(false) => Ok(Mode::Off),
        Ok(true) => Ok(Mode::Plan),
        Err("analyze") => Ok(Mode::Analyze),
        Err(_) => Err(refused("explain", "a boolean or \"analyze\"")),
    }
}

/// Answers with the plan of a query.
pub(super) async fn answer(
    (app, store): (Arc<App>, Arc<dyn Querier>),
    params: Params,
    origin: Origin,
    times: Times,
) -> Result<Response, ApiError> {
    let version = origin.version;
    // Dropped with this future when an HTTP/2 client cancels, which ends the work (`StillWanted`).
    let asked = Arc::new(());
    let options = options(&app, &params, &origin, &asked)?;
    // Looking up what selectors will read takes a slot, as evaluating the query does.
    let slot = work::slot(&app.query_slots, &options).await?;
    let in_place = Arc::clone(&app.in_place);
    let work = move || {
        let _slot = slot;
        let (engine, query) = (app.engine(), params.get("query"));
        let times = (times.start, times.end, times.step_ms);
        let explanation = engine.explain(Some(&*store), query, times, &options)?;
        let bounds = engine.bounds(&options);
        // A query of many nodes repeats the text of its parts at each level.
        bounds.memory.take(explanation.nodes.len() * NODE_BYTES)?;
        let data = ExplainData { explain: ExplanationJson::new(&explanation) };
        let text = format::success_text(|out| format::serialize(out, &data), &[], &[]);
        Ok((format::JSON, format::held(text, &bounds.memory)).into_response())
    };
    let done: Result<Response, Error> = execute(&in_place, version, work).await?;
    done.map_err(told)
}

/// The field `explain` in the response of an analyzed query.
pub(super) fn beside(analysis: &Mutex<Explanation>) -> String {
    let mut out = String::from(",\"explain\":");
    format::serialize(&mut out, &ExplanationJson::new(&analysis.lock()));
    out
}

#[derive(Serialize)]
struct ExplainData<'e> {
    explain: ExplanationJson<'e>,
}

#[derive(Serialize)]
struct ExplanationJson<'e> {
    nodes: Vec<NodeJson<'e>>,
    /// The same as a tree of text.
    text: String,
}

#[derive(Serialize)]
struct NodeJson<'e> {
    id: u32,
    depth: usize,
    operands: &'e [u32],
    operation: &'e str,
    expression: &'e str,
    decisions: Vec<DecisionJson<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated: Option<EstimateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<CostJson>,
}

#[derive(Serialize)]
struct DecisionJson<'e> {
    pass: &'e str,
    detail: &'e str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EstimateJson {
    series: u64,
    samples_read: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CostJson {
    evaluations: u64,
    reused: u64,
    seconds: f64,
    series: u64,
    samples: u64,
    series_read: u64,
    samples_read: u64,
    peak_bytes: u64,
}

impl<'e> ExplanationJson<'e> {
    fn new(explanation: &'e Explanation) -> Self {
        Self { nodes: explanation.nodes.iter().map(NodeJson::new).collect(), text: explanation.to_string() }
    }
}

impl<'e> NodeJson<'e> {
    fn new(node: &'e PlanNode) -> Self {
        let decision = |Decision { pass, detail, .. }: &'e Decision| DecisionJson { pass, detail };
        Self {
            id: node.id,
            depth: node.depth,
            operands: &node.operands,
            operation: &node.operation,
            expression: &node.expression,
            decisions: node.decisions.iter().map(decision).collect(),
            estimated: node.estimate.map(|CostEstimate { series, samples_read }| EstimateJson { series, samples_read }),
            measured: node.cost.map(|cost| CostJson::new(&cost)),
        }
    }
}

impl CostJson {
    fn new(cost: &NodeCost) -> Self {
        Self {
            evaluations: cost.evaluations,
            reused: cost.reused,
            seconds: cost.time.as_secs_f64(),
            series: cost.series,
            samples: cost.samples,
            series_read: cost.series_read,
            samples_read: cost.samples_read,
            peak_bytes: cost.peak_bytes,
        }
    }
}
