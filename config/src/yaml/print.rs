//! YAML as a value, and printing it byte for byte as go-yaml v2 does, for `/api/v1/status/config`.

use std::borrow::Cow;

use super::layout::{INDENT, Printer, WIDTH};
use super::order::sorted;
use super::scalar::{Place, Scalar};

/// A YAML value: what a section is printed from, and what a configuration that is no file is read from. Scalars hold their text
/// as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Yaml {
    /// A string; quoted if it would otherwise be read as another type.
    Text(String),
    /// A number, a boolean or `null`, printed without quotes.
    Raw(String),
    /// A list, one item a line.
    List(Vec<Yaml>),
    /// A list of strings, printed as `[a, b]`.
    Flow(Vec<String>),
    /// A mapping, printed in this order; keys are unique.
    Map(Vec<(Cow<'static, str>, Yaml)>),
}

impl Yaml {
    /// A string.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number or a boolean.
    #[must_use]
    pub fn raw(value: impl ToString) -> Self {
        Self::Raw(value.to_string())
    }

    /// A list of strings.
    #[must_use]
    pub fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(|t| Self::text(t.as_ref())).collect())
    }

    /// What is a map in Go, and not a struct: printed in go-yaml's order of keys.
    pub(crate) fn map<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(sorted(pairs.into_iter().map(|(key, value)| (Cow::from(key.into()), value))))
    }

    /// Prints the value as a document.
    #[must_use]
    pub fn print(&self) -> String {
        let mut printer = Printer { is_blank: true, is_indentation: true, ..Printer::default() };
        printer.node(self, None, false);
        printer.line(0);
        printer.out
    }
}

/// A key of more bytes has its value on a line of its own.
const SIMPLE_KEY_MAX: usize = 128;

impl Printer {
    /// Prints a value; its fields or items are indented relative to `indent`, which is `None` for the document itself.
    fn node(&mut self, value: &Yaml, indent: Option<usize>, is_field: bool) {
        let deeper = indent.map_or(0, |indent| indent + INDENT);
        match value {
            Yaml::Map(pairs) if !pairs.is_empty() => self.map(pairs, deeper),
            Yaml::List(items) if !items.is_empty() => {
                // A list is not indented below its key, but it is behind a complex one, on whose line it begins.
                let inner = if is_field && !self.is_indentation { indent.unwrap_or_default() } else { deeper };
                for item in items {
                    self.line(inner);
                    self.mark("-", true);
                    self.node(item, Some(inner), false);
                }
            }
            Yaml::Map(_) => self.flow(&[], ["{", "}"], INDENT),
            Yaml::List(_) => self.flow(&[], ["[", "]"], INDENT),
            Yaml::Flow(items) => self.flow(items, ["[", "]"], indent.map_or(INDENT, |indent| indent + INDENT)),
            Yaml::Text(text) => Scalar::of(text).print(Place::Block, indent, self),
            Yaml::Raw(text) => Scalar::untyped(text).print(Place::Block, indent, self),
        }
    }

    fn map(&mut self, pairs: &[(Cow<'static, str>, Yaml)], indent: usize) {
        for (key, value) in pairs {
            self.line(indent);
            // Keys are scalars like any other and quoted by the same rules.
            let scalar = Scalar::of(key);
            if key.len() <= SIMPLE_KEY_MAX && !scalar.has_breaks() {
                scalar.print(Place::Key, Some(indent), self);
                self.end(":");
            } else {
                self.mark("?", true);
                scalar.print(Place::Block, Some(indent), self);
                self.line(indent);
                self.mark(":", true);
            }
            self.node(value, Some(indent), true);
        }
    }

    /// A list in brackets, or an empty map.
    fn flow(&mut self, items: &[String], [open, close]: [&str; 2], indent: usize) {
        self.mark(open, false);
        self.is_blank = true;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.end(",");
            }
            if self.column > WIDTH {
                self.line(indent);
            }
            Scalar::of(item).print(Place::Flow, Some(indent), self);
        }
        self.end(close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints a text as the value of `k`, as the first item of a flow list, and as a key.
    #[track_caller]
    fn check(text: &str, [block, flow, key]: [&str; 3]) {
        let field = |value: Yaml| Yaml::Map(vec![("k".into(), value)]).print();
        assert_eq!(field(Yaml::text(text)), format!("k: {block}\n"), "{text:?}");
        assert_eq!(field(Yaml::Flow(vec![text.into(), "z".into()])), format!("k: {flow}\n"), "{text:?}");
        assert_eq!(Yaml::map([(text, Yaml::text("v"))]).print(), format!("{key}\n"), "{text:?}");
    }

    /// Recorded from go-yaml 2.4.4, as the other tables here.
    #[test]
    fn texts_that_are_printed_alike_everywhere() {
        for (text, printed) in [
            ("it's", "it's"),
            ("1e400", "1e400"),
            ("<<", "<<"),
            ("", "\"\""),
            ("Off", "\"Off\""),
            ("1:30", "\"1:30\""),
            ("*a", "'*a'"),
            ("'x", "'''x'"),
            ("a:", "'a:'"),
            ("? x", "'? x'"),
            ("-", "'-'"),
            ("-x", "-x"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("---x", "'---x'"),
            ("...", "'...'"),
            (" a", "' a'"),
            ("a ", "'a '"),
            ("a\tb", "\"a\\tb\""),
            ("\u{7}\u{8}\u{b}\u{c}\u{1b}\u{0}", "\"\\a\\b\\v\\f\\e\\0\""),
            ("\u{7f}\u{80}\u{9f}\\\"", "\"\\x7F\\x80\\x9F\\\\\\\"\""),
            ("\u{a0}", "\u{a0}"),
            ("\u{1f600}", "\"\\U0001F600\""),
            ("\u{fffd}\u{ffff}", "\"\u{fffd}\\uFFFF\""),
            ("\u{feff}a\u{a0}", "\"\\uFEFF\\x61\\_\""),
            ("a\u{feff}\u{a0}", "\"a\\uFEFF\u{a0}\""),
        ] {
            check(text, [printed, &format!("[{printed}, z]"), &format!("{printed}: v")]);
        }
    }

    #[test]
    fn texts_whose_place_matters() {
        for (text, block, flow, key) in [
            ("(.*)some-[regex]", "(.*)some-[regex]", "['(.*)some-[regex]', z]", "(.*)some-[regex]: v"),
            ("localhost:9090", "localhost:9090", "['localhost:9090', z]", "localhost:9090: v"),
            ("?x", "?x", "['?x', z]", "?x: v"),
            ("a, b", "a, b", "['a, b', z]", "a, b: v"),
            ("a\nb\n", "|\n  a\n  b", "[\"a\\nb\\n\", z]", "? |\n  a\n  b\n: v"),
            ("a\nb", "|-\n  a\n  b", "[\"a\\nb\", z]", "? |-\n  a\n  b\n: v"),
            ("a\n\n", "|+\n  a\n", "[\"a\\n\\n\", z]", "? |+\n  a\n\n: v"),
            ("\n", "|2+\n", "[\"\\n\", z]", "? |2+\n\n: v"),
            (" a\nb", "|2-\n   a\n  b", "[\" a\\nb\", z]", "? |2-\n   a\n  b\n: v"),
            ("a \nb", "\"a \\nb\"", "[\"a \\nb\", z]", "? \"a \\nb\"\n: v"),
            ("a\nb ", "\"a\\nb \"", "[\"a\\nb \", z]", "? \"a\\nb \"\n: v"),
            ("\u{85}", "\"\\N\"", "[\"\\N\", z]", "? \"\\N\"\n: v"),
            ("a\u{2028}b", "'a\u{2028}  b'", "['a\u{2028}    b', z]", "? 'a\u{2028}  b'\n: v"),
            ("a\u{2029} b", "\"a\\P b\"", "[\"a\\P b\", z]", "? \"a\\P b\"\n: v"),
            ("\u{2028}\na", "|2-\n\u{2028}\n  a", "[\"\\L\\na\", z]", "? |2-\n\u{2028}\n  a\n: v"),
        ] {
            check(text, [block, flow, key]);
        }
    }

    /// Lines are broken past column 80, but not in keys.
    #[test]
    fn long_lines_are_broken() {
        let words = |word: &str, n| vec![word; n].join(" ");
        let (a, b) = (words("word", 16), "word end");
        check(&format!("{a} {b}"), [&format!("{a}\n  {b}"), &format!("[{a}\n    {b}, z]"), &format!("{a} {b}: v")]);
        let quoted = |text: &str| text.replace("it's", "it''s");
        let (a, b) = (words("# it's", 10), words("# it's", 4));
        let (block, flow) = (format!("'{a}\n  {b}'"), format!("['{a}\n    {b}', z]"));
        check(&format!("{a} {b}"), [&quoted(&block), &quoted(&flow), &quoted(&format!("'{a} {b}': v"))]);
        let escaped = |text: &str| text.replace('\t', "\\t");
        let (a, b) = (words("a\t b", 13), "a\t  end");
        let (block, flow) = (format!("\"{a}\n  {b}\""), format!("[\"{a}\n    {b}\", z]"));
        check(&format!("{a} {b}"), [&escaped(&block), &escaped(&flow), &escaped(&format!("\"{a} {b}\": v"))]);
        let key = "k".repeat(129);
        check(&key, [&key, &format!("[{key},\n  z]"), &format!("? {key}\n: v")]);
        let names = ["source_label_name"; 4];
        let list = Yaml::Flow([names, names].concat().iter().map(ToString::to_string).collect());
        let tree = Yaml::Map(vec![("x".into(), Yaml::Map(vec![("f".into(), list)]))]);
        let names = names.join(", ");
        assert_eq!(tree.print(), format!("x:\n  f: [{names},\n    {names}]\n"));
    }

    #[test]
    fn lists_stand_under_their_key() {
        let tree = Yaml::Map(vec![
            (
                "a".into(),
                Yaml::List(vec![Yaml::Map(vec![("b".into(), Yaml::raw(1)), ("c".into(), Yaml::texts(["x"]))])]),
            ),
            ("d".into(), Yaml::Flow(vec!["x".into(), "y,z".into()])),
            ("e".into(), Yaml::Map(vec![])),
            ("f\ng".into(), Yaml::texts(["x", "z"])),
        ]);
        let text = "a:\n- b: 1\n  c:\n  - x\nd: [x, 'y,z']\ne: {}\n? |-\n  f\n  g\n: - x\n  - z\n";
        assert_eq!(tree.print(), text);
    }
}
