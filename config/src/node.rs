//! YAML in: text to a tree that knows the place of every value.
//!
//! Scalars keep the text they were written with, since what they mean depends on the field that takes them: `1.10` is a
//! version in one place and a number in another. Only the first document is read; a merge key gives what is not given.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

/// Where something stands, both from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pos {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and its place. Cheap to clone: aliases share what they point at.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) pos: Pos,
    pub(crate) kind: Rc<Kind>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Text, and whether it stands without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// Keys are unique.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) pos: Pos,
}

impl Node {
    /// Nothing at all, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&*self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What the value is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match &*self.kind {
            Kind::Scalar { .. } if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// What is no YAML, and where.
pub(crate) type Refused = (Pos, String);

/// The first document; `None` when there is none.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Refused> {
    let options = options! { emit_comments: false };
    let mut builder = Builder { events: Parser::new_from_str_with_options(text, options), anchors: HashMap::new() };
    loop {
        match builder.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
            (event, span) => return builder.node(event, span).map(Some),
        }
    }
}

struct Builder<P> {
    events: P,
    anchors: HashMap<usize, Node>,
}

impl<'a, P: Iterator<Item = Result<(Event<'a>, Span), serde_saphyr::granit_parser::ScanError>>> Builder<P> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Refused> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let marker = error.marker();
                Err((Pos { line: marker.line(), column: marker.col() + 1 }, error.info()))
            }
            None => Err((Pos::default(), "the document ends too early".to_owned())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Refused> {
        let pos = Pos { line: span.start.line(), column: span.start.col() + 1 };
        let (anchor, kind) = match event {
            Event::Alias(id) => {
                let known = self.anchors.get(&id).cloned();
                return known.ok_or_else(|| (pos, "an alias points at itself".to_owned()));
            }
            Event::Scalar(text, style, anchor, tag) => {
                check_tag(tag.as_deref(), pos)?;
                // What a tag says stands above quotes.
                let plain = match tag.as_deref().and_then(|tag| tag.core_suffix()) {
                    Some("str") => false,
                    Some("int" | "float" | "bool" | "null") => true,
                    _ => style == ScalarStyle::Plain,
                };
                (anchor, Kind::Scalar { text: text.into_owned(), plain })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list()?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map()?),
            _ => return Err((pos, "unexpected end of a value".to_owned())),
        };
        let node = Node { pos, kind: Rc::new(kind) };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Kind, Refused> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Kind, Refused> {
        let mut pairs: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            let Kind::Scalar { text, plain } = &*key.kind else {
                return Err((key.pos, "a key must be a single value".to_owned()));
            };
            if *plain && text == "<<" {
                merge(&value, &mut merged)?;
            } else if pairs.iter().any(|(known, _)| known.text == *text) {
                return Err((key.pos, format!("field {text} already set; remove one of the two")));
            } else {
                pairs.push((Key { text: text.clone(), pos: key.pos }, value));
            }
        }
        for (key, value) in merged {
            if !pairs.iter().any(|(known, _)| known.text == key.text) {
                pairs.push((key, value));
            }
        }
        Ok(Kind::Map(pairs))
    }
}

/// What `<<: value` brings; of several maps the first wins.
fn merge(value: &Node, merged: &mut Vec<(Key, Node)>) -> Result<(), Refused> {
    match &*value.kind {
        Kind::Map(pairs) => merged.extend(pairs.iter().cloned()),
        Kind::List(maps) => {
            for map in maps {
                match &*map.kind {
                    Kind::Map(pairs) => merged.extend(pairs.iter().cloned()),
                    _ => return Err((map.pos, "a merge key takes mappings".to_owned())),
                }
            }
        }
        Kind::Scalar { .. } => return Err((value.pos, "a merge key takes a mapping".to_owned())),
    }
    Ok(())
}

fn check_tag(tag: Option<&Tag>, pos: Pos) -> Result<(), Refused> {
    match tag.map(Tag::suffix) {
        Some(suffix) if suffix.ends_with("binary") => {
            Err((pos, "!!binary values are not taken; write the text itself".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(String, String)> {
        let node = parse(text).unwrap().unwrap();
        let Kind::Map(pairs) = &*node.kind else { panic!("no map: {node:?}") };
        let text = |node: &Node| match &*node.kind {
            Kind::Scalar { text, .. } => text.clone(),
            other => format!("{other:?}"),
        };
        pairs.iter().map(|(key, value)| (key.text.clone(), text(value))).collect()
    }

    #[test]
    fn merged_keys_fill_gaps() {
        let node = parse("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n").unwrap().unwrap();
        let Kind::Map(pairs) = &*node.kind else { panic!("{node:?}") };
        let Kind::Map(b) = &*pairs[1].1.kind else { panic!("{node:?}") };
        let names: Vec<&str> = b.iter().map(|(key, _)| key.text.as_str()).collect();
        assert_eq!(names, ["y", "x"]);
    }

    #[test]
    fn a_doubled_key_is_refused_where_it_stands() {
        let (pos, message) = parse("a:\n  b: 1\n  b: 2\n").unwrap_err();
        assert_eq!((pos.line, pos.column), (3, 3));
        assert!(message.contains("field b already set"), "{message}");
    }

    #[test]
    fn scalars_keep_their_text_and_only_the_first_document_counts() {
        assert_eq!(map("a: 0x10\n---\na: 2\n"), [("a".to_owned(), "0x10".to_owned())]);
        assert!(parse("# nothing\n").unwrap().is_none_or(|node| node.is_null()));
    }

    #[test]
    fn an_alias_within_its_own_anchor_is_refused() {
        assert!(parse("a: &a [*a]\n").is_err());
    }
}
