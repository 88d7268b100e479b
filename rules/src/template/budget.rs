//! What one expansion may use. Upstream has no bounds; no template that people write comes near these.

use query::Sample;

use super::data::{Failure, TemplateData};

/// Nodes and arguments evaluated. Some tenths of a second.
const STEPS_MAX: u32 = 1_000_000;
/// Length of the result and of each text in between, bytes.
pub(super) const TEXT_MAX: usize = 1 << 20;
/// Lengths of all texts made.
const TEXTS_MAX: usize = 32 << 20;
/// Queries asked.
const QUERIES_MAX: u32 = 1000;
/// Templates, blocks and parentheses within each other, while they are evaluated.
const DEPTH_MAX: u32 = 1000;
/// Stack for a level, and how much more of it is taken at once.
const LEVEL_BYTES: usize = 128 << 10;
const STACK_BYTES: usize = 1 << 20;
/// How often it is asked whether the result is still wanted.
const STEPS_UNASKED: u32 = 1 << 10;

/// What is left, and what an expansion is made with.
#[derive(Debug)]
pub(super) struct Budget<'d> {
    pub(super) data: &'d TemplateData<'d>,
    steps: u32,
    texts: usize,
    queries: u32,
    depth: u32,
}

impl<'d> Budget<'d> {
    pub(super) fn new(data: &'d TemplateData<'d>) -> Self {
        Self { data, steps: 0, texts: 0, queries: 0, depth: 0 }
    }

    /// Counts something that is evaluated.
    pub(super) fn step(&mut self) -> Result<(), Failure> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(format!("the template takes more than {STEPS_MAX} steps"));
        }
        if self.steps.is_multiple_of(STEPS_UNASKED) { self.still_wanted() } else { Ok(()) }
    }

    /// Asks before something that takes long.
    pub(super) fn still_wanted(&self) -> Result<(), Failure> {
        if (self.data.still_wanted)() { Ok(()) } else { Err("the evaluation was canceled or timed out".to_owned()) }
    }

    /// Counts a text that was made.
    pub(super) fn text(&mut self, len: usize) -> Result<(), Failure> {
        if len > TEXT_MAX {
            return Err(too_long());
        }
        self.texts = self.texts.saturating_add(len);
        if self.texts > TEXTS_MAX {
            return Err(format!("the template makes more than {TEXTS_MAX} bytes of text"));
        }
        Ok(())
    }

    pub(super) fn query(&mut self, text: &str) -> Result<Vec<Sample>, Failure> {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return Err(format!("the template asks more than {QUERIES_MAX} queries"));
        }
        self.still_wanted()?;
        (self.data.query)(text)
    }

    pub(super) fn enter(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("the template nests deeper than {DEPTH_MAX} levels"));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}

/// Parses or evaluates a level deeper, where there is stack for it.
pub(super) fn on_stack<T>(evaluate: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LEVEL_BYTES, STACK_BYTES, evaluate)
}

pub(super) fn too_long() -> Failure {
    format!("the text is longer than {TEXT_MAX} bytes")
}
