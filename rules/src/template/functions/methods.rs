//! Methods of Go's times, durations and histograms.

use super::function::{Function, Param, text};
use crate::template::budget::Budget;
use crate::template::data::Failure;
use crate::template::format;
use crate::template::time::{self, Time};
use crate::template::value::{IntType, Reference, Value};

/// The method of a name, if the value has it.
pub(in crate::template) fn method(receiver: &Value, name: &str) -> Option<&'static Function> {
    let all = match receiver {
        Value::Time(..) => TIME,
        Value::Duration(..) => DURATION,
        Value::Int(_, IntType::Month | IntType::Weekday) | Value::Histogram(_) => TEXT,
        _ => return None,
    };
    all.iter().find(|method| method.name == name)
}

const fn new(
    name: &'static str,
    params: &'static [Param],
    call: fn(&mut Budget<'_>, &[Value]) -> Result<Value, Failure>,
) -> Function {
    Function::new(name, params, call)
}

const TEXT: &[Function] = &[new("String", &[], |_, args| format::plain(&args[0]).map(Value::string))];

const TIME: &[Function] = &[
    new("Add", &[Param::Duration], |_, args| in_range(at(args, 0).add(ns(args, 1)))),
    new("AddDate", &[Param::Int, Param::Int, Param::Int], |_, args| {
        in_range(at(args, 0).add_date(int(args, 1), int(args, 2), int(args, 3)))
    }),
    new("After", &[Param::Time], |_, args| Ok(Value::Bool(at(args, 0) > at(args, 1)))),
    new("Before", &[Param::Time], |_, args| Ok(Value::Bool(at(args, 0) < at(args, 1)))),
    new("Compare", &[Param::Time], |_, args| Ok(Value::int(at(args, 0).cmp(&at(args, 1)) as i64))),
    new("Day", &[], |_, args| Ok(Value::int(at(args, 0).date().day))),
    new("Equal", &[Param::Time], |_, args| Ok(Value::Bool(at(args, 0) == at(args, 1)))),
    new("Format", &[Param::String], |_, args| Ok(Value::string(at(args, 0).formatted(text(&args[1]))))),
    new("Hour", &[], |_, args| Ok(Value::int(at(args, 0).clock().0))),
    new("IsZero", &[], |_, args| Ok(Value::Bool(at(args, 0).is_zero()))),
    // The zone of the server is not looked at: all times are UTC.
    new("Local", &[], |_, args| Ok(value(at(args, 0)))),
    new("Minute", &[], |_, args| Ok(Value::int(at(args, 0).clock().1))),
    new("Month", &[], |_, args| Ok(Value::Int(at(args, 0).date().month, IntType::Month))),
    new("Nanosecond", &[], |_, args| Ok(Value::int(at(args, 0).nanosecond()))),
    new("Round", &[Param::Duration], |_, args| in_range(at(args, 0).rounded(ns(args, 1)))),
    new("Second", &[], |_, args| Ok(Value::int(at(args, 0).clock().2))),
    new("String", &[], |_, args| Ok(Value::string(at(args, 0).to_string()))),
    new("Sub", &[Param::Time], |_, args| Ok(Value::Duration(at(args, 0).since(at(args, 1)), Reference::Value))),
    new("Truncate", &[Param::Duration], |_, args| in_range(at(args, 0).truncated(ns(args, 1)))),
    new("UTC", &[], |_, args| Ok(value(at(args, 0)))),
    new("Unix", &[], |_, args| Ok(Value::Int(at(args, 0).unix_in(1), IntType::Int64))),
    new("UnixMicro", &[], |_, args| Ok(Value::Int(at(args, 0).unix_in(1_000_000), IntType::Int64))),
    new("UnixMilli", &[], |_, args| Ok(Value::Int(at(args, 0).unix_in(1_000), IntType::Int64))),
    new("UnixNano", &[], |_, args| Ok(Value::Int(at(args, 0).unix_in(1_000_000_000), IntType::Int64))),
    new("Weekday", &[], |_, args| Ok(Value::Int(at(args, 0).weekday(), IntType::Weekday))),
    new("Year", &[], |_, args| Ok(Value::int(at(args, 0).date().year))),
    new("YearDay", &[], |_, args| Ok(Value::int(at(args, 0).date().year_day))),
];

const DURATION: &[Function] = &[
    new("Abs", &[], |_, args| Ok(duration(ns(args, 0).saturating_abs()))),
    new("Hours", &[], |_, args| Ok(Value::Float(time::in_units(ns(args, 0), time::HOUR)))),
    new("Microseconds", &[], |_, args| Ok(Value::Int(ns(args, 0) / 1_000, IntType::Int64))),
    new("Milliseconds", &[], |_, args| Ok(Value::Int(ns(args, 0) / 1_000_000, IntType::Int64))),
    new("Minutes", &[], |_, args| Ok(Value::Float(time::in_units(ns(args, 0), time::MINUTE)))),
    new("Nanoseconds", &[], |_, args| Ok(Value::Int(ns(args, 0), IntType::Int64))),
    new("Round", &[Param::Duration], |_, args| Ok(duration(time::rounded(ns(args, 0), ns(args, 1))))),
    new("Seconds", &[], |_, args| Ok(Value::Float(time::seconds(ns(args, 0))))),
    new("String", &[], |_, args| Ok(Value::string(time::duration_text(ns(args, 0))))),
    new("Truncate", &[Param::Duration], |_, args| Ok(duration(time::truncated(ns(args, 0), ns(args, 1))))),
];

fn at(args: &[Value], i: usize) -> Time {
    match args.get(i) {
        Some(Value::Time(time, _)) => *time,
        _ => Time::default(),
    }
}

fn ns(args: &[Value], i: usize) -> i64 {
    match args.get(i) {
        Some(Value::Duration(ns, _)) => *ns,
        _ => 0,
    }
}

fn int(args: &[Value], i: usize) -> i64 {
    args.get(i).and_then(Value::as_int).unwrap_or_default()
}

fn value(time: Time) -> Value {
    Value::Time(time, Reference::Value)
}

fn in_range(time: Option<Time>) -> Result<Value, Failure> {
    time.map(value).ok_or_else(|| "time out of range".to_owned())
}

fn duration(ns: i64) -> Value {
    Value::Duration(ns, Reference::Value)
}
