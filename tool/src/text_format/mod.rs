//! Expositions in the text format as metric families, as upstream's tools read them: histograms and summaries are put together, and
//! what the server would let pass (a second `# HELP` line, a label twice) is an error.

mod family;

use std::collections::{BTreeMap, HashMap};

use model::labels::{BUCKET, METRIC_NAME};
use scraper::parse::{Entry, Format, MetricKind, Parser, Sample};

pub(crate) use family::{Family, Kind, Metric, MetricValue};

/// Reads an exposition: its families by name.
///
/// # Errors
/// Which line is wrong, and why.
pub(crate) fn families(text: &[u8]) -> Result<BTreeMap<String, Family>, String> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let content = line.trim_ascii_start();
        if content.is_empty() {
            continue;
        }
        let read =
            if line.ends_with(b"\n") { reader.line(content) } else { Err("unexpected end of input stream".to_owned()) };
        read.map_err(|why| format!("text format parsing error in line {number}: {why}"))?;
    }
    reader.families.retain(|_, family| !family.metrics.is_empty());
    Ok(reader.families)
}

/// The label of a summary's parts.
const QUANTILE: &str = "quantile";

/// The labels of a histogram or summary, which are its identity within its family.
type Identity = (String, BTreeMap<String, String>);

#[derive(Default)]
struct Reader {
    families: BTreeMap<String, Family>,
    /// Where in its family a histogram or summary is.
    composites: HashMap<Identity, usize>,
}

/// What a series is to its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Itself,
    Count,
    Sum,
}

/// A `# TYPE` line with a type that the server does not take here: gauge histograms, and types in capitals. The line with a type that
/// it takes, and the type.
fn other_type(line: &[u8]) -> Option<(String, Kind)> {
    let (head, word) = std::str::from_utf8(line).ok()?.trim_end().rsplit_once([' ', '\t'])?;
    let is_type = head.strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with("TYPE"));
    let kind = match word.to_ascii_lowercase().as_str() {
        "gaugehistogram" | "gauge_histogram" => Kind::GaugeHistogram,
        lower if lower == word => return None,
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "untyped" => Kind::Untyped,
        _ => return None,
    };
    is_type.then(|| (format!("{head} gauge\n"), kind))
}

impl Kind {
    fn of(kind: MetricKind) -> Result<Self, String> {
        match kind {
            MetricKind::Unknown => Ok(Self::Untyped),
            MetricKind::Counter => Ok(Self::Counter),
            MetricKind::Gauge => Ok(Self::Gauge),
            MetricKind::Histogram => Ok(Self::Histogram),
            MetricKind::GaugeHistogram => Ok(Self::GaugeHistogram),
            MetricKind::Summary => Ok(Self::Summary),
            MetricKind::Info | MetricKind::StateSet => Err(format!("unknown metric type {:?}", kind.as_str())),
        }
    }
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        if let Some((gauge, kind)) = other_type(line) {
            let mut parser = Parser::new(Format::Text, gauge.as_bytes());
            return match parser.next_entry() {
                Ok(Some(Entry::Type { metric, .. })) => self.kind(&metric, kind),
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{}: {:?}", error.reason, error.excerpt)),
            };
        }
        let mut parser = Parser::new(Format::Text, line);
        let entry = parser.next_entry().map_err(|error| format!("{}: {:?}", error.reason, error.excerpt))?;
        match entry {
            Some(Entry::Help { metric, text }) => self.help(&metric, &text),
            Some(Entry::Type { metric, kind }) => self.kind(&metric, Kind::of(kind)?),
            Some(Entry::Series(sample)) => self.sample(&sample),
            Some(Entry::Unit { .. } | Entry::Comment(_)) | None => Ok(()),
        }
    }

    fn help(&mut self, name: &str, text: &str) -> Result<(), String> {
        let family = self.family(name).0;
        if family.help.is_some() {
            return Err(format!("second HELP line for metric name {:?}", family.name));
        }
        // A line without text only announces the family.
        family.help = (!text.is_empty()).then(|| text.to_owned());
        Ok(())
    }

    fn kind(&mut self, name: &str, kind: Kind) -> Result<(), String> {
        let family = self.family(name).0;
        if family.kind.is_some() {
            return Err(format!("second TYPE line for metric name {:?}, or TYPE reported after samples", family.name));
        }
        family.kind = Some(kind);
        Ok(())
    }

    /// The family that a name belongs to, made if there is none, and what a series of that name is to it.
    fn family(&mut self, name: &str) -> (&mut Family, Role) {
        let (family, role) = self.family_name(name);
        let family = family.to_owned();
        (self.families.entry(family.clone()).or_insert_with(|| Family::new(family)), role)
    }

    fn family_name<'n>(&self, name: &'n str) -> (&'n str, Role) {
        if self.families.contains_key(name) {
            return (name, Role::Itself);
        }
        for (suffix, role) in [("_count", Role::Count), ("_sum", Role::Sum), ("_bucket", Role::Itself)] {
            let Some(base) = name.strip_suffix(suffix).filter(|base| !base.is_empty()) else { continue };
            match self.families.get(base).and_then(|family| family.kind) {
                Some(Kind::Histogram | Kind::GaugeHistogram) => return (base, role),
                Some(Kind::Summary) if suffix != "_bucket" => return (base, role),
                _ => {}
            }
        }
        (name, Role::Itself)
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), String> {
        let pairs = sample.series.labels()?;
        let mut labels: Vec<(String, String)> = Vec::with_capacity(pairs.len());
        let mut name = String::new();
        for (label, value) in pairs {
            if label == METRIC_NAME {
                name = value.into_owned();
            } else if labels.iter().any(|(known, _)| *known == label) {
                return Err(format!("duplicate label names for metric {name:?}"));
            } else {
                labels.push((label.into_owned(), value.into_owned()));
            }
        }
        let (family, role) = self.family(&name);
        let kind = *family.kind.get_or_insert(Kind::Untyped);
        let ts = sample.point.ts.map(|ts| ts.0);
        let value = sample.point.value;
        let bound_label = match kind {
            Kind::Summary => QUANTILE,
            Kind::Histogram | Kind::GaugeHistogram => BUCKET,
            _ => {
                family.metrics.push(Metric { labels, ts, value: MetricValue::Number(value) });
                return Ok(());
            }
        };
        let bound = match labels.iter().position(|(label, _)| label == bound_label).map(|at| labels.remove(at).1) {
            Some(text) => {
                let bound = text.parse::<f64>();
                Some(bound.map_err(|_| format!("expected float as value for '{bound_label}' label, got {text:?}"))?)
            }
            None => None,
        };
        if kind != Kind::Summary && value < 0.0 && role != Role::Sum {
            return Err(format!("negative count or bucket population for histogram {:?}", family.name));
        }
        let identity = (family.name.clone(), labels.iter().cloned().collect());
        let n_known = family.metrics.len();
        let at = *self.composites.entry(identity.clone()).or_insert(n_known);
        // Borrowed again, since the index above is part of the reader too.
        let Some(family) = self.families.get_mut(&identity.0) else { return Ok(()) };
        if at == n_known {
            family.metrics.push(Metric { labels, ts, value: MetricValue::composite(kind) });
        }
        if let Some(metric) = family.metrics.get_mut(at) {
            metric.ts = ts.or(metric.ts);
            metric.value.add(role, bound, value);
        }
        Ok(())
    }
}

impl MetricValue {
    fn composite(kind: Kind) -> Self {
        let (count, sum, parts) = (0.0, 0.0, Vec::new());
        if kind == Kind::Summary {
            Self::Summary { count, sum, quantiles: parts }
        } else {
            Self::Histogram { count, sum, buckets: parts }
        }
    }

    fn add(&mut self, role: Role, bound: Option<f64>, value: f64) {
        let (Self::Summary { count, sum, quantiles: parts } | Self::Histogram { count, sum, buckets: parts }) = self
        else {
            return;
        };
        match role {
            Role::Count => *count = value,
            Role::Sum => *sum = value,
            // Without a bound it is no part of anything.
            Role::Itself => parts.extend(bound.map(|bound| (bound, value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(text: &str, name: &str) -> Family {
        families(text.as_bytes()).unwrap().remove(name).unwrap()
    }

    #[test]
    fn histograms_and_summaries_are_put_together() {
        let text = "# TYPE h histogram\nh_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{le=\"+Inf\",a=\"b\"} 3\nh_sum{a=\"b\"} 1.5\n\
                    h_count{a=\"b\"} 3\nh_bucket{a=\"c\",le=\"1\"} 1 1500\n# TYPE s summary\ns{quantile=\"0.5\"} 7\ns_sum 8\n\
                    s_count 9\ns_bucket 1\n";
        let labels = |value: &str| vec![("a".to_owned(), value.to_owned())];
        let first = MetricValue::Histogram { count: 3.0, sum: 1.5, buckets: vec![(1.0, 2.0), (f64::INFINITY, 3.0)] };
        let second = MetricValue::Histogram { count: 0.0, sum: 0.0, buckets: vec![(1.0, 1.0)] };
        let expected = vec![
            Metric { labels: labels("b"), ts: None, value: first },
            Metric { labels: labels("c"), ts: Some(1500), value: second },
        ];
        assert_eq!(family(text, "h").metrics, expected);
        let summary = MetricValue::Summary { count: 9.0, sum: 8.0, quantiles: vec![(0.5, 7.0)] };
        assert_eq!(family(text, "s").metrics, [Metric { labels: vec![], ts: None, value: summary }]);
        assert_eq!(family(text, "s_bucket").kind, Some(Kind::Untyped));
    }

    #[test]
    fn families_have_help_and_type() {
        let text =
            "# HELP a some\\ntext\n# TYPE a counter\n\n  a{x=\"\\\"\"} 1\na 2\n# a comment\n# HELP none x\nb_sum 1\n";
        let a = family(text, "a");
        assert_eq!((a.help.as_deref(), a.kind, a.metrics.len()), (Some("some\ntext"), Some(Kind::Counter), 2));
        assert_eq!(a.metrics[0].labels, [("x".to_owned(), "\"".to_owned())]);
        assert_eq!(family("# TYPE g GaugeHistogram\ng_count 1\n", "g").kind, Some(Kind::GaugeHistogram));
        assert_eq!(family("# TYPE g GAUGE\ng 1\n", "g").kind, Some(Kind::Gauge));
        let all = families(text.as_bytes()).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b_sum"]);
        assert!(families(b"").unwrap().is_empty() && families(b"\n \n").unwrap().is_empty());
    }

    #[test]
    fn faults_have_their_line() {
        for (text, why) in [
            ("a 1\nb", "line 2: unexpected end of input stream"),
            ("a 1\n\nb\n", "line 3: "),
            ("a{x=\"1\",x=\"2\"} 1\n", "line 1: duplicate label names for metric \"a\""),
            ("# HELP a b\n# HELP a b\n", "line 2: second HELP line for metric name \"a\""),
            ("a 1\n# TYPE a gauge\n", "line 2: second TYPE line for metric name \"a\", or TYPE reported after samples"),
            ("# TYPE a gouge\n", "line 1: "),
            ("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", "line 2: expected float as value for 'le' label, got \"x\""),
            ("# TYPE h histogram\nh_count -1\n", "line 2: negative count"),
            ("a \u{1}\n", "line 1: "),
        ] {
            let told = families(text.as_bytes()).unwrap_err();
            assert!(told.starts_with(&format!("text format parsing error in {why}")), "{text:?}: {told}");
        }
        assert!(families(b"a{x=\"\xff\"} 1\n").is_err());
    }
}
