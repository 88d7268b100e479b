//! A rule.

use std::collections::BTreeMap;

use model::NameValidation;

use super::checks::{RuleOptions, check_names, invalid, is_label_name, is_missing};
use crate::Error;
use crate::schema::{Duration, Fields, Text, TextMap, section};

section! {
    /// A recording rule, which has `record`, or an alerting rule, which has `alert`.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Rule as "rule" in (context: RuleContext<'c>) {
        /// The name of the metric that is recorded.
        #[yaml(Text)]
        pub record: Option<String>,
        /// The name of the alert.
        #[yaml(Text)]
        pub alert: Option<String>,
        /// The PromQL expression. Required.
        #[yaml(Text; always)]
        pub expr: String,
        /// An alert is pending for this long before it fires.
        #[yaml(Duration, name = "for")]
        pub for_ms: i64,
        /// An alert goes on firing for this long after its expression has last returned it.
        #[yaml(Duration, name = "keep_firing_for")]
        pub keep_firing_for_ms: i64,
        /// Added to the labels of the result, or replacing them; templates in an alerting rule.
        #[yaml(TextMap)]
        pub labels: BTreeMap<String, String>,
        /// Templates of what is said of an alert; not part of its identity.
        #[yaml(TextMap)]
        pub annotations: BTreeMap<String, String>,
    }
    check_always = check_rule;
}

/// Which rule it is, and how it is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleContext<'a> {
    pub(super) options: &'a RuleOptions<'a>,
    pub(super) group: &'a str,
    pub(super) idx: usize,
}

impl Rule {
    /// The name of the metric or of the alert.
    #[must_use]
    pub fn name(&self) -> &str {
        self.alert.as_deref().or(self.record.as_deref()).unwrap_or_default()
    }
}

/// Reports whatever is wrong with a rule, in upstream's order and words (`Rule.Validate`).
fn check_rule(rule: &mut Rule, f: &mut Fields<'_>, context: RuleContext<'_>) -> Result<(), Error> {
    let RuleContext { options, group, idx } = context;
    let id = format!("group {group:?}, rule {}, {:?}", idx + 1, rule.name());
    let report = |f: &Fields<'_>, fields: &[&str], message: String| {
        let places: Vec<_> = fields.iter().map(|field| f.place(field)).collect();
        f.source.report(invalid(f, &places, &id, message))
    };
    if rule.record.is_some() && rule.alert.is_some() {
        report(f, &["record", "alert"], "only one of 'record' and 'alert' must be set".to_owned())?;
    }
    if is_missing(f, "record") && is_missing(f, "alert") {
        report(f, &["record"], "one of 'record' or 'alert' must be set".to_owned())?;
    }
    if is_missing(f, "expr") {
        report(f, &["expr"], "field 'expr' must be set in rule".to_owned())?;
    } else if !rule.expr.is_empty()
        && let Err(why) = options.checks.check_expr(&rule.expr)
    {
        report(f, &["expr"], format!("could not parse expression: {why}"))?;
    }
    for message in rule.record.iter().flat_map(|record| recording_faults(rule, record, options.names)) {
        report(f, &["record"], message)?;
    }
    check_names(f, ("labels", "label"), &id, |name| is_label_name(options.names, name))?;
    check_names(f, ("annotations", "annotation"), &id, |name| options.names.is_label_name(name))?;
    if let Some(alert) = &rule.alert {
        let check = |text: &str| options.checks.check_template(&format!("__alert_{alert}"), text);
        check_templates(f, ("labels", "label"), &id, &check)?;
        check_templates(f, ("annotations", "annotation"), &id, &check)?;
    }
    Ok(())
}

/// What is wrong with a rule as a recording rule.
fn recording_faults(rule: &Rule, record: &str, names: NameValidation) -> Vec<String> {
    let mut faults = Vec::new();
    let alert_fields = [
        ("annotations", !rule.annotations.is_empty()),
        ("for", rule.for_ms != 0),
        ("keep_firing_for", rule.keep_firing_for_ms != 0),
    ];
    for (field, _) in alert_fields.iter().filter(|(_, is_set)| *is_set) {
        faults.push(format!("invalid field '{field}' in recording rule"));
    }
    if !is_metric_name(names, record) {
        faults.push(format!("invalid recording rule name: {record}"));
    }
    // Valid in UTF-8, but nearly always an expression in the wrong field.
    if record.contains(['{', '}']) {
        faults.push(format!("braces present in the recording rule name; should it be in expr?: {record}"));
    }
    faults
}

/// May a metric be called so? Unlike labels, metrics may have colons in the legacy scheme.
fn is_metric_name(names: NameValidation, name: &str) -> bool {
    match names {
        NameValidation::Utf8 => !name.is_empty(),
        NameValidation::Legacy => names.is_label_name(&name.replace(':', "_")),
    }
}

/// Reports the templates of labels or annotations that do not parse.
fn check_templates(
    f: &mut Fields<'_>,
    (field, what): (&'static str, &str),
    rule: &str,
    check: &dyn Fn(&str) -> Result<(), String>,
) -> Result<(), Error> {
    // Reading it again would tell its faults again.
    if f.has_failed(field) {
        return Ok(());
    }
    let (Ok(texts), Ok(Some(inner))) = (f.text_map(field), f.fields(field)) else { return Ok(()) };
    for (name, text) in &texts {
        if let Err(why) = check(text) {
            f.source.report(invalid(f, &[inner.place(name)], rule, format!("{what} {name:?}: {why}")))?;
        }
    }
    Ok(())
}
