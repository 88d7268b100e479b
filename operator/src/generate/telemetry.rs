//! `otlp` and `tracing`. Upstream: `appendOTLPConfig`, `appendTracingConfig`.

use super::{GenerateError, Generator};
use crate::document::Mapping;

impl Generator<'_> {
    pub(super) fn otlp(&self) -> Result<Option<Mapping>, GenerateError> {
        let Some(otlp) = &self.spec().otlp else { return Ok(None) };
        let refuse = |message: &str| Err(GenerateError::new("spec.otlp", message));
        // Prometheus refuses the pair when it starts; here it is said of the object.
        let is_legacy = self.spec().name_validation_scheme.as_deref() == Some("Legacy");
        if is_legacy && otlp.translation_strategy.as_deref() == Some("NoUTF8EscapingWithSuffixes") {
            return refuse(
                "translationStrategy NoUTF8EscapingWithSuffixes needs UTF-8 names; nameValidationScheme is Legacy",
            );
        }
        let all = otlp.promote_all_resource_attributes == Some(true);
        if all && !otlp.promote_resource_attributes.is_empty() {
            return refuse(
                "promoteResourceAttributes has no effect with promoteAllResourceAttributes; remove one of the two",
            );
        }
        if !all && !otlp.ignore_resource_attributes.is_empty() {
            return refuse("ignoreResourceAttributes needs promoteAllResourceAttributes: true");
        }
        let mut out = Mapping::default();
        out.put_filled("promote_resource_attributes", &otlp.promote_resource_attributes);
        out.put_some("translation_strategy", otlp.translation_strategy.as_ref());
        out.put_some("keep_identifying_resource_attributes", otlp.keep_identifying_resource_attributes);
        out.put_some("convert_histograms_to_nhcb", otlp.convert_histograms_to_nhcb);
        out.put_some("promote_all_resource_attributes", otlp.promote_all_resource_attributes);
        out.put_filled("ignore_resource_attributes", &otlp.ignore_resource_attributes);
        out.put_some("promote_scope_metadata", otlp.promote_scope_metadata);
        out.put_some("label_name_underscore_sanitization", otlp.label_name_underscore_sanitization);
        out.put_some("label_name_preserve_multiple_underscores", otlp.label_name_preserve_multiple_underscores);
        // An empty section would switch nothing on, and upstream leaves it out.
        Ok((!out.is_empty()).then_some(out))
    }

    pub(super) fn tracing(&self) -> Result<Option<Mapping>, GenerateError> {
        let Some(tracing) = &self.spec().tracing_config else { return Ok(None) };
        let fraction = tracing.sampling_fraction.as_ref().map(|fraction| fraction.value());
        if let Some(fraction) = fraction.filter(|fraction| !(0.0..=1.0).contains(fraction)) {
            let message = format!("must be between 0 and 1, and is {fraction}");
            return Err(GenerateError::new("spec.tracingConfig.samplingFraction", message));
        }
        let assets = self.assets.in_namespace(&self.prometheus.metadata.namespace);
        let mut out = Mapping::default();
        out.put("endpoint", &tracing.endpoint);
        out.put_some("client_type", tracing.client_type.as_ref().map(|client| client.to_lowercase()));
        out.put_some("sampling_fraction", fraction);
        out.put_some("insecure", tracing.insecure);
        out.put_filled("headers", &tracing.headers);
        out.put_some("compression", tracing.compression.as_ref().map(|name| name.to_lowercase()));
        out.put_some("timeout", tracing.timeout.as_ref());
        out.put_tls(assets, tracing.tls_config.as_ref());
        Ok(Some(out))
    }
}
