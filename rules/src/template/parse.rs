//! Tokens to the tree (Go: `text/template/parse/parse.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::budget::on_stack;
use super::data::TemplateError;
use super::functions;
use super::lex::{Keyword, Kind, Lexer, Token};
use super::literal::Number;
use super::quote;
use super::tree::{Arg, Branch, Command, List, Node, Pipe, Template, Term};

/// Blocks and parentheses within each other. Go allows 10 000 parentheses; a tree is walked by recursion.
const NESTING_MAX: usize = 200;

/// All templates of a text, by name.
pub(super) type Trees = BTreeMap<String, List>;

/// Parses a template and those that it defines.
///
/// # Errors
/// Those of Go, in its words.
pub(super) fn parse(name: &str, text: &str) -> Result<Trees, TemplateError> {
    let lexer = Lexer::new(text);
    let end = Token { kind: Kind::Eof, pos: 0, text: "".into(), line: 1 };
    let mut parser = Parser {
        name,
        lexer,
        tokens: [end.clone(), end.clone(), end],
        peeked: 0,
        variables: Vec::new(),
        action_line: 0,
        ranges: 0,
        depth: 0,
        trees: Trees::new(),
    };
    parser.variables.push("$".to_owned());
    parser.run()?;
    Ok(parser.trees)
}

/// How a list of nodes ended.
enum End {
    End,
    Else,
}

struct Parser<'t> {
    name: &'t str,
    lexer: Lexer<'t>,
    /// The last tokens, of which the first `peeked` are yet to come.
    tokens: [Token<'t>; 3],
    peeked: usize,
    variables: Vec<String>,
    /// The line of the action that is read, 0 outside.
    action_line: usize,
    /// Ranges around what is read.
    ranges: usize,
    depth: usize,
    trees: Trees,
}

type Parsed<T> = Result<T, TemplateError>;

impl<'t> Parser<'t> {
    fn next(&mut self) -> Token<'t> {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = self.lexer.next_token();
        }
        self.tokens[self.peeked].clone()
    }

    fn back(&mut self) {
        self.peeked += 1;
    }

    fn peek(&mut self) -> Token<'t> {
        let token = self.next();
        self.back();
        token
    }

    fn next_non_space(&mut self) -> Token<'t> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token<'t> {
        let token = self.next_non_space();
        self.back();
        token
    }

    /// Errors are on the line of the last token that was read, as Go has it.
    fn error<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        let line = self.tokens[0].line;
        Err(TemplateError::Parse { name: self.name.to_owned(), line, reason: reason.into() })
    }

    fn unexpected<T>(&self, token: &Token<'t>, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {token} in {context}"));
        }
        let mut reason = token.to_string();
        if self.action_line != 0 && self.action_line != token.line {
            let word = if reason.ends_with(" action") { "" } else { " in action" };
            reason = format!("{reason}{word} started at {}:{}", self.name, self.action_line);
        }
        self.error(reason)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'t>> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Goes a level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= NESTING_MAX {
            return self.error("max expression depth exceeded");
        }
        self.depth += 1;
        let parsed = on_stack(|| parse(self));
        self.depth -= 1;
        parsed
    }

    fn run(&mut self) -> Parsed<()> {
        let mut root = List::default();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.tokens[1] = delim;
                self.peeked = 2;
            }
            match self.node()? {
                Ok(node) => root.nodes.push(node),
                Err(End::End) => return self.error("unexpected {{end}}"),
                Err(End::Else) => return self.error("unexpected {{else}}"),
            }
        }
        self.add(self.name.to_owned(), root)
    }

    fn add(&mut self, name: String, list: List) -> Parsed<()> {
        match self.trees.get(&name) {
            Some(known) if !known.is_empty() => {
                if list.is_empty() {
                    return Ok(());
                }
                self.error(format!("template: multiple definition of template {}", quote::quoted(&name)))
            }
            _ => {
                self.trees.insert(name, list);
                Ok(())
            }
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        self.body(name, CONTEXT)
    }

    /// A template of its own, which knows no variables from outside.
    fn body(&mut self, name: String, context: &str) -> Parsed<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let action_line = std::mem::take(&mut self.action_line);
        let (list, end) = self.list()?;
        if matches!(end, End::Else) {
            return self.error(format!("unexpected {{{{else}}}} in {context}"));
        }
        self.add(name, list)?;
        (self.variables, self.ranges, self.action_line) = (variables, ranges, action_line);
        Ok(())
    }

    fn template_name(&self, token: &Token<'t>, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquoted(&token.text),
            _ => self.unexpected(token, context),
        }
    }

    fn unquoted(&self, literal: &str) -> Parsed<String> {
        quote::unquoted(literal).map_or_else(|| self.error("invalid syntax"), Ok)
    }

    /// Up to `{{end}}` or `{{else}}`.
    fn list(&mut self) -> Parsed<(List, End)> {
        let mut list = List::default();
        while self.peek_non_space().kind != Kind::Eof {
            match self.node()? {
                Ok(node) => list.nodes.push(node),
                Err(end) => return Ok((list, end)),
            }
        }
        self.error("unexpected EOF")
    }

    fn node(&mut self) -> Parsed<Result<Node, End>> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text(Arc::from(&*token.text)))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let action = self.nested(Self::action);
                self.action_line = 0;
                action
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Result<Node, End>> {
        let token = self.next_non_space();
        let Kind::Keyword(keyword) = token.kind else {
            self.back();
            return Ok(Ok(Node::Action(self.pipeline("command", Kind::RightDelim)?)));
        };
        Ok(Ok(match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break => self.loop_control("{{break}}", Node::Break)?,
            Keyword::Continue => self.loop_control("{{continue}}", Node::Continue)?,
            Keyword::Else => {
                // `{{else if}}` leaves its `if` to be read.
                if !matches!(self.peek_non_space().kind, Kind::Keyword(Keyword::If | Keyword::With)) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Err(End::Else));
            }
            Keyword::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Err(End::End));
            }
            Keyword::If => Node::If(self.branch("if", Keyword::If)?),
            Keyword::With => Node::With(self.branch("with", Keyword::With)?),
            Keyword::Range => Node::Range(self.branch("range", Keyword::Range)?),
            Keyword::Template => self.template()?,
            Keyword::Define | Keyword::Nil => {
                self.back();
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        }))
    }

    fn loop_control(&mut self, name: &str, node: Node) -> Parsed<Node> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, name);
        }
        if self.ranges == 0 {
            return self.error(format!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &str, keyword: Keyword) -> Parsed<Branch> {
        let variables = self.variables.len();
        let is_range = keyword == Keyword::Range;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.ranges += usize::from(is_range);
        let (list, end) = self.list()?;
        self.ranges -= usize::from(is_range);
        let otherwise = match end {
            End::End => None,
            End::Else => Some(self.otherwise(keyword)?),
        };
        self.variables.truncate(variables);
        Ok(Branch { pipe, list, otherwise })
    }

    /// Behind `{{else`: another `if`, whose `{{end}}` is this one's, or the list.
    fn otherwise(&mut self, keyword: Keyword) -> Parsed<List> {
        if self.peek().kind == Kind::Keyword(keyword) && keyword != Keyword::Range {
            self.next();
            let node = match keyword {
                Keyword::If => Node::If(self.nested(|parser| parser.branch("if", keyword))?),
                _ => Node::With(self.nested(|parser| parser.branch("with", keyword))?),
            };
            return Ok(List { nodes: vec![node] });
        }
        match self.list()? {
            (list, End::End) => Ok(list),
            (_, End::Else) => self.error("expected end; found {{else}}"),
        }
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        self.body(name.clone(), CONTEXT)?;
        Ok(Node::Template(Template { pos: token.pos, name, pipe: Some(pipe) }))
    }

    fn template(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.back();
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        Ok(Node::Template(Template { pos: token.pos, name, pipe }))
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, is_assignment: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(context, &mut pipe)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Keyword(Keyword::Nil)
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back();
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// `$x :=`, `$x =`, and of a range `$i, $x :=`.
    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<()> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next();
            // Only what comes behind the space tells a declaration from a use.
            let after = self.peek();
            let sign = self.peek_non_space();
            let is_comma = sign.kind == Kind::Char && sign.text == ",";
            if !is_comma && !matches!(sign.kind, Kind::Assign | Kind::Declare) {
                if after.kind == Kind::Space {
                    (self.tokens[1], self.tokens[2], self.peeked) = (after, variable, 3);
                } else {
                    (self.tokens[1], self.peeked) = (variable, 2);
                }
                return Ok(());
            }
            self.next_non_space();
            pipe.variables.push(variable.text.to_string());
            self.variables.push(variable.text.to_string());
            if !is_comma {
                pipe.is_assignment = sign.kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() >= 2 {
                return self.error(format!("too many declarations in {context}"));
            }
            if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return self.error("range can only initialize variables");
            }
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        let is_value =
            |term: &Term| matches!(term, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::String(..));
        match pipe.commands.iter().skip(1).position(|command| is_value(&command.args[0].term)) {
            Some(i) => self.error(format!("non executable command in pipeline stage {}", i + 2)),
            None => Ok(()),
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { pos: self.peek_non_space().pos, args: Vec::new() };
        loop {
            self.peek_non_space();
            if let Some(arg) = self.operand()? {
                command.args.push(arg);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.back(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            if command.args.is_empty() {
                return self.error("empty command");
            }
            return Ok(command);
        }
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Parsed<Option<Arg>> {
        let Some(arg) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(arg));
        }
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.next().text[1..].to_owned());
        }
        let term = match arg.term {
            Term::Field(mut all) => {
                all.append(&mut names);
                Term::Field(all)
            }
            Term::Variable(name, mut all) => {
                all.append(&mut names);
                Term::Variable(name, all)
            }
            Term::Bool(_) | Term::String(..) | Term::Number(_) | Term::Nil | Term::Dot => {
                return self.error(format!("unexpected . after term {}", quote::quoted(&arg.to_string())));
            }
            Term::Function(_) | Term::Pipe(_) | Term::Chain(..) => Term::Chain(Box::new(arg), names),
        };
        // Errors are located at the first of the fields.
        Ok(Some(Arg { pos: first.pos, term }))
    }

    fn term(&mut self) -> Parsed<Option<Arg>> {
        let token = self.next_non_space();
        let term = match token.kind {
            Kind::Identifier => match functions::named(&token.text) {
                Some(function) => Term::Function(function),
                None => return self.error(format!("function {} not defined", quote::quoted(&token.text))),
            },
            Kind::Dot => Term::Dot,
            Kind::Keyword(Keyword::Nil) => Term::Nil,
            Kind::Variable if self.variables.iter().any(|known| *known == token.text) => {
                Term::Variable(token.text.to_string(), Vec::new())
            }
            Kind::Variable => return self.error(format!("undefined variable {}", quote::quoted(&token.text))),
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            // Nothing that templates of alerts can do takes one.
            Kind::Complex => return self.error("complex numbers are not supported"),
            Kind::CharConstant | Kind::Number => match Number::parse(&token.text) {
                Ok(number) => Term::Number(number),
                Err(reason) => return self.error(reason),
            },
            Kind::LeftParen => {
                let pipe = self.nested(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                Term::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => {
                let text = self.unquoted(&token.text)?;
                Term::String(token.text.to_string(), Arc::from(text))
            }
            _ => {
                self.back();
                return Ok(None);
            }
        };
        Ok(Some(Arg { pos: token.pos, term }))
    }
}
