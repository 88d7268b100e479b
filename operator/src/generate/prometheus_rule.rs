//! A PrometheusRule to its groups. Upstream: `pkg/operator/rules.go` and `namespacelabeler.Labeler`.

use config::{AlertOptions, RuleFile, RuleOptions};
use model::NameValidation;
use model::duration::parse_duration_ms;

use super::{GenerateError, Generator};
use crate::objects::{Kind, Meta, PrometheusRule};
use crate::rule_language::RuleLanguage;

impl Generator<'_> {
    /// The groups of a PrometheusRule, as those of the file that upstream would write.
    ///
    /// # Errors
    /// Whatever is wrong with its rules.
    pub fn prometheus_rule(
        &self,
        rule: &PrometheusRule,
        names: NameValidation,
        language: &dyn RuleLanguage,
    ) -> Result<RuleFile, String> {
        let Meta { namespace, name, uid, .. } = &rule.metadata;
        // With the uid, as upstream has it: `a-b/c` and `a/b-c` are two objects.
        let file = format!("{namespace}-{name}-{uid}.yaml");
        let options = RuleOptions { names, ignore_unknown_fields: false, checks: language };
        let groups = RuleFile::from_yaml(&rule.spec.0, &file, &options);
        let mut groups = groups.map_err(|errors| {
            // The object is named where this is reported.
            let said = |error: &config::Error| error.to_string().replacen(&format!("{file}: "), "", 1);
            errors.iter().map(said).collect::<Vec<_>>().join("; ")
        })?;
        if let Some(label) = self.enforced_label(Kind::PrometheusRule, &rule.metadata)
            && !self.is_excluded_rule(&rule.metadata)
        {
            enforce(&mut groups, (label, namespace), language)?;
        }
        Ok(groups)
    }

    /// The older form of `excludedFromEnforcement`.
    fn is_excluded_rule(&self, meta: &Meta) -> bool {
        let excluded = &self.spec().prometheus_rules_excluded_from_enforce;
        excluded.iter().any(|one| one.rule_namespace == meta.namespace && one.rule_name == meta.name)
    }

    /// What upstream makes flags of.
    pub(crate) fn alert_options(&self) -> Result<AlertOptions, GenerateError> {
        let alert = self.spec().rules.alert.clone();
        let ms = |field: &str, text: &str| match text {
            "" => Ok(None),
            text => parse_duration_ms(text)
                .map(Some)
                .map_err(|error| GenerateError::new(format!("spec.rules.alert.{field}"), error.to_string())),
        };
        Ok(AlertOptions {
            outage_tolerance_ms: ms("forOutageTolerance", &alert.for_outage_tolerance)?,
            grace_period_ms: ms("forGracePeriod", &alert.for_grace_period)?,
            resend_delay_ms: ms("resendDelay", &alert.resend_delay)?,
        })
    }
}

/// All that rules see, and all that they yield, is of one namespace.
fn enforce(groups: &mut RuleFile, (label, namespace): (&str, &str), language: &dyn RuleLanguage) -> Result<(), String> {
    for group in &mut groups.groups {
        let place = format!("group {:?}", group.name);
        for (i, rule) in group.rules.iter_mut().enumerate() {
            rule.labels.insert(label.to_owned(), namespace.to_owned());
            let enforced = language.enforce(&rule.expr, label, namespace);
            // Upstream leaves the whole object out without a word.
            rule.expr = enforced.map_err(|why| {
                format!("{place}, rule {}, {:?}: cannot enforce {label}={namespace:?}: {why}", i + 1, rule.name())
            })?;
        }
    }
    Ok(())
}
