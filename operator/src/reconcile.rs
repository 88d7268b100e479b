//! Objects to jobs and rule groups: each is selected, checked and generated on its own, so that none breaks another.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use config::{Config, GlobalConfig};
use model::duration::format_duration_ms;

use crate::assets::{AssetId, AssetKind};
use crate::generate::{GenerateError, Generator, Job};
use crate::inputs::{FileConfig, FoundPrometheus, Inputs, Seen, Selection, Settings, mounted, named, versions};
use crate::made::{Context, Made, MadeOf, Maker};
use crate::not_applied::not_applied;
use crate::objects::{
    Kind, LabelSelector, Meta, ObjectRef, PodMonitorSpec, ProbeSpec, Prometheus, PrometheusRule, PrometheusRuleSpec,
    PrometheusSpec, ScrapeConfigSpec, ServiceMonitorSpec,
};
use crate::outcome::{Outcome, PrometheusState, ReadyJob, ReadyRules};
use crate::resolve::Resolver;
use crate::rule_cache::RuleCache;
use crate::validate::Validator;
use crate::watched::Watched;

/// What was made before, by object. What has not changed is not made again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    context: Option<Arc<Context>>,
    base: Option<Base>,
    /// What the base was made from last, or could not be made from, with the reason.
    tried: Option<(BaseSource, Option<String>)>,
    service_monitors: Made<ServiceMonitorSpec>,
    pod_monitors: Made<PodMonitorSpec>,
    probes: Made<ProbeSpec>,
    scrape_configs: Made<ScrapeConfigSpec>,
    prometheus_rules: Made<PrometheusRuleSpec, ReadyRules>,
    additional: Additional,
    rules: RuleCache,
}

/// What the Prometheus object asked for when it was valid last.
#[derive(Debug)]
struct Base {
    prometheus: Prometheus,
    config: Arc<Config>,
    watched: Arc<Watched<PrometheusSpec>>,
}

/// What a base is made from.
#[derive(Debug)]
struct BaseSource {
    watched: Arc<Watched<PrometheusSpec>>,
    /// The versions of what it names.
    assets: Vec<u64>,
    file: Arc<FileConfig>,
}

impl PartialEq for BaseSource {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.watched, &other.watched)
            && Arc::ptr_eq(&self.file, &other.file)
            && self.assets == other.assets
    }
}

/// Jobs that stand as text in a Secret of the Prometheus object.
#[derive(Debug, Default)]
struct Additional {
    /// The context and the version of the Secret.
    made_from: Option<(Arc<Context>, u64)>,
    jobs: Vec<ReadyJob>,
    error: Option<String>,
}

impl Memory {
    /// Makes jobs of objects. `before` is what came of it last time.
    pub(crate) fn reconcile(&mut self, inputs: Inputs<'_>, before: &Outcome) -> Outcome {
        if let Some(paused) = self.paused(inputs, before) {
            return paused;
        }
        let prometheus = self.base(inputs);
        let kinds = inputs.seen.kinds.clone();
        let mut outcome = Outcome { prometheus, kinds, is_complete: true, ..Outcome::default() };
        // Without the object that says which monitors are selected there are none.
        let Some(context) = self.context(inputs) else { return outcome };
        // One that is gone is still in force; without one that is asked for there is none.
        if outcome.prometheus.is_some() {
            outcome.base = self.base.as_ref().map(|base| Arc::clone(&base.config));
        }
        let maker = Maker { context: &context, inputs, rules: &self.rules };
        let (validator, generator, seen) = (maker.validator(), maker.generator(), inputs.seen);
        let monitors = (&mut self.service_monitors, seen.service_monitors.as_slice());
        maker.objects(Kind::ServiceMonitor, monitors, &mut outcome, |one| {
            validator.service_monitor(one)?;
            maker.all_ready(generator.service_monitor(one))
        });
        let monitors = (&mut self.pod_monitors, seen.pod_monitors.as_slice());
        maker.objects(Kind::PodMonitor, monitors, &mut outcome, |one| {
            validator.pod_monitor(one)?;
            maker.all_ready(generator.pod_monitor(one))
        });
        let probes = (&mut self.probes, seen.probes.as_slice());
        maker.objects(Kind::Probe, probes, &mut outcome, |one| {
            validator.probe(one)?;
            maker.all_ready(vec![generator.probe(one)])
        });
        let configs = (&mut self.scrape_configs, seen.scrape_configs.as_slice());
        maker.objects(Kind::ScrapeConfig, configs, &mut outcome, |one| {
            validator.scrape_config(one)?;
            maker.all_ready(vec![generator.scrape_config(one)])
        });
        let rules = (&mut self.prometheus_rules, seen.prometheus_rules.as_slice());
        maker.objects(Kind::PrometheusRule, rules, &mut outcome, |one| maker.rules_of(one));
        // Behind those of objects, as upstream appends them.
        self.additional.update(&maker);
        outcome.jobs.extend_from_slice(&self.additional.jobs);
        if let (Some(prometheus), Some(why)) = (&mut outcome.prometheus, &self.additional.error) {
            // An error of the object itself comes first: these jobs may follow from a version that is not in force.
            prometheus.error.get_or_insert_with(|| why.clone());
        }
        outcome
    }

    /// The Secrets and ConfigMaps that the configuration in force needs, though no object may name them any more: the last
    /// valid version of one that was changed, or of a Prometheus object that is gone.
    pub(crate) fn assets_in_force(&self) -> BTreeSet<AssetId> {
        fn of<S>(made: &Made<S>, found: &mut BTreeSet<AssetId>) {
            made.values().for_each(|one: &MadeOf<S>| one.assets_in_force(found));
        }
        let mut found = BTreeSet::new();
        if let Some(Base { prometheus, watched, .. }) = &self.base {
            found.extend(named(watched));
            found.extend(mounted(&prometheus.spec, &prometheus.metadata.namespace));
        }
        of(&self.service_monitors, &mut found);
        of(&self.pod_monitors, &mut found);
        of(&self.probes, &mut found);
        of(&self.scrape_configs, &mut found);
        found
    }

    /// The selectors of the object in force, and of the one that is seen.
    pub(crate) fn selection<'s>(&'s self, seen: &'s Seen, settings: &'s Settings) -> Selection<'s> {
        let mut specs = Vec::new();
        match &seen.prometheus {
            FoundPrometheus::NotAsked => {
                specs.push((Cow::Owned(selectors_of_flags(settings)), settings.namespace.as_str()));
            }
            FoundPrometheus::Object(watched) => {
                let spec = watched.spec.iter().map(|spec| (Cow::Borrowed(spec), watched.meta.namespace.as_str()));
                specs.extend(spec);
            }
            FoundPrometheus::Missing { .. } => {}
        }
        let base = self.base.as_ref().map(|base| &base.prometheus);
        specs.extend(base.map(|base| (Cow::Borrowed(&base.spec), base.metadata.namespace.as_str())));
        Selection { specs, namespaces: &seen.namespaces }
    }

    /// With a paused object everything stays as it is, monitors and Secrets too: upstream does nothing for one. After a
    /// start there is nothing that could stay, so that what there is then is made once.
    fn paused(&self, inputs: Inputs<'_>, before: &Outcome) -> Option<Outcome> {
        let FoundPrometheus::Object(watched) = &inputs.seen.prometheus else { return None };
        if !watched.spec.as_ref().is_ok_and(|spec| spec.paused) || self.base.is_none() {
            return None;
        }
        let prometheus = PrometheusState { is_paused: true, ..state_of(watched, None) };
        Some(Outcome { kinds: inputs.seen.kinds.clone(), prometheus: Some(prometheus), ..before.clone() })
    }

    /// The configuration of the Prometheus object, made again if anything of it changed.
    fn base(&mut self, inputs: Inputs<'_>) -> Option<PrometheusState> {
        let watched = match &inputs.seen.prometheus {
            FoundPrometheus::NotAsked => return None,
            FoundPrometheus::Missing { name, why } => {
                return Some(PrometheusState {
                    name: name.clone(),
                    error: Some(why.clone()),
                    ..PrometheusState::default()
                });
            }
            FoundPrometheus::Object(watched) => watched,
        };
        let source = BaseSource {
            watched: Arc::clone(watched),
            assets: versions(inputs.assets, watched),
            file: Arc::clone(inputs.file),
        };
        // One that is refused is not tried again either, until something changes.
        if self.tried.as_ref().is_none_or(|(tried, _)| *tried != source) {
            let error = self.make_base(watched, inputs).err();
            self.tried = Some((source, error));
        }
        let error = self.tried.as_ref().and_then(|(_, error)| error.clone());
        Some(state_of(watched, error))
    }

    fn make_base(&mut self, watched: &Arc<Watched<PrometheusSpec>>, inputs: Inputs<'_>) -> Result<(), String> {
        let (prometheus, config) = base_of(watched, inputs)?;
        // By address, if only what no setting depends on has changed: nobody then applies it again.
        let known = self.base.take().map(|base| base.config).filter(|known| **known == config);
        let config = known.unwrap_or_else(|| Arc::new(config));
        self.base = Some(Base { prometheus, config, watched: Arc::clone(watched) });
        Ok(())
    }

    /// What all jobs depend on; `None` without a Prometheus object that was valid once, though one is asked for.
    fn context(&mut self, inputs: Inputs<'_>) -> Option<Arc<Context>> {
        let of_flags = matches!(inputs.seen.prometheus, FoundPrometheus::NotAsked)
            .then(|| of_flags(inputs.settings, &inputs.file.global));
        let (prometheus, global) = match (&of_flags, &self.base) {
            (Some(prometheus), _) => (prometheus, &inputs.file.global),
            (None, Some(base)) => (&base.prometheus, &base.config.global),
            (None, None) => return None,
        };
        let files = mounted(&prometheus.spec, &prometheus.metadata.namespace);
        let mounted: Vec<u64> = files.map(|id| inputs.assets.version(&id)).collect();
        let is_same = |known: &&Arc<Context>| {
            known.prometheus == *prometheus && known.global == *global && known.mounted == mounted
        };
        // Rules are kept as this `global` reads them.
        if self.context.as_ref().is_none_or(|known| known.global != *global) {
            self.rules.clear();
        }
        // Kept by address while it is the same, by which jobs know that it is.
        let known = self.context.as_ref().filter(is_same).map(Arc::clone);
        let context = known
            .unwrap_or_else(|| Arc::new(Context { prometheus: prometheus.clone(), global: global.clone(), mounted }));
        self.context = Some(Arc::clone(&context));
        Some(context)
    }
}

impl Maker<'_> {
    /// The groups of a PrometheusRule.
    fn rules_of(&self, rule: &PrometheusRule) -> Result<Vec<ReadyRules>, String> {
        let names = self.context.global.name_validation;
        let groups = self.generator().prometheus_rule(rule, names, self.inputs.language)?;
        let object = ObjectRef::new(Kind::PrometheusRule, &rule.metadata);
        Ok(vec![ReadyRules { object, groups: Arc::new(groups) }])
    }
}

impl Additional {
    /// Makes the jobs again if anything changed. Unless all of them are valid, the last ones go on.
    fn update(&mut self, maker: &Maker<'_>) {
        let Prometheus { metadata, spec } = &maker.context.prometheus;
        let id = spec.additional_scrape_configs.as_ref().map(|selector| {
            let id: AssetId = (AssetKind::Secret, metadata.namespace.clone(), selector.name.clone());
            id
        });
        let version = id.map_or(0, |id| maker.inputs.assets.version(&id));
        let is_known = |(context, of): &(Arc<Context>, u64)| Arc::ptr_eq(context, maker.context) && *of == version;
        if self.made_from.as_ref().is_some_and(is_known) {
            return;
        }
        let made = maker.generator().additional_jobs().map_err(|error| error.to_string());
        let ready = |job: Job| {
            let place = format!("spec.additionalScrapeConfigs, job {}", job.name);
            // Rules name their place themselves.
            maker.ready(job).map_err(|why| if why.starts_with(&place) { why } else { format!("{place}: {why}") })
        };
        match made.and_then(|jobs| jobs.into_iter().map(ready).collect()) {
            Ok(jobs) => (self.jobs, self.error) = (jobs, None),
            Err(why) => self.error = Some(why),
        }
        self.made_from = Some((Arc::clone(maker.context), version));
    }
}

fn state_of(watched: &Watched<PrometheusSpec>, error: Option<String>) -> PrometheusState {
    let Meta { namespace, name, .. } = &watched.meta;
    PrometheusState {
        name: format!("{namespace}/{name}"),
        error,
        is_paused: false,
        not_applied: not_applied(&watched.fields),
    }
}

/// What flags ask for where there is no Prometheus object: everything that is visible.
fn of_flags(settings: &Settings, global: &GlobalConfig) -> Prometheus {
    let spec = PrometheusSpec {
        // Timeouts of monitors without an interval are compared with it.
        scrape_interval: format_duration_ms(global.scrape_interval_ms),
        ..selectors_of_flags(settings)
    };
    let metadata = Meta { namespace: settings.namespace.clone(), ..Meta::default() };
    Prometheus { metadata, spec }
}

fn selectors_of_flags(settings: &Settings) -> PrometheusSpec {
    let selector = || Some(settings.selector.clone());
    let all = || Some(LabelSelector::default());
    PrometheusSpec {
        service_monitor_selector: selector(),
        service_monitor_namespace_selector: all(),
        pod_monitor_selector: selector(),
        pod_monitor_namespace_selector: all(),
        probe_selector: selector(),
        probe_namespace_selector: all(),
        scrape_config_selector: selector(),
        scrape_config_namespace_selector: all(),
        rule_selector: selector(),
        rule_namespace_selector: all(),
        ..PrometheusSpec::default()
    }
}

/// The configuration that a Prometheus object asks for, without jobs, and the object as jobs see it.
fn base_of(watched: &Watched<PrometheusSpec>, inputs: Inputs<'_>) -> Result<(Prometheus, Config), String> {
    let Meta { namespace, name, .. } = &watched.meta;
    let mut prometheus = Prometheus {
        // Its labels and generation say nothing about jobs: a change of them must not have all of them made again.
        metadata: Meta { namespace: namespace.clone(), name: name.clone(), ..Meta::default() },
        spec: watched.spec.clone()?,
    };
    // Not seen by jobs either: nothing is made while it holds.
    prometheus.spec.paused = false;
    Validator::new(&prometheus, inputs.assets).prometheus()?;
    let generator = Generator::new(&prometheus, inputs.assets, inputs.settings.options);
    let alert_options = generator.alert_options().map_err(|error: GenerateError| error.to_string())?;
    // Rules reach the rule engine without files.
    let document = generator.configuration(&[], &[]).map_err(|error| error.to_string())?;
    let resolver = Resolver::new(&prometheus, inputs.assets, &inputs.settings.placeholders);
    let document = resolver.resolve(&document).map_err(|error| error.to_string())?;
    let place = format!("Prometheus {namespace}/{name}");
    let config = Config::from_yaml(&document, &place, &inputs.file.defaults, &|_| None);
    let mut config = config.map_err(|error| error.to_string())?;
    config.alert_options = alert_options;
    Ok((prometheus, config))
}
