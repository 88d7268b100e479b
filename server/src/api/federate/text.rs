//! The text format 0.0.4 as upstream's `expfmt.MetricFamilyToText` writes it.

use model::float::push_g;
use model::labels::{is_legacy_label_name, is_legacy_metric_name};
use model::{Histogram, Timestamp};

/// `name="value",`
pub(super) fn pair(out: &mut Vec<u8>, name: &str, value: &str) {
    // Upstream leaves a name with a colon bare, which no parser of the format takes.
    write_name(out, name, is_legacy_label_name(name));
    out.extend_from_slice(b"=\"");
    write_escaped(out, value);
    out.extend_from_slice(b"\",");
}

/// `# TYPE name untyped`
pub(super) fn type_line(out: &mut Vec<u8>, name: &str, kind: &str) {
    out.extend_from_slice(b"# TYPE ");
    write_name(out, name, is_legacy_metric_name(name));
    out.push(b' ');
    out.extend_from_slice(kind.as_bytes());
    out.push(b'\n');
}

/// What the lines of a metric begin with, up to the first label: `name{`, or `{"name",` for a name outside the legacy alphabet.
pub(super) fn line_start(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 4);
    if is_legacy_metric_name(name) {
        out.extend_from_slice(name.as_bytes());
        out.push(b'{');
    } else {
        out.push(b'{');
        write_name(&mut out, name, false);
        out.push(b',');
    }
    out
}

/// Writes numbers, through memory of its own.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    text: String,
    /// Samples of one scrape have one time: its last text, and of which time it is.
    time: (Timestamp, String),
}

impl Numbers {
    /// A number as upstream's `writeFloat`: negative zero is `0`.
    fn float(&mut self, out: &mut Vec<u8>, value: f64) {
        self.text.clear();
        push_g(&mut self.text, if value == 0.0 { 0.0 } else { value });
        out.extend_from_slice(self.text.as_bytes());
    }

    /// What follows the labels of a line, which end in a comma: `} 1 1700000000000` and the end of the line.
    pub(super) fn line_end(&mut self, out: &mut Vec<u8>, value: f64, ts: Timestamp) {
        out.pop();
        out.extend_from_slice(b"} ");
        self.float(out, value);
        if self.time.0 != ts || self.time.1.is_empty() {
            self.time = (ts, format!(" {}\n", ts.0));
        }
        out.extend_from_slice(self.time.1.as_bytes());
    }

    /// The label of a bucket.
    fn bound(&mut self, out: &mut Vec<u8>, bound: f64) {
        out.extend_from_slice(b"le=\"");
        self.float(out, bound);
        out.extend_from_slice(b"\",");
    }

    /// The lines of a histogram with custom bounds, which becomes a classic one.
    pub(super) fn histogram(
        &mut self,
        out: &mut Vec<u8>,
        starts: &[Vec<u8>; 3],
        (labels, histogram, ts): (&[u8], &Histogram, Timestamp),
    ) {
        let [bucket, sum, count] = starts;
        let last = std::iter::once((f64::INFINITY, histogram.count));
        for (bound, below) in cumulative(histogram).chain(last) {
            out.extend_from_slice(bucket);
            out.extend_from_slice(labels);
            self.bound(out, bound);
            self.line_end(out, below, ts);
        }
        for (start, value) in [(sum, histogram.sum), (count, histogram.count)] {
            out.extend_from_slice(start);
            out.extend_from_slice(labels);
            self.line_end(out, value, ts);
        }
    }
}

/// What the lines of a classic histogram begin with.
pub(super) fn histogram_starts(name: &str) -> [Vec<u8>; 3] {
    ["_bucket", "_sum", "_count"].map(|suffix| line_start(&format!("{name}{suffix}")))
}

/// The bounds of custom buckets but the infinite one, each with the observations up to it.
pub(super) fn cumulative(histogram: &Histogram) -> impl Iterator<Item = (f64, f64)> {
    let mut buckets = histogram.positive.iter().peekable();
    let mut sum = 0.0;
    histogram.custom_values.iter().zip(0i32..).map(move |(bound, at)| {
        while let Some((_, count)) = buckets.next_if(|(index, _)| *index <= at) {
            sum += count;
        }
        (*bound, sum)
    })
}

fn write_name(out: &mut Vec<u8>, name: &str, is_bare: bool) {
    if is_bare {
        out.extend_from_slice(name.as_bytes());
        return;
    }
    out.push(b'"');
    write_escaped(out, name);
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let is_special = |b: &u8| matches!(b, b'\\' | b'\n' | b'"');
    // Runs of plain bytes are copied at once; mostly there is one.
    for part in text.as_bytes().split_inclusive(is_special) {
        let (plain, last) = match part.split_last() {
            Some((last, plain)) if is_special(last) => (plain, Some(*last)),
            _ => (part, None),
        };
        out.extend_from_slice(plain);
        out.extend_from_slice(match last {
            Some(b'\\') => b"\\\\",
            Some(b'\n') => b"\\n",
            Some(_) => b"\\\"",
            None => b"",
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_and_values_that_need_quotes() {
        let odd = "a\"b\\c\nd é";
        assert_eq!(written(|out| pair(out, "a:b_1", odd)), "\"a:b_1\"=\"a\\\"b\\\\c\\nd é\",");
        assert_eq!(written(|out| pair(out, odd, "")), "\"a\\\"b\\\\c\\nd é\"=\"\",");
        assert_eq!(written(|out| type_line(out, "a.b", "untyped")), "# TYPE \"a.b\" untyped\n");
        assert_eq!(line_start("up"), b"up{");
        assert_eq!(line_start("a.b"), b"{\"a.b\",");
    }

    #[test]
    fn values_and_times() {
        let mut numbers = Numbers::default();
        for (value, ts, expected) in [
            (1.0, 0, "x} 1 0\n"),
            (-0.0, 0, "x} 0 0\n"),
            (f64::NAN, -5, "x} NaN -5\n"),
            (f64::NEG_INFINITY, -5, "x} -Inf -5\n"),
            (1_700_000_000.5, 1_700_000_000_123, "x} 1.7000000005e+09 1700000000123\n"),
            (1e-5, 1_700_000_000_123, "x} 1e-05 1700000000123\n"),
        ] {
            let mut out = b"x,".to_vec();
            numbers.line_end(&mut out, value, Timestamp(ts));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn custom_buckets_are_cumulative() {
        let custom = |buckets: &[(i32, f64)]| Histogram {
            schema: Histogram::CUSTOM,
            custom_values: Arc::from([0.1, 1.0, 2.5e6]),
            count: 7.0,
            sum: 1.5,
            positive: buckets.iter().copied().collect(),
            ..Histogram::default()
        };
        for (buckets, expected) in
            [(&[(0, 1.0), (2, 4.0), (3, 2.0)][..], [1.0, 1.0, 5.0]), (&[], [0.0; 3]), (&[(1, 2.0)], [0.0, 2.0, 2.0])]
        {
            let sums: Vec<f64> = cumulative(&custom(buckets)).map(|(_, sum)| sum).collect();
            assert_eq!(sums, expected);
        }
        let histogram = custom(&[(0, 1.0), (2, 4.0), (3, 2.0)]);
        let lines = written(|out| {
            let labels = (&b"a=\"b\","[..], &histogram, Timestamp(9));
            Numbers::default().histogram(out, &histogram_starts("h"), labels);
        });
        let expected = "h_bucket{a=\"b\",le=\"0.1\"} 1 9\nh_bucket{a=\"b\",le=\"1\"} 1 9\n\
                        h_bucket{a=\"b\",le=\"2.5e+06\"} 5 9\nh_bucket{a=\"b\",le=\"+Inf\"} 7 9\n\
                        h_sum{a=\"b\"} 1.5 9\nh_count{a=\"b\"} 7 9\n";
        assert_eq!(lines, expected);
    }
}
