//! The functions of Go's `text/template`.

use std::rc::Rc;
use std::sync::Arc;

use super::function::{Call, Function, Param, text};
use super::text::{html_escaped, js_escaped};
use crate::links::query_escaped;
use crate::template::budget::Budget;
use crate::template::data::Failure;
use crate::template::format;
use crate::template::value::{Kind, Value, Vector};

const ANY: Option<Param> = Some(Param::Reflect);

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "and", params: &[Param::Reflect], variadic: ANY, call: Call::And },
    Function { name: "or", params: &[Param::Reflect], variadic: ANY, call: Call::Or },
    Function::new("not", &[Param::Reflect], |_, args| Ok(Value::Bool(!args[0].is_true()))),
    Function::new("call", &[Param::Reflect], call).and_more(Param::Reflect),
    Function::new("len", &[Param::Reflect], len),
    Function::new("index", &[Param::Reflect], index).and_more(Param::Reflect),
    Function::new("slice", &[Param::Reflect], slice).and_more(Param::Reflect),
    Function::new("print", &[], |_, args| format::print(args).map(Value::string)).and_more(Param::Any),
    Function::new("println", &[], |_, args| format::println(args).map(Value::string)).and_more(Param::Any),
    Function::new("printf", &[Param::String], |_, args| format::printf(text(&args[0]), &args[1..]).map(Value::string))
        .and_more(Param::Any),
    Function::new("html", &[], |_, args| Ok(Value::string(html_escaped(&joined(args)?)))).and_more(Param::Any),
    Function::new("js", &[], |_, args| Ok(Value::string(js_escaped(&joined(args)?)))).and_more(Param::Any),
    Function::new("urlquery", &[], |_, args| Ok(Value::string(query_escaped(&joined(args)?)))).and_more(Param::Any),
    Function::new("eq", &[Param::Reflect], equal).and_more(Param::Reflect),
    Function::new("ne", &[Param::Reflect, Param::Reflect], |budget, args| negated(equal(budget, args)?)),
    Function::new("lt", &[Param::Reflect, Param::Reflect], |_, args| less(args)),
    Function::new("le", &[Param::Reflect, Param::Reflect], less_or_equal),
    Function::new("gt", &[Param::Reflect, Param::Reflect], |budget, args| negated(less_or_equal(budget, args)?)),
    Function::new("ge", &[Param::Reflect, Param::Reflect], |_, args| negated(less(args)?)),
];

/// The arguments as one text: as `print` joins them, but as the template would print each of them.
fn joined(args: &[Value]) -> Result<String, Failure> {
    match args {
        [Value::String(text)] => Ok(text.to_string()),
        _ => format::print_as_printed(args),
    }
}

fn negated(value: Value) -> Result<Value, Failure> {
    Ok(Value::Bool(!value.is_true()))
}

/// Nothing that a template has is a function.
fn call(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    match &args[1] {
        Value::None => Err("call of nil".to_owned()),
        value => {
            let name = match &args[0] {
                Value::String(name) => name.to_string(),
                other => format!("<{} Value>", other.type_name()),
            };
            Err(format!("non-function {name} of type {}", value.type_name()))
        }
    }
}

fn len(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    match &args[0] {
        // Go reports that it asked nothing for its type.
        Value::None => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        value => match value.len() {
            Some(len) => Ok(Value::size(len)),
            None => Err(format!("len of type {}", value.element_type_name())),
        },
    }
}

/// An index into something of this length.
fn position(index: &Value, len: usize) -> Result<usize, Failure> {
    let number = match (index, index.as_int()) {
        (_, Some(number)) => number,
        (Value::Byte(number), _) => i64::from(*number),
        (Value::None, _) => return Err("cannot index slice/array with nil".to_owned()),
        _ => return Err(format!("cannot index slice/array with type {}", index.type_name())),
    };
    match usize::try_from(number) {
        Ok(position) if position <= len => Ok(position),
        _ => Err(format!("index out of range: {number}")),
    }
}

fn index(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let (first, indexes) = args.split_first().expect("BUG: the number of arguments was checked");
    let mut item = first.clone();
    if matches!(item, Value::None) {
        return Err("index of untyped nil".to_owned());
    }
    for index in indexes {
        if matches!(item, Value::None | Value::Nil) {
            return Err("index of nil pointer".to_owned());
        }
        item = match item.kind() {
            Kind::String | Kind::Slice => {
                let len = item.len().unwrap_or_default();
                let position = position(index, len)?;
                element(&item, position).ok_or_else(|| format!("reflect: {} index out of range", kind_name(&item)))?
            }
            Kind::Map => match index {
                Value::String(key) => item.entry(key).unwrap_or(Value::None),
                Value::None => return Err("value is nil; should be of type string".to_owned()),
                _ => return Err(format!("value has type {}; should be string", index.type_name())),
            },
            _ => return Err(format!("can't index item of type {}", item.element_type_name())),
        };
    }
    Ok(item)
}

fn kind_name(value: &Value) -> &'static str {
    if value.kind() == Kind::String { "string" } else { "slice" }
}

fn element(item: &Value, position: usize) -> Option<Value> {
    match item {
        Value::Vector(vector) => vector.get(position).map(Value::Sample),
        Value::List(all, _) => all.get(position).cloned(),
        _ => {
            let byte = item.as_text()?.as_bytes().get(position)?;
            Some(Value::Byte(*byte))
        }
    }
}

fn slice(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let (item, indexes) = args.split_first().expect("BUG: the number of arguments was checked");
    if matches!(item, Value::None) {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let len = item.len().unwrap_or_default();
    let cap = match item {
        Value::Vector(vector) => vector.cap - vector.start,
        _ => len,
    };
    match item.kind() {
        Kind::String if indexes.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Kind::String | Kind::Slice => {}
        _ => return Err(format!("can't slice item of type {}", item.element_type_name())),
    }
    let mut bounds = [0, len, cap];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, cap)?;
    }
    let [start, end, cap] = bounds;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    if end > cap {
        return Err(format!("invalid slice index: {end} > {cap}"));
    }
    Ok(match item {
        Value::Vector(Vector { all, start: begin, .. }) => {
            let (start, end, cap) = (begin + start, begin + end, begin + cap);
            Value::Vector(Vector { all: Rc::clone(all), start, end, cap })
        }
        Value::List(all, name) => Value::List(all[start..end].iter().cloned().collect(), name),
        _ => {
            let cut = String::from_utf8_lossy(&text(item).as_bytes()[start..end]);
            let cut: Arc<str> = Arc::from(cut);
            if matches!(item, Value::Html(_)) { Value::Html(cut) } else { Value::String(cut) }
        }
    })
}

/// Does the first equal any of the others?
fn equal(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let (first, others) = args.split_first().expect("BUG: the number of arguments was checked");
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if are_equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn is_basic(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Int | Kind::Uint | Kind::Float | Kind::String)
}

fn are_equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    let of_signs = |int: &Value, uint: &Value| match (int.as_int(), uint) {
        (Some(int), Value::Byte(uint)) => int == i64::from(*uint),
        _ => false,
    };
    let (kind_a, kind_b) = (a.kind(), b.kind());
    if kind_a != kind_b && (is_basic(kind_a) || is_basic(kind_b)) {
        return match (kind_a, kind_b) {
            (Kind::Int, Kind::Uint) => Ok(of_signs(a, b)),
            (Kind::Uint, Kind::Int) => Ok(of_signs(b, a)),
            (Kind::Invalid, _) | (_, Kind::Invalid) => Ok(false),
            _ => Err(incompatible(a, b)),
        };
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => return Ok(a == b),
        (Value::Byte(a), Value::Byte(b)) => return Ok(a == b),
        #[expect(clippy::float_cmp, reason = "so does Go")]
        (Value::Float(a), Value::Float(b)) => return Ok(a == b),
        _ => {}
    }
    match (kind_a, kind_b) {
        (Kind::Int, _) => Ok(a.as_int() == b.as_int()),
        (Kind::String, _) => Ok(a.as_text() == b.as_text()),
        (Kind::Invalid, Kind::Invalid) => Ok(true),
        (Kind::Invalid, _) | (_, Kind::Invalid) => Ok(false),
        _ if kind_a != kind_b => {
            let (shown_a, shown_b) = (format::as_string(a)?, format::plain(b)?);
            Err(format!("non-comparable types {shown_a}: {}, {}: {shown_b}", a.type_name(), b.type_name()))
        }
        // A struct with a map.
        _ if matches!(kind_a, Kind::Map | Kind::Slice) || matches!(b, Value::Alert(_)) => {
            Err(format!("non-comparable type {}: {}", format::as_string(b)?, b.type_name()))
        }
        _ => Ok(is_same(a, b)),
    }
}

/// Of pointers and structs.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Sample(a), Value::Sample(b)) => Rc::ptr_eq(a, b),
        (Value::Histogram(a), Value::Histogram(b)) => Arc::ptr_eq(a, b),
        (Value::Time(a, of_a), Value::Time(b, of_b)) => a == b && of_a == of_b,
        (Value::Duration(a, _), Value::Duration(b, _)) => a == b,
        _ => false,
    }
}

fn incompatible(a: &Value, b: &Value) -> Failure {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

fn less(args: &[Value]) -> Result<Value, Failure> {
    let (a, b) = (&args[0], &args[1]);
    let (kind_a, kind_b) = (a.kind(), b.kind());
    let bad = || Err("invalid type for comparison".to_owned());
    if !is_basic(kind_a) || !is_basic(kind_b) {
        return bad();
    }
    let is_less = match (a, b) {
        (Value::Float(a), Value::Float(b)) => a < b,
        _ => match (kind_a, kind_b) {
            (Kind::Int | Kind::Uint, Kind::Int | Kind::Uint) => whole(a) < whole(b),
            (Kind::String, Kind::String) => text(a) < text(b),
            _ if kind_a == kind_b => return bad(),
            _ => return Err(incompatible(a, b)),
        },
    };
    Ok(Value::Bool(is_less))
}

fn whole(value: &Value) -> Option<i64> {
    if let Value::Byte(byte) = value { Some(i64::from(*byte)) } else { value.as_int() }
}

fn less_or_equal(budget: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let is_less = less(args)?;
    if is_less.is_true() { Ok(is_less) } else { equal(budget, args) }
}
