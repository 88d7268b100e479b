//! What a function is: its name, what it takes, and what it does.

use crate::template::budget::Budget;
use crate::template::data::Failure;
use crate::template::value::Value;

/// A function or a method.
#[derive(Debug)]
pub(in crate::template) struct Function {
    pub(in crate::template) name: &'static str,
    pub(in crate::template) params: &'static [Param],
    /// Of what it takes any number behind those.
    pub(in crate::template) variadic: Option<Param>,
    pub(in crate::template) call: Call,
}

#[derive(Debug)]
pub(in crate::template) enum Call {
    /// These two evaluate no more arguments than they need.
    And,
    Or,
    /// With values of the types of the parameters; of a method, the receiver first.
    Plain(fn(&mut Budget<'_>, &[Value]) -> Result<Value, Failure>),
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::template) enum Param {
    Any,
    /// `reflect.Value`: anything, too, but called otherwise in errors.
    Reflect,
    String,
    Vector,
    Sample,
    Int,
    Duration,
    Time,
}

impl Param {
    pub(in crate::template) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Reflect => "reflect.Value",
            Self::String => "string",
            Self::Vector => "template.queryResult",
            Self::Sample => "*template.sample",
            Self::Int => "int",
            Self::Duration => "time.Duration",
            Self::Time => "time.Time",
        }
    }

    pub(in crate::template) fn can_be_nil(self) -> bool {
        matches!(self, Self::Any | Self::Reflect | Self::Vector | Self::Sample)
    }
}

impl Function {
    pub(super) const fn new(
        name: &'static str,
        params: &'static [Param],
        call: fn(&mut Budget<'_>, &[Value]) -> Result<Value, Failure>,
    ) -> Self {
        Self { name, params, variadic: None, call: Call::Plain(call) }
    }

    pub(super) const fn and_more(self, variadic: Param) -> Self {
        Self { variadic: Some(variadic), ..self }
    }
}

/// The text of an argument that is a string by its parameter's type.
pub(super) fn text(value: &Value) -> &str {
    value.as_text().map_or("", |text| text)
}
