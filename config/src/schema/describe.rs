//! Descriptions of sections and fields, from which the reference page is made.

use crate::yaml::Yaml;

/// The type of a field.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A single value: `duration`, `path`.
    Scalar(&'static str),
    /// One of these words.
    Words(Vec<&'static str>),
    /// PEM text in a field, or in the file that a field with the suffix `_file` names.
    TextOrFile,
    /// A list of values.
    List(Box<Shape>),
    /// A mapping of names to values.
    Map(Box<Shape>),
    /// A section of its own.
    Section(SectionDoc),
    /// The fields of a section, among the fields of the one that holds them.
    Inline(SectionDoc),
    /// Several fields of the same form: their names, types and descriptions.
    Kinds(Vec<FieldDoc>),
    /// Not in the file.
    Hidden,
}

impl Shape {
    pub(crate) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }
}

/// A section.
#[derive(Clone, Debug)]
pub(crate) struct SectionDoc {
    pub(crate) title: &'static str,
    pub(crate) doc: String,
    pub(crate) fields: Vec<FieldDoc>,
}

/// A field of a section.
#[derive(Clone, Debug)]
pub(crate) struct FieldDoc {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) shape: Shape,
    /// As it is printed.
    pub(crate) default: Option<Yaml>,
    /// Where a field that is not set takes its value from.
    pub(crate) inherited: Option<&'static str>,
    pub(crate) flags: Flags,
}

/// What else is declared of a field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// Printed even when it is zero.
    pub(crate) always: bool,
    /// Weft's own; Prometheus does not know it.
    pub(crate) ours: bool,
    /// The error if the field is missing or zero.
    pub(crate) required: Option<&'static str>,
    /// Read, checked and printed, but without effect; the warning if it is set.
    pub(crate) unserved: Option<&'static str>,
}

impl Flags {
    pub(crate) const NONE: Self = Self { always: false, ours: false, required: None, unserved: None };

    pub(crate) const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    pub(crate) const fn ours(self) -> Self {
        Self { ours: true, ..self }
    }

    pub(crate) const fn required(self, error: &'static str) -> Self {
        Self { required: Some(error), ..self }
    }

    pub(crate) const fn unserved(self, warning: &'static str) -> Self {
        Self { unserved: Some(warning), ..self }
    }
}
