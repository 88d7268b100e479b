//! Optional parts of the language.

/// Which parts of the language are switched on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialect {
    pub(crate) experimental_functions: bool,
    pub(crate) fill_modifiers: bool,
    /// UTF-8 letters and dots in names without quotes.
    pub(crate) utf8_names: bool,
    /// Extensions of MetricsQL.
    pub(crate) extensions: bool,
    /// The scrape interval, from which the default of ranges that are not written is computed.
    pub(crate) scrape_interval_ms: i64,
}

/// The feature, as messages name it.
pub(super) const FLAG: &str = "--enable-feature=promql-extensions";

/// The message, with the feature that would make the text valid.
pub(super) fn with_flag(message: &str, word: &str) -> String {
    format!("{message} (MetricsQL's {word} needs {FLAG})")
}
