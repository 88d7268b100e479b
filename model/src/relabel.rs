//! Relabelling: rules that rewrite a label set, or drop it. Between discovery and target, and between line and metric.
//!
//! A [`RelabelRule`] is checked and compiled once; [`relabel`] then runs the rules in order and names the one that
//! dropped the set, so that "why is my target not there" has an answer.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use md5::{Digest, Md5};

use crate::labels::{LabelsBuilder, is_legacy_label_name};
use crate::regex::{CapturingRegex, Regex, RegexError};

/// The expression of a rule that gives none.
const REGEX_DEFAULT: &str = "(.*)";
const SEPARATOR_DEFAULT: &str = ";";
const REPLACEMENT_DEFAULT: &str = "$1";
/// What a label name with `$1` or `${name}` in it may look like under the legacy scheme.
const LEGACY_TEMPLATE: &str = r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+";

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RelabelAction {
    /// Sets the target label from the match.
    #[default]
    Replace,
    /// Drops sets that do not match.
    Keep,
    /// Drops sets that match.
    Drop,
    /// Drops sets whose target label differs from the source labels.
    KeepEqual,
    /// Drops sets whose target label equals the source labels.
    DropEqual,
    /// Sets the target label to a hash of the source labels, modulo the modulus.
    HashMod,
    /// Copies every label whose name matches to the name that the replacement makes.
    LabelMap,
    /// Removes the labels whose name matches.
    LabelDrop,
    /// Removes the labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source labels in lower case.
    Lowercase,
    /// Sets the target label to the source labels in upper case.
    Uppercase,
}

impl RelabelAction {
    /// Every action.
    pub const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// As configurations spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    fn needs_target(self) -> bool {
        matches!(self, Self::Replace | Self::HashMod) || self.compares() || self.changes_case()
    }

    fn compares(self) -> bool {
        matches!(self, Self::KeepEqual | Self::DropEqual)
    }

    fn changes_case(self) -> bool {
        matches!(self, Self::Lowercase | Self::Uppercase)
    }
}

impl fmt::Display for RelabelAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name in any case.
impl FromStr for RelabelAction {
    type Err = RelabelError;

    fn from_str(text: &str) -> Result<Self, RelabelError> {
        let lower = text.to_lowercase();
        let found = Self::ALL.into_iter().find(|action| action.as_str() == lower);
        found.ok_or_else(|| RelabelError::UnknownAction(text.to_owned()))
    }
}

/// Which label names a configuration allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameValidation {
    /// Any text.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`
    Legacy,
}

impl NameValidation {
    /// May a label be called so?
    #[must_use]
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_legacy_label_name(name),
        }
    }

    /// May a label be called what this template becomes?
    fn is_label_template(self, template: &str) -> bool {
        match self {
            Self::Utf8 => !template.is_empty(),
            Self::Legacy => Regex::new(LEGACY_TEMPLATE).is_ok_and(|pattern| pattern.is_match(template)),
        }
    }
}

/// A rule as it is written, with the defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelSpec {
    /// Their values, joined by the separator, are what the rule looks at.
    pub source_labels: Vec<String>,
    /// Between the values of the source labels.
    pub separator: String,
    /// `None` when the configuration gives none, which means `(.*)`.
    pub regex: Option<String>,
    /// Of `hashmod`.
    pub modulus: u64,
    /// The label to set or to compare with; may hold `$1` for `replace`.
    pub target_label: String,
    /// What the target label becomes.
    pub replacement: String,
    /// What the rule does.
    pub action: RelabelAction,
}

impl Default for RelabelSpec {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: SEPARATOR_DEFAULT.to_owned(),
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: REPLACEMENT_DEFAULT.to_owned(),
            action: RelabelAction::default(),
        }
    }
}

/// Why a rule is invalid. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelabelError {
    /// Not one of [`RelabelAction::ALL`].
    #[error("unknown relabel action {0:?}")]
    UnknownAction(String),
    /// The expression is not one.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// `hashmod` without a modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// The action sets or compares a label, and none is named.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(RelabelAction),
    /// Not a label name.
    #[error("{name:?} is invalid 'target_label' for {action} action")]
    Target {
        /// What was given.
        name: String,
        /// By which rule.
        action: RelabelAction,
    },
    /// What `labelmap` makes is not a label name.
    #[error("{0:?} is invalid 'replacement' for labelmap action")]
    Replacement(String),
    /// The action has no use for a replacement.
    #[error("'replacement' can not be set for {0} action")]
    UselessReplacement(RelabelAction),
    /// `keepequal` and `dropequal` take nothing else.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(RelabelAction),
    /// `labeldrop` and `labelkeep` take nothing else.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(RelabelAction),
}

/// One checked and compiled rule. A copy is the same rule: thousands of jobs have most of theirs in common.
#[derive(Clone, Debug)]
pub struct RelabelRule(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    spec: RelabelSpec,
    names: NameValidation,
    pattern: Pattern,
}

#[derive(Debug)]
enum Pattern {
    /// `(.*)`: every text matches, and is its own first group.
    Any,
    /// Only asked whether it matches.
    Test(Regex),
    /// Asked for its groups too.
    Groups(Box<CapturingRegex>),
}

impl RelabelRule {
    /// Checks and compiles a rule.
    ///
    /// # Errors
    /// When upstream would refuse it.
    pub fn new(spec: RelabelSpec, names: NameValidation) -> Result<Self, RelabelError> {
        check(&spec, names)?;
        let source = spec.regex.as_deref().unwrap_or(REGEX_DEFAULT);
        let pattern = match spec.action {
            // The default needs no engine: most rules of `replace` only copy or join labels.
            _ if source == REGEX_DEFAULT => Pattern::Any,
            // Only these two read groups; the others are spared the slower engine that captures.
            RelabelAction::Replace | RelabelAction::LabelMap => Pattern::Groups(Box::new(CapturingRegex::new(source)?)),
            _ => Pattern::Test(Regex::in_anchors(source)?),
        };
        Ok(Self(Arc::new(Compiled { spec, names, pattern })))
    }

    /// The rule as it was written.
    #[must_use]
    pub fn spec(&self) -> &RelabelSpec {
        &self.0.spec
    }

    /// What the rule looks at: the values of its source labels, joined by its separator.
    #[must_use]
    pub fn source<'a>(&self, labels: &'a LabelsBuilder) -> Cow<'a, str> {
        self.0.source(labels)
    }
}

impl Compiled {
    /// Applies the rule.
    fn apply(&self, labels: &mut LabelsBuilder) -> Applied {
        let spec = &self.spec;
        let target = spec.target_label.as_str();
        let keeps = |is_matched: bool| Applied { is_kept: is_matched, is_matched };
        let drops = |is_matched: bool| Applied { is_kept: !is_matched, is_matched };
        let mut is_matched = true;
        match spec.action {
            RelabelAction::Keep => return keeps(self.pattern.is_match(&self.source(labels))),
            RelabelAction::Drop => return drops(self.pattern.is_match(&self.source(labels))),
            // A missing target label is the empty string, which equals empty source labels.
            RelabelAction::KeepEqual => return keeps(labels.get(target) == self.source(labels)),
            RelabelAction::DropEqual => return drops(labels.get(target) == self.source(labels)),
            RelabelAction::Replace => is_matched = self.replace(labels),
            RelabelAction::HashMod => {
                let hash = hash(&self.source(labels)) % spec.modulus;
                labels.set(target, hash.to_string());
            }
            RelabelAction::Lowercase => {
                // Letter by letter as Go's `strings.ToLower`: Rust's `to_lowercase` knows mappings to several
                // letters, which Go does not.
                let lower: String = self.source(labels).chars().map(lower).collect();
                labels.set(target, lower);
            }
            RelabelAction::Uppercase => {
                let upper: String = self.source(labels).chars().map(upper).collect();
                labels.set(target, upper);
            }
            RelabelAction::LabelMap => {
                // Collected first: a label that a mapping adds is not mapped again, as with upstream's `Range` over
                // the old labels.
                let mapped: Vec<(String, String)> = labels
                    .iter()
                    .filter_map(|(n, v)| Some((self.pattern.expand(n, &spec.replacement)?, v.to_owned())))
                    .collect();
                is_matched = !mapped.is_empty();
                for (name, value) in mapped {
                    labels.set(&name, value);
                }
            }
            RelabelAction::LabelDrop | RelabelAction::LabelKeep => {
                let is_drop = spec.action == RelabelAction::LabelDrop;
                is_matched = false;
                labels.retain(|name, _| {
                    let is_one = self.pattern.is_match(name);
                    is_matched |= is_one;
                    is_one != is_drop
                });
            }
        }
        Applied { is_kept: true, is_matched }
    }

    /// True if the pattern matched.
    fn replace(&self, labels: &mut LabelsBuilder) -> bool {
        let (spec, source) = (&self.spec, self.source(labels));
        let Some(target) = self.pattern.expand(&source, &spec.target_label) else { return false };
        // A template may expand to an invalid name; upstream's `Replace` then leaves the set unchanged.
        if self.names.is_label_name(&target) {
            // The pattern matched, so that this is `Some` too; an empty value removes the label.
            let value = self.pattern.expand(&source, &spec.replacement).unwrap_or_default();
            labels.set(&target, value);
        }
        true
    }

    fn source<'a>(&self, labels: &'a LabelsBuilder) -> Cow<'a, str> {
        match self.spec.source_labels.as_slice() {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(labels.get(one)),
            many => {
                let values: Vec<&str> = many.iter().map(|name| labels.get(name)).collect();
                Cow::Owned(values.join(&self.spec.separator))
            }
        }
    }
}

impl PartialEq for RelabelRule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (&self.0.spec, self.0.names) == (&other.0.spec, other.0.names)
    }
}

impl Eq for RelabelRule {}

impl Pattern {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Test(regex) => regex.is_match(text),
            Self::Groups(regex) => regex.is_match(text),
        }
    }

    /// The template with the groups of the match filled in; `None` without a match.
    fn expand(&self, text: &str, template: &str) -> Option<String> {
        // Without a reference no groups are needed; a match is enough.
        if !template.contains('$') {
            return self.is_match(text).then(|| template.to_owned());
        }
        match self {
            Self::Any if template == "$1" || template == "${1}" => Some(text.to_owned()),
            // The anchored `(.*)` has no parts to find; any other template over it is rare enough to compile anew.
            Self::Any => CapturingRegex::new(REGEX_DEFAULT).ok()?.expand(text, template),
            Self::Test(_) => None,
            Self::Groups(regex) => regex.expand(text, template),
        }
    }
}

/// What one rule did.
#[derive(Clone, Copy)]
struct Applied {
    is_kept: bool,
    /// Its expression matched; of actions without one, always.
    is_matched: bool,
}

/// The result of relabelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Relabeled {
    /// It stays, as the rules left it.
    Kept,
    /// The rule at this index dropped it; the set is as that rule found it.
    DroppedBy(usize),
}

impl Relabeled {
    /// True if the set was not dropped.
    #[must_use]
    pub fn is_kept(self) -> bool {
        self == Self::Kept
    }
}

/// Applies the rules in order, until one drops the set.
pub fn relabel(labels: &mut LabelsBuilder, rules: &[RelabelRule]) -> Relabeled {
    relabel_seen(labels, rules, |_, _| {})
}

/// The same; `see` is called with the index of each rule that is applied, and whether it matched.
pub fn relabel_seen(labels: &mut LabelsBuilder, rules: &[RelabelRule], mut see: impl FnMut(usize, bool)) -> Relabeled {
    for (rule_idx, rule) in rules.iter().enumerate() {
        let Applied { is_kept, is_matched } = rule.0.apply(labels);
        see(rule_idx, is_matched);
        if !is_kept {
            return Relabeled::DroppedBy(rule_idx);
        }
    }
    Relabeled::Kept
}

fn check(spec: &RelabelSpec, names: NameValidation) -> Result<(), RelabelError> {
    let (action, target) = (spec.action, spec.target_label.as_str());
    if action == RelabelAction::HashMod && spec.modulus == 0 {
        return Err(RelabelError::NoModulus);
    }
    if action.needs_target() && target.is_empty() {
        return Err(RelabelError::NoTarget(action));
    }
    let target_ok = match action {
        // What the template becomes is known only when the rule runs, so only its form is checked.
        RelabelAction::Replace if target.contains('$') => names.is_label_template(target),
        _ if action.needs_target() => names.is_label_name(target),
        _ => true,
    };
    if !target_ok {
        return Err(RelabelError::Target { name: target.to_owned(), action });
    }
    let replacement_default = spec.replacement == REPLACEMENT_DEFAULT;
    if (action.changes_case() || action.compares()) && !replacement_default && !spec.replacement.is_empty() {
        return Err(RelabelError::UselessReplacement(action));
    }
    if action == RelabelAction::LabelMap && !names.is_label_template(&spec.replacement) {
        return Err(RelabelError::Replacement(spec.replacement.clone()));
    }
    // Upstream compares with the defaults, so a field that is written out with its default value is accepted.
    let others_default = spec.modulus == 0 && spec.separator == SEPARATOR_DEFAULT && replacement_default;
    let regex_default = spec.regex.as_deref().is_none_or(|regex| regex == REGEX_DEFAULT);
    if action.compares() && !(others_default && regex_default) {
        return Err(RelabelError::OnlySourceAndTarget(action));
    }
    let only_regex = matches!(action, RelabelAction::LabelDrop | RelabelAction::LabelKeep);
    if only_regex && !(others_default && spec.source_labels.is_empty() && target.is_empty()) {
        return Err(RelabelError::OnlyRegex(action));
    }
    Ok(())
}

/// The last eight bytes of the MD5, most significant first.
fn hash(text: &str) -> u64 {
    let digest = Md5::digest(text.as_bytes());
    // As upstream's `sum64`, whose shifts drop the first half of the digest.
    digest[8..].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// One rune to one rune, as Go does it: `ß` has no single upper-case letter and stays.
fn upper(c: char) -> char {
    match c {
        // Letters whose full mapping is two letters but which also have a single one.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(c, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(c, 9),
        _ => single(c, c.to_uppercase()),
    }
}

fn lower(c: char) -> char {
    if c == '\u{130}' { 'i' } else { single(c, c.to_lowercase()) }
}

fn shifted(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Labels;

    fn rule(spec: RelabelSpec) -> RelabelRule {
        RelabelRule::new(spec, NameValidation::Utf8).unwrap()
    }

    #[test]
    fn the_rule_that_drops_is_named() {
        let keep = |value: &str| {
            rule(RelabelSpec {
                source_labels: vec!["a".into()],
                regex: Some(value.into()),
                action: RelabelAction::Keep,
                ..RelabelSpec::default()
            })
        };
        let set = Labels::from_pairs([("a", "x")]);
        let run = |rules: &[RelabelRule]| relabel(&mut LabelsBuilder::new(&set), rules);
        assert_eq!(run(&[keep("x"), keep("x|y")]), Relabeled::Kept);
        assert_eq!(run(&[keep("x"), keep("y"), keep("z")]), Relabeled::DroppedBy(1));
    }

    #[test]
    fn case_changes_letter_by_letter() {
        let map =
            |text: &str| (text.chars().map(upper).collect::<String>(), text.chars().map(lower).collect::<String>());
        assert_eq!(map("aßÄ"), ("AßÄ".into(), "aßä".into()));
        assert_eq!(map("ᾳ"), ("ᾼ".into(), "ᾳ".into()));
        assert_eq!(map("İ"), ("İ".into(), "i".into()));
    }

    #[test]
    fn the_default_expression_fills_any_template() {
        let spec = RelabelSpec {
            source_labels: vec!["a".into()],
            target_label: "b".into(),
            replacement: "<$0|${1}>".into(),
            ..RelabelSpec::default()
        };
        let mut labels = LabelsBuilder::new(&Labels::from_pairs([("a", "x")]));
        assert!(relabel(&mut labels, &[rule(spec)]).is_kept());
        assert_eq!(labels.get("b"), "<x|x>");
    }
}
