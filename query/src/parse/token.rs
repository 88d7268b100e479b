//! Tokens and keywords, and their names in parse errors.

use model::ResetHint;

use super::ast::{AggregateOp, BinaryOp, Span};
use super::quote::quoted;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    /// A lexical error, which was reported; the last token.
    Error,
    Identifier,
    /// An identifier with a colon in it.
    MetricIdentifier,
    Number,
    Duration,
    String,
    Operator(BinaryOp),
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    At,
    Aggregate(AggregateOp),
    Word(Word),
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    // Tokens of series descriptions.
    Space,
    /// `_`
    Blank,
    /// `x`
    Times,
    /// `{{`
    OpenHistogram,
    /// `}}`
    CloseHistogram,
    Key(Key),
    Hint(ResetHint),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// Keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Offset,
    Smoothed,
    Anchored,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
}

const WORDS: [(&str, Word); 19] = [
    ("offset", Word::Offset),
    ("smoothed", Word::Smoothed),
    ("anchored", Word::Anchored),
    ("by", Word::By),
    ("without", Word::Without),
    ("on", Word::On),
    ("ignoring", Word::Ignoring),
    ("group_left", Word::GroupLeft),
    ("group_right", Word::GroupRight),
    ("fill", Word::Fill),
    ("fill_left", Word::FillLeft),
    ("fill_right", Word::FillRight),
    ("bool", Word::Bool),
    ("start", Word::Start),
    ("end", Word::End),
    ("step", Word::Step),
    ("range", Word::Range),
    ("min_of", Word::MinOf),
    ("max_of", Word::MaxOf),
];

impl Word {
    pub(super) fn is_fill(self) -> bool {
        matches!(self, Self::Fill | Self::FillLeft | Self::FillRight)
    }

    /// Can it name a function?
    pub(super) fn is_call(self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MinOf | Self::MaxOf)
    }

    /// Can it name a metric?
    pub(super) fn is_metric(self) -> bool {
        self.is_call()
            || self.is_fill()
            || matches!(self, Self::Offset | Self::Smoothed | Self::Anchored | Self::By | Self::Without)
    }

    /// Keywords of duration expressions.
    pub(super) fn in_duration(word: &str) -> Option<Self> {
        let found = WORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word));
        found.map(|(_, w)| *w).filter(|w| matches!(w, Self::Step | Self::Range | Self::MinOf | Self::MaxOf))
    }
}

/// The keywords that name nothing else, and whether each is a fill modifier.
pub(crate) fn keywords() -> impl Iterator<Item = (&'static str, bool)> {
    WORDS.iter().filter(|(_, word)| !word.is_call()).map(|(text, word)| (*text, word.is_fill()))
}

/// Classifies a word, case-insensitively: operator, aggregation, number, keyword or identifier.
pub(super) fn keyword(text: &str) -> Option<Kind> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    // Numbers that are written as words; upstream's `key` table has them, too.
    if is("inf") || is("nan") {
        return Some(Kind::Number);
    }
    if let Some((_, word)) = WORDS.iter().find(|(word, _)| is(word)) {
        return Some(Kind::Word(*word));
    }
    let operators = [BinaryOp::And, BinaryOp::Or, BinaryOp::Unless, BinaryOp::Atan2];
    let operator = operators.into_iter().find(|op| is(op.symbol())).map(Kind::Operator);
    operator.or_else(|| AggregateOp::from_name(text).map(Kind::Aggregate))
}

/// The keys of a histogram literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Sum,
    Count,
    Schema,
    Offset,
    NegativeOffset,
    Buckets,
    NegativeBuckets,
    ZeroBucket,
    ZeroBucketWidth,
    CustomValues,
    CounterResetHint,
}

impl Key {
    /// In the order in which upstream's grammar declares their tokens.
    const ALL: [(&'static str, Self); 11] = [
        ("sum", Self::Sum),
        ("count", Self::Count),
        ("schema", Self::Schema),
        ("offset", Self::Offset),
        ("n_offset", Self::NegativeOffset),
        ("buckets", Self::Buckets),
        ("n_buckets", Self::NegativeBuckets),
        ("z_bucket", Self::ZeroBucket),
        ("z_bucket_w", Self::ZeroBucketWidth),
        ("custom_values", Self::CustomValues),
        ("counter_reset_hint", Self::CounterResetHint),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(text, _)| text.eq_ignore_ascii_case(name)).map(|(_, key)| *key)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }

    /// Upstream's error messages show these tokens by number.
    fn number(self) -> usize {
        57370 + Self::ALL.iter().position(|(_, key)| *key == self).unwrap_or(0)
    }
}

/// The value of `counter_reset_hint` of this name.
pub(super) fn hint(name: &str) -> Option<ResetHint> {
    let all = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];
    all.into_iter().find(|hint| hint.name().eq_ignore_ascii_case(name))
}

/// The name of a token in parse errors: `<op:+>`, `<by>`, `identifier "x"`.
pub(super) fn describe(kind: Kind, text: &str) -> String {
    // Upstream's `Item.String` compares the length in bytes, but cuts after ten characters.
    let short = || match text.char_indices().nth(10) {
        _ if text.len() <= 10 => quoted(text),
        Some((cut, _)) => format!("{}...", quoted(text.get(..cut).unwrap_or(text))),
        None => format!("{}...", quoted(text)),
    };
    match kind {
        Kind::End => "end of input".to_owned(),
        Kind::Identifier => format!("identifier {}", quoted(text)),
        Kind::MetricIdentifier => format!("metric identifier {}", quoted(text)),
        Kind::Number => format!("number {}", short()),
        Kind::Duration => format!("duration {}", short()),
        Kind::String => format!("string {}", short()),
        Kind::Operator(_) | Kind::Matches | Kind::MatchesNot | Kind::At => format!("<op:{text}>"),
        Kind::Aggregate(_) => format!("<aggr:{text}>"),
        Kind::Word(word) if !word.is_call() => format!("<{text}>"),
        Kind::Key(key) => format!("\"<Item {}>\" {}", key.number(), short()),
        _ => short(),
    }
}
