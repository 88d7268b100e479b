//! The selectors of a request as few selections: those that differ only in the metric's name are read at once. Federation is
//! mostly asked for a list of names.

use std::collections::HashMap;

use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher};

/// What selectors that are read at once have in common: operator, label and value of each matcher but that of the name.
type Rest = Vec<(String, MatchOp, String)>;

/// Merges selectors; what they select together stays the same.
pub(super) fn merged(selectors: Vec<Vec<Matcher>>) -> Vec<Vec<Matcher>> {
    let mut out: Vec<Vec<Matcher>> = Vec::new();
    // By what they have in common: the selection in `out`, and the names it is of.
    let mut groups: HashMap<Rest, (usize, Vec<String>)> = HashMap::new();
    for mut selector in selectors {
        let Some(at) = only_name(&selector) else {
            out.push(selector);
            continue;
        };
        let name = selector.swap_remove(at).value;
        selector.sort_by(|a, b| key(a).cmp(&key(b)));
        let rest = selector.iter().map(|m| (m.name.clone(), m.op, m.value.clone())).collect();
        let (_, names) = groups.entry(rest).or_insert_with(|| {
            out.push(selector);
            (out.len() - 1, Vec::new())
        });
        names.push(name);
    }
    for (at, mut names) in groups.into_values() {
        names.sort_unstable();
        names.dedup();
        let matcher = match names.len() {
            1 => Matcher::equal(METRIC_NAME, names.swap_remove(0)),
            _ => Matcher::any_of(METRIC_NAME, names),
        };
        out[at].push(matcher);
    }
    out
}

fn key(matcher: &Matcher) -> (&str, MatchOp, &str) {
    (&matcher.name, matcher.op, &matcher.value)
}

/// The place of the matcher of the name, if there is one that says which name it is, and no other.
fn only_name(selector: &[Matcher]) -> Option<usize> {
    let mut of_name = (0..selector.len()).filter(|at| selector[*at].name == METRIC_NAME);
    let at = of_name.next().filter(|at| selector[*at].op == MatchOp::Equal)?;
    of_name.next().is_none().then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selectors: &[&str], expected: &[&str]) {
        let selectors = selectors.iter().map(|text| query::parse_selector(text).unwrap()).collect();
        let shown = |selector: &Vec<Matcher>| selector.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(merged(selectors).iter().map(shown).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn selectors_that_differ_in_the_name_alone_are_one() {
        check(&["up"], &["__name__=\"up\""]);
        check(&["b", "{__name__=\"a.b\"}", "b"], &["__name__=~\"a\\\\.b|b\""]);
        check(
            &["up{job=\"a\"}", "{job=~\".*b\"}", "down{job=\"a\"}", "up", "up{job!=\"a\"}"],
            &["job=\"a\",__name__=~\"down|up\"", "job=~\".*b\"", "__name__=\"up\"", "job!=\"a\",__name__=\"up\""],
        );
        check(&["a{x=\"1\",y=\"2\"}", "b{y=\"2\",x=\"1\"}"], &["x=\"1\",y=\"2\",__name__=~\"a|b\""]);
        let two = ["{__name__=\"a\",__name__!=\"b\"}", "{__name__!=\"b\"}"];
        check(&two, &["__name__=\"a\",__name__!=\"b\"", "__name__!=\"b\""]);
    }
}
