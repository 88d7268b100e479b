//! A summary, as Go's clients have it: count and sum of what was observed, and quantiles of the last ten minutes.
//!
//! The quantiles come from buckets 5 % apart, so they are right within 2.5 %, in bounded memory and whatever was observed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::Error;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Quantile};

const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// What the quantiles are about goes window by window.
const WINDOW: Duration = Duration::from_secs(120);
const WINDOWS: usize = 5;
/// The upper bound of the first bucket, in seconds; each other one is larger by `GROWTH`, the last one is half an hour.
const FIRST: f64 = 1e-6;
const GROWTH: f64 = 1.05;
const BUCKETS: usize = 437;

/// Durations under one name and one label.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    desc: Desc,
    label: (&'static str, &'static str),
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    count: u64,
    sum: f64,
    /// By window, the one at `current` is being filled.
    windows: [[u32; BUCKETS]; WINDOWS],
    current: usize,
    began: Instant,
}

impl Summary {
    pub(crate) fn new(name: &str, help: &str, label: (&'static str, &'static str)) -> Result<Self, Error> {
        let labels = HashMap::from([(label.0.to_owned(), label.1.to_owned())]);
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), labels)?;
        let windows = [[0; BUCKETS]; WINDOWS];
        let state = State { count: 0, sum: 0.0, windows, current: 0, began: Instant::now() };
        Ok(Self { desc, label, state: Arc::new(Mutex::new(state)) })
    }

    pub(crate) fn observe(&self, took: Duration) {
        self.state.lock().observe(took.as_secs_f64(), Instant::now());
    }
}

impl State {
    fn observe(&mut self, seconds: f64, now: Instant) {
        self.turn(now);
        self.count += 1;
        self.sum += seconds;
        let place = (seconds / FIRST).max(1.0).log(GROWTH).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0, and a small number")]
        let place = (place as usize).min(BUCKETS - 1);
        let count = &mut self.windows[self.current][place];
        *count = count.saturating_add(1);
    }

    /// Empties the windows that have passed.
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_secs() / WINDOW.as_secs();
        for _ in 0..passed.min(WINDOWS as u64) {
            self.current = (self.current + 1) % WINDOWS;
            self.windows[self.current] = [0; BUCKETS];
        }
        self.began += WINDOW * u32::try_from(passed).unwrap_or(u32::MAX);
    }

    /// NaN if nothing was observed lately, as in Go.
    fn quantile(&self, quantile: f64) -> f64 {
        let counts = |place: usize| self.windows.iter().map(|window| f64::from(window[place])).sum::<f64>();
        let total: f64 = (0..BUCKETS).map(counts).sum();
        let rank = (quantile * total).ceil().max(1.0);
        let mut seen = 0.0;
        for place in 0..BUCKETS {
            seen += counts(place);
            if seen >= rank {
                // The middle of the bucket.
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                return FIRST * GROWTH.powf(place as f64 - 0.5);
            }
        }
        f64::NAN
    }
}

impl Collector for Summary {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut state = self.state.lock();
        state.turn(Instant::now());
        let quantiles = QUANTILES.map(|quantile| {
            let mut message = Quantile::default();
            message.set_quantile(quantile);
            message.set_value(state.quantile(quantile));
            message
        });
        let mut summary = prometheus::proto::Summary::default();
        summary.set_sample_count(state.count);
        summary.set_sample_sum(state.sum);
        summary.set_quantile(quantiles.to_vec());
        let mut label = LabelPair::default();
        label.set_name(self.label.0.to_owned());
        label.set_value(self.label.1.to_owned());
        let mut metric = Metric::from_label(vec![label]);
        metric.set_summary(summary);
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_ten_minutes() {
        let summary = Summary::new("a_seconds", "A.", ("slice", "b")).unwrap();
        let mut state = summary.state.lock();
        let start = state.began;
        assert!(state.quantile(0.5).is_nan());
        for n in 1..=1000 {
            state.observe(f64::from(n) / 1000.0, start);
        }
        for quantile in QUANTILES {
            let error = state.quantile(quantile) / quantile - 1.0;
            assert!(error.abs() < 0.026, "{quantile}: {error}");
        }
        // A window later both count, and after ten minutes only what came since.
        (0..1000).for_each(|_| state.observe(2.0, start + WINDOW));
        assert!((state.quantile(0.5) - 1.0).abs() < 0.026 && (state.quantile(0.9) / 2.0 - 1.0).abs() < 0.026);
        state.turn(start + WINDOW * 5);
        assert!((state.quantile(0.5) / 2.0 - 1.0).abs() < 0.026);
        state.turn(start + WINDOW * 6);
        assert!(state.quantile(0.5).is_nan());
        assert_eq!((state.count, state.sum), (2000, 500.5 + 2000.0));
    }

    #[test]
    fn what_is_out_of_bounds_is_at_them() {
        let summary = Summary::new("a_seconds", "A.", ("slice", "b")).unwrap();
        let mut state = summary.state.lock();
        let start = state.began;
        state.observe(0.0, start);
        assert!(state.quantile(1.0) <= FIRST);
        state.observe(1e9, start + WINDOW * 1000);
        assert!((1500.0..2000.0).contains(&state.quantile(1.0)), "{}", state.quantile(1.0));
    }

    #[test]
    fn it_is_exposed_as_in_go() {
        let registry = prometheus::Registry::new();
        let summary = Summary::new("a_seconds", "A.", ("slice", "b")).unwrap();
        registry.register(Box::new(summary.clone())).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert_eq!(
            text,
            "# HELP a_seconds A.\n# TYPE a_seconds summary\na_seconds{slice=\"b\",quantile=\"0.5\"} NaN\n\
             a_seconds{slice=\"b\",quantile=\"0.9\"} NaN\na_seconds{slice=\"b\",quantile=\"0.99\"} NaN\n\
             a_seconds_sum{slice=\"b\"} 0\na_seconds_count{slice=\"b\"} 0\n"
        );
    }
}
