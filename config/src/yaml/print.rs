//! Prints YAML byte for byte as go-yaml v2 does, for `/api/v1/status/config`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A value to print.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Yaml {
    /// A string; quoted if it would otherwise be read as another type.
    Text(String),
    /// A number or boolean, printed verbatim.
    Raw(String),
    List(Vec<Yaml>),
    /// `[a, b]`
    Flow(Vec<String>),
    /// Printed in this order.
    Map(Vec<(Cow<'static, str>, Yaml)>),
}

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn raw(value: impl ToString) -> Self {
        Self::Raw(value.to_string())
    }

    pub(crate) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(|t| Self::text(t.as_ref())).collect())
    }

    /// Prints the value as a document.
    pub(crate) fn print(&self) -> String {
        let mut out = String::new();
        self.block(0, &mut out);
        out
    }

    /// Prints a value whose first line is already indented.
    fn block(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(pairs) if !pairs.is_empty() => {
                for (i, (key, value)) in pairs.iter().enumerate() {
                    if i > 0 {
                        pad(indent, out);
                    }
                    // Keys are scalars like any other and quoted by the same rules.
                    scalar(key, false, indent, out);
                    out.push(':');
                    value.after_key(indent, out);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        pad(indent, out);
                    }
                    out.push_str("- ");
                    // The first line of the item stands behind the dash; the following ones are indented to match it.
                    item.block(indent + 2, out);
                }
            }
            inline => {
                inline.inline(indent, out);
                out.push('\n');
            }
        }
    }

    fn after_key(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(pairs) if !pairs.is_empty() => {
                out.push('\n');
                pad(indent + 2, out);
                self.block(indent + 2, out);
            }
            // go-yaml does not indent a list below its key.
            Self::List(items) if !items.is_empty() => {
                out.push('\n');
                pad(indent, out);
                self.block(indent, out);
            }
            inline => {
                out.push(' ');
                inline.inline(indent, out);
                out.push('\n');
            }
        }
    }

    /// Prints scalars, empty collections and flow lists, which need no line of their own.
    fn inline(&self, indent: usize, out: &mut String) {
        match self {
            Self::Text(text) => scalar(text, false, indent, out),
            Self::Raw(text) => out.push_str(text),
            Self::Map(_) => out.push_str("{}"),
            Self::List(_) => out.push_str("[]"),
            Self::Flow(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    scalar(item, true, indent, out);
                }
                out.push(']');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(text: &str, in_flow: bool, indent: usize, out: &mut String) {
    // The set of characters that go-yaml prints as they are (`is_printable` in its `yamlprivateh.go`).
    let printable = |c: char| matches!(c, '\n' | '\u{20}'..='\u{7e}' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..);
    if !text.chars().all(printable) || reads_as_other(text) {
        double_quoted(text, out);
    // Several lines are written as a literal block, which a flow list cannot hold.
    } else if text.contains('\n') && !in_flow {
        literal(text, indent + 2, out);
    } else if is_plain(text, in_flow) {
        out.push_str(text);
    } else {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    }
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        // Leading blanks or an empty first line would hide the indentation of the block, so it is written out.
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    // The chomping indicator: no final line break, one, or several that must be kept.
    out.push_str(match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    });
    let kept = if text.len() - body.len() > 1 { &text[..text.len() - 1] } else { body };
    for line in kept.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            // Upper case, as go-yaml writes its hexadecimal digits.
            c if u32::from(c) < 0x20 || c == '\u{7f}' => drop(write!(out, "\\x{:02X}", u32::from(c))),
            '\u{feff}' => out.push_str("\\uFEFF"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Would the unquoted text be read as a boolean, number, date or null?
fn reads_as_other(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    // The empty text is null, `<<` a merge key and `=` the default key of YAML 1.1.
    if text.is_empty() || text == "~" || text == "<<" || text == "=" {
        return true;
    }
    if WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return true;
    }
    // Everything else that has a type begins with a digit, a sign or a point.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    // YAML 1.1 allows underscores in numbers.
    let digits = text.replace('_', "");
    let unsigned = digits.trim_start_matches(['+', '-']);
    let special = matches!(unsigned.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    let prefixed = ["0x", "0o", "0b"].iter().any(|p| {
        unsigned
            .to_ascii_lowercase()
            .strip_prefix(p)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.parse::<f64>().is_ok_and(f64::is_finite);
    special || prefixed || number || is_base_60(unsigned) || is_date(text)
}

/// YAML 1.1 reads `1:30` as a number in base 60.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.split(':');
    let first = parts.next().is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut n_more = 0;
    let more = parts.all(|part| {
        n_more += 1;
        let part = part.split_once('.').map_or(part, |(whole, _)| whole);
        // The last part may have a fraction (`base60float` in go-yaml's `encode.go`).
        matches!(part.len(), 1 | 2) && part.parse::<u8>().is_ok_and(|n| n < 60)
    });
    first && more && n_more > 0
}

fn is_date(text: &str) -> bool {
    let date = text.get(..10).unwrap_or_default().as_bytes();
    date.len() == 10
        && date.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() })
        && text[10..].bytes().all(|b| b.is_ascii_digit() || b"tTzZ:.+- ".contains(&b))
}

/// Can the text be printed without quotes?
fn is_plain(text: &str, in_flow: bool) -> bool {
    // A plain scalar loses its outer blanks, and the two markers would end the document.
    if text.starts_with(' ') || text.ends_with(' ') || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // The end of the text counts as a blank, since a line break follows it.
        let blank_next = chars.peek().is_none_or(|next| *next == ' ');
        let refused = match (c, before) {
            ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`', None) => {
                true
            }
            ('-', None) => blank_next,
            ('?', None) | (':', _) => in_flow || blank_next,
            (',' | '?' | '[' | ']' | '{' | '}', Some(_)) => in_flow,
            ('#', Some(' ')) => true,
            _ => false,
        };
        if refused {
            return false;
        }
        before = Some(c);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, printed: &str) {
        let mut out = String::new();
        scalar(text, false, 0, &mut out);
        assert_eq!(out, printed);
    }

    #[test]
    fn quotes_only_where_needed() {
        check("(.*)some-[regex]", "(.*)some-[regex]");
        check("localhost:9090", "localhost:9090");
        for word in ["", "1", "yes", "Off", "1e3", "0x1F", "0X1f", "~", "2020-01-02", "1:30", ".5", "1_000"] {
            check(word, &format!("\"{word}\""));
        }
        check("1m", "1m");
        check("1e400", "1e400");
        check("*a", "'*a'");
        check("a: b", "'a: b'");
        check("it's", "it's");
        check("'x", "'''x'");
        check("a\tb", "\"a\\tb\"");
        check("a\nb\n", "|\n  a\n  b");
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
        ]);
        assert_eq!(tree.print(), "a:\n- b: 1\n  c:\n  - x\nd: [x, 'y,z']\ne: {}\n");
    }
}
