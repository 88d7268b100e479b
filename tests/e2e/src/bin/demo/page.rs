//! The pages of the demo's exporters: `deploy/demo/pages`, whose `README.md` tells what stands in the place of a value.

use std::f64::consts::TAU;
use std::fmt::Write as _;

/// How long the programs have been running when the demo starts, in seconds.
const UPTIME: f64 = 3.0 * 86_400.0;
/// One rise and fall of what varies, in seconds.
const PERIOD: f64 = 240.0;

/// What follows a series, instead of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Values {
    /// The same always.
    Constant(f64),
    /// A counter that gains so much a second.
    Counter(f64),
    /// The same, now faster and now slower.
    Varying(f64),
    /// A gauge around this value.
    Gauge(f64),
    Now,
    Boot,
}

impl Values {
    fn parse(text: &str) -> Option<Self> {
        Some(match (text.chars().next()?, text.get(1..)?) {
            ('+', rate) => Self::Counter(rate.parse().ok()?),
            ('*', rate) => Self::Varying(rate.parse().ok()?),
            ('~', around) => Self::Gauge(around.parse().ok()?),
            ('@', "now") => Self::Now,
            ('@', "boot") => Self::Boot,
            _ => Self::Constant(text.parse().ok()?),
        })
    }
}

/// The page of one exporter.
#[derive(Debug)]
pub(crate) struct Page {
    /// Comments, and series with what their values are.
    lines: Vec<(String, Option<Values>)>,
    /// Unlike that of other exporters, so that their lines do not lie upon each other.
    phase: f64,
    /// In seconds since 1970.
    boot: f64,
}

impl Page {
    /// Reads a page for the n-th exporter of a demo that starts now.
    ///
    /// # Panics
    /// When a line is none.
    pub(crate) fn new(text: &str, node: &str, n: usize, now: f64) -> Self {
        let line = |line: &str| {
            if line.starts_with('#') {
                return (line.to_owned(), None);
            }
            let parts = line.rsplit_once(' ').and_then(|(series, values)| Some((series, Values::parse(values)?)));
            let (series, values) = parts.unwrap_or_else(|| panic!("{line:?} is no line of a page"));
            (series.replace("$NODE", node), Some(values))
        };
        Self { lines: text.lines().map(line).collect(), phase: n as f64 * 0.7, boot: (now - UPTIME).floor() }
    }

    /// What it says at a time.
    pub(crate) fn at(&self, now: f64) -> String {
        let mut out = String::new();
        for (text, values) in &self.lines {
            match values {
                None => writeln!(out, "{text}"),
                Some(values) => writeln!(out, "{text} {}", self.value(text, *values, now)),
            }
            .unwrap();
        }
        out
    }

    fn value(&self, series: &str, values: Values, now: f64) -> f64 {
        let age = now - self.boot;
        let turn = age / PERIOD * TAU + self.phase;
        let size = 1.0 + self.phase / 10.0;
        let counted = |value: f64| {
            let name = series.split('{').next().unwrap_or_default();
            let is_of_time = name.ends_with("_seconds_total") || name.ends_with("_sum");
            if is_of_time { (value * 1e4).round() / 1e4 } else { value.floor() }
        };
        match values {
            Values::Constant(value) => value,
            Values::Counter(rate) => counted(rate * age),
            // Its derivative lies between half of the rate and one and a half of it.
            Values::Varying(rate) => counted(rate * size * (age + PERIOD / TAU / 2.0 * turn.sin())),
            Values::Gauge(around) => {
                let value = around * size * (1.0 + turn.sin() / 8.0);
                if around.fract() == 0.0 { value.round() } else { (value * 1e7).round() / 1e7 }
            }
            Values::Now => now,
            Values::Boot => self.boot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# TYPE a_total counter\na_total{n=\"$NODE\"} *3\nb_seconds_total +0.5\nc ~0.5\nd 7\nnow @now\nboot @boot\n";
    const START: f64 = 1_000_000.0;

    fn values(page: &Page, now: f64) -> Vec<f64> {
        let text = page.at(now);
        text.lines().skip(1).map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
    }

    #[test]
    fn counters_rise_and_gauges_stay_near() {
        let page = Page::new(TEXT, "worker-1", 2, START);
        assert!(page.at(START).starts_with("# TYPE a_total counter\na_total{n=\"worker-1\"} "), "{}", page.at(START));
        let mut before = values(&page, START);
        assert_eq!(before[4..], [START, START - UPTIME]);
        for second in 1..600 {
            let now = values(&page, START + f64::from(second));
            assert!(now[0] > before[0] && now[0].fract() == 0.0, "{before:?} {now:?}");
            assert!((now[1] - before[1] - 0.5).abs() < 1e-3, "{before:?} {now:?}");
            assert!((0.4..0.8).contains(&now[2]) && (now[3] - 7.0).abs() < 1e-9, "{now:?}");
            before = now;
        }
    }

    #[test]
    fn buckets_of_a_histogram_never_cross() {
        let text = "h_bucket{le=\"1\"} *0.3\nh_bucket{le=\"2\"} *2.1\nh_bucket{le=\"+Inf\"} *2.11\n";
        let page = Page::new(&format!("# TYPE h histogram\n{text}"), "", 1, START);
        for second in 0..600 {
            let now = values(&page, START + f64::from(second));
            assert!(now[0] <= now[1] && now[1] <= now[2], "{now:?}");
        }
    }

    #[test]
    #[should_panic(expected = "\"x one\" is no line of a page")]
    fn a_line_that_is_none() {
        let _ = Page::new("x one\n", "", 0, START);
    }
}
