//! Labels of a data point: its attributes, and what its resource and scope have for all of theirs (upstream: `createAttributes`,
//! `setResourceContext` and `setScopeContext` of `storage/remote/otlptranslator`).

use std::collections::{BTreeMap, HashMap};

use model::labels::{INSTANCE, JOB, METRIC_NAME, METRIC_TYPE, METRIC_UNIT};
use model::{Labels, LabelsBuilder};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;

use super::names;
use super::settings::{OtlpSettings, Warning};
use super::values::text;

/// Attributes of a resource that become `job` and `instance`.
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_NAMESPACE: &str = "service.namespace";
pub(super) const SERVICE_INSTANCE: &str = "service.instance.id";

/// Makes labels out of attributes. Names that were translated are kept for the request.
pub(super) struct Labeller<'s> {
    pub(super) settings: &'s OtlpSettings,
    names: HashMap<String, String>,
    pub(super) collisions: u64,
}

/// What all points of a resource have.
#[derive(Debug, Default)]
pub(super) struct ResourceLabels {
    job: String,
    instance: String,
    promoted: BTreeMap<String, String>,
}

/// What all points of a scope have, in the place of attributes.
#[derive(Debug, Default)]
pub(super) struct ScopeLabels(BTreeMap<String, String>);

/// What is known of a metric, as far as labels say it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Described<'m> {
    pub(super) kind: &'static str,
    pub(super) unit: &'m str,
}

impl<'s> Labeller<'s> {
    pub(super) fn new(settings: &'s OtlpSettings) -> Self {
        Self { settings, names: HashMap::new(), collisions: 0 }
    }

    fn name(&mut self, name: &str) -> Result<String, String> {
        if let Some(known) = self.names.get(name) {
            return Ok(known.clone());
        }
        let built = self.settings.naming.label(name)?;
        self.names.insert(name.to_owned(), built.clone());
        Ok(built)
    }

    /// What the points of a resource with these attributes have.
    pub(super) fn resource(&mut self, attributes: &[KeyValue]) -> Result<ResourceLabels, String> {
        let of = |name: &str| attributes.iter().find(|one| one.key == name).map(|one| text(one.value.as_ref()));
        let job = of(SERVICE_NAME).map(|name| match of(SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let mut promoted = BTreeMap::new();
        for one in attributes.iter().filter(|one| self.settings.promotes(&one.key)) {
            promoted.insert(self.name(&one.key)?, text(one.value.as_ref()));
        }
        Ok(ResourceLabels {
            job: job.unwrap_or_default(),
            instance: of(SERVICE_INSTANCE).unwrap_or_default(),
            promoted,
        })
    }

    /// What the points of a scope have; nothing where scopes do not become labels.
    pub(super) fn scope(&mut self, metrics: &ScopeMetrics) -> Result<ScopeLabels, String> {
        let Some(scope) = metrics.scope.as_ref().filter(|scope| !scope.name.is_empty()) else {
            return Ok(ScopeLabels::default());
        };
        if !self.settings.promote_scope_metadata {
            return Ok(ScopeLabels::default());
        }
        let mut labels = BTreeMap::new();
        for one in &scope.attributes {
            labels.insert(self.name(&format!("otel_scope_{}", one.key))?, text(one.value.as_ref()));
        }
        let own = [("name", &scope.name), ("version", &scope.version), ("schema_url", &metrics.schema_url)];
        labels.extend(own.map(|(name, value)| (format!("otel_scope_{name}"), value.clone())));
        Ok(ScopeLabels(labels))
    }

    /// The labels of a point, without the name of its metric.
    pub(super) fn point(
        &mut self,
        attributes: &[KeyValue],
        (resource, scope): (&ResourceLabels, &ScopeLabels),
        described: Described<'_>,
    ) -> Result<LabelsBuilder, String> {
        let mut labels = self.attributes(attributes.iter().filter(|one| one.key != METRIC_NAME))?;
        for (name, value) in &resource.promoted {
            if labels.get(name).is_empty() {
                labels.set(name, value.as_str());
            }
        }
        resource.name(&mut labels);
        for (name, value) in &scope.0 {
            labels.set(name, value.as_str());
        }
        if self.settings.type_labels {
            if !described.kind.is_empty() {
                labels.set(METRIC_TYPE, described.kind);
            }
            if !described.unit.is_empty() {
                labels.set(METRIC_UNIT, names::unit(described.unit, self.settings.naming.utf8));
            }
        }
        Ok(labels)
    }

    /// The labels of `target_info`; `None` where they would say nothing, or not whose they are.
    pub(super) fn target_info(
        &mut self,
        attributes: &[KeyValue],
        resource: &ResourceLabels,
    ) -> Result<Option<Labels>, String> {
        let identifies = |one: &KeyValue| [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE].contains(&&*one.key);
        if attributes.iter().all(identifies) {
            return Ok(None);
        }
        let keep = self.settings.keep_identifying_resource_attributes;
        let mut labels = self.attributes(attributes.iter().filter(|one| keep || !identifies(one)))?;
        resource.name(&mut labels);
        labels.set(METRIC_NAME, TARGET_INFO);
        let is_of_someone = [JOB, INSTANCE].iter().any(|name| !labels.get(name).is_empty());
        Ok(is_of_someone.then(|| labels.labels()))
    }

    /// Attributes as labels. Those whose names become equal are joined, in the order of their names.
    fn attributes<'a>(&mut self, attributes: impl Iterator<Item = &'a KeyValue>) -> Result<LabelsBuilder, String> {
        let mut sorted: Vec<&KeyValue> = attributes.collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let mut labels = LabelsBuilder::default();
        for one in sorted {
            let value = text(one.value.as_ref());
            if self.settings.naming.utf8 {
                labels.set(&one.key, value);
                continue;
            }
            let name = self.name(&one.key)?;
            let known = labels.get(&name);
            if known.is_empty() {
                labels.set(&name, value);
            } else {
                self.collisions += 1;
                let joined = format!("{known};{value}");
                labels.set(&name, joined);
            }
        }
        Ok(labels)
    }
}

/// The metric that has what is known of a resource.
const TARGET_INFO: &str = "target_info";

impl ResourceLabels {
    fn name(&self, labels: &mut LabelsBuilder) {
        for (name, value) in [(JOB, &self.job), (INSTANCE, &self.instance)] {
            if !value.is_empty() {
                labels.set(name, value.as_str());
            }
        }
    }
}

impl Labeller<'_> {
    /// What was odd about names so far.
    pub(super) fn warnings(&self) -> Option<(Warning, u64)> {
        (self.collisions > 0).then_some((Warning::LabelNameCollision, self.collisions))
    }
}
