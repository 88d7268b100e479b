//! Expositions made from a description: what the text format, OpenMetrics and protobuf say of it is the same.

use model::Timestamp;
use proptest::prelude::*;
use scraper::parse::{Format, Wanted};

use crate::store::Target;

#[derive(Clone, Debug)]
struct Family {
    name: String,
    kind: Kind,
    help: String,
    metrics: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Untyped,
}

#[derive(Clone, Debug)]
struct Metric {
    labels: Vec<(String, String)>,
    value: f64,
    /// Seconds.
    time: Option<u32>,
}

/// Names of the legacy alphabet, and others, which are quoted in text.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z_][a-z0-9_]{0,6}", 1 => "[a-z][a-zäß. \\\\\"-]{1,6}"]
}

fn families() -> impl Strategy<Value = Vec<Family>> {
    let label = (name(), "[ -~äöü\n]{0,8}");
    let metric = (prop::collection::vec(label, 0..4), any::<f64>(), prop::option::of(0..2_000_000_000u32));
    let metric = metric.prop_map(|(mut labels, value, time)| {
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        // Those are the target's and the parsers' own.
        labels.retain(|(name, _)| !["job", "__name__"].contains(&name.as_str()));
        Metric { labels, value, time }
    });
    let kind = prop::sample::select(vec![Kind::Counter, Kind::Gauge, Kind::Untyped]);
    let family = (kind, "[ -~ä\n]{0,10}", prop::collection::vec(metric, 1..4));
    prop::collection::btree_map(name(), family, 1..5).prop_map(|families| {
        let family = |(name, (kind, help, metrics))| Family { name, kind, help, metrics };
        families.into_iter().map(family).collect()
    })
}

impl Family {
    /// The name of its series.
    fn series(&self) -> String {
        if self.kind == Kind::Counter { format!("{}_total", self.name) } else { self.name.clone() }
    }
}

fn is_plain(name: &str) -> bool {
    model::labels::is_legacy_label_name(name)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => format!("{value:e}"),
    }
}

fn text(families: &[Family], openmetrics: bool) -> Vec<u8> {
    let mut out = String::new();
    for family in families {
        let series = family.series();
        let about = if openmetrics { &family.name } else { &series };
        let about = if is_plain(about) { about.clone() } else { format!("\"{}\"", escaped(about)) };
        let help =
            if openmetrics { escaped(&family.help) } else { family.help.replace('\\', "\\\\").replace('\n', "\\n") };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Untyped if openmetrics => "unknown",
            Kind::Untyped => "untyped",
        };
        out.push_str(&format!("# HELP {about} {help}\n# TYPE {about} {kind}\n"));
        for metric in &family.metrics {
            let pair = |(name, value): &(String, String)| {
                let name = if is_plain(name) { name.clone() } else { format!("\"{}\"", escaped(name)) };
                format!("{name}=\"{}\"", escaped(value))
            };
            let pairs = metric.labels.iter().map(pair);
            let inside: Vec<String> =
                (!is_plain(&series)).then(|| format!("\"{}\"", escaped(&series))).into_iter().chain(pairs).collect();
            let before = if is_plain(&series) { series.as_str() } else { "" };
            let time =
                metric.time.map(|s| if openmetrics { format!(" {s}") } else { format!(" {}", u64::from(s) * 1000) });
            let (inside, value) = (inside.join(","), number(metric.value));
            out.push_str(&format!("{before}{{{inside}}} {value}{}\n", time.unwrap_or_default()));
        }
    }
    if openmetrics {
        out.push_str("# EOF\n");
    }
    out.into_bytes()
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}

fn field(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn protobuf(families: &[Family]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let mut message = Vec::new();
        field(&mut message, 1, family.series().as_bytes());
        field(&mut message, 2, family.help.as_bytes());
        // The number of the type, and of the field that holds its value.
        let (kind, value_field) = match family.kind {
            Kind::Counter => (0, 3),
            Kind::Gauge => (1, 2),
            Kind::Untyped => (3, 5),
        };
        message.extend([3 << 3, kind]);
        for metric in &family.metrics {
            let mut inside = Vec::new();
            for (name, value) in &metric.labels {
                let mut pair = Vec::new();
                field(&mut pair, 1, name.as_bytes());
                field(&mut pair, 2, value.as_bytes());
                field(&mut inside, 1, &pair);
            }
            // In text there is one NaN only.
            let value =
                if metric.value.is_nan() { f64::from_bits(model::sample::NORMAL_NAN_BITS) } else { metric.value };
            field(&mut inside, value_field, &[&[1 << 3 | 1][..], &value.to_le_bytes()].concat());
            if let Some(seconds) = metric.time {
                inside.push(6 << 3);
                varint(&mut inside, u64::from(seconds) * 1000);
            }
            field(&mut message, 4, &inside);
        }
        varint(&mut out, message.len() as u64);
        out.extend(message);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn three_formats_say_the_same(families in families()) {
        const NOW: Timestamp = Timestamp(2_000_000_000_000);
        let texts = [text(&families, false), text(&families, true)];
        let (_, expected) = Target::new(Wanted::default()).scrape(Format::Protobuf, &protobuf(&families), NOW);
        let samples: usize = families.iter().map(|family| family.metrics.len()).sum();
        for (format, body) in [Format::Text, Format::OpenMetrics].into_iter().zip(&texts) {
            let (counts, stored) = Target::new(Wanted::default()).scrape(format, body, NOW);
            prop_assert_eq!(&stored, &expected, "{:?}: {}", format, String::from_utf8_lossy(body));
            prop_assert_eq!(counts.scraped, samples);
            prop_assert_eq!(counts.duplicate + stored.unwrap().len(), samples);
        }
        // One target may change its mind about the format without any of its series becoming another.
        let mut target = Target::new(Wanted::default());
        target.scrape(Format::Text, &texts[0], NOW).1.unwrap();
        let (_, stored) = target.scrape(Format::Protobuf, &protobuf(&families), NOW);
        prop_assert_eq!(&stored, &expected);
    }
}
