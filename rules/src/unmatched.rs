//! Selectors of rules that match no series, and what they were probably meant to match. A rule whose selector has a typo, or whose
//! metric was renamed, never fails: it yields nothing, for years.

use model::labels::METRIC_NAME;
use model::{Listing, MatchOp, Matcher, Querier, QuerierError, Selection, Timestamp};

/// Names and values that are compared with the one that was not found.
const CANDIDATES_MAX: usize = 20_000;
/// Values that a reason lists.
const LISTED_MAX: usize = 3;

/// A selector that matches no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedSelector {
    /// As PromQL.
    pub selector: String,
    /// Which part of it matches nothing, and the nearest that exists.
    pub reason: String,
}

/// Those of the selectors that match no series from `start` to `end`.
pub(crate) fn unmatched(
    querier: &dyn Querier,
    selectors: &[Vec<Matcher>],
    times: (Timestamp, Timestamp),
) -> Result<Vec<UnmatchedSelector>, QuerierError> {
    let store = Store { querier, times };
    let mut unmatched = Vec::new();
    for matchers in selectors {
        if !store.has(matchers)? {
            unmatched.push(UnmatchedSelector { selector: promql(matchers), reason: store.reason(matchers)? });
        }
    }
    Ok(unmatched)
}

/// Does any selector match no series?
pub(crate) fn any_unmatched(
    querier: &dyn Querier,
    selectors: &[Vec<Matcher>],
    times: (Timestamp, Timestamp),
) -> Result<bool, QuerierError> {
    let store = Store { querier, times };
    for matchers in selectors {
        if !store.has(matchers)? {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Store<'a> {
    querier: &'a dyn Querier,
    times: (Timestamp, Timestamp),
}

impl Store<'_> {
    fn selection<'m>(&self, matchers: &'m [Matcher]) -> Selection<'m> {
        let (start, end) = self.times;
        Selection { start, end, matchers }
    }

    fn has(&self, matchers: &[Matcher]) -> Result<bool, QuerierError> {
        let found = self.querier.list_series(&self.selection(matchers), &Listing::of_at_most(1))?;
        Ok(!found.is_empty())
    }

    fn values(&self, label: &str, matchers: &[Matcher]) -> Result<Vec<String>, QuerierError> {
        self.querier.list_label_values(label, &self.selection(matchers), &Listing::of_at_most(CANDIDATES_MAX))
    }

    /// The first matcher that leaves no series, the one of the name before the others.
    fn reason(&self, matchers: &[Matcher]) -> Result<String, QuerierError> {
        let (names, others): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.name == METRIC_NAME);
        let mut taken: Vec<Matcher> = Vec::new();
        for matcher in names.into_iter().chain(others) {
            let before = taken.clone();
            taken.push(matcher.clone());
            if !self.has(&taken)? {
                return self.reason_of(matcher, &before);
            }
        }
        // Something was stored between the two looks.
        Ok("it matched nothing a moment ago".to_owned())
    }

    /// Why `matcher` leaves nothing of what `before` matches.
    fn reason_of(&self, matcher: &Matcher, before: &[Matcher]) -> Result<String, QuerierError> {
        let values = self.values(&matcher.name, before)?;
        let nearest = nearest(matcher, &values);
        if matcher.name == METRIC_NAME {
            let hint = nearest.map_or_else(String::new, |name| format!("; the nearest name is {name}"));
            return Ok(match matcher.op {
                MatchOp::Equal => format!("there is no metric {}{hint}", matcher.value),
                _ => format!("no metric matches {matcher}{hint}"),
            });
        }
        let of = before.iter().find(|matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal);
        let of = of.map_or("series", |matcher| &matcher.value);
        Ok(match (nearest, values.as_slice()) {
            (_, []) => format!("no {of} has the label {}", matcher.name),
            (Some(value), _) => format!("no {of} has {matcher}; the nearest value is {value:?}"),
            (None, values) => {
                let more = if values.len() > LISTED_MAX { ", …" } else { "" };
                let listed: Vec<String> = values.iter().take(LISTED_MAX).map(|value| format!("{value:?}")).collect();
                format!("no {of} has {matcher}; there are {}{more}", listed.join(", "))
            }
        })
    }
}

/// The value that is most like the one of a matcher, if it is near enough to be what was meant.
fn nearest<'v>(matcher: &Matcher, values: &'v [String]) -> Option<&'v str> {
    if matcher.op != MatchOp::Equal {
        return None;
    }
    let distance = |value: &'v String| (strsim::osa_distance(&matcher.value, value), value);
    let (distance, value) = values.iter().map(distance).min()?;
    (distance <= (matcher.value.chars().count() / 3).max(1)).then_some(value)
}

/// A selector as PromQL.
fn promql(matchers: &[Matcher]) -> String {
    let is_name = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
    let name = matchers.iter().find(is_name);
    let rest: Vec<String> = matchers
        .iter()
        .filter(|matcher| !name.is_some_and(|name| std::ptr::eq(name, *matcher)))
        .map(ToString::to_string)
        .collect();
    let name = name.map_or("", |matcher| &matcher.value);
    if rest.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", rest.join(", ")) }
}

#[cfg(test)]
mod tests {
    use query::promqltest::SharedStore;
    use query::{Engine, QueryOptions};

    use super::*;

    /// The reasons for the selectors of a query that match nothing.
    #[track_caller]
    fn check(query: &str, expected: &[(&str, &str)]) {
        let store = SharedStore::default();
        for line in [
            r#"http_requests_total{job="api", code="200"} 1"#,
            r#"http_requests_total{job="web", code="500"} 1"#,
            "up 1",
        ] {
            store.load(line, (Timestamp(0), 1000)).unwrap();
        }
        let engine = Engine::default();
        let selectors = engine.expected_selectors(query, &engine.bounds(&QueryOptions::default())).unwrap();
        let times = (Timestamp(-1000), Timestamp(1000));
        let found = unmatched(&store, &selectors, times).unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.selector.as_str(), one.reason.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(any_unmatched(&store, &selectors, times).unwrap(), !expected.is_empty());
    }

    #[test]
    fn what_matches_nothing_is_told_with_the_nearest() {
        check("up", &[]);
        check(r#"rate(http_requests_total{code=~"5.."}[5m]) / up"#, &[]);
        check(
            "http_request_total",
            &[("http_request_total", "there is no metric http_request_total; the nearest name is http_requests_total")],
        );
        check("something_else", &[("something_else", "there is no metric something_else")]);
        let selector = r#"http_requests_total{code="200", job="aip"}"#;
        check(selector, &[(selector, r#"no http_requests_total has job="aip"; the nearest value is "api""#)]);
        let selector = r#"http_requests_total{job="api", code="unknown"}"#;
        check(selector, &[(selector, r#"no http_requests_total has code="unknown"; there are "200""#)]);
        check(r#"up{job="api"}"#, &[(r#"up{job="api"}"#, "no up has the label job")]);
        check(r#"{__name__=~"x.*"}"#, &[(r#"{__name__=~"x.*"}"#, r#"no metric matches __name__=~"x.*""#)]);
    }

    #[test]
    fn absent_is_about_what_is_not_there() {
        check("absent(nothing)", &[]);
        check("absent_over_time(nothing[5m]) or sum(rate(other[5m]))", &[("other", "there is no metric other")]);
    }

    #[test]
    fn labels_of_a_store_without_series() {
        let times = (Timestamp(0), Timestamp(1));
        let matchers = vec![Matcher::equal("job", "a")];
        let found = unmatched(&SharedStore::default(), &[matchers], times).unwrap();
        assert_eq!(found[0].reason, "no series has the label job");
    }
}
