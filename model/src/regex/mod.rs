//! Regular expressions as Prometheus uses them: Go's syntax and meaning, anchored at both ends, the dot matching newlines.
//!
//! `syntax` reads them as Go does, `plan` decides what needs no engine, and the rest is matched by `regex-automata`.
//! Matchers and relabelling differ in one thing, as they do upstream: the former are read alone, the latter within
//! `^(?s:…)$`. Only templates of alerts search for expressions that are not anchored (`search`).

mod anchored;
mod capture;
mod engine;
mod error;
mod plan;
mod search;
mod syntax;
mod weight;

pub use self::anchored::Regex;
pub use self::capture::{CapturingRegex, Expansion};
pub use self::engine::Room;
pub use self::error::RegexError;
pub use self::search::SearchRegex;
