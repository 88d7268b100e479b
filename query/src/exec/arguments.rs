//! Arguments of functions: evaluation of scalars, access to strings, checks of values.

use super::evaluator::Evaluator;
use super::operands::Operands;
use crate::Error;
use crate::functions::integral;
use crate::parse::Text;
use crate::parse::ast::Span;
use crate::parse::types::{Extension, Type};
use crate::plan::{Call, NodeId, NodeKind};
use crate::value::Series;
use crate::window::Grid;

/// Types of arguments are checked when the query is parsed.
const WRONG_TYPE: &str = "BUG: the argument's type was checked when the query was parsed";

/// The scalar arguments of a function at every step.
pub(super) struct ScalarArgs {
    columns: Vec<Vec<f64>>,
}

impl ScalarArgs {
    /// The first scalar argument at a step; NaN when there is none.
    pub(super) fn first(&self, step: usize) -> f64 {
        self.columns.first().map_or(f64::NAN, |column| column[step])
    }

    pub(super) fn at(&self, step: usize, out: &mut Vec<f64>) {
        // The buffer is the caller's, so that no step allocates.
        out.clear();
        out.extend(self.columns.iter().map(|c| c[step]));
    }
}

/// Smoothing factors must be between 0 and 1, exclusively.
pub(super) fn check_factors(factors: &[f64]) -> Result<(), Error> {
    for (factor, (word, short)) in factors.iter().zip([("smoothing", "sf"), ("trend", "tf")]) {
        // Written so that NaN is refused as well.
        if !(*factor > 0.0 && *factor < 1.0) {
            return Err(Error::execution(format!(
                "invalid {word} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
            )));
        }
    }
    Ok(())
}

impl<'a> Evaluator<'a> {
    pub(super) fn scalar_args(&self, args: &[NodeId], grid: &Grid) -> Result<ScalarArgs, Error> {
        let scalars = args.iter().filter(|arg| self.node(**arg).value_type == Type::Scalar);
        Ok(ScalarArgs { columns: scalars.map(|arg| self.scalar(*arg, grid)).collect::<Result<_, _>>()? })
    }

    /// The only argument of this type.
    pub(super) fn arg_of(&self, args: &[NodeId], ty: Type) -> Result<NodeId, Error> {
        let found = args.iter().find(|arg| self.node(**arg).value_type == ty);
        found.copied().ok_or_else(|| Error::execution(WRONG_TYPE))
    }

    /// A string argument.
    fn text_of(&self, id: NodeId) -> Result<&'a Text, Error> {
        match &self.node(id).kind {
            NodeKind::String(text) => Ok(text),
            _ => Err(Error::execution(WRONG_TYPE)),
        }
    }

    /// The text of a string argument; labels hold no other than UTF-8.
    pub(super) fn string_of(&self, id: NodeId) -> Result<&'a str, Error> {
        let text = self.text_of(id)?;
        text.as_str().ok_or_else(|| Error::execution(format!("invalid UTF-8 in string {text}")))
    }

    /// A string argument that names a label.
    pub(super) fn label_name(&self, id: NodeId, refusal: impl Fn(&Text) -> String) -> Result<&'a str, Error> {
        let text = self.text_of(id)?;
        text.as_str().filter(|name| !name.is_empty()).ok_or_else(|| Error::execution(refusal(text)))
    }

    /// The `anchored` or `smoothed` modifier of a range.
    pub(super) fn extension_of(&self, range: NodeId) -> Option<Extension> {
        self.node(range).kind.scan().and_then(|scan| scan.extension)
    }

    /// The position of a range for annotations; upstream has none for subqueries.
    pub(super) fn range_span(&self, range: NodeId) -> Span {
        match self.node(range).kind {
            NodeKind::Subquery(_) => Span::default(),
            _ => self.span(range),
        }
    }

    /// Removes the metric name unless the call has `keep_metric_names`.
    pub(super) fn drop_name_of(&self, call: &Call, series: &mut Series) {
        if !call.keep_name {
            self.drop_name(series);
        }
    }

    /// Warns about a scalar argument out of range, where the range has floats.
    pub(super) fn check_scalar(&self, call: &Call, number: f64) {
        match (call.function.name, &call.args[..]) {
            ("quantile_over_time", [quantile, ..]) => self.check_quantile(number, *quantile),
            ("integral", [_, strategy]) if !integral::is_rule(number) => {
                let got = model::float::format_g(number);
                self.warn(
                    self.span(*strategy),
                    &format!("strategy should be 0, 1, or 2 (default), using 2, got {got}"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn check_quantile(&self, q: f64, arg: NodeId) {
        if !(0.0..=1.0).contains(&q) {
            let got = model::float::format_g(q);
            self.warn(self.span(arg), &format!("quantile value should be between 0 and 1, got {got}"));
        }
    }
}
