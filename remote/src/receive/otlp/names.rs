//! Names of metrics, units and labels as Prometheus has them (upstream: the module `prometheus/otlptranslator`, whose rules and texts
//! these are).

/// How names are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Units and types become suffixes of metric names.
    pub suffixes: bool,
    /// Names may have any character; otherwise those that the legacy alphabet lacks become underscores.
    pub utf8: bool,
    /// `key` is put before label names that begin with one underscore.
    pub key_before_underscore: bool,
    /// Underscores in a row stay as many in label names.
    pub keep_underscores: bool,
}

/// What a metric is, as far as its name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    /// A sum that only rises.
    Counter,
    Other,
}

const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

impl Naming {
    /// The name of a metric.
    pub(super) fn metric(&self, name: &str, unit: &str, kind: Kind) -> Result<String, String> {
        let built = match (self.utf8, self.suffixes) {
            (true, true) => with_suffixes(name, unit, kind),
            (true, false) => name.to_owned(),
            (false, true) => normalized(name, unit, kind),
            (false, false) => {
                let parts = name.split(|c| !is_metric_char(c) && c != '_').filter(|part| !part.is_empty());
                after_digit(parts.collect::<Vec<_>>().join("_"))
            }
        };
        if built.is_empty() {
            return Err(format!("normalization for metric {name:?} resulted in empty name"));
        }
        if !self.utf8 && built != name && built.chars().all(|c| c == '_') {
            return Err(format!("normalization for metric {name:?} resulted in invalid name {built:?}"));
        }
        Ok(built)
    }

    /// The name of a label.
    pub(super) fn label(&self, name: &str) -> Result<String, String> {
        if name.is_empty() {
            return Err("label name is empty".to_owned());
        }
        let only_underscores = |name: &str| name.bytes().all(|b| b == b'_');
        if self.utf8 {
            return if only_underscores(name) {
                Err(format!("label name {name:?} contains only underscores"))
            } else {
                Ok(name.to_owned())
            };
        }
        let mut built = self.sanitized(name);
        if built.starts_with(|c: char| c.is_ascii_digit()) {
            built.insert_str(0, "key_");
        } else if self.key_before_underscore && built.starts_with('_') && !built.starts_with("__") {
            built.insert_str(0, "key");
        }
        if only_underscores(&built) {
            return Err(format!("normalization for label name {name:?} resulted in invalid name {built:?}"));
        }
        Ok(built)
    }

    fn sanitized(&self, name: &str) -> String {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        if self.keep_underscores {
            return name.chars().map(legal).collect();
        }
        let reserved = name.strip_prefix("__").and_then(|name| name.strip_suffix("__"));
        let collapsed = collapsed(&reserved.unwrap_or(name).chars().map(legal).collect::<String>());
        if reserved.is_some() { format!("__{collapsed}__") } else { collapsed }
    }
}

/// The unit as metadata and labels have it.
pub(super) fn unit(unit: &str, utf8: bool) -> String {
    let (mut main, mut per) = unit_suffixes(unit);
    if !utf8 {
        (main, per) = (cleaned(&main), cleaned(&per));
    }
    let parts: Vec<String> = [main, per].into_iter().filter(|part| !part.is_empty()).collect();
    let built = parts.join("_");
    let built = built.strip_prefix('_').unwrap_or(&built);
    built.strip_suffix('_').unwrap_or(built).to_owned()
}

fn normalized(name: &str, unit: &str, kind: Kind) -> String {
    let tokens = name.split(|c| !is_metric_char(c)).filter(|token| !token.is_empty());
    let mut tokens: Vec<String> = tokens.map(str::to_owned).collect();
    let (main, per) = unit_suffixes(unit);
    let (mut main, mut per) = (cleaned(&main), cleaned(&per));
    if tokens.contains(&main) {
        main.clear();
    }
    if per == "per_" {
        per.clear();
    } else {
        per = per.strip_suffix('_').unwrap_or(&per).to_owned();
        if tokens.contains(&per) {
            per.clear();
        }
    }
    if !per.is_empty() {
        main = main.strip_suffix('_').unwrap_or(&main).to_owned();
    }
    tokens.extend([main, per].into_iter().filter(|suffix| !suffix.is_empty()));
    let last = match kind {
        Kind::Counter => Some("total"),
        // Of counts of things many say the unit 1, too.
        Kind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(last) = last {
        tokens.retain(|token| token != last);
        tokens.push(last.to_owned());
    }
    after_digit(tokens.join("_"))
}

fn with_suffixes(name: &str, unit: &str, kind: Kind) -> String {
    let last = match kind {
        Kind::Counter => Some("total"),
        Kind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    let (main, per) = unit_suffixes(unit);
    let mut name = name;
    for suffix in last.into_iter().chain(Some(per.as_str()).filter(|per| !per.is_empty())) {
        // With the character before it, whichever that is.
        if name.ends_with(suffix) && name.len() > suffix.len() + 1 {
            let cut = name.len() - suffix.len() - 1;
            name = name.get(..cut).unwrap_or(name);
        }
    }
    let mut built = name.to_owned();
    let inner = Some(main.as_str()).filter(|main| !main.is_empty() && !name.ends_with(main));
    let per = Some(per.as_str()).filter(|per| !per.is_empty());
    for suffix in [inner, per, last].into_iter().flatten() {
        built.push('_');
        built.push_str(suffix);
    }
    built
}

/// What a unit adds to a name: itself, and what it is per.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let known = |unit: &str, table: &[(&str, &str)]| {
        let unit = unit.trim();
        // An annotation, not a unit.
        if unit.contains(['{', '}']) {
            return String::new();
        }
        table.iter().find(|(short, _)| *short == unit).map_or(unit, |(_, long)| long).to_owned()
    };
    let (main, per) = (known(main, &UNITS), known(per, &PER_UNITS));
    (main, if per.is_empty() { per } else { format!("per_{per}") })
}

fn cleaned(unit: &str) -> String {
    let legal: String = unit.chars().map(|c| if is_metric_char(c) { c } else { '_' }).collect();
    let collapsed = collapsed(&legal);
    collapsed.strip_prefix('_').map_or(collapsed.clone(), str::to_owned)
}

fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    out
}

fn after_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn is_metric_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESCAPED: Naming =
        Naming { suffixes: true, utf8: false, key_before_underscore: true, keep_underscores: false };

    #[test]
    fn metrics_are_named_by_unit_and_type() {
        let both = |name: &str, unit: &str, kind| {
            let utf8 = Naming { utf8: true, ..ESCAPED };
            (ESCAPED.metric(name, unit, kind).unwrap(), utf8.metric(name, unit, kind).unwrap())
        };
        for (name, unit, kind, escaped, utf8) in [
            ("http.server.duration", "s", Kind::Other, "http_server_duration_seconds", "http.server.duration_seconds"),
            ("requests", "1", Kind::Counter, "requests_total", "requests_total"),
            ("requests_total", "", Kind::Counter, "requests_total", "requests_total"),
            ("total.requests", "By", Kind::Counter, "requests_bytes_total", "total.requests_bytes_total"),
            ("cpu.used", "1", Kind::Gauge, "cpu_used_ratio", "cpu.used_ratio"),
            ("speed", "m/s", Kind::Gauge, "speed_meters_per_second", "speed_meters_per_second"),
            ("speed", "km/{x}", Kind::Gauge, "speed_km", "speed_km"),
            ("packets", "{packet}/s", Kind::Gauge, "packets_per_second", "packets_per_second"),
            ("a_bytes", "By", Kind::Other, "a_bytes", "a_bytes"),
            ("2xx", "", Kind::Gauge, "_2xx", "2xx"),
            ("weird  name__x", "°C", Kind::Gauge, "weird_name_x_C", "weird  name__x_°C"),
        ] {
            assert_eq!(both(name, unit, kind), (escaped.to_owned(), utf8.to_owned()), "{name} {unit}");
        }
        let plain = Naming { suffixes: false, ..ESCAPED };
        assert_eq!(plain.metric("a.b__c", "s", Kind::Counter).unwrap(), "a_b__c");
        assert_eq!(Naming { utf8: true, ..plain }.metric("a.b", "s", Kind::Counter).unwrap(), "a.b");
    }

    #[test]
    fn names_of_nothing_are_refused() {
        assert_eq!(
            ESCAPED.metric("", "", Kind::Other).unwrap_err(),
            r#"normalization for metric "" resulted in empty name"#
        );
        assert!(ESCAPED.metric("é", "", Kind::Other).is_err());
        let plain = Naming { suffixes: false, ..ESCAPED };
        assert!(plain.metric("é_é", "", Kind::Other).unwrap_err().contains(r#"resulted in invalid name "_""#));
        let without_key = Naming { key_before_underscore: false, ..ESCAPED };
        for name in ["", "_", "é"] {
            assert!(without_key.label(name).is_err(), "{name}");
        }
        assert!(Naming { utf8: true, ..ESCAPED }.label("__").is_err());
    }

    #[test]
    fn labels_are_made_legal() {
        let keeping = Naming { keep_underscores: true, ..ESCAPED };
        for (name, collapsed, kept) in [
            ("service.name", "service_name", "service_name"),
            ("a__b", "a_b", "a__b"),
            ("_private", "key_private", "key_private"),
            ("__reserved__", "__reserved__", "__reserved__"),
            ("1st", "key_1st", "key_1st"),
            ("é.x", "_x", "__x"),
        ] {
            let expected = if collapsed == "_x" { "key_x" } else { collapsed };
            assert_eq!((&*ESCAPED.label(name).unwrap(), &*keeping.label(name).unwrap()), (expected, kept), "{name}");
        }
        assert_eq!(Naming { utf8: true, ..ESCAPED }.label("service.name").unwrap(), "service.name");
    }

    #[test]
    fn units_stand_by_themselves() {
        for (given, expected) in
            [("By/s", "bytes_per_second"), ("1", ""), ("{x}", ""), ("/s", "per_second"), ("°C", "C")]
        {
            assert_eq!(unit(given, false), expected, "{given}");
        }
    }
}
