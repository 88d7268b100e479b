//! `relabel_configs` and its like.

use std::str::FromStr as _;

use model::{NameValidation, RelabelAction, RelabelRule, RelabelSpec};

use crate::Error;
use crate::schema::{Codec, Count, Fields, Section as _, Shape, Text, scalar, section};
use crate::yaml::{Tree, Yaml};

section! {
    /// One rule that changes labels or drops what has them. A list of rules is applied in its order.
    #[derive(Clone, Debug)]
    pub(crate) struct RelabelConfig as "relabel_config" {
        /// The labels whose values, joined by `separator`, are matched.
        #[yaml(SourceLabels)]
        source_labels: Vec<String>,
        /// Stands between the values of the source labels.
        #[yaml(Text, default = RelabelSpec::default().separator; always)]
        separator: String,
        /// The expression that must match as a whole; `(.*)` if it is missing.
        #[yaml(Pattern)]
        regex: Option<String>,
        /// The modulus of `hashmod`.
        #[yaml(Count)]
        modulus: u64,
        /// The label that is set or compared.
        #[yaml(Text)]
        target_label: String,
        /// The new value of the target label; `$1` is replaced by the first capture group of `regex`.
        #[yaml(Text, default = RelabelSpec::default().replacement; always)]
        replacement: String,
        /// What the rule does.
        #[yaml(Action, default = RelabelAction::default(); always)]
        action: RelabelAction,
    }
}

impl RelabelConfig {
    /// What is wrong with the expression.
    fn check_regex(&self, f: &Fields<'_>) -> Result<(), Error> {
        let compiled = self.regex.as_ref().map(|regex| model::Regex::in_anchors(regex));
        compiled.map_or(Ok(()), |compiled| compiled.map(drop).map_err(|error| f.refuse("regex", error.to_string())))
    }

    fn rule(self, f: &Fields<'_>, names: NameValidation) -> Result<RelabelRule, Error> {
        let Self { source_labels, separator, regex, modulus, target_label, replacement, action } = self;
        let spec = RelabelSpec { source_labels, separator, regex, modulus, target_label, replacement, action };
        // Prometheus parses the expression before it checks the other fields, so its error comes first.
        let regex = spec.regex.clone();
        RelabelRule::new(spec, names).map_err(|error| match regex.map(|regex| model::Regex::in_anchors(&regex)) {
            Some(Err(error)) => f.refuse("regex", error.to_string()),
            _ => f.refuse_all(error.to_string()),
        })
    }

    fn of(rule: &RelabelRule) -> Self {
        // The rule keeps what the file says beside the compiled expression, since that is what is printed.
        let RelabelSpec { source_labels, separator, regex, modulus, target_label, replacement, action } =
            rule.spec().clone();
        Self { source_labels, separator, regex, modulus, target_label, replacement, action }
    }
}

/// A list of rules. The arguments are which names are valid, and the error for an item that is null.
pub(crate) enum Rules {}

impl Codec<Vec<RelabelRule>> for Rules {
    type Args<'a> = (NameValidation, &'static str);

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        (names, empty): (NameValidation, &'static str),
    ) -> Result<Option<Vec<RelabelRule>>, Error> {
        let source = f.source;
        let mut rules = Vec::new();
        for (item, path) in f.items(name)? {
            let rule =
                if item.is_null() { Err(source.error(item.pos, path, empty)) } else { rule(f, item, path, names) };
            rules.extend(source.recover(rule)?);
        }
        Ok(Some(rules))
    }

    fn is_zero(rules: &Vec<RelabelRule>) -> bool {
        rules.is_empty()
    }

    fn encode(rules: &Vec<RelabelRule>) -> Yaml {
        Yaml::List(rules.iter().map(|rule| RelabelConfig::of(rule).to_map()).collect())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Section(RelabelConfig::describe()))
    }
}

/// One rule; none if its fields have faults.
fn rule(f: &Fields<'_>, item: &Tree, path: String, names: NameValidation) -> Result<Option<RelabelRule>, Error> {
    // Kept after decoding, because errors of the compiled rule point at its fields.
    let mut inner = Fields::new(f.source, Some(item), path)?;
    let config = RelabelConfig::decode(&mut inner, ())?;
    if inner.is_sound() {
        return config.rule(&inner, names).map(Some);
    }
    // What a rule needs depends on fields that are not known; its expression is one by itself.
    if inner.are_sound(&["regex"]) {
        config.check_regex(&inner)?;
    }
    Ok(None)
}

/// Names of labels, valid by the UTF-8 rules whatever the scheme is: upstream's `LabelName` is decoded by these, and
/// `Config.Validate` does not look at source labels. A null item is an empty name that is not checked.
enum SourceLabels {}

impl Codec<Vec<String>> for SourceLabels {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Vec<String>>, Error> {
        let items = f.items(name)?;
        let label = |(item, path): (&Tree, String)| {
            let label = scalar(f.source, item, &path)?;
            // For null go-yaml does not call `LabelName.UnmarshalYAML`, which is where upstream checks names.
            if !item.is_null() && !NameValidation::Utf8.is_label_name(label) {
                return Err(f.refuse(name, format!("{label:?} is not a valid label name")));
            }
            Ok(label.to_owned())
        };
        f.source.each(items, label).map(Some)
    }

    fn is_zero(labels: &Vec<String>) -> bool {
        labels.is_empty()
    }

    fn encode(labels: &Vec<String>) -> Yaml {
        // `yaml:"source_labels,flow,omitempty"` upstream; the only list that is printed in brackets.
        Yaml::Flow(labels.clone())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Scalar("label name"))
    }
}

/// A regular expression; the empty one, or null, is an expression too and not the default.
enum Pattern {}

impl Codec<Option<String>> for Pattern {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Option<String>>, Error> {
        f.text(name).map(Some)
    }

    fn is_zero(regex: &Option<String>) -> bool {
        // Upstream compares with the default expression by identity (`Regexp.IsZero`), so a written `(.*)` is printed.
        regex.is_none()
    }

    fn encode(regex: &Option<String>) -> Yaml {
        Yaml::text(regex.as_deref().unwrap_or_default())
    }

    fn shape() -> Shape {
        Shape::Scalar("regex")
    }
}

/// The word of an action, in any letter case.
enum Action {}

impl Codec<RelabelAction> for Action {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<RelabelAction>, Error> {
        let Some(text) = f.text(name)? else { return Ok(None) };
        if text.is_empty() {
            return Err(f.refuse(name, "relabel action cannot be empty"));
        }
        // `Action.UnmarshalYAML` lowers the word first; printed is the lower-case form.
        RelabelAction::from_str(&text).map(Some).map_err(|error| {
            let known: Vec<&str> = RelabelAction::ALL.iter().map(|action| action.as_str()).collect();
            f.refuse(name, format!("{error}; it is one of {}", known.join(", ")))
        })
    }

    fn is_zero(_: &RelabelAction) -> bool {
        false
    }

    fn encode(action: &RelabelAction) -> Yaml {
        Yaml::text(action.as_str())
    }

    fn shape() -> Shape {
        Shape::Words(RelabelAction::ALL.iter().map(|action| action.as_str()).collect())
    }
}
