//! The fields of one YAML mapping. Codecs read them by name; a field that none has read is an error.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::duration::parse_duration_ms;

use super::number::{integer, number};
use crate::size::parse_size;
use crate::yaml::{Key, Kind, Pos, Tree};
use crate::{Error, Secret};

/// The file that is read, and what is collected while reading it.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    /// Looks up an environment variable, for external labels.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// Warnings about the content, one sentence each.
    pub(crate) warnings: RefCell<Vec<String>>,
    /// One sentence for each field that is set and not served yet.
    pub(crate) unserved: RefCell<Vec<String>>,
    /// The errors so far, where reading goes on after one.
    faults: Option<RefCell<Vec<Error>>>,
    unknown: UnknownFields,
}

/// What happens to fields that no section has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UnknownFields {
    /// They are an error.
    #[default]
    Refused,
    /// They are an error, except this one, which is ignored.
    RefusedExcept(&'static str),
    /// They are ignored.
    Ignored,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            file,
            env,
            warnings: RefCell::default(),
            unserved: RefCell::default(),
            faults: None,
            unknown: UnknownFields::Refused,
        }
    }

    /// A source whose errors are collected, so that all of a file are told at once.
    pub(crate) fn collecting(file: &'a Path, unknown: UnknownFields) -> Self {
        Self { faults: Some(RefCell::default()), unknown, ..Self::new(file, &|_| None) }
    }

    /// Keeps an error for later if errors are collected; else returns it, which ends the reading.
    pub(crate) fn report(&self, error: Error) -> Result<(), Error> {
        match &self.faults {
            Some(faults) => {
                faults.borrow_mut().push(error);
                Ok(())
            }
            None => Err(error),
        }
    }

    /// What was read, or nothing if that failed and errors are collected.
    pub(crate) fn recover<T>(&self, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        read.or_else(|error| self.report(error).map(|()| None))
    }

    /// What was read, or whatever is wrong with it, in the order of the file.
    pub(crate) fn finish<T>(&self, read: Result<T, Error>) -> Result<T, Vec<Error>> {
        let mut faults = self.faults.as_ref().map(RefCell::take).unwrap_or_default();
        match read {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => {}
            Err(error) => faults.push(error),
        }
        // Stable: without positions the order is that of reading.
        faults.sort_by_key(Error::position);
        Err(faults)
    }

    pub(crate) fn error(&self, pos: Pos, field: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Invalid {
            file: self.file.to_owned(),
            line: pos.line,
            column: pos.column,
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn warn(&self, sentence: String) {
        self.warnings.borrow_mut().push(sentence);
    }

    pub(crate) fn note_unserved(&self, sentence: String) {
        self.unserved.borrow_mut().push(sentence);
    }

    /// Resolves a path: a relative one starts at the folder of the file.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        // When loaded, as upstream's `SetDirectory`, and not when opened: the working directory has no part in it.
        // `join` leaves an absolute path as it is.
        self.file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }
}

/// The fields of one mapping.
pub(crate) struct Fields<'a> {
    pub(crate) source: &'a Source<'a>,
    /// The path of the mapping: `scrape_configs[0].tls_config`.
    pub(crate) path: String,
    pub(crate) pos: Pos,
    tree: Option<&'a Tree>,
    read: Vec<&'static str>,
    all_allowed: bool,
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
        Ok(Self { source, path, pos, tree, read: Vec::new(), all_allowed: false })
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
        self.items(name)?.into_iter().map(|(item, path)| scalar(source, item, &path).map(str::to_owned)).collect()
    }

    /// A mapping of names to strings.
    pub(crate) fn text_map(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, Error> {
        let Some(inner) = self.fields(name)? else { return Ok(BTreeMap::new()) };
        let value = |(key, tree): &'a (Key, Tree)| {
            Ok((key.text.clone(), scalar(self.source, tree, &inner.at(&key.text))?.to_owned()))
        };
        inner.pairs().iter().map(value).collect()
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
            let hint = nearest(&key.text, &self.read).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
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
    // Farther away it would be a guess that misleads.
    (distance <= 2.max(name.len() / 4)).then_some(best)
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
