//! Walks a parsed template and writes the text (Go: `text/template/exec.go`).

use std::sync::Arc;

use super::budget::{self, Budget, TEXT_MAX};
use super::data::{Failure, TemplateData, TemplateError};
use super::format;
use super::parse::Trees;
use super::quote;
use super::tree::{Arg, Branch, Command, List, Node, Pipe, Template};
use super::value::{Kind, Reference, Value};

/// Expands a template with `root` as its data.
pub(super) fn expand(
    name: &str,
    text: &str,
    trees: &Trees,
    root: Value,
    data: &TemplateData<'_>,
) -> Result<String, TemplateError> {
    let list = trees.get(name).expect("BUG: the parser adds the template itself");
    let mut exec = Exec {
        trees,
        within: name,
        at: At::Start,
        variables: vec![("$", root.clone())],
        budget: Budget::new(data),
        out: String::new(),
    };
    match exec.walk_list(&root, list) {
        Ok(_) => Ok(exec.out),
        Err(reason) => Err(exec.located(name, text, reason)),
    }
}

/// The node that is evaluated, for errors.
#[derive(Clone, Copy, Debug)]
pub(super) enum At<'t> {
    Start,
    Pipe(&'t Pipe),
    Template(&'t Template),
    Command(&'t Command),
    Arg(&'t Arg),
}

/// How a list of nodes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Done,
    Break,
    Continue,
}

/// The state of an expansion.
pub(super) struct Exec<'t, 'd> {
    trees: &'t Trees,
    /// The name of the template that is executed.
    within: &'t str,
    pub(super) at: At<'t>,
    /// Those in sight, the innermost last.
    variables: Vec<(&'t str, Value)>,
    pub(super) budget: Budget<'d>,
    out: String,
}

impl<'t> Exec<'t, '_> {
    /// An error at the node that was evaluated last.
    fn located(&self, name: &str, text: &str, reason: Failure) -> TemplateError {
        let (pos, at) = match self.at {
            At::Start => (0, String::new()),
            At::Pipe(pipe) => (pipe.pos, pipe.to_string()),
            At::Template(template) => (template.pos, template.to_string()),
            At::Command(command) => (command.pos, command.to_string()),
            At::Arg(arg) => (arg.pos, arg.to_string()),
        };
        let before = &text[..pos];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        TemplateError::Execute {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: pos - line_start,
            within: quote::quoted(self.within),
            at,
            reason,
        }
    }

    /// Goes a level deeper.
    pub(super) fn nested<T>(&mut self, evaluate: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        self.budget.enter()?;
        let done = budget::on_stack(|| evaluate(self))?;
        self.budget.leave();
        Ok(done)
    }

    fn walk_list(&mut self, dot: &Value, list: &'t List) -> Result<Flow, Failure> {
        self.nested(|exec| {
            for node in &list.nodes {
                let flow = exec.walk(dot, node)?;
                if flow != Flow::Done {
                    return Ok(flow);
                }
            }
            Ok(Flow::Done)
        })
    }

    fn walk(&mut self, dot: &Value, node: &'t Node) -> Result<Flow, Failure> {
        self.budget.step()?;
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.at = At::Pipe(pipe);
                    self.write(&format::printed(&value)?)?;
                }
            }
            Node::If(branch) => return self.walk_branch(dot, branch, false),
            Node::With(branch) => return self.walk_branch(dot, branch, true),
            Node::Range(branch) => return self.walk_range(dot, branch),
            Node::Template(template) => self.walk_template(dot, template)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Done)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.out.len() + text.len() > TEXT_MAX {
            return Err(budget::too_long());
        }
        self.out.push_str(text);
        Ok(())
    }

    fn walk_branch(&mut self, dot: &Value, branch: &'t Branch, is_with: bool) -> Result<Flow, Failure> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = match (&branch.otherwise, value.is_true()) {
            (_, true) => self.walk_list(if is_with { &value } else { dot }, &branch.list)?,
            (Some(list), false) => self.walk_list(dot, list)?,
            (None, false) => Flow::Done,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn walk_range(&mut self, dot: &Value, branch: &'t Branch) -> Result<Flow, Failure> {
        let outer = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let mark = self.variables.len();
        let mut i = 0u64;
        let mut is_empty = true;
        let mut keys = Keys::of(&value, branch.pipe.variables.len())?;
        while let Some((key, element)) = keys.next(&value, i) {
            self.budget.step()?;
            is_empty = false;
            self.set_range_variables(&branch.pipe, key, &element)?;
            let flow = self.walk_list(&element, &branch.list)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
            i += 1;
        }
        let mut flow = Flow::Done;
        if let (Some(list), true) = (&branch.otherwise, is_empty) {
            flow = self.walk_list(dot, list)?;
        }
        self.variables.truncate(outer);
        // In the list for nothing, Go ends this range at a `break`, and goes on with the one around it at a `continue`.
        Ok(if flow == Flow::Continue { flow } else { Flow::Done })
    }

    /// The pipeline of a range has declared its variables; here they get the element and, if there are two, its key.
    fn set_range_variables(&mut self, pipe: &'t Pipe, key: Value, element: &Value) -> Result<(), Failure> {
        let top = self.variables.len();
        match (&pipe.variables[..], pipe.is_assignment) {
            ([], _) => {}
            ([one], true) => self.assign(one, element.clone())?,
            ([first, second, ..], true) => {
                self.assign(first, key)?;
                self.assign(second, element.clone())?;
            }
            ([_], false) => self.variables[top - 1].1 = element.clone(),
            ([_, _, ..], false) => {
                self.variables[top - 1].1 = element.clone();
                self.variables[top - 2].1 = key;
            }
        }
        Ok(())
    }

    fn walk_template(&mut self, dot: &Value, template: &'t Template) -> Result<(), Failure> {
        self.at = At::Template(template);
        let Some((name, list)) = self.trees.get_key_value(&template.name) else {
            return Err(format!("template {} not defined", quote::quoted(&template.name)));
        };
        let dot = match &template.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::None,
        };
        // It sees no variables but its own data.
        let variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let (within, at) = (self.within, self.at);
        self.within = name;
        self.walk_list(&dot, list)?;
        self.variables = variables;
        (self.within, self.at) = (within, at);
        Ok(())
    }

    pub(super) fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Result<Value, Failure> {
        self.at = At::Pipe(pipe);
        let mut value: Option<Value> = None;
        for command in &pipe.commands {
            self.budget.step()?;
            let result = self.command(dot, command, value)?;
            // What an interface holds, not the interface.
            value = Some(if matches!(result, Value::Nil) { Value::None } else { result });
        }
        let value = value.expect("BUG: the parser refuses empty pipelines");
        for name in &pipe.variables {
            if pipe.is_assignment {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), Failure> {
        let known = self.variables.iter_mut().rev().find(|(known, _)| *known == name);
        known.ok_or_else(|| format!("undefined variable: {name}"))?.1 = value;
        Ok(())
    }

    pub(super) fn variable(&self, name: &str) -> Result<Value, Failure> {
        let known = self.variables.iter().rev().find(|(known, _)| *known == name);
        known.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable: {name}"))
    }
}

/// What a range iterates over.
enum Keys {
    /// Below a number, of its type.
    Ints(u64),
    Elements,
    Names(std::vec::IntoIter<String>),
    Nothing,
}

impl Keys {
    fn of(value: &Value, variables: usize) -> Result<Self, Failure> {
        let names = |names: Vec<String>| Self::Names(names.into_iter());
        let ints = match value {
            // None of them when it is negative.
            Value::Int(number, _) | Value::Duration(number, _) => Self::Ints(u64::try_from(*number).unwrap_or(0)),
            Value::Byte(number) => Self::Ints(u64::from(*number)),
            Value::None | Value::Nil => return Ok(Self::Nothing),
            Value::Labels(labels) => return Ok(names(labels.iter().map(|(name, _)| name.to_owned()).collect())),
            Value::Map(map) => return Ok(names(map.entries.keys().cloned().collect())),
            _ if value.kind() == Kind::Slice => return Ok(Self::Elements),
            _ => return Err(format!("range can't iterate over {}", format::plain(value)?)),
        };
        if variables > 1 {
            return Err(format!("can't use {} to iterate over more than one variable", format::plain(value)?));
        }
        Ok(ints)
    }

    fn next(&mut self, value: &Value, i: u64) -> Option<(Value, Value)> {
        let index = usize::try_from(i).unwrap_or(usize::MAX);
        match self {
            Self::Ints(end) if i >= *end => None,
            Self::Ints(_) => {
                let number = i64::try_from(i).ok()?;
                let element = match value {
                    Value::Int(_, int_type) => Value::Int(number, *int_type),
                    Value::Duration(..) => Value::Duration(number, Reference::Value),
                    _ => Value::Byte(u8::try_from(number).ok()?),
                };
                Some((Value::None, element))
            }
            Self::Elements => {
                let element = match value {
                    Value::Vector(vector) => vector.get(index).map(Value::Sample),
                    Value::List(all, _) => all.get(index).cloned(),
                    _ => None,
                };
                Some((Value::size(index), element?))
            }
            Self::Names(names) => {
                let name = names.next()?;
                let element = value.entry(&name)?;
                Some((Value::String(Arc::from(name)), element))
            }
            Self::Nothing => None,
        }
    }
}
