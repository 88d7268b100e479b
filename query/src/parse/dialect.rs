//! The parts of the language that not everyone has.

/// Which parts of the language are switched on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialect {
    pub(crate) experimental_functions: bool,
    pub(crate) fill_modifiers: bool,
    /// Letters of all scripts, and dots, in names without quotes.
    pub(crate) utf8_names: bool,
    /// What of MetricsQL does not contradict.
    pub(crate) extensions: bool,
    /// How far apart samples usually are; what takes the place of a range that is not written depends on it.
    pub(crate) scrape_interval_ms: i64,
}

/// The switch, as messages name it.
pub(super) const FLAG: &str = "--enable-feature=promql-extensions";

/// The message, and which switch would make sense of the text.
pub(super) fn with_flag(message: &str, word: &str) -> String {
    format!("{message} (MetricsQL's {word} needs {FLAG})")
}
