//! The file that is read: how its paths are resolved, and what is collected while reading it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::excerpt::excerpt;
use crate::yaml::Pos;

/// The file that is read, and what is collected while reading it.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    /// Looks up an environment variable, for external labels.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// Warnings about the content, one sentence each.
    pub(crate) warnings: RefCell<Vec<String>>,
    /// One sentence for each field that is set and not served yet.
    pub(crate) unserved: RefCell<Vec<String>>,
    /// The content, of which errors show a line.
    text: Option<&'a str>,
    /// The errors so far, where reading goes on after one.
    faults: Option<RefCell<Vec<Error>>>,
    /// What is to be told once, and was.
    told: RefCell<BTreeSet<&'static str>>,
    pub(super) unknown: UnknownFields,
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
            text: None,
            faults: None,
            told: RefCell::default(),
            unknown: UnknownFields::Refused,
        }
    }

    /// The same, whose errors are collected, so that all of a file are told at once.
    pub(crate) fn collecting(self) -> Self {
        Self { faults: Some(RefCell::default()), ..self }
    }

    /// The same for a file that this one includes.
    pub(crate) fn including<'i>(&self, file: &'i Path, text: &'i str) -> Source<'i> {
        let faults = self.faults.as_ref().map(|_| RefCell::default());
        Source { faults, told: self.told.clone(), ..Source::new(file, &|_| None).with_text(text) }
    }

    /// The same with its content, of which errors show a line.
    pub(crate) fn with_text(self, text: &'a str) -> Self {
        Self { text: Some(text), ..self }
    }

    /// The same with another treatment of unknown fields.
    pub(crate) fn with_unknown(self, unknown: UnknownFields) -> Self {
        Self { unknown, ..self }
    }

    /// Are errors collected?
    pub(crate) fn is_collecting(&self) -> bool {
        self.faults.is_some()
    }

    /// How many errors were collected so far.
    pub(crate) fn n_faults(&self) -> usize {
        self.faults.as_ref().map_or(0, |faults| faults.borrow().len())
    }

    /// Was an error collected about the field at this path?
    pub(crate) fn has_fault_at(&self, path: &str) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.borrow().iter().any(|fault| fault.field() == path))
    }

    /// Notes that something is told; `false` if it was told before, so that it is not repeated for every job.
    pub(crate) fn tell_once(&self, what: &'static str) -> bool {
        self.told.borrow_mut().insert(what)
    }

    /// Was this told?
    pub(crate) fn has_told(&self, what: &'static str) -> bool {
        self.told.borrow().contains(what)
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

    /// Keeps what is wrong with the YAML; the same.
    pub(crate) fn report_syntax(&self, faults: Vec<(Pos, String)>) -> Result<(), Error> {
        faults.into_iter().try_for_each(|(pos, message)| self.report(self.error(pos, "", message)))
    }

    /// What was read, or nothing if that failed and errors are collected.
    pub(crate) fn recover<T>(&self, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        read.or_else(|error| self.report(error).map(|()| None))
    }

    /// The outcome of a check: an error is kept for later if errors are collected.
    pub(crate) fn settle(&self, checked: Result<(), Error>) -> Result<(), Error> {
        checked.or_else(|error| self.report(error))
    }

    /// Reads each item, and goes on after one that is not valid if errors are collected.
    pub(crate) fn each<I, T, C: FromIterator<T>>(
        &self,
        items: impl IntoIterator<Item = I>,
        mut read: impl FnMut(I) -> Result<T, Error>,
    ) -> Result<C, Error> {
        items.into_iter().filter_map(|item| self.recover(read(item).map(Some)).transpose()).collect()
    }

    /// Withdraws what was said of a field that is missing: it is there, misspelt. The mapping was begun after `n` faults.
    pub(super) fn withdraw(&self, path: &str, mapping: Pos, n: usize) {
        if let Some(faults) = &self.faults {
            let place = (mapping.line, mapping.column);
            let mut faults = faults.borrow_mut();
            let n = n.min(faults.len());
            let of_mapping = faults.split_off(n);
            faults.extend(of_mapping.into_iter().filter(|fault| fault.field() != path || fault.position() != place));
        }
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
        if let Some(text) = self.text {
            let lines: Vec<&str> = text.split('\n').collect();
            for fault in &mut faults {
                let shown = excerpt(&lines, fault.position().0, fault.field());
                fault.set_excerpt(shown);
            }
        }
        Err(faults)
    }

    pub(crate) fn error(&self, pos: Pos, field: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Invalid {
            file: self.file.to_owned(),
            line: pos.line,
            column: pos.column,
            field: field.into(),
            message: message.into(),
            excerpt: None,
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
