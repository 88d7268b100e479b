//! Answers in XML.

use roxmltree::{Document, ParsingOptions};

/// A document of more elements, attributes and texts is refused; each needs ten times what it may have in the text.
const NODES_MAX: u32 = 4_000_000;

/// A document. One with a declaration of its type is refused, and so are entities of its own.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, String> {
    parse_within(text, NODES_MAX)
}

fn parse_within(text: &str, nodes_max: u32) -> Result<Document<'_>, String> {
    let options = ParsingOptions { nodes_limit: nodes_max, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| format!("not valid XML: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_documents_are_refused() {
        assert_eq!(parse("<a>x</a>").unwrap().root_element().text(), Some("x"));
        let entities = "<!DOCTYPE a [<!ENTITY b \"xxxx\">]><a>&b;</a>";
        for text in ["<a>", "", entities, &format!("<a>{}</a>", "<b/>".repeat(100))] {
            let error = parse_within(text, 100).unwrap_err();
            assert!(error.starts_with("not valid XML: "), "{error}");
        }
        // The parser needs no stack for the depth of a document.
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(parse(&deep).unwrap().descendants().count(), 100_001);
    }
}
