//! Template variables of dashboards in queries: `$name`, `${name}`, `${name:format}`, `[[name]]`.

use std::collections::BTreeMap;

use super::times::Times;

/// The scrape interval that Grafana assumes, in seconds.
const SCRAPE_SECONDS: i64 = 15;

/// What variables stand for.
#[derive(Clone, Debug)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those that are given, and Grafana's own by the times of the queries.
    pub(super) fn new(given: &BTreeMap<&str, &str>, times: Times) -> Self {
        let (step, range_ms) = (times.step_seconds(), times.range_ms());
        let (start, end) = (times.start, times.end);
        // At least four scrapes, so that a rate has samples enough.
        let rate = (step.saturating_add(SCRAPE_SECONDS)).max(4 * SCRAPE_SECONDS);
        let own = [
            ("__interval", format!("{step}s")),
            ("__interval_ms", step.saturating_mul(1000).to_string()),
            ("__rate_interval", format!("{rate}s")),
            ("__rate_interval_ms", rate.saturating_mul(1000).to_string()),
            ("__range", format!("{}s", range_ms / 1000)),
            ("__range_s", (range_ms / 1000).to_string()),
            ("__range_ms", range_ms.to_string()),
            ("__from", start.0.to_string()),
            ("__to", end.0.to_string()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(own.chain(given).collect())
    }

    /// The same with further ones, where there is none of the name.
    pub(super) fn with(&self, defaults: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all = self.clone();
        for (name, value) in defaults {
            all.0.entry(name).or_insert(value);
        }
        all
    }

    /// A query with the values in the places of the variables. What is no variable stays as it is.
    pub(super) fn fill(&self, query: &str) -> String {
        self.replace(query).0
    }

    /// The same where all that looks like a variable must be one.
    pub(super) fn fill_all(&self, query: &str) -> Result<String, String> {
        match self.replace(query) {
            (filled, None) => Ok(filled),
            (_, Some(name)) => Err(format!("the variable ${name} has no value: give it one by --var {name}=VALUE")),
        }
    }

    /// The query, and the first variable without a value.
    fn replace(&self, query: &str) -> (String, Option<String>) {
        let (mut out, mut rest, mut missing) = (String::with_capacity(query.len()), query, None);
        while let Some(at) = rest.find(['$', '[']) {
            let (before, found) = rest.split_at(at);
            out.push_str(before);
            let Some((name, length)) = reference(found) else {
                let mut chars = found.chars();
                out.extend(chars.next());
                rest = chars.as_str();
                continue;
            };
            let (text, after) = found.split_at(length);
            match self.0.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    missing.get_or_insert_with(|| name.to_owned());
                    out.push_str(text);
                }
            }
            rest = after;
        }
        out.push_str(rest);
        (out, missing)
    }
}

/// The name of the variable that a text begins with, and how long its reference is.
fn reference(text: &str) -> Option<(&str, usize)> {
    let of_name = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    // `$1` and `${1}` are groups of regular expressions.
    let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let (open, close) = [("${", "}"), ("[[", "]]"), ("$", "")].into_iter().find(|(open, _)| text.starts_with(open))?;
    let inner = text.get(open.len()..)?;
    let (name, _) = inner.split_at(of_name(inner));
    if !is_name(name) {
        return None;
    }
    if close.is_empty() {
        return Some((name, open.len() + name.len()));
    }
    // Behind the name there may be a format or a field.
    let end = inner.find(close)?;
    let is_closed = end == name.len() || inner.get(name.len()..)?.starts_with([':', '.']);
    is_closed.then_some((name, open.len() + end + close.len()))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn variables(step_ns: i64, given: &[(&str, &str)]) -> Variables {
        let times = Times { time: Timestamp(0), start: Timestamp(0), end: Timestamp(3_600_000), step_ns };
        Variables::new(&given.iter().copied().collect(), times)
    }

    #[test]
    fn all_forms_are_replaced() {
        let known = variables(15_000_000_000, &[("job", "a|b"), ("ns", "x")]);
        for (query, expected) in [
            ("rate(x[$__rate_interval])", Ok("rate(x[60s])")),
            ("up{job=~\"$job\",n=\"${ns}\"}", Ok("up{job=~\"a|b\",n=\"x\"}")),
            ("${job:regex} [[ns]] [[ns:csv]]", Ok("a|b x x")),
            ("x[$__interval] offset $__range", Ok("x[15s] offset 3600s")),
            (
                "label_replace(x, \"a\", \"$1-${2}\", \"b\", \"(.*)$\")",
                Ok("label_replace(x, \"a\", \"$1-${2}\", \"b\", \"(.*)$\")"),
            ),
            ("x[5m] + [ $ é", Ok("x[5m] + [ $ é")),
            ("${job", Ok("${job")),
            ("up{a=\"$other\"}", Err("the variable $other has no value: give it one by --var other=VALUE")),
        ] {
            assert_eq!(
                known.fill_all(query).as_deref(),
                expected.map_err(str::to_owned).as_ref().map(|text| *text),
                "{query}"
            );
        }
        assert_eq!(known.fill("up{a=\"$other\",b=\"$ns\"}"), "up{a=\"$other\",b=\"x\"}");
    }

    #[test]
    fn intervals_follow_the_step() {
        assert_eq!(variables(60_000_000_000, &[]).fill("$__rate_interval $__interval_ms"), "75s 60000");
        assert_eq!(variables(1, &[("__rate_interval", "9m")]).fill("$__rate_interval $__interval"), "9m 1s");
        let with =
            variables(1, &[("a", "1")]).with([("a".to_owned(), "2".to_owned()), ("b".to_owned(), "3".to_owned())]);
        assert_eq!(with.fill("$a$b"), "13");
    }
}
