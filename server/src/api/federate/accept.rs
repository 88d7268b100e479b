//! Which format an answer has, by the `Accept` header: what upstream's `expfmt.NegotiateAccept` and the parser below it
//! (`goautoneg.ParseAccept`) choose, their corner cases included.

use super::escaping::Escaping;

/// Clauses of a header that are looked at; more are not sent by anything that means them.
const CLAUSES_MAX: usize = 256;
/// Up to so many, Go sorts by insertion, which an order that is no order (see [`Clause::before`]) depends on.
const INSERTION_MAX: usize = 12;

/// How the samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Encoding {
    /// The text format 0.0.4.
    Text,
    /// `MetricFamily` messages, each behind its length.
    Delimited,
    /// The same messages as text, on one line each, or on a line for each field.
    MessageText { multiline: bool },
}

/// A format and how names outside the legacy alphabet are written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Format {
    pub(in crate::api) encoding: Encoding,
    pub(super) escaping: Escaping,
}

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=";

/// A name and its value.
type Parameter<'a> = (&'a str, &'a str);

/// What is offered, in order of preference, and what a clause of the header must say for it. OpenMetrics is not among it.
const OFFERED: [(Encoding, &str, &[Parameter<'_>]); 4] = [
    (Encoding::Delimited, "application/vnd.google.protobuf", &[PROTO, ("encoding", "delimited")]),
    (Encoding::MessageText { multiline: true }, "application/vnd.google.protobuf", &[PROTO, ("encoding", "text")]),
    (
        Encoding::MessageText { multiline: false },
        "application/vnd.google.protobuf",
        &[PROTO, ("encoding", "compact-text")],
    ),
    (Encoding::Text, "text/plain", &[("version", "0.0.4")]),
];
const PROTO: Parameter<'_> = ("proto", "io.prometheus.client.MetricFamily");

impl Format {
    /// The format for a header.
    pub(in crate::api) fn negotiated(accept: &str) -> Self {
        let mut escaping = Escaping::Underscores;
        for clause in sorted(clauses(accept)) {
            // Also of a clause that no format matches.
            escaping = clause.parameter("escaping").and_then(Escaping::named).unwrap_or(escaping);
            if let Some((encoding, ..)) = OFFERED.iter().find(|(_, kind, parameters)| clause.matches(kind, parameters))
            {
                return Self { encoding: *encoding, escaping };
            }
        }
        Self { encoding: Encoding::Text, escaping }
    }

    pub(in crate::api) fn content_type(self) -> String {
        let (kind, encoding) = match self.encoding {
            Encoding::Text => (TEXT, ""),
            Encoding::Delimited => (PROTOBUF, "delimited"),
            Encoding::MessageText { multiline: true } => (PROTOBUF, "text"),
            Encoding::MessageText { multiline: false } => (PROTOBUF, "compact-text"),
        };
        format!("{kind}{encoding}; escaping={}", self.escaping.name())
    }
}

/// One alternative of the header: `text/plain;version=0.0.4;q=0.5`.
#[derive(Clone, Debug, PartialEq)]
struct Clause<'a> {
    kind: &'a str,
    subkind: &'a str,
    quality: f32,
    parameters: Vec<Parameter<'a>>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let blank = |text: &'a str| text.trim_matches(' ');
        let mut parts = text.split(';');
        let kinds = blank(parts.next().unwrap_or_default());
        let (kind, subkind) = match kinds.split_once('/') {
            // A slash at the end is dropped, as in Go.
            Some((kind, subkind)) if !subkind.is_empty() => {
                (blank(kind), blank(subkind.strip_suffix('/').unwrap_or(subkind)))
            }
            // A lone asterisk means any type.
            _ if blank(kinds.strip_suffix('/').unwrap_or(kinds)) == "*" => ("*", "*"),
            _ => return None,
        };
        if subkind.contains('/') {
            return None;
        }
        let mut clause = Self { kind, subkind, quality: 1.0, parameters: Vec::new() };
        for part in parts {
            let Some((name, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else { continue };
            // As in Go, `a=b=` is `a=b`, and `a=b=c` is nothing.
            let value = value.strip_suffix('=').unwrap_or(value);
            if value.contains('=') {
                continue;
            }
            match blank(name) {
                // Not trimmed: Go refuses the blank, which makes the quality 0.
                "q" => clause.quality = value.parse().unwrap_or(0.0),
                name => clause.parameters.push((name, blank(value))),
            }
        }
        Some(clause)
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        // Of several with one name the last counts.
        self.parameters.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn matches(&self, kind: &str, wanted: &[(&str, &str)]) -> bool {
        let Some((kind, subkind)) = kind.split_once('/') else { return false };
        if self.kind != "*" && self.kind != kind || self.subkind != "*" && self.subkind != subkind {
            return false;
        }
        wanted.iter().all(|(name, value)| {
            let given = self.parameter(name).unwrap_or_default();
            let is_unversioned =
                *name == "version" && given.is_empty() && (self.kind, self.subkind) == ("text", "plain");
            given == *value || is_unversioned
        })
    }

    /// Go's comparison. Clauses of equal quality are not ordered by it: of two each can come before the other.
    fn before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || self.kind != "*" && other.kind == "*"
            || self.subkind != "*" && other.subkind == "*"
    }
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    header.split(',').take(CLAUSES_MAX).filter_map(|text| Clause::parse(text.trim_matches(' '))).collect()
}

fn sorted(mut clauses: Vec<Clause<'_>>) -> Vec<Clause<'_>> {
    if clauses.len() > INSERTION_MAX {
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        return clauses;
    }
    for end in 1..clauses.len() {
        for at in (1..=end).rev() {
            if !clauses[at].before(&clauses[at - 1]) {
                break;
            }
            clauses.swap(at, at - 1);
        }
    }
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: &str) {
        assert_eq!(Format::negotiated(accept).content_type(), expected, "{accept}");
    }

    #[test]
    fn formats_by_the_header() {
        let text = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        let protobuf = |encoding: &str| format!("{PROTOBUF}{encoding}; escaping=underscores");
        for accept in [
            "",
            "*",
            "*/*",
            "*/",
            "text/plain",
            "text/*",
            "text/plain;version=0.0.4;q=0.1",
            "text/plain;version=1.0.0",
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily",
            "application/vnd.google.protobuf;proto=other;encoding=delimited",
            "application/vnd.google.protobuf;encoding=delimited",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/plain/x",
            ";;,,=,/",
        ] {
            check(accept, text);
        }
        let name = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=";
        for encoding in ["delimited", "text", "compact-text"] {
            check(&format!("{name}{encoding}"), &protobuf(encoding));
            check(&format!("text/plain;q=0.5, {name}{encoding} ; q=0.4"), text);
            check(&format!("text/plain;q=0.5,{name}{encoding};q=0.6"), &protobuf(encoding));
        }
        check("*/*;version=0.0.4", text);
        check(&format!("application/vnd.google.protobuf/{};q=0.5,text/plain/;q=0.6", &name[31..]), text);
        check(&format!("*/*{}", &name["application/vnd.google.protobuf".len()..]), text);
        check("application/*;proto=io.prometheus.client.MetricFamily;encoding=text", &protobuf("text"));
        // A quality with a blank is none, and so is one that is no number.
        check(&format!("{name}delimited;q= 1,text/plain;q=0.1"), text);
        check(&format!("{name}delimited;q=x,text/plain;q=0.1"), text);
    }

    #[test]
    fn escaping_schemes_by_the_header() {
        let text = |scheme: &str| format!("text/plain; version=0.0.4; charset=utf-8; escaping={scheme}");
        for scheme in ["allow-utf-8", "underscores", "dots", "values"] {
            check(&format!("text/plain;version=0.0.4; escaping={scheme};"), &text(scheme));
            check(&format!("application/openmetrics-text;escaping={scheme},text/plain;q=0.5"), &text(scheme));
        }
        check("text/plain;escaping=none", &text("underscores"));
        check("text/plain;escaping=dots;escaping=values", &text("values"));
        check("text/plain;escaping=values=", &text("values"));
        check("text/plain;escaping=values=dots", &text("underscores"));
        // What Prometheus 3 sends.
        let sent = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
                    escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                    application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                    text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        check(sent, &format!("{PROTOBUF}delimited; escaping=allow-utf-8"));
        let rest = sent.split_once("application/o").unwrap().1;
        check(&format!("application/o{rest}"), &text("allow-utf-8"));
    }

    #[test]
    fn a_long_header_is_read_by_quality() {
        let many = "a/b;q=0.1,".repeat(20);
        check(
            &format!("{many}text/plain;escaping=dots;q=0.9"),
            "text/plain; version=0.0.4; charset=utf-8; escaping=dots",
        );
        check(&"text/plain,".repeat(100_000), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    }
}
