//! The functions that Prometheus adds (upstream: `template/template.go`).

use std::collections::BTreeMap;
use std::rc::Rc;

use model::duration::parse_duration_ms;
use model::regex::{RegexError, SearchRegex};

use super::function::{Function, Param, text};
use super::humanize::{
    go_int, humanize, humanize_1024, humanize_duration, humanize_percentage, humanize_timestamp, to_float, to_time,
};
use super::text::{lower, titled, upper, without_domain, without_port};
use crate::links::{graph_link, query_escaped, table_link};
use crate::template::budget::{self, Budget, TEXT_MAX};
use crate::template::data::Failure;
use crate::template::quote;
use crate::template::value::{Map, Reference, Value, Vector, of_sample};

/// Maps within maps.
const VALUE_DEPTH_MAX: usize = 100;
/// Memory of a regular expression. One may come from a label, and so from a target.
const REGEX_BYTES_MAX: usize = 32 << 20;
/// What Go says of a pointer to nothing.
const NIL_POINTER: &str = "runtime error: invalid memory address or nil pointer dereference";

const ONE_TEXT: &[Param] = &[Param::String];
const ONE: &[Param] = &[Param::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("query", ONE_TEXT, |budget, args| Ok(Value::Vector(Vector::new(budget.query(text(&args[0]))?)))),
    Function::new("first", &[Param::Vector], first),
    Function::new("value", &[Param::Sample], |_, args| match &args[0] {
        Value::Sample(sample) => Ok(of_sample(sample)),
        _ => Err(NIL_POINTER.to_owned()),
    }),
    Function::new("label", &[Param::String, Param::Sample], |_, args| label(&args[1], text(&args[0]))),
    Function::new("strvalue", &[Param::Sample], |_, args| label(&args[0], "__value__")),
    Function::new("args", &[], args).and_more(Param::Any),
    Function::new("reReplaceAll", &[Param::String, Param::String, Param::String], replace_all),
    Function::new("safeHtml", ONE_TEXT, |_, args| Ok(Value::Html(text(&args[0]).into()))),
    Function::new("match", &[Param::String, Param::String], |budget, args| {
        budget.still_wanted()?;
        let regex = regex(text(&args[0])).map_err(|error| error.to_string())?;
        Ok(Value::Bool(regex.is_match(text(&args[1]))))
    }),
    Function::new("title", ONE_TEXT, |_, args| Ok(Value::string(titled(text(&args[0]))))),
    Function::new("toUpper", ONE_TEXT, |_, args| {
        Ok(Value::string(text(&args[0]).chars().map(upper).collect::<String>()))
    }),
    Function::new("toLower", ONE_TEXT, |_, args| {
        Ok(Value::string(text(&args[0]).chars().map(lower).collect::<String>()))
    }),
    Function::new("graphLink", ONE_TEXT, |_, args| Ok(Value::string(graph_link(text(&args[0]))))),
    Function::new("tableLink", ONE_TEXT, |_, args| Ok(Value::string(table_link(text(&args[0]))))),
    Function::new("sortByLabel", &[Param::String, Param::Vector], sort_by_label),
    Function::new("stripPort", ONE_TEXT, |_, args| Ok(Value::string(without_port(text(&args[0]))))),
    Function::new("stripDomain", ONE_TEXT, |_, args| Ok(Value::string(without_domain(text(&args[0]))))),
    Function::new("humanize", ONE, |_, args| Ok(Value::string(humanize(to_float(&args[0])?)))),
    Function::new("humanize1024", ONE, |_, args| Ok(Value::string(humanize_1024(to_float(&args[0])?)))),
    Function::new("humanizeDuration", ONE, |_, args| Ok(Value::string(humanize_duration(to_float(&args[0])?)))),
    Function::new("humanizePercentage", ONE, |_, args| Ok(Value::string(humanize_percentage(to_float(&args[0])?)))),
    Function::new("humanizeTimestamp", ONE, |_, args| Ok(Value::string(humanize_timestamp(to_float(&args[0])?)?))),
    Function::new("toTime", ONE, |_, args| Ok(Value::Time(to_time(to_float(&args[0])?)?, Reference::Pointer))),
    Function::new("toDuration", ONE, |_, args| {
        Ok(Value::Duration(go_int(to_float(&args[0])? * 1e9), Reference::Pointer))
    }),
    Function::new("now", &[], |budget, _| Ok(Value::Float(budget.data.now.as_seconds()))),
    Function::new("pathPrefix", &[], |budget, _| Ok(Value::string(path_of(budget.data.external_url)))),
    Function::new("externalURL", &[], |budget, _| Ok(Value::string(budget.data.external_url))),
    Function::new("parseDuration", ONE_TEXT, parse_duration),
    Function::new("urlQueryEscape", ONE_TEXT, |_, args| Ok(Value::string(query_escaped(text(&args[0]))))),
];

fn first(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let sample = match &args[0] {
        Value::Vector(vector) => vector.get(0),
        _ => None,
    };
    sample.map(Value::Sample).ok_or_else(|| "first() called on vector with no elements".to_owned())
}

fn label(sample: &Value, name: &str) -> Result<Value, Failure> {
    match sample {
        Value::Sample(sample) => Ok(Value::string(sample.labels.value(name))),
        _ => Err(NIL_POINTER.to_owned()),
    }
}

fn args(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let inner = |value: &Value| if let Value::Map(map) = value { map.depth } else { 0 };
    let depth = args.iter().map(inner).max().unwrap_or_default() + 1;
    if depth > VALUE_DEPTH_MAX {
        return Err(format!("maps are nested deeper than {VALUE_DEPTH_MAX} levels"));
    }
    let entries: BTreeMap<_, _> =
        args.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone())).collect();
    Ok(Value::Map(Map { entries: Rc::new(entries), depth }))
}

fn regex(pattern: &str) -> Result<SearchRegex, RegexError> {
    SearchRegex::new_within(pattern, &mut |bytes| bytes <= REGEX_BYTES_MAX)
}

fn replace_all(budget: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let [pattern, replacement, subject] = [0, 1, 2].map(|i| text(&args[i]));
    // Compiling and searching may take long for one step.
    budget.still_wanted()?;
    let regex = regex(pattern).map_err(|error| {
        let quoted = if quote::is_raw(pattern) { format!("`{pattern}`") } else { quote::quoted(pattern) };
        format!("regexp: Compile({quoted}): {error}")
    })?;
    regex.replace_all(subject, replacement, TEXT_MAX).map(Value::string).ok_or_else(budget::too_long)
}

/// Sorts the results where they are, so that every variable that has them sees them sorted, as upstream does.
fn sort_by_label(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let Value::Vector(vector) = &args[1] else {
        return Ok(Value::Vector(Vector::new(Vec::new())));
    };
    let name = text(&args[0]);
    let mut all = vector.all.borrow_mut();
    all[vector.start..vector.end].sort_by(|a, b| a.labels.value(name).cmp(b.labels.value(name)));
    Ok(args[1].clone())
}

fn parse_duration(_: &mut Budget<'_>, args: &[Value]) -> Result<Value, Failure> {
    let given = text(&args[0]);
    let (sign, unsigned) = given.strip_prefix('-').map_or((1.0, given), |rest| (-1.0, rest));
    let ms = parse_duration_ms(unsigned).map_err(|error| error.to_string())?;
    Ok(Value::Float(sign * (ms * 1_000_000) as f64 / 1e9))
}

/// The path of a URL, without its escapes.
fn path_of(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return String::new() };
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
    // The parser of URLs adds it where there is no path.
    if path == "/" { String::new() } else { path.into_owned() }
}
