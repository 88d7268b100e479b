//! `info(v, {…})`: adds the labels of info series (`target_info`) to the series that share their `instance` and `job`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::labels::sort_by_labels;
use model::labels::{INSTANCE, JOB, METRIC_NAME};
use model::{Labels, LabelsBuilder, MatchOp, Matcher, Timestamp};

use super::evaluator::Evaluator;
use super::messages::{format_labels, truncated};
use super::operands::Operands;
use super::scan::ScanOf;
use super::selector::Take;
use crate::Error;
use crate::plan::{Call, NodeId, NodeKind, Plan, SampleTimes, Scan, sample_times};
use crate::value::{ABSENT, SAMPLE_BYTES, SERIES_BYTES, Series, is_metadata, label_bytes, text_bytes};
use crate::window::Grid;

/// Which info metrics are selected, and which of their data labels.
struct Wanted {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Wanted {
    fn new(plan: &Plan, call: &Call) -> Self {
        let (mut names, mut data) = (Vec::new(), Vec::new());
        if let Some(NodeKind::Vector(selector)) = call.args.get(1).map(|arg| &plan.node(*arg).kind) {
            let (by_name, others) = selector.matchers.iter().cloned().partition(|m| m.name == METRIC_NAME);
            (names, data) = (by_name, others);
        }
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, "target_info"));
        } else if names.iter().all(|m| matches!(m.op, MatchOp::NotEqual | MatchOp::NotRegex)) {
            // With negative name matchers only, the default set is all metrics that end in `_info`.
            names.extend(Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info"));
        }
        Self { names, data }
    }

    fn is_info(&self, name: &str) -> bool {
        self.names.iter().all(|m| m.matches(name))
    }

    /// Is a series without a matching info series dropped?
    fn required(&self) -> bool {
        self.data.iter().any(|m| !m.matches_empty())
    }

    fn takes(&self, label: &str) -> bool {
        !is_metadata(label) && (self.data.is_empty() || self.data.iter().any(|m| m.name == label))
    }
}

type Key<'a> = (&'a str, &'a str);

fn key(labels: &Labels) -> Key<'_> {
    (labels.value(INSTANCE), labels.value(JOB))
}

/// Matchers of the identifying labels `instance` and `job`, one pair for series that have both, and for those with one.
fn identities<'a>(keys: impl Iterator<Item = Key<'a>>) -> Vec<[Matcher; 2]> {
    let mut found: BTreeMap<[bool; 2], [BTreeSet<&str>; 2]> = BTreeMap::new();
    for (instance, job) in keys.filter(|key| *key != ("", "")) {
        let sets = found.entry([instance, job].map(str::is_empty)).or_default();
        // Two sets of values, not pairs: one selection reads all info series, and the lookup below finds the pairs.
        sets[0].insert(instance);
        sets[1].insert(job);
    }
    let any_of = |name: &str, values: &BTreeSet<&str>| match values.iter().collect::<Vec<_>>().as_slice() {
        [one] => Matcher::equal(name, **one),
        several => Matcher::any_of(name, several.iter().map(|value| (**value).to_owned())),
    };
    found.values().map(|[instances, jobs]| [any_of(INSTANCE, instances), any_of(JOB, jobs)]).collect()
}

impl Evaluator<'_> {
    pub(super) fn info_call(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let wanted = Wanted::new(self.query.plan, call);
        let mut base = self.vector(call.args[0], grid)?;
        // Series without samples must not cause info series to be read.
        base.retain(|series| !series.is_empty());
        // Info series are read at the times of the base series: `@` and `offset` of these apply.
        let ends = self.reference_times(call.args[0], grid);
        let mut infos: Vec<Series> = Vec::new();
        let enriched = base.iter().filter(|series| !wanted.is_info(series.labels.name()));
        self.hold(0, base.iter().map(|one| INFO_BYTES + 3 * label_bytes(&one.labels)).sum())?;
        for identity in identities(enriched.map(|series| key(&series.labels))) {
            let matchers = wanted.names.iter().chain(&wanted.data).cloned().chain(identity).collect();
            let scan = Scan { matchers, ..Scan::default() };
            // Timestamps instead of values, which are not used: the info series with the latest sample wins.
            self.latest(ScanOf { scan: &scan, id: None }, &ends, Take::FloatMillis, &mut |series| {
                if !series.histograms.is_empty() {
                    let labels = format_labels(&series.labels);
                    let message = format!("this should be an info metric, with float samples: {labels}");
                    return Err(Error::execution(message));
                }
                self.hold(series.values.len(), series.bytes())?;
                infos.push(series);
                Ok(())
            })?;
        }
        // The store may return them in any order, which errors about duplicates would show.
        sort_by_labels(&mut infos, |one| &one.labels);
        let mut by_key: HashMap<Key<'_>, Vec<&Series>> = HashMap::new();
        self.hold(0, infos.len() * INFO_BYTES)?;
        for info in &infos {
            by_key.entry(key(&info.labels)).or_default().push(info);
        }
        let mut chosen: HashMap<Key<'_>, Choices<'_>> = HashMap::new();
        let mut out = Vec::new();
        for series in &base {
            self.account_work(1 + grid.len + series.labels.as_text().len() / SAMPLE_BYTES)?;
            // Info series themselves are not enriched.
            if wanted.is_info(series.labels.name()) {
                self.hold(0, series.bytes())?;
                out.push(series.clone());
                continue;
            }
            let id = key(&series.labels);
            let choices = match chosen.entry(id) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(free) => {
                    // Series without both labels have no identity to join on.
                    let candidates = by_key.get(&id).filter(|_| id != ("", "")).map_or(&[][..], Vec::as_slice);
                    free.insert(self.choices(candidates, grid.len)?)
                }
            };
            self.enrich(series, choices, &wanted, &mut out)?;
        }
        self.merged(out)
    }

    /// Chooses info series for all steps of one identity; computed once for all base series that have it.
    fn choices<'s>(&self, candidates: &[&'s Series], steps: usize) -> Result<Choices<'s>, Error> {
        if candidates.is_empty() {
            return Ok(Choices { of_step: Vec::new(), choices: vec![Ok(Vec::new())] });
        }
        self.hold(0, steps * (size_of::<usize>() + 2 * size_of::<Vec<&Series>>()))?;
        let mut of_step: Vec<Vec<&Series>> = vec![Vec::new(); steps];
        for info in candidates.iter().copied() {
            self.account_work(1 + steps)?;
            for step in info.steps() {
                self.query.take(&self.taken, 4 * size_of::<&Series>())?;
                of_step[step].push(info);
            }
        }
        // Adjacent steps mostly have the same info series.
        let mut choices: Vec<Choice<'_>> = Vec::new();
        let mut numbers = Vec::with_capacity(steps);
        let mut last: Option<&[&Series]> = None;
        for (step, present) in of_step.iter().enumerate() {
            self.account_work(1 + present.len() * present.len())?;
            // With two or more candidates the choice depends on their timestamps, which change from step to step.
            let as_before = last.is_some_and(|last| same(last, present)) && present.len() < 2;
            if !as_before {
                choices.push(latest_of_each_name(present, step));
            }
            numbers.push(choices.len() - 1);
            last = Some(present);
        }
        Ok(Choices { of_step: numbers, choices })
    }

    /// Splits a series by the labels it gets at each step.
    fn enrich(
        &self,
        series: &Series,
        choices: &Choices<'_>,
        wanted: &Wanted,
        out: &mut Vec<Series>,
    ) -> Result<(), Error> {
        let mut made: HashMap<Labels, usize> = HashMap::new();
        let mut last: Option<(usize, usize)> = None;
        for step in series.steps() {
            let number = choices.of_step.get(step).copied().unwrap_or_default();
            let i = match last {
                Some((known, i)) if known == number => i,
                _ => {
                    let chosen = choices.choices[number].as_ref().map_err(|text| Error::execution(text.as_str()))?;
                    if chosen.is_empty() && wanted.required() {
                        continue;
                    }
                    let labels = self.with_infos(&series.labels, chosen, wanted)?;
                    match made.entry(labels) {
                        Entry::Occupied(found) => *found.get(),
                        Entry::Vacant(free) => {
                            let values = series.values.len();
                            self.hold(0, values * SAMPLE_BYTES + SERIES_BYTES)?;
                            self.account_work(values)?;
                            let labels = free.key().clone();
                            out.push(Series::of_floats(labels, series.drop_name, vec![ABSENT; values]));
                            *free.insert(out.len() - 1)
                        }
                    }
                }
            };
            last = Some((number, i));
            series.at(step).into_iter().for_each(|cell| out[i].put(step, cell));
        }
        Ok(())
    }

    /// Adds the data labels of info series to a label set; its memory stays reserved.
    fn with_infos(&self, labels: &Labels, chosen: &[&Series], wanted: &Wanted) -> Result<Labels, Error> {
        let text = labels.as_text().len() + chosen.iter().map(|info| info.labels.as_text().len()).sum::<usize>();
        self.account_work(1 + text / SAMPLE_BYTES)?;
        self.hold(0, text_bytes(text))?;
        self.check_memory(3 * text)?;
        let mut builder = LabelsBuilder::new(labels);
        for info in chosen {
            for (name, value) in info.labels.iter().filter(|(name, _)| wanted.takes(name)) {
                // Labels of the base series win.
                if !labels.value(name).is_empty() {
                    continue;
                }
                let before = builder.get(name);
                // Two info metrics disagree on a label.
                if !before.is_empty() && before != value {
                    return Err(Error::execution(format!("conflicting label: {}", truncated(name))));
                }
                builder.set(name, value);
            }
        }
        Ok(builder.labels())
    }

    /// The time at which info series are read for each step: that of the step, unless all selectors of the base have the same
    /// `@` and `offset`.
    fn reference_times(&self, id: NodeId, grid: &Grid) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = (0..grid.len).map(|i| grid.time(i)).collect();
        match sample_times(self.query.plan, id) {
            SampleTimes::Fixed(time) => times.fill(time),
            SampleTimes::Shifted(offset_ms) => times.iter_mut().for_each(|t| *t = t.saturating_sub(offset_ms)),
            SampleTimes::None | SampleTimes::Various => {}
        }
        times
    }
}

/// Memory of an info series in lookup tables.
const INFO_BYTES: usize = 128;

/// The info series of a step, or the error of a conflict.
type Choice<'s> = Result<Vec<&'s Series>, String>;

/// The info series of one identity.
struct Choices<'s> {
    /// By step, the index into `choices`; empty: always the first.
    of_step: Vec<usize>,
    choices: Vec<Choice<'s>>,
}

/// Are these the same series, by identity?
fn same(a: &[&Series], b: &[&Series]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| std::ptr::eq(*a, *b))
}

/// Of several info series with one name, the one with the latest sample is used.
fn latest_of_each_name<'s>(candidates: &[&'s Series], step: usize) -> Choice<'s> {
    let mut chosen: Vec<&Series> = Vec::new();
    for info in candidates.iter().copied() {
        let Some(rival) = chosen.iter_mut().find(|c| c.labels.name() == info.labels.name()) else {
            chosen.push(info);
            continue;
        };
        let (old, new) = (rival.values[step], info.values[step]);
        if old == new {
            let (a, b) = (format_labels(&rival.labels), format_labels(&info.labels));
            return Err(format!("found duplicate series for info metric: existing {a} @ {old}, new {b} @ {new}"));
        }
        if new > old {
            *rival = info;
        }
    }
    Ok(chosen)
}
