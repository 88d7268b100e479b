//! From a tree of YAML to values: the fields of a mapping, each asked for once, and what nobody asked for is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::duration::parse_duration_ms;

use crate::node::{Kind, Node, Pos};
use crate::size::parse_size;
use crate::{Error, Secret};

/// What every reader needs to know about the file it reads.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    /// The environment, for external labels.
    pub(crate) env: &'a dyn_env::Env<'a>,
}

pub(crate) mod dyn_env {
    //! A lookup in the environment that can be printed.

    use std::fmt;

    /// A lookup in the environment.
    pub(crate) struct Env<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

    impl fmt::Debug for Env<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Env")
        }
    }
}

impl Source<'_> {
    pub(crate) fn error(&self, pos: Pos, field: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Invalid {
            file: self.file.to_owned(),
            line: pos.line,
            column: pos.column,
            field: field.into(),
            message: message.into(),
        }
    }

    /// A path as the file means it: relative ones start at the file's folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }
}

/// The fields of one mapping.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) source: &'a Source<'a>,
    /// Where the mapping stands: `scrape_configs[0].tls_config`.
    pub(crate) path: String,
    pub(crate) pos: Pos,
    node: Option<&'a Node>,
    asked: Vec<&'static str>,
    all_allowed: bool,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping; nothing at all is an empty one.
    pub(crate) fn new(source: &'a Source<'a>, node: Option<&'a Node>, path: String) -> Result<Self, Error> {
        let node = node.filter(|node| !node.is_null());
        let pos = node.map_or(Pos { line: 1, column: 1 }, |node| node.pos);
        if let Some(node) = node
            && !matches!(&*node.kind, Kind::Map(_))
        {
            return Err(source.error(pos, path, format!("cannot unmarshal {} into a mapping", node.what())));
        }
        Ok(Self { source, path, pos, node, asked: Vec::new(), all_allowed: false })
    }

    /// A field as it stands, even when it holds nothing.
    pub(crate) fn raw(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.push(name);
        self.pairs().iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
    }

    /// Is the field there, and holds nothing? Go's decoder sets such a field to the zero of its type, whatever its default.
    pub(crate) fn is_null(&mut self, name: &'static str) -> bool {
        self.raw(name).is_some_and(Node::is_null)
    }

    /// A field that holds something.
    pub(crate) fn node(&mut self, name: &'static str) -> Option<&'a Node> {
        self.raw(name).filter(|node| !node.is_null())
    }

    pub(crate) fn pairs(&self) -> &'a [(crate::node::Key, Node)] {
        match self.node.map(|node| &*node.kind) {
            Some(Kind::Map(pairs)) => pairs,
            _ => &[],
        }
    }

    /// The path of a field.
    pub(crate) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// An error at a field, or at the mapping when it has no such field.
    pub(crate) fn refuse(&self, name: &str, message: impl Into<String>) -> Error {
        let pos = self.pairs().iter().find(|(key, _)| key.text == name).map_or(self.pos, |(_, value)| value.pos);
        self.source.error(pos, self.at(name), message)
    }

    /// An error of the whole mapping.
    pub(crate) fn refuse_all(&self, message: impl Into<String>) -> Error {
        self.source.error(self.pos, self.path.clone(), message)
    }

    /// A mapping inside this one.
    pub(crate) fn fields(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, Error> {
        let path = self.at(name);
        self.node(name).map(|node| Fields::new(self.source, Some(node), path)).transpose()
    }

    /// The items of a list with their paths; nothing at all is an empty list.
    pub(crate) fn items(&mut self, name: &'static str) -> Result<Vec<(&'a Node, String)>, Error> {
        let Some(node) = self.node(name) else { return Ok(Vec::new()) };
        match &*node.kind {
            Kind::List(items) => {
                let path = self.at(name);
                Ok(items.iter().enumerate().map(|(i, item)| (item, format!("{path}[{i}]"))).collect())
            }
            _ => Err(self.refuse(name, format!("cannot unmarshal {} into a list", node.what()))),
        }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        self.raw(name).map(|node| scalar(self.source, node, &self.at(name)).map(str::to_owned)).transpose()
    }

    pub(crate) fn secret(&mut self, name: &'static str) -> Result<Option<Secret>, Error> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()).map(Secret::new))
    }

    /// A file's path; the empty one is none.
    pub(crate) fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>, Error> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()).map(|text| self.source.resolve(&text)))
    }

    pub(crate) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(node) = self.raw(name) else { return Ok(None) };
        if node.is_null() {
            return Ok(Some(false));
        }
        self.set_bool(name)
    }

    /// The same of a field that upstream keeps behind a pointer: one that holds nothing is not set.
    pub(crate) fn set_bool(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(node) = self.node(name) else { return Ok(None) };
        let value = match &*node.kind {
            // In these letter cases and no others.
            Kind::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
                "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
                _ => None,
            },
            _ => None,
        };
        value.map(Some).ok_or_else(|| {
            self.refuse(name, format!("cannot unmarshal {} into bool; write true or false", shown(node)))
        })
    }

    pub(crate) fn float(&mut self, name: &'static str) -> Result<Option<f64>, Error> {
        let Some(node) = self.raw(name) else { return Ok(None) };
        let value = match &*node.kind {
            _ if node.is_null() => Some(0.0),
            Kind::Scalar { text, plain: true } => number(text),
            _ => None,
        };
        value.map(Some).ok_or_else(|| self.refuse(name, format!("cannot unmarshal {} into a number", shown(node))))
    }

    pub(crate) fn int(&mut self, name: &'static str) -> Result<Option<i64>, Error> {
        let Some(node) = self.raw(name) else { return Ok(None) };
        let value = integer(node).and_then(|n| i64::try_from(n).ok());
        value.map(Some).ok_or_else(|| self.refuse(name, format!("cannot unmarshal {} into int", shown(node))))
    }

    /// A number that is not negative.
    pub(crate) fn count(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(node) = self.raw(name) else { return Ok(None) };
        let value = integer(node).and_then(|n| u64::try_from(n).ok());
        value.map(Some).ok_or_else(|| self.refuse(name, format!("cannot unmarshal {} into uint", shown(node))))
    }

    pub(crate) fn duration_ms(&mut self, name: &'static str) -> Result<Option<i64>, Error> {
        if self.is_null(name) {
            return Ok(Some(0));
        }
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed = parse_duration_ms(&text);
        parsed.map(Some).map_err(|error| self.refuse(name, format!("{error}; write it as 30s, 5m or 1h30m")))
    }

    pub(crate) fn size_bytes(&mut self, name: &'static str) -> Result<Option<i64>, Error> {
        if self.is_null(name) {
            return Ok(Some(0));
        }
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse_size(&text).map(Some).map_err(|error| self.refuse(name, format!("{error}; write it as 10MB or 1GiB")))
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Error> {
        let source = self.source;
        self.items(name)?.into_iter().map(|(item, path)| scalar(source, item, &path).map(str::to_owned)).collect()
    }

    /// A mapping of texts, by key.
    pub(crate) fn text_map(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, Error> {
        let Some(inner) = self.fields(name)? else { return Ok(BTreeMap::new()) };
        let value = |(key, node): &'a (crate::node::Key, Node)| {
            Ok((key.text.clone(), scalar(self.source, node, &inner.at(&key.text))?.to_owned()))
        };
        inner.pairs().iter().map(value).collect()
    }

    /// Takes every field, whatever its name.
    pub(crate) fn allow_all(&mut self) {
        self.all_allowed = true;
    }

    /// Refuses the fields that nobody asked for.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.all_allowed {
            return Ok(());
        }
        let Some((key, _)) = self.pairs().iter().find(|(key, _)| !self.asked.contains(&key.text.as_str())) else {
            return Ok(());
        };
        let place = if self.path.is_empty() { "the configuration".to_owned() } else { self.path.clone() };
        let hint = nearest(&key.text, &self.asked).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let message = format!("field {} not found in {place}{hint}", key.text);
        Err(self.source.error(key.pos, self.at(&key.text), message))
    }
}

/// The text of a single value; nothing at all is the empty text.
pub(crate) fn scalar<'a>(source: &Source<'_>, node: &'a Node, path: &str) -> Result<&'a str, Error> {
    match &*node.kind {
        Kind::Scalar { .. } if node.is_null() => Ok(""),
        Kind::Scalar { text, .. } => Ok(text),
        _ => Err(source.error(node.pos, path, format!("cannot unmarshal {} into a text", node.what()))),
    }
}

/// A value for a message. Never called for secrets, which are texts and so never of the wrong type.
fn shown(node: &Node) -> String {
    match &*node.kind {
        Kind::Scalar { text, plain: true } => format!("`{text}`"),
        Kind::Scalar { text, plain: false } => format!("the text `{text}`"),
        _ => node.what().to_owned(),
    }
}

fn number(text: &str) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
    if let Some(whole) = whole(text) {
        return Some(whole as f64);
    }
    let digits = text.strip_prefix('_').map_or_else(|| text.replace('_', ""), |_| String::new());
    match digits.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        ".nan" => Some(f64::NAN),
        lower if lower.ends_with(|c: char| c.is_ascii_digit() || c == '.') => {
            digits.parse().ok().filter(|number: &f64| number.is_finite())
        }
        _ => None,
    }
}

/// `1_000`, `0x1F`, `1e3`; of `1.5` what stands before the point.
fn integer(node: &Node) -> Option<i128> {
    if node.is_null() {
        return Some(0);
    }
    let Kind::Scalar { text, plain: true } = &*node.kind else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "below 2^63, as is checked")]
    whole(text).or_else(|| number(text).filter(|float| float.abs() < 9e18).map(|float| float as i128))
}

/// A whole number as YAML 1.1 writes it: with a sign, underscores, and a prefix for another base.
fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('_').map_or_else(|| text.replace('_', ""), |_| String::new());
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits.as_str()), |rest| (true, rest));
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let of = |prefix: &str, radix| lower.strip_prefix(prefix).map(|rest| i128::from_str_radix(rest, radix).ok());
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    let value = match of("0x", 16).or_else(|| of("0o", 8)).or_else(|| of("0b", 2)) {
        Some(value) => value?,
        None if octal => i128::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// The known name that a mistyped one is closest to, if it is close.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let best = known.iter().map(|candidate| (distance(name, candidate), *candidate)).min()?;
    (best.0 <= 2.max(name.len() / 4)).then_some(best.1)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Prometheus 3.16 makes of the same texts.
    #[test]
    fn numbers_as_go_reads_them() {
        for (text, int, float) in [
            ("10", Some(10), Some(10.0)),
            ("+1", Some(1), Some(1.0)),
            ("-1", Some(-1), Some(-1.0)),
            ("0x10", Some(16), Some(16.0)),
            ("0X1f", Some(31), Some(31.0)),
            ("010", Some(8), Some(8.0)),
            ("0o10", Some(8), Some(8.0)),
            ("0b11", Some(3), Some(3.0)),
            ("1_000", Some(1_000), Some(1_000.0)),
            ("1e3", Some(1_000), Some(1_000.0)),
            ("1.5", Some(1), Some(1.5)),
            (".5", Some(0), Some(0.5)),
            (".inf", None, Some(f64::INFINITY)),
            ("_1", None, None),
            ("1e400", None, None),
            ("1:30", None, None),
            ("+-1", None, None),
            ("x", None, None),
        ] {
            let node = crate::node::parse(text).unwrap().unwrap();
            assert_eq!((integer(&node), number(text)), (int, float), "{text}");
        }
    }

    #[test]
    fn close_names_are_found() {
        let known = ["scrape_interval", "scrape_timeout", "job_name"];
        assert_eq!(nearest("scrape_intervall", &known), Some("scrape_interval"));
        assert_eq!(nearest("jobname", &known), Some("job_name"));
        assert_eq!(nearest("quite_other", &known), None);
    }
}
