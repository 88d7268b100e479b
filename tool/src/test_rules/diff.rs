//! What differs between two trees of texts, coloured for a terminal (upstream: `nsf/jsondiff` with its console options).

use std::collections::{BTreeMap, BTreeSet};

const ADDED: &str = "\x1b[0;32m";
const REMOVED: &str = "\x1b[0;31m";
const CHANGED: &str = "\x1b[0;33m";
const RESET: &str = "\x1b[0m";
const INDENT: &str = "    ";

/// What is compared, and printed like JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Text(String),
    Object(BTreeMap<String, Tree>),
    List(Vec<Tree>),
}

/// A part of two collections: what is printed before it, and what each has there.
type Pair<'t> = (String, Option<&'t Tree>, Option<&'t Tree>);

impl Tree {
    fn brackets(&self) -> (&'static str, &'static str) {
        if let Self::List(_) = self { ("[", "]") } else { ("{", "}") }
    }

    /// The parts of a collection, each with its key.
    fn parts(&self) -> Vec<(String, &Self)> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::Object(parts) => parts.iter().map(|(key, part)| (format!("{key:?}: "), part)).collect(),
            Self::List(parts) => parts.iter().map(|part| (String::new(), part)).collect(),
        }
    }

    /// All of it. A colour ends before each end of a line and begins anew behind the indentation.
    fn printed(&self, level: usize, colour: &str) -> String {
        if let Self::Text(text) = self {
            return format!("{text:?}");
        }
        let parts = self.parts().into_iter().map(|(key, part)| key + &part.printed(level + 1, colour));
        joined(parts.collect(), self.brackets(), |inner| {
            format!("{RESET}\n{}{colour}", INDENT.repeat(if inner { level + 1 } else { level }))
        })
    }
}

/// What differs from `a` to `b`; what is equal is printed too.
pub(super) fn diff(a: &Tree, b: &Tree) -> String {
    diff_at(a, b, 0)
}

fn diff_at(a: &Tree, b: &Tree, level: usize) -> String {
    let pairs = match (a, b) {
        (Tree::Object(a), Tree::Object(b)) => by_key(a, b),
        (Tree::List(a), Tree::List(b)) => by_place(a, b),
        (a, b) if a == b => return a.printed(level, ""),
        (a, b) => return format!("{CHANGED}{} => {}{RESET}", a.printed(level, CHANGED), b.printed(level, CHANGED)),
    };
    let parts = pairs.into_iter().map(|(key, a, b)| match (a, b) {
        (Some(a), Some(b)) => key + &diff_at(a, b, level + 1),
        (Some(a), None) => format!("{REMOVED}{key}{}{RESET}", a.printed(level + 1, REMOVED)),
        (None, Some(b)) => format!("{ADDED}{key}{}{RESET}", b.printed(level + 1, ADDED)),
        (None, None) => key,
    });
    joined(parts.collect(), a.brackets(), |inner| format!("\n{}", INDENT.repeat(if inner { level + 1 } else { level })))
}

fn by_key<'t>(a: &'t BTreeMap<String, Tree>, b: &'t BTreeMap<String, Tree>) -> Vec<Pair<'t>> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter().map(|key| (format!("{key:?}: "), a.get(key), b.get(key))).collect()
}

fn by_place<'t>(a: &'t [Tree], b: &'t [Tree]) -> Vec<Pair<'t>> {
    (0..a.len().max(b.len())).map(|i| (String::new(), a.get(i), b.get(i))).collect()
}

/// Parts between brackets, each on a line. `newline` says what ends a line, before a part or before the last bracket.
fn joined(parts: Vec<String>, (open, close): (&str, &str), newline: impl Fn(bool) -> String) -> String {
    if parts.is_empty() {
        return format!("{open}{close}");
    }
    let (inner, outer) = (newline(true), newline(false));
    format!("{open}{inner}{}{outer}{close}", parts.join(&format!(",{inner}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object<const N: usize>(parts: [(&str, Tree); N]) -> Tree {
        Tree::Object(parts.into_iter().map(|(key, part)| (key.to_owned(), part)).collect())
    }

    fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }

    #[track_caller]
    fn check(a: &Tree, b: &Tree, expected: &str) {
        let shown = diff(a, b).replace(RESET, "/").replace(ADDED, "+").replace(REMOVED, "-").replace(CHANGED, "~");
        assert_eq!(shown, expected);
    }

    #[test]
    fn each_kind_of_difference_has_its_colour() {
        let a = object([("a", text("1")), ("b", text("2")), ("c", text("3"))]);
        let b = object([("a", text("1")), ("b", text("x\ny")), ("d", text("4"))]);
        check(
            &a,
            &b,
            "{\n    \"a\": \"1\",\n    \"b\": ~\"2\" => \"x\\ny\"/,\n    -\"c\": \"3\"/,\n    +\"d\": \"4\"/\n}",
        );
        check(&object([]), &object([]), "{}");
    }

    #[test]
    fn colours_end_with_each_line() {
        let a = object([("a", object([("b", text("1"))])), ("c", object([]))]);
        check(
            &Tree::List(vec![a.clone()]),
            &Tree::List(vec![]),
            "[\n    -{/\n        -\"a\": {/\n            -\"b\": \"1\"/\n        -},/\n        -\"c\": {}/\n    -}/\n]",
        );
        check(
            &Tree::List(vec![]),
            &Tree::List(vec![a.clone(), text("e")]),
            "[\n    +{/\n        +\"a\": {/\n            +\"b\": \"1\"/\n        +},/\n        +\"c\": {}/\n    +}/,\n    +\"e\"/\n]",
        );
        check(&a, &a, "{\n    \"a\": {\n        \"b\": \"1\"\n    },\n    \"c\": {}\n}");
    }
}
