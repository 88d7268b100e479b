//! The fields of one YAML mapping. Codecs read them by name; a field that none has read is an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::duration::parse_duration_ms;

use super::number::{integer, number};
use super::source::{Source, UnknownFields};
use crate::size::parse_size;
use crate::yaml::{Key, Kind, Pos, Tree};
use crate::{Error, Secret};

/// The fields of one mapping.
pub(crate) struct Fields<'a> {
    pub(crate) source: &'a Source<'a>,
    /// The path of the mapping: `scrape_configs[0].tls_config`.
    pub(crate) path: String,
    pub(crate) pos: Pos,
    tree: Option<&'a Tree>,
    read: Vec<&'static str>,
    all_allowed: bool,
    /// How many faults were collected before this mapping.
    n_before: usize,
    /// The fields that faults were found in.
    failed: Vec<&'static str>,
    /// How many of these belong to the section that holds the one which is read.
    n_outer: usize,
    /// Is the section that is read one whose fields stand among those of another one?
    is_inline: bool,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping; a missing or null one has none.
    pub(crate) fn new(source: &'a Source<'a>, tree: Option<&'a Tree>, path: String) -> Result<Self, Error> {
        // Go decodes a null mapping as an empty one, so defaults hold.
        let tree = tree.filter(|tree| !tree.is_null());
        let pos = tree.map_or(Pos { line: 1, column: 1 }, |tree| tree.pos);
        if let Some(tree) = tree
            && !matches!(&*tree.kind, Kind::Map(_))
        {
            return Err(source.error(pos, path, format!("cannot unmarshal {} into a mapping", tree.what())));
        }
        Ok(Self {
            source,
            path,
            pos,
            tree,
            read: Vec::new(),
            all_allowed: false,
            n_before: source.n_faults(),
            failed: Vec::new(),
            n_outer: 0,
            is_inline: false,
        })
    }

    /// Reads a section whose fields stand among those of this one.
    pub(crate) fn inline<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let outer = (self.n_outer, self.is_inline);
        (self.n_outer, self.is_inline) = (self.failed.len(), true);
        let read = read(self);
        (self.n_outer, self.is_inline) = outer;
        read
    }

    /// Notes that a fault was found in a field.
    pub(crate) fn note_failed(&mut self, name: &'static str) {
        self.failed.push(name);
    }

    /// Was a fault found in a field, or below it?
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        self.failed.contains(&name)
    }

    /// Were all fields of the section read as the file has them? A check of others would tell consequences of their faults.
    pub(crate) fn is_sound(&self) -> bool {
        // Where a section is inline the fields of the outer one that follow are still unknown.
        self.failed.len() == self.n_outer && (self.is_inline || self.unknown().next().is_none())
    }

    /// The same of these fields alone.
    pub(crate) fn are_sound(&self, names: &[&str]) -> bool {
        let may_mean = |key: &Key, name: &str| is_close(&key.text, strsim::osa_distance(&key.text, name));
        let meant = |key: &Key| names.iter().any(|name| may_mean(key, name));
        names.iter().all(|name| !self.has_failed(name)) && !self.unknown().any(meant)
    }

    /// The value of a field, null included; `None` if the field is missing.
    pub(crate) fn raw(&mut self, name: &'static str) -> Option<&'a Tree> {
        // Also a field that is missing: the names that were asked for are the known ones, from which `finish`
        // suggests.
        self.read.push(name);
        self.pairs().iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
    }

    /// Is the field there, and null? Go's decoder sets such a field to the zero value of its type, whatever its default.
    pub(crate) fn is_null(&mut self, name: &'static str) -> bool {
        self.raw(name).is_some_and(Tree::is_null)
    }

    /// The value of a field that is neither missing nor null.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<&'a Tree> {
        self.raw(name).filter(|tree| !tree.is_null())
    }

    pub(crate) fn pairs(&self) -> &'a [(Key, Tree)] {
        match self.tree.map(|tree| &*tree.kind) {
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
        self.source.error(self.place(name), self.at(name), message)
    }

    /// The position of a field's value, or of the mapping when it has no such field.
    pub(crate) fn place(&self, name: &str) -> Pos {
        // An error about a missing field points at the mapping that lacks it.
        self.pairs().iter().find(|(key, _)| key.text == name).map_or(self.pos, |(_, value)| value.pos)
    }

    /// An error of the mapping as a whole.
    pub(crate) fn refuse_all(&self, message: impl Into<String>) -> Error {
        self.source.error(self.pos, self.path.clone(), message)
    }

    /// A mapping inside this one; `None` if it is missing or null.
    pub(crate) fn fields(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, Error> {
        let path = self.at(name);
        self.value(name).map(|tree| Fields::new(self.source, Some(tree), path)).transpose()
    }

    /// The items of a list with their paths; a missing or null list has none.
    pub(crate) fn items(&mut self, name: &'static str) -> Result<Vec<(&'a Tree, String)>, Error> {
        let Some(tree) = self.value(name) else { return Ok(Vec::new()) };
        match &*tree.kind {
            Kind::List(items) => {
                let path = self.at(name);
                Ok(items.iter().enumerate().map(|(i, item)| (item, format!("{path}[{i}]"))).collect())
            }
            _ => Err(self.refuse(name, format!("cannot unmarshal {} into a list", tree.what()))),
        }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        // A number or boolean is taken as its text: go-yaml decodes any scalar into a Go string as it is written.
        self.raw(name).map(|tree| scalar(self.source, tree, &self.at(name)).map(str::to_owned)).transpose()
    }

    pub(crate) fn secret(&mut self, name: &'static str) -> Result<Option<Secret>, Error> {
        // An empty Go string is the same as none, and `at most one of` checks do not count it.
        Ok(self.text(name)?.filter(|text| !text.is_empty()).map(Secret::new))
    }

    /// The path of a file; an empty one is not set.
    pub(crate) fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>, Error> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()).map(|text| self.source.resolve(&text)))
    }

    pub(crate) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(tree) = self.raw(name) else { return Ok(None) };
        if tree.is_null() {
            // Null sets a plain Go bool to false, whatever its default.
            return Ok(Some(false));
        }
        self.optional_bool(name)
    }

    /// A boolean that is a pointer in Prometheus: null means that it is not set.
    pub(crate) fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(tree) = self.value(name) else { return Ok(None) };
        let value = match &*tree.kind {
            // YAML 1.1 knows these letter cases and no others.
            Kind::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
                "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
                _ => None,
            },
            _ => None,
        };
        value.map(Some).ok_or_else(|| {
            self.refuse(name, format!("cannot unmarshal {} into bool; write true or false", shown(tree)))
        })
    }

    pub(crate) fn float(&mut self, name: &'static str) -> Result<Option<f64>, Error> {
        let Some(tree) = self.raw(name) else { return Ok(None) };
        let value = match &*tree.kind {
            _ if tree.is_null() => Some(0.0),
            // A quoted number is a string to go-yaml, and no number field takes it.
            Kind::Scalar { text, plain: true } => number(text),
            _ => None,
        };
        value.map(Some).ok_or_else(|| self.refuse(name, format!("cannot unmarshal {} into a number", shown(tree))))
    }

    pub(crate) fn int(&mut self, name: &'static str) -> Result<Option<i64>, Error> {
        let Some(tree) = self.raw(name) else { return Ok(None) };
        let value = integer(tree).and_then(|n| i64::try_from(n).ok());
        value.map(Some).ok_or_else(|| self.refuse(name, format!("cannot unmarshal {} into int", shown(tree))))
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(tree) = self.raw(name) else { return Ok(None) };
        let value = integer(tree).and_then(|n| u64::try_from(n).ok());
        value.map(Some).ok_or_else(|| self.refuse(name, format!("cannot unmarshal {} into uint", shown(tree))))
    }

    pub(crate) fn duration_ms(&mut self, name: &'static str) -> Result<Option<i64>, Error> {
        if self.is_null(name) {
            // As for numbers: null is Go's zero value and not the default.
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
        source.each(self.items(name)?, |(item, path)| scalar(source, item, &path).map(str::to_owned))
    }

    /// A mapping of names to strings.
    pub(crate) fn text_map(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, Error> {
        let Some(inner) = self.fields(name)? else { return Ok(BTreeMap::new()) };
        let value = |(key, tree): &'a (Key, Tree)| {
            Ok((key.text.clone(), scalar(self.source, tree, &inner.at(&key.text))?.to_owned()))
        };
        self.source.each(inner.pairs(), value)
    }

    /// Accepts every field, whatever its name.
    pub(crate) fn allow_all(&mut self) {
        self.all_allowed = true;
    }

    /// The fields that no codec has read, and that are not to be ignored.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &'a Key> {
        let is_refused = |key: &&Key| match self.source.unknown {
            UnknownFields::Refused => true,
            UnknownFields::RefusedExcept(name) => key.text != name,
            UnknownFields::Ignored => false,
        };
        let pairs = if self.all_allowed { &[] } else { self.pairs() };
        pairs.iter().map(|(key, _)| key).filter(|key| !self.read.contains(&key.text.as_str())).filter(is_refused)
    }

    /// Refuses fields that no codec has read, and suggests the known field with the most similar name.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        // In the order of the file: where errors are not collected the first one counts, as with upstream's strict decoding.
        for key in self.unknown() {
            let place = if self.path.is_empty() { "the configuration".to_owned() } else { self.path.clone() };
            let meant = nearest(&key.text, &self.read);
            if let Some(name) = meant {
                self.source.withdraw(&self.at(name), self.pos, self.n_before);
            }
            let hint = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            let message = format!("field {} not found in {place}{hint}", key.text);
            self.source.report(self.source.error(key.pos, self.at(&key.text), message))?;
        }
        Ok(())
    }
}

/// The text of a scalar; null is the empty text.
pub(crate) fn scalar<'a>(source: &Source<'_>, tree: &'a Tree, path: &str) -> Result<&'a str, Error> {
    match &*tree.kind {
        Kind::Scalar { .. } if tree.is_null() => Ok(""),
        Kind::Scalar { text, .. } => Ok(text),
        _ => Err(source.error(tree.pos, path, format!("cannot unmarshal {} into a text", tree.what()))),
    }
}

/// A value for an error message. Never called for secrets: they are strings, and any scalar is a string.
fn shown(tree: &Tree) -> String {
    match &*tree.kind {
        Kind::Scalar { text, plain: true } => format!("`{text}`"),
        Kind::Scalar { text, plain: false } => format!("the text `{text}`"),
        _ => tree.what().to_owned(),
    }
}

/// The known name that a misspelt one is closest to, if it is close enough to be meant.
fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    // The optimal string alignment distance counts a swap of two letters as one mistake.
    let distance = |candidate: &&'n str| (strsim::osa_distance(name, candidate), *candidate);
    let (distance, best) = known.iter().map(distance).min()?;
    is_close(name, distance).then_some(best)
}

/// May a name so far away be meant? Farther away it would be a guess that misleads.
fn is_close(name: &str, distance: usize) -> bool {
    distance <= 2.max(name.len() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found() {
        let known = ["scrape_interval", "scrape_timeout", "job_name"];
        assert_eq!(nearest("scrape_intervall", &known), Some("scrape_interval"));
        assert_eq!(nearest("scrape_itnervla", &known), Some("scrape_interval"), "transposed letters count once");
        assert_eq!(nearest("jobname", &known), Some("job_name"));
        assert_eq!(nearest("quite_other", &known), None);
    }
}
