//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` of classic and native histograms.

use model::{Labels, labels::BUCKET};

use super::evaluator::Evaluator;
use super::hash::HashMap;
use super::messages::truncated;
use super::operands::Operands;
use crate::Error;
use crate::annotations::Annotation;
use crate::functions::histogram::{self as classic, Bucket};
use crate::histogram::{self as native, Reading, Sparse};
use crate::plan::{Call, NodeId};
use crate::value::{ABSENT, SAMPLE_BYTES, SERIES_BYTES, Series, is_absent, label_bytes, text_bytes};
use crate::window::Grid;

/// One histogram over all steps: the series of its classic buckets by upper bound, and its native samples.
struct Distribution {
    labels: Labels,
    name: String,
    drop_name: bool,
    buckets: Vec<(f64, Vec<f64>)>,
    native: Sparse,
}

/// Memory of a histogram besides the series it consists of.
const DISTRIBUTION_BYTES: usize = 256;

/// The kind of histogram at one step.
enum Form<'a> {
    Classic(&'a mut Vec<Bucket>),
    Native(&'a model::Histogram),
}

impl Distribution {
    /// Computes a number at each step; `f` gets `None` where both kinds are present, which is ambiguous.
    fn read(&self, steps: usize, mut f: impl FnMut(usize, Option<Form<'_>>) -> f64) -> Vec<f64> {
        let mut buckets = Vec::new();
        let mut at = |step: usize| {
            buckets.clear();
            // Buckets may be missing at some steps, for instance after a change of the bounds.
            let present = self.buckets.iter().filter(|(_, counts)| !is_absent(counts[step]));
            buckets.extend(present.map(|(upper, counts)| Bucket { upper: *upper, count: counts[step] }));
            match native::at(&self.native, step) {
                None if buckets.is_empty() => ABSENT,
                None => f(step, Some(Form::Classic(&mut buckets))),
                Some(histogram) if buckets.is_empty() => f(step, Some(Form::Native(histogram))),
                Some(_) => f(step, None),
            }
        };
        (0..steps).map(&mut at).collect()
    }
}

impl Evaluator<'_> {
    fn distributions(&self, arg: NodeId, grid: &Grid) -> Result<Vec<Distribution>, Error> {
        let mut found: HashMap<Labels, usize> = HashMap::default();
        let mut distributions: Vec<Distribution> = Vec::new();
        let mut place = |labels: Labels, name: &str, drop_name: bool, all: &mut Vec<Distribution>| {
            *found.entry(labels.clone()).or_insert_with(|| {
                let name = name.to_owned();
                all.push(Distribution { labels, name, drop_name, buckets: Vec::new(), native: Vec::new() });
                all.len() - 1
            })
        };
        for series in self.vector(arg, grid)? {
            // As upstream, annotations name the metric only with delayed name removal.
            let delayed = self.query.options.delayed_name_removal;
            let name = if delayed { series.labels.name().to_owned() } else { String::new() };
            let has_floats = series.has_floats();
            // Memory of the labels without `le`, and of the lookup by them.
            let text = series.labels.as_text().len();
            self.account_work(1 + text / SAMPLE_BYTES + grid.len)?;
            self.hold(0, DISTRIBUTION_BYTES + text_bytes(text))?;
            self.check_memory(2 * text)?;
            // A native histogram is one sample; it is grouped with classic buckets by its full labels.
            if !series.histograms.is_empty() {
                let i = place(series.labels.clone(), &name, series.drop_name, &mut distributions);
                distributions[i].native = series.histograms;
            }
            if !has_floats {
                continue;
            }
            let bound = series.labels.value(BUCKET).to_owned();
            let Some(upper) = parse_bound(&bound) else {
                let of = if name.is_empty() { String::new() } else { format!(" for metric name {name:?}") };
                let bound = format!("{:?}", truncated(&bound));
                let message = format!("bucket label \"le\" is missing or has a malformed value of {bound}{of}");
                self.warn(self.span(arg), &message);
                continue;
            };
            // All buckets of a histogram have equal labels without `le`.
            let labels = series.labels.filtered(|name| name != BUCKET);
            let i = place(labels, &name, series.drop_name, &mut distributions);
            distributions[i].buckets.push((upper, series.values));
        }
        Ok(distributions)
    }

    /// Reserves memory for a result series, and checks for cancellation.
    fn hold_number(&self, of: &Distribution, grid: &Grid) -> Result<(), Error> {
        self.account_work(grid.len.saturating_mul(1 + of.buckets.len()))?;
        self.hold(0, grid.len * SAMPLE_BYTES + SERIES_BYTES + label_bytes(&of.labels))
    }

    fn nameless(&self, of: &Distribution, values: Vec<f64>) -> Series {
        let mut series = Series::of_floats(of.labels.clone(), of.drop_name, values);
        self.drop_name(&mut series);
        series
    }

    pub(super) fn histogram_quantile(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let quantiles = self.scalar(call.args[0], grid)?;
        let distributions = self.distributions(call.args[1], grid)?;
        quantiles.iter().for_each(|q| self.check_quantile(*q, call.args[0]));
        let mut out = Vec::with_capacity(distributions.len());
        for distribution in &distributions {
            self.hold_number(distribution, grid)?;
            out.push(self.quantiles_of(distribution, &quantiles, call.args[1], grid));
        }
        self.merged(out)
    }

    fn quantiles_of(&self, of: &Distribution, quantiles: &[f64], arg: NodeId, grid: &Grid) -> Series {
        let annotation = |annotation| self.annotate(self.span(arg), &of.name, annotation);
        let values = of.read(quantiles.len(), |step, form| match form {
            Some(Form::Classic(buckets)) => {
                let (value, raised) = classic::quantile(quantiles[step], buckets);
                if let Some(raised) = raised {
                    self.annotations().forced(self.query.text, self.span(arg), &of.name, (grid.time(step), raised));
                }
                value
            }
            Some(Form::Native(histogram)) => {
                let Reading { value, has_nan } = native::quantile(quantiles[step], histogram);
                if has_nan {
                    annotation(if value.is_nan() { Annotation::QuantileIsNan } else { Annotation::QuantileIsSkewed });
                }
                value
            }
            None => {
                annotation(Annotation::MixedClassicNative);
                ABSENT
            }
        });
        self.nameless(of, values)
    }

    pub(super) fn histogram_quantiles(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let target = self.label_name(call.args[1], |name| format!("invalid label name {name}"))?;
        let distributions = self.distributions(call.args[0], grid)?;
        let mut out = Vec::new();
        for arg in &call.args[2..] {
            let quantiles = self.scalar(*arg, grid)?;
            quantiles.iter().for_each(|q| self.check_quantile(*q, *arg));
            let label = quantile_label(quantiles[0]);
            for distribution in &distributions {
                self.hold_number(distribution, grid)?;
                let mut series = self.quantiles_of(distribution, &quantiles, call.args[0], grid);
                series.labels = self.with_label(&series.labels, target, label.len(), |text| text.push_str(&label))?;
                out.push(series);
            }
        }
        self.merged(out)
    }

    pub(super) fn histogram_fraction(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let lower = self.scalar(call.args[0], grid)?;
        let upper = self.scalar(call.args[1], grid)?;
        let arg = call.args[2];
        let mut out = Vec::new();
        for of in &self.distributions(arg, grid)? {
            self.hold_number(of, grid)?;
            let values = of.read(grid.len, |step, form| match form {
                Some(Form::Classic(buckets)) => classic::fraction(lower[step], upper[step], buckets),
                Some(Form::Native(histogram)) => {
                    let Reading { value, has_nan } = native::fraction(lower[step], upper[step], histogram);
                    if has_nan {
                        self.annotate(self.span(arg), &of.name, Annotation::FractionWithoutNan);
                    }
                    value
                }
                None => {
                    self.annotate(self.span(arg), &of.name, Annotation::MixedClassicNative);
                    ABSENT
                }
            });
            out.push(self.nameless(of, values));
        }
        self.merged(out)
    }
}

/// A quantile as OpenMetrics formats it: always with a fractional part.
fn quantile_label(q: f64) -> String {
    let text = model::float::format_g(q);
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') { text + ".0" } else { text }
}

/// Parses an upper bound as Go parses floats.
fn parse_bound(text: &str) -> Option<f64> {
    let number = text.trim_start_matches(['+', '-']);
    let special = ["inf", "infinity", "nan"].iter().any(|s| s.eq_ignore_ascii_case(number));
    if !special && !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    // NaN is not a bound.
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}
