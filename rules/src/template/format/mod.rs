//! Values as text, and `printf` (Go: `fmt`).

mod float;
mod number;
mod printf;

use super::budget::{TEXT_MAX, too_long};
use super::data::Failure;
use super::quote;
use super::time::{duration_text, month_name, weekday_name};
use super::value::{IntType, Kind, Reference, Value, of_sample};

pub(super) use self::float::general;
pub(super) use self::printf::printf;

/// Addresses differ from run to run upstream; here all are this one.
const ADDRESS: u64 = 0xc0_0000_0000;

/// A value as a template prints it.
pub(super) fn printed(value: &Value) -> Result<String, Failure> {
    let mut printer = Printer::default();
    printer.printed(value);
    printer.finish()
}

/// Go's `%v`.
pub(super) fn plain(value: &Value) -> Result<String, Failure> {
    print(std::slice::from_ref(value))
}

/// Go's `%s`.
pub(super) fn as_string(value: &Value) -> Result<String, Failure> {
    let mut printer = Printer::default();
    printer.value(value, 's', 0);
    printer.finish()
}

/// Go's `fmt.Sprint`: a space between two values of which none is a string.
pub(super) fn print(values: &[Value]) -> Result<String, Failure> {
    joined(values, |value| value.kind() == Kind::String, Printer::plain)
}

/// The same, each value as the template prints it.
pub(super) fn print_as_printed(values: &[Value]) -> Result<String, Failure> {
    // No value is printed as a string that says so.
    joined(values, |value| matches!(value.kind(), Kind::String | Kind::Invalid), Printer::printed)
}

fn joined(
    values: &[Value],
    is_string: impl Fn(&Value) -> bool,
    print: impl Fn(&mut Printer, &Value),
) -> Result<String, Failure> {
    let mut printer = Printer::default();
    let mut after_string = true;
    for value in values {
        let is_string = is_string(value);
        if !is_string && !after_string {
            printer.push(" ");
        }
        print(&mut printer, value);
        after_string = is_string;
    }
    printer.finish()
}

/// Go's `fmt.Sprintln`.
pub(super) fn println(values: &[Value]) -> Result<String, Failure> {
    let mut printer = Printer::default();
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            printer.push(" ");
        }
        printer.plain(value);
    }
    printer.push("\n");
    printer.finish()
}

/// Flags, width and precision of a verb.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    /// `%+v`
    names: bool,
    /// `%#v`
    syntax: bool,
}

/// Writes values one after the other.
#[derive(Debug, Default)]
struct Printer {
    out: String,
    spec: Spec,
    /// A text would have become too long; nothing is written from then on.
    is_full: bool,
    /// What a verb cannot print is shown without its `String` method.
    in_error: bool,
}

impl Printer {
    fn finish(self) -> Result<String, Failure> {
        if self.is_full { Err(too_long()) } else { Ok(self.out) }
    }

    fn push(&mut self, text: &str) {
        if self.room(text.len()) {
            self.out.push_str(text);
        }
    }

    fn room(&mut self, len: usize) -> bool {
        self.is_full |= self.out.len().saturating_add(len) > TEXT_MAX;
        !self.is_full
    }

    fn fill(&mut self, len: usize, with: char) {
        if self.room(len) {
            self.out.extend(std::iter::repeat_n(with, len));
        }
    }

    /// Writes a text as wide as it is asked for.
    fn pad(&mut self, text: &str) {
        let missing = self.spec.width.unwrap_or_default().saturating_sub(text.chars().count());
        let zero = if self.spec.zero && !self.spec.minus { '0' } else { ' ' };
        if !self.spec.minus {
            self.fill(missing, zero);
        }
        self.push(text);
        if self.spec.minus {
            self.fill(missing, ' ');
        }
    }

    fn pad_without_zeros(&mut self, text: &str) {
        let zero = std::mem::replace(&mut self.spec.zero, false);
        self.pad(text);
        self.spec.zero = zero;
    }

    fn printed(&mut self, value: &Value) {
        match value {
            Value::None => self.push("<no value>"),
            // What pointers point to.
            Value::Sample(_) => self.structure(value, 'v'),
            _ => self.plain(value),
        }
    }

    fn plain(&mut self, value: &Value) {
        self.spec = Spec::default();
        self.value(value, 'v', 0);
    }

    /// A value with a verb, `depth` levels within others.
    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.is_full {
            return;
        }
        match (value, verb) {
            (Value::None | Value::Nil, 'v') if depth > 0 && self.spec.syntax => return self.push("interface {}(nil)"),
            (Value::None | Value::Nil, 'v') => return self.pad("<nil>"),
            (Value::None | Value::Nil, 'T') if depth == 0 => return self.pad("<nil>"),
            (Value::None | Value::Nil, _) => return self.bad_verb(value, verb),
            (_, 'T') if depth == 0 => return self.string(value.type_name(), 's', value),
            (_, 'p') if depth == 0 => return self.address(value, verb),
            _ => {}
        }
        let is_shown_as_text = !self.in_error && !self.spec.syntax && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q');
        if let Some(text) = method_text(value).filter(|_| is_shown_as_text) {
            return self.string(&text, verb, value);
        }
        match value {
            Value::None | Value::Nil => {}
            Value::Bool(is) if matches!(verb, 't' | 'v') => self.pad(if *is { "true" } else { "false" }),
            Value::Bool(_) => self.bad_verb(value, verb),
            Value::Int(number, _) | Value::Duration(number, Reference::Value) => {
                self.integer(number.unsigned_abs(), *number < 0, verb, value);
            }
            Value::Byte(number) => self.unsigned(u64::from(*number), verb, value),
            Value::Float(number) => self.float(*number, verb, value),
            Value::String(text) | Value::Html(text) => self.string(text, verb, value),
            Value::Labels(_) | Value::Map(_) => self.map(value, verb, depth),
            Value::Vector(_) | Value::List(..) => self.list(value, verb, depth),
            Value::Alert(_) | Value::Time(_, Reference::Value) => self.structure(value, verb),
            // Upstream prints pointers within others as addresses; what they point to says more.
            Value::Sample(_) => {
                self.push("&");
                self.structure(value, verb);
            }
            Value::Histogram(_) | Value::Time(..) | Value::Duration(..) => self.address(value, verb),
        }
    }

    fn bad_verb(&mut self, value: &Value, verb: char) {
        let in_error = std::mem::replace(&mut self.in_error, true);
        self.push("%!");
        self.push(verb.encode_utf8(&mut [0; 4]));
        self.push("(");
        if matches!(value, Value::None | Value::Nil) {
            self.push("<nil>");
        } else {
            self.push(value.type_name());
            self.push("=");
            // The addresses of pointers would be bad verbs again.
            self.value(value, 'v', 0);
        }
        self.push(")");
        self.in_error = in_error;
    }

    fn address(&mut self, value: &Value, verb: char) {
        match (value.kind(), verb) {
            (Kind::Pointer | Kind::Map | Kind::Slice, 'v' | 'p') => {
                self.integer_in(ADDRESS, false, 'x', !self.spec.sharp);
            }
            (Kind::Pointer | Kind::Map | Kind::Slice, 'b' | 'o' | 'd' | 'x' | 'X') => {
                self.unsigned(ADDRESS, verb, value)
            }
            _ => self.bad_verb(value, verb),
        }
    }

    fn string(&mut self, text: &str, verb: char, value: &Value) {
        match verb {
            'v' if self.spec.syntax => self.quoted(text),
            'v' | 's' => {
                let text = self.truncated(text);
                self.pad(text);
            }
            'q' => self.quoted(text),
            'x' | 'X' => self.hex_bytes(text.as_bytes(), verb == 'X'),
            _ => self.bad_verb(value, verb),
        }
    }

    fn truncated<'s>(&self, text: &'s str) -> &'s str {
        let end = self.spec.precision.and_then(|n| text.char_indices().nth(n));
        end.map_or(text, |(end, _)| &text[..end])
    }

    fn quoted(&mut self, text: &str) {
        let text = self.truncated(text);
        if self.spec.sharp && quote::is_raw(text) {
            return self.pad(&format!("`{text}`"));
        }
        if self.room(text.len()) {
            self.pad(&quote::quoted_as(text, '"', self.spec.plus));
        }
    }

    fn hex_bytes(&mut self, bytes: &[u8], upper: bool) {
        let bytes = &bytes[..bytes.len().min(self.spec.precision.unwrap_or(usize::MAX))];
        if !self.room(bytes.len() * 5) {
            return;
        }
        let prefix = match (self.spec.sharp, upper) {
            (true, true) => "0X",
            (true, false) => "0x",
            (false, _) => "",
        };
        let mut text = String::new();
        for (i, byte) in bytes.iter().enumerate() {
            if i > 0 && self.spec.space {
                text.push(' ');
            }
            if i == 0 || self.spec.space {
                text.push_str(prefix);
            }
            text.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(&text);
    }

    fn map(&mut self, value: &Value, verb: char, depth: usize) {
        let (open, between, close) = self.brackets(value, "map[", "]");
        self.push(&open);
        match value {
            Value::Labels(labels) => {
                for (i, (name, text)) in labels.iter().enumerate() {
                    self.push(if i > 0 { between } else { "" });
                    self.string(name, verb, &Value::string(name));
                    self.push(":");
                    self.string(text, verb, &Value::string(text));
                }
            }
            Value::Map(map) => {
                for (i, (name, inner)) in map.entries.iter().enumerate() {
                    self.push(if i > 0 { between } else { "" });
                    self.string(name, verb, &Value::string(&**name));
                    self.push(":");
                    if self.is_full {
                        return;
                    }
                    self.value(inner, verb, depth + 1);
                }
            }
            _ => {}
        }
        self.push(close);
    }

    /// How the elements are enclosed and separated.
    fn brackets(&self, value: &Value, open: &str, close: &'static str) -> (String, &'static str, &'static str) {
        if self.spec.syntax { (format!("{}{{", value.type_name()), ", ", "}") } else { (open.to_owned(), " ", close) }
    }

    fn list(&mut self, value: &Value, verb: char, depth: usize) {
        let (open, between, close) = self.brackets(value, "[", "]");
        self.push(&open);
        for i in 0..value.len().unwrap_or_default() {
            if self.is_full {
                return;
            }
            self.push(if i > 0 { between } else { "" });
            match value {
                Value::Vector(vector) => {
                    let sample = vector.get(i).map_or(Value::None, Value::Sample);
                    self.value(&sample, verb, depth + 1);
                }
                Value::List(all, _) => self.value(&all[i], verb, depth + 1),
                _ => {}
            }
        }
        self.push(close);
    }

    fn structure(&mut self, value: &Value, verb: char) {
        let fields = match value {
            Value::Sample(sample) => {
                vec![("Labels", Value::Labels(sample.labels.clone())), ("Value", of_sample(sample))]
            }
            Value::Alert(alert) => vec![
                ("Labels", Value::Labels(alert.labels.clone())),
                ("ExternalLabels", Value::Labels(alert.external_labels.clone())),
                ("ExternalURL", Value::String(std::sync::Arc::clone(&alert.external_url))),
                ("Value", alert.value.clone()),
            ],
            // The insides of a time say nothing.
            other => vec![("", Value::string(method_text(other).unwrap_or_default()))],
        };
        if self.spec.syntax {
            self.push(value.element_type_name());
        }
        self.push("{");
        for (i, (name, inner)) in fields.iter().enumerate() {
            let between = if self.spec.syntax { ", " } else { " " };
            self.push(if i > 0 { between } else { "" });
            if self.spec.syntax || self.spec.names {
                self.push(name);
                self.push(":");
            }
            self.value(inner, verb, 1);
        }
        self.push("}");
    }
}

/// What the `String` method of a type gives.
fn method_text(value: &Value) -> Option<String> {
    match value {
        Value::Int(month, IntType::Month) => Some(name_or_number("Month", *month, month_name(*month))),
        Value::Int(weekday, IntType::Weekday) => Some(name_or_number("Weekday", *weekday, weekday_name(*weekday))),
        Value::Duration(ns, _) => Some(duration_text(*ns)),
        Value::Time(time, _) => Some(time.to_string()),
        Value::Histogram(histogram) => Some(histogram.to_string()),
        _ => None,
    }
}

/// What has no name is shown as Go shows it.
fn name_or_number(kind: &str, number: i64, name: Option<&'static str>) -> String {
    name.map_or_else(|| format!("%!{kind}({number})"), ToOwned::to_owned)
}
