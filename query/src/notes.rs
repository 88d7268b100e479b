//! Warnings and infos that go with a result, each once.

use std::collections::BTreeSet;

use crate::parse::ast::Span;
use crate::parse::line_column;

/// What the API shows of each kind; the rest is counted.
const SHOWN_MAX: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

impl Notes {
    pub(crate) fn warn(&mut self, text: &str, span: Span, message: &str) {
        self.warnings.insert(format!("PromQL warning: {message} ({})", line_column(text, span.start)));
    }

    pub(crate) fn info(&mut self, text: &str, span: Span, message: &str) {
        self.infos.insert(format!("PromQL info: {message} ({})", line_column(text, span.start)));
    }

    /// Warnings and infos, sorted.
    pub(crate) fn into_texts(self) -> (Vec<String>, Vec<String>) {
        (shown(self.warnings, "warning"), shown(self.infos, "info"))
    }
}

fn shown(all: BTreeSet<String>, kind: &str) -> Vec<String> {
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut texts: Vec<String> = all.into_iter().take(SHOWN_MAX).collect();
    if more > 0 {
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}
