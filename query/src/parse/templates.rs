//! Templates of MetricsQL: `WITH (name = expr, f(x) = expr) expr`. A template is kept as text and parsed at every use, so that
//! it can be used wherever its name is allowed.

use std::rc::Rc;

use model::Matcher;

use super::ast::{Expr, ExprKind, Span};
use super::limits::{USES_MAX, size};
use super::parser::{Context, Parsed, Parser, Stop};
use super::quote::quoted;
use super::scope::{Body, Template, find};
use super::token::Kind;

const HEAD: Context = Context::new("WITH", "\"(\" or \"=\"");
const NAME: Context = Context::new("WITH", "identifier");
const NEXT: Context = Context::new("WITH", "\",\" or \")\"");

impl Parser<'_> {
    /// Expands a name: `WITH` with its templates and expression, or a template.
    pub(super) fn templated(&mut self, name: Span) -> Parsed<Option<Expr>> {
        if self.str(name).eq_ignore_ascii_case("with") && self.peek() == Kind::LeftParen {
            if !self.dialect.extensions {
                self.extension_seen = Some("WITH");
                return Ok(None);
            }
            return self.with().map(Some);
        }
        // Not a template: the name is a function or a metric.
        let Some(template) = find(&self.scope, self.str(name)) else { return Ok(None) };
        let mut args = Vec::new();
        let mut span = name;
        // A template without parameters takes no arguments: a parenthesis after it is left for the caller.
        if !template.params.is_empty() {
            args = if self.peek() == Kind::LeftParen { self.args()? } else { Vec::new() };
            span.end = span.end.max(self.closing);
        }
        let (wanted, got) = (template.params.len(), args.len());
        if wanted != got {
            let name = quoted(&template.name);
            self.fault(name_span(span), format!("template {name} takes {wanted} argument(s), got {got}"));
            return Err(Stop);
        }
        self.expand(&template, args, span).map(Some)
    }

    /// Template definitions, from the opening parenthesis.
    fn with(&mut self) -> Parsed<Expr> {
        let before = self.scope.clone();
        self.take();
        let outer = self.enter(NAME);
        while self.peek() != Kind::RightParen {
            self.enter(NAME);
            let name = self.expect(Kind::Identifier)?.span;
            self.enter(HEAD);
            let params = if self.peek() == Kind::LeftParen { self.labels()? } else { Vec::new() };
            self.enter(HEAD);
            self.expect(Kind::Assign)?;
            self.enter(NEXT);
            let body = Body::Text(self.skip_body()?);
            let name = self.str(name).to_owned();
            // A template sees those before it, but not itself: recursion is impossible.
            self.scope = Some(Rc::new(Template { name, params, body, outer: self.scope.clone() }));
            if self.take_if(Kind::Comma).is_none() {
                break;
            }
        }
        self.expect(Kind::RightParen)?;
        self.enter(outer);
        let expr = self.expr(0);
        self.scope = before;
        expr
    }

    /// Skips tokens to the end of a template definition.
    fn skip_body(&mut self) -> Parsed<Span> {
        // Tokens are skipped, not characters: a comma in a string or inside brackets does not end the body.
        let mut depth = 0usize;
        self.peek();
        let start = self.last_span().start;
        loop {
            match self.peek() {
                Kind::End | Kind::Error => return Err(self.unexpected()),
                Kind::Comma | Kind::RightParen if depth == 0 => return Ok(Span { start, end: self.last_span().start }),
                Kind::LeftParen | Kind::LeftBrace | Kind::LeftBracket => depth += 1,
                Kind::RightParen | Kind::RightBrace | Kind::RightBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.take();
        }
    }

    /// Expands a template at a position.
    fn expand(&mut self, template: &Rc<Template>, args: Vec<Expr>, span: Span) -> Parsed<Expr> {
        self.uses += 1;
        // Templates that use others twice grow exponentially with their number.
        if self.uses > USES_MAX {
            self.fault(span, format!("templates are used more than {USES_MAX} times"));
            return Err(Stop);
        }
        let depth = self.depth();
        self.deeper()?;
        let body = match &template.body {
            Body::Given(expr, size) => {
                // Expanded parts count as if they were written here.
                self.deeper_by(size.depth)?;
                self.grow(size.parts)?;
                expr.clone()
            }
            Body::Text(text) => self.read_body(template, args, *text)?,
        };
        self.rise_to(depth);
        Ok(placed(body, span))
    }

    fn read_body(&mut self, template: &Rc<Template>, args: Vec<Expr>, text: Span) -> Parsed<Expr> {
        // Arguments are parsed where they are used, the body in the scope of its definition.
        let mut scope = template.outer.clone();
        for (name, expr) in template.params.iter().zip(args) {
            let size = size(&expr);
            let (name, body) = (name.clone(), Body::Given(expr, size));
            scope = Some(Rc::new(Template { name, params: Vec::new(), body, outer: scope }));
        }
        // The text before the body is kept, so that positions in errors are those of the query.
        let until = self.text.get(..text.end).unwrap_or_default();
        let mut inner = Parser::new(until, self.dialect, false);
        inner.start_at(text.start, self.depth());
        // Limits are shared with the outer parser, or templates could evade them.
        (inner.scope, inner.uses, inner.parts, inner.limits) = (scope, self.uses, self.parts, self.limits);
        let expr = inner.expr(0).and_then(|expr| inner.expect(Kind::End).map(|_| expr));
        (self.uses, self.parts, self.stopped) = (inner.uses, inner.parts, self.stopped.take().or(inner.stopped));
        self.faults.append(&mut inner.faults);
        self.no_text = self.no_text.take().or(inner.no_text);
        expr
    }

    /// Expands a name among matchers: the template must be a selector without a name.
    pub(super) fn templated_matchers(&mut self, name: Span) -> Parsed<Option<Vec<Matcher>>> {
        let Some(template) = find(&self.scope, self.str(name)).filter(|t| t.params.is_empty()) else { return Ok(None) };
        match self.expand(&template, Vec::new(), name)?.kind {
            ExprKind::Vector(selector) if selector.name.is_none() => Ok(Some(selector.matchers)),
            _ => Ok(None),
        }
    }
}

/// The position of a use, without its arguments.
fn name_span(span: Span) -> Span {
    Span { start: span.start, end: span.start + 1 }
}

/// An expression moved to a position, in parentheses if precedence requires them.
fn placed(mut expr: Expr, span: Span) -> Expr {
    expr.span = span;
    match &mut expr.kind {
        ExprKind::Binary(_) | ExprKind::Unary(..) => Expr { kind: ExprKind::Paren(Box::new(expr)), span },
        ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) => {
            selector.span = span;
            expr
        }
        _ => expr,
    }
}
