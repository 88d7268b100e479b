//! Types of expressions, and modifiers of ranges: what functions and windows need to know of the tree.

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar,
    String,
    Vector,
    Matrix,
}

impl Type {
    /// Its name in parse errors.
    pub(crate) fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// Its name in the HTTP API.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

/// Modifiers that extend a range by samples outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// The range begins and ends with the last samples before its bounds.
    Anchored,
    /// The range begins and ends with values interpolated at its bounds.
    Smoothed,
}

impl Extension {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}
