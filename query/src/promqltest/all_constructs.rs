//! Queries for every function, aggregation, operator and modifier, generated from the tables of the language, so that
//! additions are included.

use crate::functions::FUNCTIONS;
use crate::parse::ast::{AggregateOp, BinaryOp};
use crate::parse::types::Type;

/// Operands of the queries.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// An instant vector.
    pub vector: &'a str,
    /// A range vector.
    pub range: &'a str,
    /// An instant vector that matches the first one on `on`.
    pub other: &'a str,
    /// The labels they share.
    pub on: &'a str,
}

const GROUPINGS: [&str; 4] = ["", " by (pod)", " without (pod)", " by (instance, v)"];

/// Queries of every kind over these operands.
#[must_use]
pub fn every_query(of: Operands<'_>) -> Vec<String> {
    let mut queries = vec![of.vector.to_owned(), of.range.to_owned(), format!("-{}", of.vector)];
    let Operands { vector, range, other, on } = of;
    for function in FUNCTIONS {
        let name = function.name;
        let args: Vec<String> = function.args.iter().enumerate().map(|(i, ty)| arg(name, (i, *ty), of)).collect();
        let call = format!("{name}({})", args.join(", "));
        queries.extend([format!("count({call})"), format!("max_over_time({call}[10m:1m])")]);
        queries.push(call);
    }
    for (name, op) in AggregateOp::ALL {
        let param = match op.param() {
            Some(Type::String) => "\"pod\", ",
            Some(_) => "0.5 * 4, ",
            None => "",
        };
        for grouping in GROUPINGS {
            queries.push(format!("{name}{grouping} ({param}{vector})"));
            queries.push(format!("{name}{grouping} ({param}{vector} or {other})"));
        }
        queries.push(format!("max_over_time({name} without (none) ({param}{vector})[10m:1m])"));
    }
    for (symbol, op) in BinaryOp::ALL {
        queries.push(format!("{vector} {symbol} 2"));
        queries.push(format!("{vector} {symbol} on ({on}) {other}"));
        queries.push(format!("{vector} {symbol} ignoring (pod) {other}"));
        queries.push(format!("{other} {symbol} {other}"));
        if op.is_set() || op == BinaryOp::Default {
            continue;
        }
        for include in ["", "v", "v, pod"] {
            queries.push(format!("{vector} {symbol} on ({on}) group_left ({include}) {other}"));
            queries.push(format!("{other} {symbol} on ({on}) group_right ({include}) {vector}"));
        }
        queries.push(format!("{vector} {symbol} on ({on}) fill (1) {other}"));
        queries.push(format!("{vector} {symbol} on ({on}) group_left (v) fill_right (1) {other}"));
        if op.is_comparison() {
            queries.push(format!("{vector} {symbol} bool on ({on}) group_left (v) {other}"));
        }
    }
    queries.push(format!("{vector} offset 5m @ end()"));
    queries.push(format!("{vector} smoothed"));
    queries.push(format!("rate({range} anchored)"));
    queries.push(format!("increase({range} smoothed)"));
    queries.push(format!("({vector} * 2) keep_metric_names"));
    queries.push(format!("info({vector}, {{v=~\".+\"}})"));
    queries
}

/// An argument of a function.
fn arg(function: &str, (i, ty): (usize, Type), of: Operands<'_>) -> String {
    match ty {
        // The second argument of `info` selects labels.
        Type::Vector if function == "info" && i == 1 => "{v=~\".*\"}".to_owned(),
        Type::Vector => of.vector.to_owned(),
        Type::Matrix => of.range.to_owned(),
        Type::Scalar => "0.5".to_owned(),
        Type::String => match (function, i) {
            ("label_replace", 2) => "\"$1$1$1\"",
            ("label_replace", 4) => "\"(.*)\"",
            ("label_match" | "label_mismatch", 2) => "\".*a.*|x{1,900}\"",
            _ => "\"pod\"",
        }
        .to_owned(),
    }
}
