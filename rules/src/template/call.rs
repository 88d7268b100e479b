//! Commands: values, fields, and calls of functions and methods with what they take (Go: `text/template/exec.go`).

use std::sync::Arc;

use super::data::Failure;
use super::exec::{At, Exec};
use super::functions::{self, Call, Function, Param};
use super::literal::{Ideal, Number};
use super::tree::{Arg, Command, Term};
use super::value::{Field, IntType, Reference, Value};

/// What a call is given beside its values: the node that errors name, and the arguments in the template.
#[derive(Clone, Copy)]
struct Site<'t, 'v> {
    node: At<'t>,
    dot: &'v Value,
    args: &'t [Arg],
}

impl<'t> Exec<'t, '_> {
    /// The value of a command; `last` is that of the one before, which is its last argument.
    pub(super) fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Result<Value, Failure> {
        let first = &command.args[0];
        let site = Site { node: At::Arg(first), dot, args: &command.args[1..] };
        let no_arguments = |last: &Option<Value>| {
            if site.args.is_empty() && last.is_none() {
                return Ok(());
            }
            // A pipeline is shown without its parentheses here, as in Go.
            Err(format!("can't give argument to non-function {first}"))
        };
        if let Term::Pipe(pipe) = &first.term {
            no_arguments(&last)?;
            return self.nested(|exec| exec.pipeline(dot, pipe));
        }
        self.at = At::Arg(first);
        match &first.term {
            Term::Field(names) => self.fields((dot.clone(), false), names, site, last),
            Term::Chain(inner, names) => {
                let value = self.chained(dot, inner)?;
                self.fields((value, false), names, site, last)
            }
            Term::Function(function) => {
                let site = Site { node: At::Command(command), ..site };
                self.call(function, None, site, last)
            }
            Term::Variable(name, names) => {
                let value = self.variable(name)?;
                if names.is_empty() {
                    no_arguments(&last)?;
                    return Ok(value);
                }
                self.fields((value, false), names, site, last)
            }
            Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::String(..) | Term::Pipe(_) => {
                no_arguments(&last)?;
                match &first.term {
                    Term::Dot => Ok(dot.clone()),
                    Term::Nil => Err("nil is not a command".to_owned()),
                    term => literal(term),
                }
            }
        }
    }

    /// What stands before the fields of a chain.
    fn chained(&mut self, dot: &Value, inner: &'t Arg) -> Result<Value, Failure> {
        self.at = At::Arg(inner);
        match &inner.term {
            Term::Pipe(pipe) => self.nested(|exec| exec.pipeline(dot, pipe)),
            Term::Function(function) => self.call(function, None, Site { node: At::Arg(inner), dot, args: &[] }, None),
            _ => Err(format!("indirection through explicit nil in {inner}")),
        }
    }

    /// `.a.b.c`; the last of them may be a method with arguments. `receiver` says whether its type is `interface {}`.
    fn fields(
        &mut self,
        mut receiver: (Value, bool),
        names: &'t [String],
        site: Site<'t, '_>,
        mut last: Option<Value>,
    ) -> Result<Value, Failure> {
        for (i, name) in names.iter().enumerate() {
            let is_last = i + 1 == names.len();
            let site = Site { args: if is_last { site.args } else { &[] }, ..site };
            let last = if is_last { last.take() } else { None };
            receiver = self.field(receiver, name, site, last)?;
        }
        Ok(receiver.0)
    }

    fn field(
        &mut self,
        (receiver, in_interface): (Value, bool),
        name: &'t str,
        site: Site<'t, '_>,
        last: Option<Value>,
    ) -> Result<(Value, bool), Failure> {
        self.budget.step()?;
        match receiver {
            Value::None => return Ok((Value::None, false)),
            Value::Nil => return Err(format!("nil pointer evaluating interface {{}}.{name}")),
            _ => {}
        }
        if let Some(method) = functions::method(&receiver, name) {
            return Ok((self.call(method, Some(receiver), site, last)?, false));
        }
        let is_map = matches!(receiver, Value::Labels(_) | Value::Map(_));
        match receiver.field(name) {
            Field::Found(..) if !site.args.is_empty() || last.is_some() => Err(if is_map {
                format!("{name} is not a method but has arguments")
            } else {
                format!("{name} has arguments but cannot be invoked as function")
            }),
            Field::Found(value, in_interface) => Ok((value, in_interface)),
            Field::Unknown => {
                let type_name = if in_interface { "interface {}" } else { receiver.type_name() };
                Err(format!("can't evaluate field {name} in type {type_name}"))
            }
        }
    }

    fn call(
        &mut self,
        function: &'static Function,
        receiver: Option<Value>,
        site: Site<'t, '_>,
        last: Option<Value>,
    ) -> Result<Value, Failure> {
        let Function { name, params, variadic, .. } = *function;
        let given = site.args.len() + usize::from(last.is_some());
        if variadic.is_some() && given < params.len() {
            let (want, got) = (params.len(), site.args.len());
            return Err(format!("wrong number of args for {name}: want at least {want} got {got}"));
        }
        if variadic.is_none() && given != params.len() {
            return Err(format!("wrong number of args for {name}: want {} got {given}", params.len()));
        }
        let run = match function.call {
            Call::And => return self.and_or(false, site, last),
            Call::Or => return self.and_or(true, site, last),
            Call::Plain(run) => run,
        };
        let param = |i: usize| params.get(i).copied().or(variadic).expect("BUG: the number was checked");
        let mut values: Vec<Value> = receiver.into_iter().collect();
        for (i, arg) in site.args.iter().enumerate() {
            values.push(self.argument(site.dot, param(i), arg)?);
        }
        if let Some(last) = last {
            values.push(of_type(last, param(site.args.len()))?);
        }
        if name == "call" {
            // Its error names the argument as it stands in the template.
            let callee = site.args.first().map(ToString::to_string);
            values.insert(0, callee.map_or_else(|| values[0].clone(), Value::string));
        }
        let result = run(&mut self.budget, &values).and_then(|value| {
            let len = value.as_text().map_or(0, |text| text.len());
            self.budget.text(len).map(|()| value)
        });
        result.map_err(|reason| {
            self.at = site.node;
            format!("error calling {name}: {reason}")
        })
    }

    /// The first argument that decides, or the last; those behind it are not evaluated.
    fn and_or(&mut self, is_or: bool, site: Site<'t, '_>, last: Option<Value>) -> Result<Value, Failure> {
        let mut value = Value::None;
        for arg in site.args {
            value = self.argument(site.dot, Param::Reflect, arg)?;
            if value.is_true() == is_or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Value, param: Param, arg: &'t Arg) -> Result<Value, Failure> {
        self.budget.step()?;
        self.at = At::Arg(arg);
        let site = Site { node: At::Arg(arg), dot, args: &[] };
        let value = match &arg.term {
            Term::Dot => dot.clone(),
            Term::Nil if param.can_be_nil() => return Ok(Value::None),
            Term::Nil => return Err(format!("cannot assign nil to {}", param.type_name())),
            Term::Field(names) => self.fields((dot.clone(), false), names, site, None)?,
            Term::Variable(name, names) => {
                let value = self.variable(name)?;
                self.fields((value, false), names, site, None)?
            }
            Term::Pipe(pipe) => self.nested(|exec| exec.pipeline(dot, pipe))?,
            Term::Function(function) => self.call(function, None, site, None)?,
            Term::Chain(inner, names) => {
                let value = self.chained(dot, inner)?;
                self.fields((value, false), names, site, None)?
            }
            term @ (Term::Bool(_) | Term::Number(_) | Term::String(..)) => return literal_for(param, term, arg),
        };
        of_type(value, param)
    }
}

/// A literal whose type nothing says.
fn literal(term: &Term) -> Result<Value, Failure> {
    match term {
        Term::Bool(value) => Ok(Value::Bool(*value)),
        Term::String(_, text) => Ok(Value::String(Arc::clone(text))),
        Term::Number(number) => number_value(number),
        _ => Err("BUG: not a literal".to_owned()),
    }
}

fn number_value(number: &Number) -> Result<Value, Failure> {
    match number.ideal() {
        Ideal::Int(value) => Ok(Value::int(value)),
        Ideal::Float(value) => Ok(Value::Float(value)),
        Ideal::Overflow => Err(format!("{} overflows int", number.text)),
    }
}

/// A literal as an argument of a type.
fn literal_for(param: Param, term: &Term, arg: &Arg) -> Result<Value, Failure> {
    match (param, term) {
        (Param::Any | Param::Reflect, _) | (Param::String, Term::String(..)) => literal(term),
        (Param::String, _) => Err(format!("expected string; found {arg}")),
        (Param::Int | Param::Duration, _) => match term {
            Term::Number(Number { int: Some(int), .. }) if param == Param::Int => Ok(Value::int(*int)),
            Term::Number(Number { int: Some(int), .. }) => Ok(Value::Duration(*int, Reference::Value)),
            _ => Err(format!("expected integer; found {arg}")),
        },
        (Param::Vector | Param::Sample | Param::Time, _) => {
            Err(format!("can't handle {arg} for arg of type {}", param.type_name()))
        }
    }
}

/// The value as an argument of a type, where it is one or a pointer to one.
fn of_type(value: Value, param: Param) -> Result<Value, Failure> {
    match (param, value) {
        (Param::Any | Param::Reflect, Value::Nil) => Ok(Value::None),
        (_, Value::None) if param.can_be_nil() => Ok(Value::None),
        (_, Value::None) => Err(format!("invalid value; expected {}", param.type_name())),
        (Param::Any | Param::Reflect, value)
        | (Param::String, value @ Value::String(_))
        | (Param::Vector, value @ Value::Vector(_))
        | (Param::Sample, value @ Value::Sample(_))
        | (Param::Int, value @ Value::Int(_, IntType::Int)) => Ok(value),
        (Param::Duration, Value::Duration(ns, _)) => Ok(Value::Duration(ns, Reference::Value)),
        (Param::Time, Value::Time(time, _)) => Ok(Value::Time(time, Reference::Value)),
        (_, value) => {
            let (want, got) = (param.type_name(), value.type_name());
            Err(format!("wrong type for value; expected {want}; got {got}"))
        }
    }
}
