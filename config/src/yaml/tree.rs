//! Parses YAML into a tree in which every value knows its position (decision 0003).
//!
//! Scalars keep their text as written, because their type depends on the field they are assigned to: `1.10` is a version in
//! one field and a number in another. Only the first document is read, as in Prometheus; merge keys (`<<`) are resolved.

use std::collections::HashMap;
use std::rc::Rc;

use super::print::Yaml;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag, options};

/// A position in the file; lines and columns count from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pos {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and its position. Cheap to clone: an alias shares the value of its anchor.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) pos: Pos,
    pub(crate) kind: Rc<Kind>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// A scalar; `plain` if it is written without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Tree>),
    /// Keys are unique.
    Map(Vec<(Key, Tree)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) pos: Pos,
}

impl Tree {
    /// Is the value empty, `~` or `null`?
    pub(crate) fn is_null(&self) -> bool {
        matches!(&*self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The kind of value, for error messages.
    pub(crate) fn what(&self) -> &'static str {
        match &*self.kind {
            Kind::Scalar { .. } if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

impl From<&Yaml> for Tree {
    /// A value that was not read from text has no positions.
    fn from(yaml: &Yaml) -> Self {
        let scalar = |text: &String, plain| Kind::Scalar { text: text.clone(), plain };
        let kind = match yaml {
            Yaml::Text(text) => scalar(text, false),
            Yaml::Raw(text) => scalar(text, true),
            Yaml::List(items) => Kind::List(items.iter().map(Self::from).collect()),
            Yaml::Flow(items) => Kind::List(items.iter().map(|text| Self::unplaced(scalar(text, false))).collect()),
            Yaml::Map(pairs) => Kind::Map(
                pairs
                    .iter()
                    .map(|(key, value)| (Key { text: key.to_string(), pos: Pos::default() }, Self::from(value)))
                    .collect(),
            ),
        };
        Self::unplaced(kind)
    }
}

impl Tree {
    fn unplaced(kind: Kind) -> Self {
        Self { pos: Pos::default(), kind: Rc::new(kind) }
    }

    /// The same value without positions.
    pub(crate) fn to_yaml(&self) -> Yaml {
        match &*self.kind {
            Kind::Scalar { text, plain: true } => Yaml::Raw(text.clone()),
            Kind::Scalar { text, plain: false } => Yaml::Text(text.clone()),
            Kind::List(items) => Yaml::List(items.iter().map(Self::to_yaml).collect()),
            Kind::Map(pairs) => {
                Yaml::Map(pairs.iter().map(|(key, value)| (key.text.clone().into(), value.to_yaml())).collect())
            }
        }
    }
}

/// A syntax error: where, and what.
pub(crate) type SyntaxError = (Pos, String);

/// Parses the first document; `None` if the text holds none.
pub(crate) fn parse(text: &str) -> Result<Option<Tree>, SyntaxError> {
    let (document, faults) = parse_all(text)?;
    faults.into_iter().next().map_or(Ok(document), Err)
}

/// The same; errors after which the rest of the document can still be parsed, such as a duplicate key, are returned beside it.
pub(crate) fn parse_all(text: &str) -> Result<(Option<Tree>, Vec<SyntaxError>), SyntaxError> {
    let mut builder = builder(text);
    // Whatever follows the first value is not even parsed, as with go-yaml v2, which reads `prometheus.yml` upstream.
    let document = builder.document()?;
    Ok((document, builder.faults))
}

/// A document, its faults, and whether another document follows.
pub(crate) type First = (Option<Tree>, Vec<SyntaxError>, bool);

/// The same; also says whether another document follows.
pub(crate) fn parse_first(text: &str) -> Result<First, SyntaxError> {
    let mut builder = builder(text);
    let Some(document) = builder.document()? else { return Ok((None, builder.faults, false)) };
    loop {
        match builder.next() {
            // go-yaml v3, which reads rule files upstream, parses the document up to its end.
            Err(error) if builder.is_open => return Err(error),
            Ok((Event::DocumentEnd, _)) => {}
            Ok((Event::StreamEnd, _)) => return Ok((Some(document), builder.faults, false)),
            // Also one that is empty or no YAML.
            Ok(_) | Err(_) => return Ok((Some(document), builder.faults, true)),
        }
    }
}

fn builder(text: &str) -> Builder<'_, impl Iterator<Item = Result<(Event<'_>, Span), ScanError>>> {
    let options = options! { emit_comments: false };
    let events = Parser::new_from_str_with_options(text, options);
    Builder { text, events, anchors: HashMap::new(), faults: Vec::new(), is_open: false }
}

struct Builder<'a, P> {
    text: &'a str,
    events: P,
    anchors: HashMap<usize, Tree>,
    /// What is wrong and does not keep the rest from being read.
    faults: Vec<SyntaxError>,
    /// Is a document begun and not ended?
    is_open: bool,
}

impl<'a, P: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Builder<'a, P> {
    fn document(&mut self) -> Result<Option<Tree>, SyntaxError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                // An empty file, or one of comments, is a valid configuration of defaults.
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
                (event, span) => return self.value(event, span).map(Some),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.events.next() {
            Some(Ok(event)) => {
                match event.0 {
                    Event::DocumentStart(..) => self.is_open = true,
                    Event::DocumentEnd => self.is_open = false,
                    _ => {}
                }
                Ok(event)
            }
            Some(Err(error)) => {
                let marker = error.marker();
                Err((Pos { line: marker.line(), column: marker.col() + 1 }, error.info()))
            }
            None => Err((Pos::default(), "the document ends too early".to_owned())),
        }
    }

    fn value(&mut self, event: Event<'a>, span: Span) -> Result<Tree, SyntaxError> {
        let pos = Pos { line: span.start.line(), column: span.start.col() + 1 };
        let (anchor, kind) = match event {
            Event::Alias(id) => {
                let known = self.anchors.get(&id).cloned();
                // An anchor is known only once its value is complete, so a value cannot contain itself and the tree
                // is finite.
                let known = known.ok_or_else(|| (pos, "an alias points at itself".to_owned()))?;
                // What an error calls by its path is found there, and not where the value is written.
                return Ok(Tree { pos, ..known });
            }
            Event::Scalar(text, style, anchor, tag) => {
                check_tag(tag.as_deref(), pos)?;
                // An explicit tag overrides the quoting style.
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
        let tree = Tree { pos, kind: Rc::new(kind) };
        // The parser numbers anchors from 1.
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        Ok(tree)
    }

    fn list(&mut self) -> Result<Kind, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, span) => items.push(self.value(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Kind, SyntaxError> {
        let mut pairs: Vec<(Key, Tree)> = Vec::new();
        let mut merged: Vec<(Key, Tree)> = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let key_end = span.end;
            let key = self.value(event, span)?;
            let (event, span) = self.next()?;
            let mut value = self.value(event, span)?;
            if let Kind::Scalar { .. } = &*value.kind {
                value.pos = node_start(self.text, key_end, span.start).unwrap_or(value.pos);
            }
            let Kind::Scalar { text, plain } = &*key.kind else {
                self.faults.push((key.pos, "a key must be a single value".to_owned()));
                continue;
            };
            // A key that is quoted is a field of that name.
            if *plain && text == "<<" {
                self.faults.extend(merge(&value, &mut merged).err());
            } else if pairs.iter().any(|(known, _)| known.text == *text) {
                self.faults.push((key.pos, format!("field {text} already set; remove one of the two")));
            } else {
                pairs.push((Key { text: text.clone(), pos: key.pos }, value));
            }
        }
        // At the end: the mapping's own keys win wherever the merge key stands.
        for (key, value) in merged {
            if !pairs.iter().any(|(known, _)| known.text == key.text) {
                pairs.push((key, value));
            }
        }
        Ok(Kind::Map(pairs))
    }
}

/// Where the value of a key begins: the parser says where its text does, behind anchor, tag and the `|` of a block.
fn node_start(text: &str, key_end: Marker, text_start: Marker) -> Option<Pos> {
    let between = text.get(key_end.byte_offset()?..text_start.byte_offset()?)?;
    let mut pos = Pos { line: key_end.line(), column: key_end.col() + 1 };
    let mut is_comment = false;
    for c in between.chars() {
        match c {
            '\n' => (pos, is_comment) = (Pos { line: pos.line + 1, column: 0 }, false),
            '#' => is_comment = true,
            // The mark between key and value.
            ':' | ' ' | '\t' | '\r' => {}
            _ if is_comment => {}
            _ => return Some(pos),
        }
        pos.column += 1;
    }
    None
}

/// Collects the pairs of `<<: value`. If several mappings have a key, the first mapping wins.
fn merge(value: &Tree, merged: &mut Vec<(Key, Tree)>) -> Result<(), SyntaxError> {
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

fn check_tag(tag: Option<&Tag>, pos: Pos) -> Result<(), SyntaxError> {
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

    fn mapping_of(text: &str) -> Vec<(String, String)> {
        let tree = parse(text).unwrap().unwrap();
        let Kind::Map(pairs) = &*tree.kind else { panic!("no map: {tree:?}") };
        let text = |tree: &Tree| match &*tree.kind {
            Kind::Scalar { text, .. } => text.clone(),
            other => format!("{other:?}"),
        };
        pairs.iter().map(|(key, value)| (key.text.clone(), text(value))).collect()
    }

    #[test]
    fn merged_keys_fill_gaps() {
        let tree = parse("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n").unwrap().unwrap();
        let Kind::Map(pairs) = &*tree.kind else { panic!("{tree:?}") };
        let Kind::Map(b) = &*pairs[1].1.kind else { panic!("{tree:?}") };
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
        assert_eq!(mapping_of("a: 0x10\n---\na: 2\n"), [("a".to_owned(), "0x10".to_owned())]);
        assert!(parse("# nothing\n").unwrap().is_none_or(|tree| tree.is_null()));
    }

    #[test]
    fn a_value_begins_with_its_properties() {
        let text = "a: |\n  x\nb: &n >-  # c: d\n\n  x\nc:  # &e\n  !!str x\nd: *n\n\"e\" : 'x'\n";
        let tree = parse(text).unwrap().unwrap();
        let Kind::Map(pairs) = &*tree.kind else { panic!("{tree:?}") };
        let places: Vec<_> =
            pairs.iter().map(|(key, value)| (key.text.as_str(), value.pos.line, value.pos.column)).collect();
        assert_eq!(places, [("a", 1, 4), ("b", 3, 4), ("c", 7, 3), ("d", 8, 4), ("e", 9, 7)]);
    }

    #[test]
    fn an_alias_within_its_own_anchor_is_refused() {
        assert!(parse("a: &a [*a]\n").is_err());
    }
}
