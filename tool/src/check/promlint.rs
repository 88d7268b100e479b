//! What is unusual about metric families by the conventions of Prometheus. (client_golang: `promlint`.)

use crate::text_format::{Family, Kind, Metric};

/// Units and their base units; base units are their own.
const UNITS: [(&str, &str); 24] = [
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];

const UNIT_PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mebi", "giga", "gibi",
    "tera", "tebi", "peta", "pebi",
];

const ABBREVIATIONS: [&str; 14] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// The problems of a family, in upstream's words; one that several labels or metrics have is told for each.
pub(super) fn problems(family: &Family) -> Vec<String> {
    let mut found = Vec::new();
    if family.help.is_none() {
        found.push("no help text".to_owned());
    }
    found.extend(unit(&family.name));
    found.extend(suffixes(family).into_iter().map(str::to_owned));
    found.extend(labels(family).into_iter().map(str::to_owned));
    found.extend(type_in_name(family));
    if family.name.contains(':') {
        found.push("metric names should not contain ':'".to_owned());
    }
    found.extend(camel_case(family).into_iter().map(str::to_owned));
    let lower = family.name.to_lowercase();
    for _ in ABBREVIATIONS.iter().filter(|short| has_part(&lower, short)) {
        found.push("metric names should not contain abbreviated units".to_owned());
    }
    let is_repeated =
        |(i, metric): &(usize, &Metric)| family.metrics.iter().skip(i + 1).any(|later| later.labels == metric.labels);
    let n_repeated = family.metrics.iter().enumerate().filter(is_repeated).count();
    found.extend(std::iter::repeat_n("metric not unique".to_owned(), n_repeated));
    found
}

/// Does a name have a part behind an underscore, in the middle or at the end?
fn has_part(name: &str, part: &str) -> bool {
    name.contains(&format!("_{part}_")) || name.ends_with(&format!("_{part}"))
}

/// The first unit of a name, if it is no base unit.
fn unit(name: &str) -> Option<String> {
    let base = |part: &str| {
        let known = |text: &str| UNITS.iter().find(|(unit, _)| *unit == text).map(|(_, base)| *base);
        let prefixed = || UNIT_PREFIXES.iter().find_map(|prefix| known(part.strip_prefix(prefix)?));
        known(part).or_else(prefixed)
    };
    let (unit, base) = name.split('_').find_map(|part| Some((part, base(part)?)))?;
    (unit != base).then(|| format!("use base unit {base:?} instead of {unit:?}"))
}

fn suffixes(family: &Family) -> Vec<&'static str> {
    let (name, kind) = (family.name.as_str(), family.kind());
    let is_total = name.ends_with("_total");
    let mut found = Vec::new();
    match kind {
        Kind::Untyped => return found,
        Kind::Counter if !is_total => found.push("counter metrics should have \"_total\" suffix"),
        Kind::Counter => {}
        _ if is_total => found.push("non-counter metrics should not have \"_total\" suffix"),
        _ => {}
    }
    let is_histogram = kind == Kind::Histogram;
    if !is_histogram && name.ends_with("_bucket") {
        found.push("non-histogram metrics should not have \"_bucket\" suffix");
    }
    if !is_histogram && kind != Kind::Summary {
        if name.ends_with("_count") {
            found.push("non-histogram and non-summary metrics should not have \"_count\" suffix");
        }
        if name.ends_with("_sum") {
            found.push("non-histogram and non-summary metrics should not have \"_sum\" suffix");
        }
    }
    found
}

/// Labels that only histograms or summaries should have.
fn labels(family: &Family) -> Vec<&'static str> {
    let kind = family.kind();
    if kind == Kind::Untyped {
        return Vec::new();
    }
    let names = family.metrics.iter().flat_map(|metric| &metric.labels).map(|(name, _)| name.as_str());
    names
        .filter_map(|name| match name {
            "le" if kind != Kind::Histogram => Some("non-histogram metrics should not have \"le\" label"),
            "quantile" if kind != Kind::Summary => Some("non-summary metrics should not have \"quantile\" label"),
            _ => None,
        })
        .collect()
}

fn type_in_name(family: &Family) -> Option<String> {
    let kind = match family.kind() {
        Kind::Untyped => return None,
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Summary => "summary",
        Kind::Histogram => "histogram",
        Kind::GaugeHistogram => "gauge_histogram",
    };
    let is_named = has_part(&family.name.to_lowercase(), kind);
    is_named.then(|| format!("metric name should not include type '{kind}'"))
}

fn camel_case(family: &Family) -> Vec<&'static str> {
    let is_camel =
        |name: &str| name.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let mut found = Vec::new();
    if is_camel(&family.name) {
        found.push("metric names should be written in 'snake_case' not 'camelCase'");
    }
    let labels = family.metrics.iter().flat_map(|metric| &metric.labels).filter(|(name, _)| is_camel(name));
    found.extend(labels.map(|_| "label names should be written in 'snake_case' not 'camelCase'"));
    found
}
