//! The `otlp` section: how metrics of OpenTelemetry become series.

use std::collections::BTreeSet;

use crate::Error;
use crate::schema::{Bool, Fields, Text, Texts, section};

const STRATEGIES: [&str; 4] = [
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
];

section! {
    /// How metrics of OpenTelemetry become series.
    #[derive(Clone, Debug, PartialEq)]
    pub struct OtlpConfig as "otlp" {
        /// Make labels of all resource attributes.
        #[yaml(Bool)]
        pub promote_all_resource_attributes: bool,
        /// Make labels of these resource attributes.
        #[yaml(Texts)]
        pub promote_resource_attributes: Vec<String>,
        /// The attributes to leave out of `promote_all_resource_attributes`.
        #[yaml(Texts)]
        pub ignore_resource_attributes: Vec<String>,
        /// How names are translated: `UnderscoreEscapingWithSuffixes`, `UnderscoreEscapingWithoutSuffixes`,
        /// `NoUTF8EscapingWithSuffixes` or `NoTranslation`.
        #[yaml(Text, default = STRATEGIES[0].to_owned())]
        pub translation_strategy: String,
        /// Keep `service.name`, `service.namespace` and `service.instance.id` as labels of `target_info`.
        #[yaml(Bool)]
        pub keep_identifying_resource_attributes: bool,
        /// Convert explicit histograms to native ones with custom buckets.
        #[yaml(Bool)]
        pub convert_histograms_to_nhcb: bool,
        /// Make labels of the scope's name, version and attributes.
        #[yaml(Bool)]
        pub promote_scope_metadata: bool,
        /// Put `key_` before label names that start with an underscore.
        #[yaml(Bool, default = true)]
        pub label_name_underscore_sanitization: bool,
        /// Keep several underscores in a row in label names.
        #[yaml(Bool, default = true)]
        pub label_name_preserve_multiple_underscores: bool,
    }
    check = check_otlp;
}

fn check_otlp(otlp: &mut OtlpConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let strategy = otlp.translation_strategy.as_str();
    // An empty word is taken, as by upstream's `Load`.
    if !strategy.is_empty() && !STRATEGIES.contains(&strategy) {
        return Err(f.refuse("translation_strategy", format!("unsupported OTLP translation strategy {strategy:?}")));
    }
    if otlp.promote_all_resource_attributes && !otlp.promote_resource_attributes.is_empty() {
        let message =
            "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously";
        return Err(f.refuse("promote_all_resource_attributes", message));
    }
    if !otlp.promote_all_resource_attributes && !otlp.ignore_resource_attributes.is_empty() {
        let message =
            "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true";
        return Err(f.refuse("ignore_resource_attributes", message));
    }
    trim_attributes(&mut otlp.ignore_resource_attributes, "ignore_resource_attributes", "ignored", f)?;
    trim_attributes(&mut otlp.promote_resource_attributes, "promote_resource_attributes", "promoted", f)
}

/// Trims attributes; refuses empty and duplicate ones, all in one message as Prometheus does.
fn trim_attributes(attributes: &mut [String], name: &str, what: &str, f: &Fields<'_>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    // `errors.Join` in upstream's `sanitizeAttributes`: one per line.
    let mut wrong = Vec::new();
    for attribute in attributes {
        // Trimmed in place: the loaded configuration has the names without blanks.
        *attribute = attribute.trim().to_owned();
        if attribute.is_empty() {
            wrong.push(format!("empty {what} OTel resource attribute"));
        } else if !seen.insert(attribute.clone()) {
            wrong.push(format!("duplicated {what} OTel resource attribute {attribute:?}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(f.refuse(name, format!("invalid '{name}': {}", wrong.join("\n")))) }
}
