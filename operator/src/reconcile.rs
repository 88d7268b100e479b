//! Objects to jobs: each is selected, checked and generated on its own, so that none breaks another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Config, Defaults, GlobalConfig};
use model::duration::format_duration_ms;

use crate::assets::{AssetId, AssetKind, Assets};
use crate::generate::{GenerateError, Generator, Job, Options, Origin};
use crate::objects::{
    Kind, LabelSelector, Object, ObjectRef, PodMonitorSpec, ProbeSpec, Prometheus, PrometheusSpec, ScrapeConfigSpec,
    ServiceMonitorSpec,
};
use crate::outcome::{KindState, ObjectState, Outcome, PrometheusState, ReadyJob, State};
use crate::resolve::{Placeholders, Resolver};
use crate::select::{Namespaces, select};
use crate::validate::Validator;
use crate::watched::{Spec, Watched};

/// All that jobs are made from.
pub(crate) struct Inputs<'i> {
    pub(crate) prometheus: FoundPrometheus,
    pub(crate) service_monitors: Vec<Arc<Watched<ServiceMonitorSpec>>>,
    pub(crate) pod_monitors: Vec<Arc<Watched<PodMonitorSpec>>>,
    pub(crate) probes: Vec<Arc<Watched<ProbeSpec>>>,
    pub(crate) scrape_configs: Vec<Arc<Watched<ScrapeConfigSpec>>>,
    pub(crate) namespaces: Namespaces,
    pub(crate) assets: &'i Assets,
    pub(crate) kinds: Vec<KindState>,
    pub(crate) settings: &'i Settings,
    pub(crate) file: &'i FileConfig,
}

/// What holds for all objects, from flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) placeholders: Placeholders,
    /// The namespace of this server.
    pub(crate) namespace: String,
    /// Which objects are selected where there is no Prometheus object.
    pub(crate) selector: LabelSelector,
}

/// The configuration file, and what flags say of what it leaves out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileConfig {
    pub(crate) global: GlobalConfig,
    pub(crate) defaults: Defaults,
}

/// The Prometheus object.
pub(crate) enum FoundPrometheus {
    /// None is asked for: everything that is visible is selected.
    NotAsked,
    /// The one that is asked for, `namespace/name`, is not known, and why.
    Missing { name: String, why: String },
    /// It is there.
    Object(Arc<Watched<PrometheusSpec>>),
}

/// What jobs depend on beside the object itself. Jobs of two different contexts are never the same.
#[derive(Debug, PartialEq)]
struct Context {
    prometheus: Prometheus,
    settings: Settings,
    global: GlobalConfig,
    /// The versions of what stands for files below `/etc/prometheus/secrets` and `configmaps`.
    mounted: Vec<u64>,
}

/// What was made before, by object. What has not changed is not made again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    context: Option<Arc<Context>>,
    base: Option<Base>,
    service_monitors: Made<ServiceMonitorSpec>,
    pod_monitors: Made<PodMonitorSpec>,
    probes: Made<ProbeSpec>,
    scrape_configs: Made<ScrapeConfigSpec>,
    additional: Vec<ReadyJob>,
}

type Made<S> = BTreeMap<ObjectRef, MadeOf<S>>;

/// What was made of one object.
#[derive(Debug)]
struct MadeOf<S> {
    source: Arc<Watched<S>>,
    assets: Vec<u64>,
    context: Arc<Context>,
    /// Its jobs, or why it is not valid; nothing while its assets are read.
    result: Option<Result<Vec<ReadyJob>, String>>,
    /// The jobs of the last valid version, with the Prometheus object that allowed them.
    last_valid: Option<(Arc<Context>, Vec<ReadyJob>)>,
}

/// What the Prometheus object asked for when it was valid last.
#[derive(Debug)]
struct Base {
    prometheus: Prometheus,
    config: Arc<Config>,
    /// What it was made from: the object, the versions of its assets.
    source: (Arc<Watched<PrometheusSpec>>, Vec<u64>, FileConfig, Settings),
}

impl Memory {
    /// Makes jobs of objects.
    pub(crate) fn reconcile(&mut self, inputs: Inputs<'_>) -> Outcome {
        let prometheus = self.base(&inputs);
        // Without the object that says which monitors are selected there are none.
        let (asked_for, spec) = match (&inputs.prometheus, &self.base) {
            (FoundPrometheus::NotAsked, _) => (None, Some(of_flags(inputs.settings, &inputs.file.global))),
            (_, Some(base)) => (Some(Arc::clone(&base.config)), Some(base.prometheus.clone())),
            (_, None) => (None, None),
        };
        let mut outcome = Outcome {
            base: asked_for,
            prometheus,
            kinds: inputs.kinds.clone(),
            is_complete: true,
            ..Outcome::default()
        };
        let Some(prometheus) = spec else { return outcome };
        let global = outcome.base.as_ref().map_or(&inputs.file.global, |base| &base.global).clone();
        let mounted = mounted(&prometheus).map(|id| inputs.assets.version(&id)).collect();
        let context = Context { prometheus, settings: inputs.settings.clone(), global, mounted };
        let context = match &self.context {
            Some(known) if **known == context => Arc::clone(known),
            _ => Arc::new(context),
        };
        self.context = Some(Arc::clone(&context));
        let maker = Maker { context: &context, assets: inputs.assets, namespaces: &inputs.namespaces };
        let (validator, generator) = (maker.validator(), maker.generator());
        maker.objects(
            Kind::ServiceMonitor,
            (&mut self.service_monitors, &inputs.service_monitors),
            &mut outcome,
            |one| {
                validator.service_monitor(one)?;
                Ok(generator.service_monitor(one))
            },
        );
        maker.objects(Kind::PodMonitor, (&mut self.pod_monitors, &inputs.pod_monitors), &mut outcome, |one| {
            validator.pod_monitor(one)?;
            Ok(generator.pod_monitor(one))
        });
        maker.objects(Kind::Probe, (&mut self.probes, &inputs.probes), &mut outcome, |one| {
            validator.probe(one)?;
            Ok(vec![generator.probe(one)])
        });
        maker.objects(Kind::ScrapeConfig, (&mut self.scrape_configs, &inputs.scrape_configs), &mut outcome, |one| {
            validator.scrape_config(one)?;
            Ok(vec![generator.scrape_config(one)])
        });
        self.additional(&maker, &mut outcome);
        outcome
    }

    /// The configuration of the Prometheus object, made again if anything of it changed.
    fn base(&mut self, inputs: &Inputs<'_>) -> Option<PrometheusState> {
        let watched = match &inputs.prometheus {
            FoundPrometheus::NotAsked => return None,
            FoundPrometheus::Missing { name, why } => {
                return Some(PrometheusState { name: name.clone(), error: Some(why.clone()), not_applied: Vec::new() });
            }
            FoundPrometheus::Object(watched) => watched,
        };
        let meta = watched.meta_of();
        let name = format!("{}/{}", meta.namespace, meta.name);
        let versions = versions(inputs.assets, &meta.namespace, watched);
        let made_from = (Arc::clone(watched), versions, inputs.file.clone(), inputs.settings.clone());
        let is_known = self.base.as_ref().is_some_and(|base| {
            Arc::ptr_eq(&base.source.0, &made_from.0)
                && (&base.source.1, &base.source.2, &base.source.3) == (&made_from.1, &made_from.2, &made_from.3)
        });
        let mut error = None;
        let is_pending = ids(&meta.namespace, watched).any(|id| inputs.assets.is_pending(&id));
        if !is_known && !is_pending {
            match base_of(watched, inputs, &name) {
                // A paused object changes nothing that runs.
                Ok(base) if base.prometheus.spec.paused && self.base.is_some() => {}
                Ok(Base { prometheus, config, .. }) => {
                    self.base = Some(Base { prometheus, config, source: made_from });
                }
                Err(why) => error = Some(why),
            }
        }
        Some(PrometheusState { name, error, not_applied: not_applied(&watched.fields) })
    }

    /// Jobs that stand as text in a Secret of the Prometheus object. Unless all of them are valid, the last ones go on.
    fn additional(&mut self, maker: &Maker<'_>, outcome: &mut Outcome) {
        let made = maker
            .generator()
            .additional_jobs()
            .map_err(|error| error.to_string())
            .and_then(|jobs| jobs.into_iter().map(|job| maker.ready(job)).collect());
        match made {
            Ok(jobs) => self.additional = jobs,
            Err(why) => {
                if let Some(prometheus) = &mut outcome.prometheus {
                    prometheus.error.get_or_insert(why);
                }
            }
        }
        outcome.jobs.extend(self.additional.iter().cloned());
    }
}

/// What flags ask for where there is no Prometheus object: everything that is visible.
fn of_flags(settings: &Settings, global: &GlobalConfig) -> Prometheus {
    let selector = || Some(settings.selector.clone());
    let all = || Some(LabelSelector::default());
    let spec = PrometheusSpec {
        service_monitor_selector: selector(),
        service_monitor_namespace_selector: all(),
        pod_monitor_selector: selector(),
        pod_monitor_namespace_selector: all(),
        probe_selector: selector(),
        probe_namespace_selector: all(),
        scrape_config_selector: selector(),
        scrape_config_namespace_selector: all(),
        // Timeouts of monitors without an interval are compared with it.
        scrape_interval: format_duration_ms(global.scrape_interval_ms),
        ..PrometheusSpec::default()
    };
    let mut prometheus = Prometheus { spec, ..Prometheus::default() };
    prometheus.metadata.namespace.clone_from(&settings.namespace);
    prometheus
}

/// The configuration that a Prometheus object asks for, without jobs.
fn base_of(watched: &Arc<Watched<PrometheusSpec>>, inputs: &Inputs<'_>, name: &str) -> Result<Base, String> {
    let prometheus = Prometheus { metadata: watched.meta_of(), spec: watched.spec.clone()? };
    let settings = inputs.settings;
    let document = Generator::new(&prometheus, inputs.assets, settings.options)
        // Rules reach the rule engine without files.
        .configuration(&[], &[])
        .map_err(|error: GenerateError| error.to_string())?;
    let resolver = Resolver::new(&prometheus, inputs.assets, &settings.placeholders);
    let document = resolver.resolve(&document).map_err(|error| error.to_string())?;
    let config = Config::from_yaml(&document, &format!("Prometheus {name}"), &inputs.file.defaults, &|_| None);
    let config = Arc::new(config.map_err(|error| error.to_string())?);
    let source = (Arc::clone(watched), Vec::new(), inputs.file.clone(), settings.clone());
    Ok(Base { prometheus, config, source })
}

/// The Secrets and ConfigMaps that an object names.
fn ids<S>(namespace: &str, watched: &Watched<S>) -> impl Iterator<Item = AssetId> {
    watched.assets.iter().map(|(kind, name)| (*kind, namespace.to_owned(), name.clone()))
}

/// The Secrets and ConfigMaps that upstream mounts into the pods of a Prometheus object.
pub(crate) fn mounted(prometheus: &Prometheus) -> impl Iterator<Item = AssetId> {
    let (meta, spec) = (&prometheus.metadata, &prometheus.spec);
    let secrets = spec.secrets.iter().map(|name| (AssetKind::Secret, name));
    let maps = spec.config_maps.iter().map(|name| (AssetKind::ConfigMap, name));
    secrets.chain(maps).map(|(kind, name)| (kind, meta.namespace.clone(), name.clone()))
}

/// The versions of what an object names.
fn versions<S>(assets: &Assets, namespace: &str, watched: &Watched<S>) -> Vec<u64> {
    ids(namespace, watched).map(|id| assets.version(&id)).collect()
}

/// Makes jobs of objects that are selected.
struct Maker<'m> {
    context: &'m Arc<Context>,
    assets: &'m Assets,
    namespaces: &'m Namespaces,
}

impl<'m> Maker<'m> {
    fn validator(&self) -> Validator<'m> {
        Validator::new(&self.context.prometheus, self.assets)
    }

    fn generator(&self) -> Generator<'m> {
        Generator::new(&self.context.prometheus, self.assets, self.context.settings.options)
    }

    /// Makes the jobs of all objects of a kind, and forgets those that are gone.
    fn objects<S: Spec>(
        &self,
        kind: Kind,
        (made, objects): (&mut Made<S>, &[Arc<Watched<S>>]),
        outcome: &mut Outcome,
        make: impl Fn(&Object<S>) -> Result<Vec<Job>, String>,
    ) {
        let mut sorted: Vec<_> = objects.iter().map(|one| (one.meta_of(), one)).collect();
        // Upstream's order, by which jobs follow one another.
        sorted.sort_by_cached_key(|(meta, _)| format!("{}/{}", meta.namespace, meta.name));
        let mut selected = BTreeSet::new();
        for (meta, watched) in sorted {
            let object = ObjectRef::new(kind, &meta);
            let prometheus = &self.context.prometheus;
            let own = prometheus.metadata.namespace.as_str();
            let (state, jobs) = match select((&prometheus.spec, own), kind, &meta, self.namespaces) {
                Err(why) => (State::NotSelected(why), Vec::new()),
                Ok(()) => {
                    selected.insert(object.clone());
                    let entry = self.made(made.remove(&object), &object, watched, &make);
                    let verdict = entry.verdict();
                    made.insert(object.clone(), entry);
                    verdict
                }
            };
            let names = jobs.iter().map(|job| job.config.job_name.clone()).collect();
            outcome.objects.push(ObjectState { object, generation: meta.generation, state, jobs: names });
            outcome.jobs.extend(jobs);
        }
        made.retain(|object, _| selected.contains(object));
    }

    /// What is made of one object, or was made of it before if nothing has changed since.
    fn made<S: Spec>(
        &self,
        before: Option<MadeOf<S>>,
        object: &ObjectRef,
        watched: &Arc<Watched<S>>,
        make: &impl Fn(&Object<S>) -> Result<Vec<Job>, String>,
    ) -> MadeOf<S> {
        let assets = versions(self.assets, &object.namespace, watched);
        if ids(&object.namespace, watched).any(|id| self.assets.is_pending(&id)) {
            let jobs = before.and_then(|before| before.last_valid);
            let source = (Arc::clone(watched), assets, Arc::clone(self.context));
            return MadeOf { source: source.0, assets: source.1, context: source.2, result: None, last_valid: jobs };
        }
        if let Some(before) = &before
            && Arc::ptr_eq(&before.source, watched)
            && Arc::ptr_eq(&before.context, self.context)
            && before.assets == assets
            && before.result.is_some()
        {
            return before.clone();
        }
        let result = watched.spec.clone().and_then(|spec| {
            let jobs = make(&Object { metadata: watched.meta_of(), spec })?;
            jobs.into_iter().map(|job| self.ready(job)).collect::<Result<Vec<_>, _>>()
        });
        let last_valid = match &result {
            Ok(jobs) => Some((Arc::clone(self.context), jobs.clone())),
            // What another Prometheus object allowed, this one may forbid.
            Err(_) => {
                before.and_then(|before| before.last_valid).filter(|(at, _)| at.prometheus == self.context.prometheus)
            }
        };
        let result = Some(result);
        MadeOf { source: Arc::clone(watched), assets, context: Arc::clone(self.context), result, last_valid }
    }

    /// The job as the scrape engine takes it.
    fn ready(&self, job: Job) -> Result<ReadyJob, String> {
        let settings = &self.context.settings;
        let resolver = Resolver::new(&self.context.prometheus, self.assets, &settings.placeholders);
        let yaml = resolver.resolve(&job.yaml).map_err(|error| error.to_string())?;
        let config = config::ScrapeConfig::from_yaml(&yaml, &job.name, &self.context.global);
        let config = config.map_err(|error| described(&error, &job))?;
        Ok(ReadyJob {
            config: Arc::new(config),
            object: job.object,
            relabel_origins: job.relabel_origins.into(),
            metric_relabel_origins: job.metric_relabel_origins.into(),
        })
    }
}

impl<S> Clone for MadeOf<S> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            assets: self.assets.clone(),
            context: Arc::clone(&self.context),
            result: self.result.clone(),
            last_valid: self.last_valid.clone(),
        }
    }
}

impl<S> MadeOf<S> {
    /// What became of the object, and the jobs that run.
    fn verdict(&self) -> (State, Vec<ReadyJob>) {
        let last_valid = || self.last_valid.as_ref().map(|(_, jobs)| jobs.clone()).unwrap_or_default();
        match &self.result {
            None => (State::Pending, last_valid()),
            Some(Ok(jobs)) => (State::Accepted, jobs.clone()),
            Some(Err(message)) => {
                let last_valid_in_use = self.last_valid.is_some();
                (State::Invalid { message: message.clone(), last_valid_in_use }, last_valid())
            }
        }
    }
}

/// An error of a job, at the field of the object that it comes from where that is known.
fn described(error: &config::Error, job: &Job) -> String {
    let config::Error::Invalid { field, message, .. } = error else { return error.to_string() };
    let lists = [("relabel_configs", &job.relabel_origins), ("metric_relabel_configs", &job.metric_relabel_origins)];
    let origin = lists.iter().find_map(|(list, origins)| {
        let (index, rest) = field.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
        let origin: &Origin = origins.get(index.parse::<usize>().ok()?)?;
        Some(format!("{origin}{rest}"))
    });
    match origin {
        Some(origin) => format!("{origin}: {message}"),
        None if field.is_empty() => message.clone(),
        None => format!("{field}: {message}"),
    }
}

/// Fields of a Prometheus object that shape pods.
const OF_PODS: &[&str] = &[
    "affinity",
    "automountServiceAccountToken",
    "baseImage",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostNetwork",
    "hostUsers",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "initContainers",
    "maximumStartupDurationSeconds",
    "minReadySeconds",
    "nodeSelector",
    "persistentVolumeClaimRetentionPolicy",
    "podManagementPolicy",
    "podMetadata",
    "priorityClassName",
    "replicas",
    "resources",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "serviceName",
    "sha",
    "storage",
    "tag",
    "terminationGracePeriodSeconds",
    "thanos",
    "tolerations",
    "topologySpreadConstraints",
    "updateStrategy",
    "version",
    "volumeMounts",
    "volumes",
];

/// Fields that upstream makes into flags of the process.
const OF_FLAGS: &[&str] = &[
    "additionalArgs",
    "allowOverlappingBlocks",
    "disableCompaction",
    "enableAdminAPI",
    "enableFeatures",
    "enableOTLPReceiver",
    "enableRemoteWriteReceiver",
    "externalUrl",
    "listenLocal",
    "logFormat",
    "logLevel",
    "portName",
    "query",
    "reloadStrategy",
    "remoteWriteReceiverMessageVersions",
    "routePrefix",
    "rules",
    "walCompression",
    "web",
];

/// What has no effect here, and why.
fn not_applied(fields: &BTreeSet<String>) -> Vec<String> {
    let named =
        |table: &[&str]| fields.iter().filter(|field| table.contains(&field.as_str())).cloned().collect::<Vec<_>>();
    let mut out = Vec::new();
    for (table, why) in [
        (OF_PODS, "they shape pods, which the Deployment of Weft does"),
        (OF_FLAGS, "they are flags of the process; set them in the Deployment of Weft"),
    ] {
        let fields = named(table);
        if !fields.is_empty() {
            out.push(format!("{}: {why}", fields.join(", ")));
        }
    }
    out
}
