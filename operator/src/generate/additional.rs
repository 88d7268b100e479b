//! `additionalScrapeConfigs`: jobs as text in a Secret. Upstream: `generateAdditionalScrapeConfigs`.

use config::Yaml;

use super::rules::Rules;
use super::{GenerateError, Generator, Job, Origin};
use crate::assets::{AssetError, AssetKind};
use crate::objects::KeySelector;

impl Generator<'_> {
    pub(crate) fn additional_jobs(&self) -> Result<Vec<Job>, GenerateError> {
        let selector = self.spec().additional_scrape_configs.as_ref();
        let items = self.additional_list("spec.additionalScrapeConfigs", selector)?;
        Ok(items.into_iter().map(|item| self.additional_job(item)).collect())
    }

    fn additional_job(&self, item: Yaml) -> Job {
        // `additional_list` lets only mappings through.
        let Yaml::Map(mut pairs) = item else { unreachable!("BUG: a job that is no mapping") };
        let named = pairs.iter().find(|(key, _)| key == "job_name");
        let name = match named {
            Some((_, Yaml::Text(name) | Yaml::Raw(name))) => name.clone(),
            // Without a name the job is refused when it is read.
            _ => String::new(),
        };
        let place = pairs.iter().position(|(key, _)| key == "relabel_configs");
        let own = place.map_or(Yaml::List(Vec::new()), |i| pairs[i].1.clone());
        let rules = Rules::of_user(own, |i| {
            Origin::Prometheus(format!("spec.additionalScrapeConfigs, job {name}: relabel_configs[{i}]"))
        });
        let series = pairs.iter().find(|(key, _)| key == "metric_relabel_configs");
        let series = series.map_or(Yaml::List(Vec::new()), |(_, rules)| rules.clone());
        let (_, metric_relabel_origins) = Rules::of_user(series, |i| {
            Origin::Prometheus(format!("spec.additionalScrapeConfigs, job {name}: metric_relabel_configs[{i}]"))
        })
        .finish();
        let mut rules = rules;
        let had = rules.len();
        // As for PodMonitors: a server of a DaemonSet has no shards.
        if !self.options.daemon_set {
            self.shard_unless_done(&mut rules);
        }
        // Left where it stands if nothing was added; else at the end, where upstream prints it.
        let is_sharded = rules.len() > had;
        let (rules, relabel_origins) = rules.finish();
        if is_sharded {
            pairs.retain(|(key, _)| key != "relabel_configs");
            pairs.push(("relabel_configs".into(), rules));
        }
        Job { name, object: None, yaml: Yaml::Map(pairs), relabel_origins, metric_relabel_origins }
    }

    /// A list of mappings that is text in a Secret of the Prometheus object's namespace; empty if none is named.
    pub(super) fn additional_list(
        &self,
        field: &'static str,
        selector: Option<&KeySelector>,
    ) -> Result<Vec<Yaml>, GenerateError> {
        let Some(selector) = selector else { return Ok(Vec::new()) };
        let namespace = &self.prometheus.metadata.namespace;
        let text = match self.assets.get(AssetKind::Secret, namespace, selector) {
            Ok(text) => text,
            // Only here does `optional` count: in monitors upstream ignores it.
            Err(AssetError::Missing { .. } | AssetError::NoKey { .. }) if selector.optional == Some(true) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(GenerateError::new(field, error.to_string())),
        };
        let name = format!("secret {namespace}/{}, key {}", selector.name, selector.key);
        match Yaml::parse(text, &name).map_err(|error| GenerateError::new(field, error.to_string()))? {
            Yaml::List(items) if items.iter().all(|item| matches!(item, Yaml::Map(_))) => Ok(items),
            // An empty value is a list without items.
            Yaml::Raw(text) if text == "null" => Ok(Vec::new()),
            _ => Err(GenerateError::new(field, format!("{name}: must be a list of mappings"))),
        }
    }
}
