//! What templates compute with: the Go types that Prometheus hands to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use model::{Histogram, Labels};
use query::Sample;

use super::time::Time;

/// A value of Go. Copies are cheap: what is large is shared.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// No value, and the untyped nil.
    None,
    /// A nil in a map of anything. As soon as it is the value of a pipeline it is no value.
    Nil,
    Bool(bool),
    Int(i64, IntType),
    /// `uint8`: what an index of a string gives.
    Byte(u8),
    Float(f64),
    String(Arc<str>),
    /// `template.HTML`: a string of another type.
    Html(Arc<str>),
    Labels(Labels),
    Sample(Rc<Sample>),
    Vector(Vector),
    Map(Map),
    /// The elements, and the type's name.
    List(Rc<[Value]>, &'static str),
    Histogram(Arc<Histogram>),
    Time(Time, Reference),
    Duration(i64, Reference),
    /// What an alert's template is given.
    Alert(Rc<Alert>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntType {
    Int,
    Int32,
    Int64,
    Month,
    Weekday,
}

/// Is it a value, or a pointer to one?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Value,
    Pointer,
}

/// Results of a query; slices of one share its elements, so that sorting one sorts the others.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    pub(super) all: Rc<RefCell<Vec<Rc<Sample>>>>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// How far a slice of it may reach.
    pub(super) cap: usize,
}

/// What `args` makes.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub(super) entries: Rc<BTreeMap<String, Value>>,
    /// Maps within maps, itself included. Bounded, because values are walked by recursion.
    pub(super) depth: usize,
}

/// The data of an alert.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) labels: Labels,
    pub(super) external_labels: Labels,
    pub(super) external_url: Arc<str>,
    pub(super) value: Value,
}

/// What kinds of types have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invalid,
    Bool,
    Int,
    Uint,
    Float,
    String,
    Map,
    Slice,
    Struct,
    Pointer,
}

/// A field of a struct or the entry of a map, and whether its type is `interface {}`.
pub(super) enum Field {
    Found(Value, bool),
    Unknown,
}

impl Vector {
    pub(super) fn new(samples: Vec<Sample>) -> Self {
        let all: Vec<_> = samples.into_iter().map(Rc::new).collect();
        let len = all.len();
        Self { all: Rc::new(RefCell::new(all)), start: 0, end: len, cap: len }
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn get(&self, i: usize) -> Option<Rc<Sample>> {
        let all = self.all.borrow();
        all[self.start..self.end].get(i).map(Rc::clone)
    }
}

/// The value of a sample.
pub(super) fn of_sample(sample: &Sample) -> Value {
    match &sample.histogram {
        Some(histogram) => Value::Histogram(Arc::clone(histogram)),
        None => Value::Float(sample.value),
    }
}

impl Value {
    pub(super) fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    pub(super) fn int(number: i64) -> Self {
        Self::Int(number, IntType::Int)
    }

    /// A length or an index.
    pub(super) fn size(number: usize) -> Self {
        Self::int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The type as Go's `%T` and error messages have it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::None => "<nil>",
            Self::Nil => "interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_, IntType::Int) => "int",
            Self::Int(_, IntType::Int32) => "int32",
            Self::Int(_, IntType::Int64) => "int64",
            Self::Int(_, IntType::Month) => "time.Month",
            Self::Int(_, IntType::Weekday) => "time.Weekday",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Html(_) => "template.HTML",
            Self::Labels(_) => "map[string]string",
            Self::Sample(_) => "*template.sample",
            Self::Vector(_) => "template.queryResult",
            Self::Map(_) => "map[string]interface {}",
            Self::List(_, name) => name,
            Self::Histogram(_) => "*histogram.FloatHistogram",
            Self::Time(_, Reference::Value) => "time.Time",
            Self::Time(_, Reference::Pointer) => "*time.Time",
            Self::Duration(_, Reference::Value) => "time.Duration",
            Self::Duration(_, Reference::Pointer) => "*time.Duration",
            Self::Alert(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
            }
        }
    }

    /// The type without a pointer.
    pub(super) fn element_type_name(&self) -> &'static str {
        self.type_name().trim_start_matches('*')
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::None | Self::Nil => Kind::Invalid,
            Self::Bool(_) => Kind::Bool,
            Self::Int(..) | Self::Duration(_, Reference::Value) => Kind::Int,
            Self::Byte(_) => Kind::Uint,
            Self::Float(_) => Kind::Float,
            Self::String(_) | Self::Html(_) => Kind::String,
            Self::Labels(_) | Self::Map(_) => Kind::Map,
            Self::Vector(_) | Self::List(..) => Kind::Slice,
            Self::Time(_, Reference::Value) | Self::Alert(_) => Kind::Struct,
            Self::Sample(_) | Self::Histogram(_) | Self::Time(..) | Self::Duration(..) => Kind::Pointer,
        }
    }

    /// The text of what is a string by kind.
    pub(super) fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Self::String(text) | Self::Html(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number, _) | Self::Duration(number, Reference::Value) => Some(*number),
            _ => None,
        }
    }

    /// Is it neither zero nor empty?
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(number, _) | Self::Duration(number, Reference::Value) => *number != 0,
            Self::Byte(number) => *number != 0,
            Self::Float(value) => *value != 0.0,
            Self::String(text) | Self::Html(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Vector(vector) => vector.len() > 0,
            Self::List(all, _) => !all.is_empty(),
            Self::Sample(_) | Self::Histogram(_) | Self::Time(..) | Self::Duration(..) | Self::Alert(_) => true,
        }
    }

    /// Length in bytes or elements.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::String(text) | Self::Html(text) => Some(text.len()),
            Self::Labels(labels) => Some(labels.len()),
            Self::Map(map) => Some(map.entries.len()),
            Self::Vector(vector) => Some(vector.len()),
            Self::List(all, _) => Some(all.len()),
            _ => None,
        }
    }

    /// An entry of a map; the zero of its type where it is absent.
    pub(super) fn entry(&self, key: &str) -> Option<Self> {
        match self {
            Self::Labels(labels) => Some(Self::string(labels.value(key))),
            Self::Map(map) => Some(map.entries.get(key).cloned().map_or(Self::Nil, Self::in_interface)),
            _ => None,
        }
    }

    fn in_interface(self) -> Self {
        if matches!(self, Self::None) { Self::Nil } else { self }
    }

    /// What `.name` is.
    pub(super) fn field(&self, name: &str) -> Field {
        let found = |value| Field::Found(value, false);
        match (self, name) {
            (Self::Labels(_), _) => self.entry(name).map_or(Field::Unknown, found),
            (Self::Map(_), _) => self.entry(name).map_or(Field::Unknown, |value| Field::Found(value, true)),
            (Self::Sample(sample), "Labels") => found(Self::Labels(sample.labels.clone())),
            (Self::Sample(sample), "Value") => Field::Found(of_sample(sample), true),
            (Self::Alert(alert), "Labels") => found(Self::Labels(alert.labels.clone())),
            (Self::Alert(alert), "ExternalLabels") => found(Self::Labels(alert.external_labels.clone())),
            (Self::Alert(alert), "ExternalURL") => found(Self::String(Arc::clone(&alert.external_url))),
            (Self::Alert(alert), "Value") => Field::Found(alert.value.clone(), true),
            (Self::Histogram(histogram), _) => of_histogram(histogram, name).map_or(Field::Unknown, found),
            _ => Field::Unknown,
        }
    }
}

/// Fields of `histogram.FloatHistogram`, without the hint and the spans.
fn of_histogram(histogram: &Histogram, name: &str) -> Option<Value> {
    let floats = |all: &[f64]| Value::List(all.iter().copied().map(Value::Float).collect(), "[]float64");
    Some(match name {
        "Schema" => Value::Int(i64::from(histogram.schema), IntType::Int32),
        "ZeroThreshold" => Value::Float(histogram.zero_threshold),
        "ZeroCount" => Value::Float(histogram.zero_count),
        "Count" => Value::Float(histogram.count),
        "Sum" => Value::Float(histogram.sum),
        "PositiveBuckets" => floats(&histogram.positive.counts),
        "NegativeBuckets" => floats(&histogram.negative.counts),
        "CustomValues" => floats(&histogram.custom_values),
        _ => return None,
    })
}
