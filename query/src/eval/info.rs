//! `info(v, {…})`: adds the labels of info series (`target_info`) to the series that share their `instance` and `job`.

use std::collections::HashMap;

use model::labels::{INSTANCE, JOB, METRIC_NAME};
use model::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::selector::Take;
use super::{Evaluator, merged};
use crate::Error;
use crate::parse::ast::{Call, Expr, ExprKind, Selector};
use crate::value::{ABSENT, Series, is_absent};
use crate::window::Grid;

/// Which info series are meant, and which of their labels.
struct Wanted {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Wanted {
    fn new(call: &Call) -> Self {
        let (mut names, mut data) = (Vec::new(), Vec::new());
        if let Some(ExprKind::Vector(selector)) = call.args.get(1).map(|arg| &arg.unwrapped().kind) {
            let (by_name, others) = selector.matchers.iter().cloned().partition(|m| m.name == METRIC_NAME);
            (names, data) = (by_name, others);
        }
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, "target_info"));
        } else if names.iter().all(|m| matches!(m.op, MatchOp::NotEqual | MatchOp::NotRegex)) {
            // What is only excluded by name is excluded from the info metrics.
            names.extend(Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info"));
        }
        Self { names, data }
    }

    fn is_info(&self, name: &str) -> bool {
        self.names.iter().all(|m| m.matches(name))
    }

    /// Does a sample without info labels fall away?
    fn required(&self) -> bool {
        self.data.iter().any(|m| !m.matches_empty())
    }

    fn takes(&self, label: &str) -> bool {
        label != METRIC_NAME && (self.data.is_empty() || self.data.iter().any(|m| m.name == label))
    }
}

type Key<'a> = (&'a str, &'a str);

fn key(labels: &Labels) -> Key<'_> {
    (labels.value(INSTANCE), labels.value(JOB))
}

impl Evaluator<'_> {
    pub(super) fn info_call(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let wanted = Wanted::new(call);
        let base = self.vector(&call.args[0], grid)?;
        let matchers = wanted.names.iter().chain(&wanted.data).cloned().collect();
        let selector = Selector { matchers, ..Selector::default() };
        // Info series are looked up when the base series are: their `@` and `offset` count for both.
        let ends = self.reference_times(&call.args[0], grid);
        let mut infos: Vec<Series> = Vec::new();
        self.latest(&selector, &ends, Take::FloatMillis, &mut |series| {
            if !series.histograms.is_empty() {
                let labels = &series.labels;
                let message = format!("this should be an info metric, with float samples: {labels:?}");
                return Err(Error::execution(message));
            }
            self.hold(series.values.len())?;
            infos.push(series);
            Ok(())
        })?;
        infos.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut by_key: HashMap<Key<'_>, Vec<&Series>> = HashMap::new();
        for info in &infos {
            by_key.entry(key(&info.labels)).or_default().push(info);
        }
        let mut out = Vec::new();
        for series in base {
            self.check()?;
            if wanted.is_info(series.labels.name()) {
                out.push(series);
                continue;
            }
            let id = key(&series.labels);
            let candidates = by_key.get(&id).filter(|_| id != ("", "")).map_or(&[][..], Vec::as_slice);
            enrich(&series, candidates, &wanted, &mut out)?;
        }
        merged(out)
    }

    /// For each step, when the samples of the first selector are taken.
    fn reference_times(&self, expr: &Expr, grid: &Grid) -> Vec<i64> {
        let mut shifts = Vec::new();
        let mut found = false;
        expr.walk(&mut |node| match &node.kind {
            ExprKind::Subquery(s) if !found => shifts.push(&s.shift),
            ExprKind::Vector(s) | ExprKind::Matrix(s, _) if !found => {
                shifts.push(&s.shift);
                found = true;
            }
            _ => {}
        });
        let mut times: Vec<i64> = (0..grid.len).map(|i| grid.time(i)).collect();
        for shift in shifts {
            let fixed = self.fixed_time(shift);
            times.iter_mut().for_each(|t| *t = fixed.unwrap_or(*t).saturating_sub(shift.offset.ms));
        }
        times
    }
}

/// Splits a series by the labels that it has at each step.
fn enrich(series: &Series, candidates: &[&Series], wanted: &Wanted, out: &mut Vec<Series>) -> Result<(), Error> {
    let mut made: HashMap<Labels, usize> = HashMap::new();
    for step in series.steps() {
        let chosen = latest_of_each_name(candidates, step)?;
        if chosen.is_empty() && wanted.required() {
            continue;
        }
        let mut builder = LabelsBuilder::new(&series.labels);
        for info in chosen {
            for (name, value) in info.labels.iter().filter(|(name, _)| wanted.takes(name)) {
                if !series.labels.value(name).is_empty() {
                    continue;
                }
                let before = builder.get(name);
                if !before.is_empty() && before != value {
                    return Err(Error::execution(format!("conflicting label: {name}")));
                }
                builder.set(name, value);
            }
        }
        let labels = builder.labels();
        let i = *made.entry(labels).or_insert_with_key(|labels| {
            let values = vec![ABSENT; series.values.len()];
            out.push(Series::of_floats(labels.clone(), series.drop_name, values));
            out.len() - 1
        });
        series.at(step).into_iter().for_each(|cell| out[i].put(step, cell));
    }
    Ok(())
}

/// Of info series with one name, the one with the latest sample counts.
fn latest_of_each_name<'a>(candidates: &[&'a Series], step: usize) -> Result<Vec<&'a Series>, Error> {
    let mut chosen: Vec<&Series> = Vec::new();
    for info in candidates.iter().copied().filter(|s| !is_absent(s.values[step])) {
        let Some(rival) = chosen.iter_mut().find(|c| c.labels.name() == info.labels.name()) else {
            chosen.push(info);
            continue;
        };
        let (old, new) = (rival.values[step], info.values[step]);
        if old == new {
            let (a, b) = (&rival.labels, &info.labels);
            return Err(Error::execution(format!(
                "found duplicate series for info metric: existing {a:?} @ {old}, new {b:?} @ {new}"
            )));
        }
        if new > old {
            *rival = info;
        }
    }
    Ok(chosen)
}
