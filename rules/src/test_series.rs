//! The series of a unit test, handed out as the time of the test advances (upstream: `promqltest.LazyLoader`).

use std::collections::BTreeMap;
use std::sync::Arc;

use config::UnitTest;
use model::sample::histogram_mark;
use model::{Histogram, Labels, SeriesSamples, Timestamp};
use query::promqltest::{self, Point};

/// The series of a unit test.
#[derive(Clone, Debug)]
pub struct TestSeries {
    series: BTreeMap<Labels, Vec<Sample>>,
}

/// Time, value, and the histogram if the value is the mark of one.
type Sample = (Timestamp, f64, Option<Arc<Histogram>>);

/// Samples of a series, as [`SeriesSamples`] borrows them.
#[derive(Clone, Debug)]
pub struct TestSamples {
    labels: Labels,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    histograms: Vec<(u32, Histogram)>,
}

impl TestSeries {
    /// Reads the notation of the samples.
    ///
    /// # Errors
    /// When it is not valid; the text names the place in the file.
    pub fn of(test: &UnitTest) -> Result<Self, String> {
        let mut series = BTreeMap::new();
        for input in &test.input_series {
            let line = format!("{} {}", input.series, input.values);
            let told = |error: String| format!("{}: {error}", input.place);
            let (labels, points) = promqltest::series(&line).map_err(told)?;
            let mut samples = Vec::new();
            let mut ts = test.start;
            for point in points {
                match point {
                    Point::Absent => {}
                    Point::Float(value) => samples.push((ts, value, None)),
                    Point::Histogram { histogram, .. } => {
                        histogram.validate().map_err(|error| told(error.to_string()))?;
                        samples.push((ts, histogram_mark(), Some(histogram)));
                    }
                }
                ts = ts.saturating_add(test.interval_ms);
            }
            // Of two series with the same labels the last one counts, as upstream.
            series.insert(labels, samples);
        }
        Ok(Self { series })
    }

    /// Takes the samples up to a time, series by series. Those taken before are not among them.
    pub fn take_until(&mut self, ts: Timestamp) -> Vec<TestSamples> {
        let taken = |(labels, samples): (&Labels, &mut Vec<Sample>)| {
            let n_taken = samples.partition_point(|(at, ..)| *at <= ts);
            (n_taken > 0).then(|| TestSamples::new(labels.clone(), samples.drain(..n_taken)))
        };
        self.series.iter_mut().filter_map(taken).collect()
    }
}

impl TestSamples {
    fn new(labels: Labels, samples: impl Iterator<Item = Sample>) -> Self {
        let mut all = Self { labels, timestamps: Vec::new(), values: Vec::new(), histograms: Vec::new() };
        for (i, (ts, value, histogram)) in (0..).zip(samples) {
            all.timestamps.push(ts);
            all.values.push(value);
            all.histograms.extend(histogram.map(|histogram| (i, Arc::unwrap_or_clone(histogram))));
        }
        all
    }

    /// For an appender.
    #[must_use]
    pub fn as_series(&self) -> SeriesSamples<'_> {
        let histograms = &self.histograms;
        SeriesSamples { histograms, ..SeriesSamples::floats(&self.labels, &self.timestamps, &self.values) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use config::UnitTestFile;
    use model::sample::{is_histogram_mark, is_stale};

    use super::*;

    fn series(input: &str) -> Result<TestSeries, String> {
        let text = format!("tests:\n- interval: 1m\n  start_timestamp: 60\n  input_series:\n{input}\n");
        TestSeries::of(&UnitTestFile::parse(&text, Path::new("t.yml")).unwrap().tests[0])
    }

    /// `name at:value …` of each series.
    fn taken(series: &mut TestSeries, ts: i64) -> Vec<String> {
        let text = |samples: &TestSamples| {
            let one = samples.as_series();
            let mut text = one.labels.to_string();
            for (i, (ts, value)) in one.timestamps.iter().zip(one.values).enumerate() {
                let histogram = one.histograms.iter().find(|(at, _)| *at as usize == i);
                assert_eq!(is_histogram_mark(*value), histogram.is_some());
                match histogram {
                    Some((_, histogram)) => text += &format!(" {}:sum={}", ts.0 / 1000, histogram.sum),
                    None if is_stale(*value) => text += &format!(" {}:stale", ts.0 / 1000),
                    None => text += &format!(" {}:{value}", ts.0 / 1000),
                }
            }
            text
        };
        series.take_until(Timestamp(ts * 1000)).iter().map(text).collect()
    }

    #[test]
    fn samples_are_taken_as_time_advances() {
        let input = "  - {series: 'up{job=\"a\"}', values: '1 _ 2+3x1 stale'}\n  - {series: h, values: '1 {{sum:1 count:1}}x1'}\n  \
                     - {series: late, values: '_ _ 9'}";
        let mut series = series(input).unwrap();
        assert_eq!(taken(&mut series, 59), [""; 0]);
        assert_eq!(taken(&mut series, 119), ["h 60:1", "up{job=\"a\"} 60:1"]);
        assert_eq!(taken(&mut series, 180), ["h 120:sum=1 180:sum=1", "late 180:9", "up{job=\"a\"} 180:2"]);
        assert_eq!(taken(&mut series, 10_000), ["up{job=\"a\"} 240:5 300:stale"]);
        assert_eq!(taken(&mut series, 10_000), [""; 0]);
    }

    #[test]
    fn of_equal_series_the_last_counts() {
        let mut series = series("  - {series: a, values: 1 2}\n  - {series: a, values: 3}").unwrap();
        assert_eq!(taken(&mut series, 1000), ["a 60:3"]);
    }

    #[test]
    fn errors_name_the_place() {
        let error = series("  - {series: a, values: 1}\n  - {series: 'a{b=\"c\" ', values: 0+0x1440}").unwrap_err();
        let expected =
            "t.yml:6:14: tests[0].input_series[1].series: 1:10: parse error: unexpected character inside braces: '0'";
        assert_eq!(error, expected);
        let error = series("  - {series: a, values: '{{count:-1}}'}").unwrap_err();
        assert!(error.starts_with("t.yml:5:14: tests[0].input_series[0].series: "), "{error}");
    }
}
