//! What was made of each object. What has not changed is not made again, and what is no longer valid goes on as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::GlobalConfig;

use crate::assets::AssetId;
use crate::generate::{Generator, Job, Origin};
use crate::inputs::{Inputs, named, versions};
use crate::objects::{Kind, Object, ObjectRef, Prometheus};
use crate::outcome::{ObjectState, Outcome, ReadyJob, ReadyRules, State};
use crate::resolve::Resolver;
use crate::rule_cache::{LISTS, Reduced, RuleCache, Slot, place};
use crate::select::{NotSelected, select};
use crate::validate::Validator;
use crate::watched::{Spec, Watched};

/// What jobs depend on beside the object itself. Jobs of two different contexts are never the same.
#[derive(Debug)]
pub(crate) struct Context {
    /// The Prometheus object, without what says nothing about jobs.
    pub(crate) prometheus: Prometheus,
    /// What jobs inherit.
    pub(crate) global: GlobalConfig,
    /// The versions of the Secrets and ConfigMaps that are mounted below `/etc/prometheus/secrets` and `configmaps`.
    pub(crate) mounted: Vec<u64>,
}

/// What was made of the objects of one kind: only of those that are selected.
pub(crate) type Made<S, P = ReadyJob> = BTreeMap<ObjectRef, MadeOf<S, P>>;

/// What is made of an object: a job, or rule groups.
pub(crate) trait Product: Clone {
    /// Becomes the one before by address, if both are equal.
    fn reuse(&mut self, before: &Self);

    /// Adds what runs to the outcome, and returns the names of jobs among it.
    fn add(all: &[Self], outcome: &mut Outcome) -> Vec<String>;
}

impl Product for ReadyJob {
    fn reuse(&mut self, before: &Self) {
        if self.config == before.config {
            self.config = Arc::clone(&before.config);
        }
    }

    fn add(all: &[Self], outcome: &mut Outcome) -> Vec<String> {
        outcome.jobs.extend_from_slice(all);
        all.iter().map(|job| job.config.job_name.clone()).collect()
    }
}

impl Product for ReadyRules {
    fn reuse(&mut self, before: &Self) {
        if self.groups == before.groups {
            self.groups = Arc::clone(&before.groups);
        }
    }

    fn add(all: &[Self], outcome: &mut Outcome) -> Vec<String> {
        outcome.rules.extend_from_slice(all);
        Vec::new()
    }
}

/// What was made of one object.
#[derive(Debug)]
pub(crate) struct MadeOf<S, P = ReadyJob> {
    source: Source<S>,
    /// Is it valid, or why not; nothing while its assets are read.
    verdict: Option<Result<(), String>>,
    /// What runs: that of `source` if that is valid, or else of the last version that was.
    in_force: Option<InForce<S, P>>,
}

/// What was made, and what it was made from.
#[derive(Debug)]
struct InForce<S, P> {
    source: Source<S>,
    products: Vec<P>,
}

/// What jobs are made from. Two that are equal make the same jobs.
#[derive(Debug)]
struct Source<S> {
    object: Arc<Watched<S>>,
    assets: Vec<u64>,
    context: Arc<Context>,
}

impl<S> PartialEq for Source<S> {
    fn eq(&self, other: &Self) -> bool {
        // By address: watches and `Memory` keep what is equal, so a comparison by value would find no more.
        Arc::ptr_eq(&self.object, &other.object)
            && Arc::ptr_eq(&self.context, &other.context)
            && self.assets == other.assets
    }
}

impl<S, P> MadeOf<S, P> {
    /// Collects what the products in force need beyond what the object names now.
    pub(crate) fn assets_in_force(&self, found: &mut BTreeSet<AssetId>) {
        if let Some(in_force) = &self.in_force
            && !Arc::ptr_eq(&in_force.source.object, &self.source.object)
        {
            found.extend(named(&in_force.source.object));
        }
    }

    /// What became of the object, and what runs.
    fn verdict(&self) -> (State, &[P]) {
        // While assets are read too: those that ran go on.
        let products = self.in_force.as_ref().map_or(&[][..], |in_force| in_force.products.as_slice());
        let state = match &self.verdict {
            None => State::Pending,
            Some(Ok(())) => State::Accepted,
            Some(Err(message)) => {
                State::Invalid { message: message.clone(), last_valid_in_use: self.in_force.is_some() }
            }
        };
        (state, products)
    }
}

/// Makes jobs and rule groups of objects that are selected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maker<'m> {
    pub(crate) context: &'m Arc<Context>,
    pub(crate) inputs: Inputs<'m>,
    pub(crate) rules: &'m RuleCache,
}

impl<'m> Maker<'m> {
    pub(crate) fn validator(&self) -> Validator<'m> {
        Validator::new(&self.context.prometheus, self.inputs.assets)
    }

    pub(crate) fn generator(&self) -> Generator<'m> {
        Generator::new(&self.context.prometheus, self.inputs.assets, self.inputs.settings.options)
    }

    /// Makes what all objects of a kind ask for, and forgets those that are gone or no longer selected: one that comes back
    /// has no last valid version.
    pub(crate) fn objects<S: Spec, P: Product>(
        &self,
        kind: Kind,
        (made, objects): (&mut Made<S, P>, &[Arc<Watched<S>>]),
        outcome: &mut Outcome,
        make: impl Fn(&Object<S>) -> Result<Vec<P>, String>,
    ) {
        let mut before = std::mem::take(made);
        for watched in objects {
            let object = ObjectRef::new(kind, &watched.meta);
            let (state, names) = match self.selects(kind, watched) {
                Err(why) => (State::NotSelected(why), Vec::new()),
                Ok(()) => {
                    let entry = self.made(before.remove(&object), watched, &make);
                    let (state, products) = entry.verdict();
                    let names = P::add(products, outcome);
                    made.insert(object.clone(), entry);
                    (state, names)
                }
            };
            let (uid, generation) = (watched.meta.uid.clone(), watched.meta.generation);
            outcome.objects.push(ObjectState { object, uid, generation, state, jobs: names });
        }
    }

    fn selects<S>(&self, kind: Kind, watched: &Watched<S>) -> Result<(), NotSelected> {
        let prometheus = &self.context.prometheus;
        let (own, seen) = (prometheus.metadata.namespace.as_str(), self.inputs.seen);
        select((&prometheus.spec, own), kind, &watched.meta, &seen.namespaces).map_err(|mut why| {
            if let NotSelected::Namespace { has, .. } = &mut why
                && let Some(failure) = &seen.namespaces_failure
                && !seen.namespaces.contains_key(&watched.meta.namespace)
            {
                // Its labels may well be right; what is to be mended is the right to read them.
                has.push_str(&format!(": {failure}"));
            }
            why
        })
    }

    /// What is made of one object, or was made of it before if nothing has changed since.
    fn made<S: Spec, P: Product>(
        &self,
        before: Option<MadeOf<S, P>>,
        watched: &Arc<Watched<S>>,
        make: &impl Fn(&Object<S>) -> Result<Vec<P>, String>,
    ) -> MadeOf<S, P> {
        // Another object of the same name, deleted and created between two looks, has no past.
        let before = before.filter(|before| before.source.object.meta.uid == watched.meta.uid);
        let source = self.source(watched);
        if named(watched).any(|id| self.inputs.assets.is_pending(&id)) {
            let in_force = before.and_then(|before| self.still_valid(before.in_force, make));
            return MadeOf { source, verdict: None, in_force };
        }
        let before = match before {
            // A verdict about a version whose assets were pending is none.
            Some(before) if before.source == source && before.verdict.is_some() => match before.verdict {
                Some(Ok(())) => return before,
                verdict => {
                    // The version in force is another one, whose own Secrets may have changed.
                    let in_force = self.still_valid(before.in_force, make);
                    return MadeOf { source, verdict, in_force };
                }
            },
            before => before.and_then(|before| before.in_force),
        };
        match products(watched, make, before.as_ref()) {
            Ok(products) => {
                let in_force = Some(InForce { source: self.source(watched), products });
                MadeOf { source, verdict: Some(Ok(())), in_force }
            }
            Err(why) => MadeOf { source, verdict: Some(Err(why)), in_force: self.still_valid(before, make) },
        }
    }

    fn source<S>(&self, watched: &Arc<Watched<S>>) -> Source<S> {
        Source {
            object: Arc::clone(watched),
            assets: versions(self.inputs.assets, watched),
            context: Arc::clone(self.context),
        }
    }

    /// The last valid version, made again from what it depends on now.
    fn still_valid<S: Spec, P: Product>(
        &self,
        in_force: Option<InForce<S, P>>,
        make: &impl Fn(&Object<S>) -> Result<Vec<P>, String>,
    ) -> Option<InForce<S, P>> {
        let in_force = in_force?;
        let source = self.source(&in_force.source.object);
        if source == in_force.source {
            return Some(in_force);
        }
        match products(&source.object, make, Some(&in_force)) {
            Ok(products) => Some(InForce { source, products }),
            // A Secret that is gone ends nothing. But what another Prometheus object allowed, this one may forbid.
            Err(_) if in_force.source.context.prometheus == source.context.prometheus => {
                Some(InForce { source, products: in_force.products })
            }
            Err(_) => None,
        }
    }

    /// The jobs of one object as the scrape engine takes them.
    pub(crate) fn all_ready(&self, jobs: Vec<Job>) -> Result<Vec<ReadyJob>, String> {
        jobs.into_iter().map(|job| self.ready(job)).collect()
    }

    /// The job as the scrape engine takes it.
    pub(crate) fn ready(&self, job: Job) -> Result<ReadyJob, String> {
        let Inputs { assets, settings, .. } = self.inputs;
        let resolver = Resolver::new(&self.context.prometheus, assets, &settings.placeholders);
        let yaml = resolver.resolve(&job.yaml).map_err(|error| error.to_string())?;
        let Reduced { yaml, slots } = self.rules.reduce(yaml);
        let config = config::ScrapeConfig::from_yaml(&yaml, &job.name, &self.context.global);
        let mut config = config.map_err(|error| described(&error, &job, &slots))?;
        self.rules.complete(&mut config, slots);
        Ok(ReadyJob {
            config: Arc::new(config),
            object: job.object,
            relabel_origins: job.relabel_origins.into(),
            metric_relabel_origins: job.metric_relabel_origins.into(),
        })
    }
}

/// What an object asks for, if it is valid. What is the same as before is the same by address: whoever compares
/// configurations is done at once.
fn products<S: Spec, P: Product>(
    watched: &Watched<S>,
    make: &impl Fn(&Object<S>) -> Result<Vec<P>, String>,
    before: Option<&InForce<S, P>>,
) -> Result<Vec<P>, String> {
    // Copied only for what is made: all others are looked at where they are.
    let object = Object { metadata: watched.meta.clone(), spec: watched.spec.clone()? };
    let mut products = make(&object)?;
    let before = before.map_or(&[][..], |before| before.products.as_slice());
    products.iter_mut().zip(before).for_each(|(product, before)| product.reuse(before));
    Ok(products)
}

/// An error of a job, at the field of the object that it comes from where that is known.
fn described(error: &config::Error, job: &Job, slots: &[Vec<Slot>; 2]) -> String {
    let config::Error::Invalid { field, message, .. } = error else { return error.to_string() };
    let origins = [&job.relabel_origins, &job.metric_relabel_origins];
    let lists = LISTS.iter().zip(slots).zip(origins);
    let mut found = lists.filter_map(|((list, slots), origins)| {
        let (index, rest) = field.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
        let origin: &Origin = origins.get(place(slots, index.parse().ok()?))?;
        Some(format!("{origin}{rest}"))
    });
    match found.next() {
        Some(origin) => format!("{origin}: {message}"),
        None if field.is_empty() => message.clone(),
        None => format!("{field}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{GlobalConfig, ScrapeConfig, Yaml};

    /// The error of a job with these fields; its rules come from `spec.rules[0]` on.
    #[track_caller]
    fn check(fields: &str, expected: &str) {
        let yaml = Yaml::parse(&format!("job_name: j\n{fields}"), "test").unwrap();
        let rules = RuleCache::default();
        // What is known already has no place in what is read.
        let known =
            "job_name: j\nrelabel_configs: [{target_label: a}, {source_labels: [a], regex: (.+), target_label: b}]";
        let Reduced { yaml: known, slots } = rules.reduce(Yaml::parse(known, "test").unwrap());
        rules.complete(&mut ScrapeConfig::from_yaml(&known, "j", &GlobalConfig::default()).unwrap(), slots);
        let Reduced { yaml, slots } = rules.reduce(yaml);
        let error = ScrapeConfig::from_yaml(&yaml, "j", &GlobalConfig::default()).unwrap_err();
        let origins = |name: &str| (0..4).map(|i| Origin::Field(format!("spec.{name}[{i}]"))).collect();
        let (relabel_origins, metric_relabel_origins) = (origins("rules"), origins("metricRules"));
        let job = Job { name: "j".to_owned(), object: None, yaml, relabel_origins, metric_relabel_origins };
        assert_eq!(described(&error, &job, &slots), expected);
    }

    #[test]
    fn errors_of_jobs_stand_at_the_fields_of_the_object() {
        let known = "{source_labels: [a], regex: (.+), target_label: b}";
        check(
            &format!("relabel_configs: [{{target_label: a}}, {known}, {{action: keep, source_labels: [a], regex: (}}]"),
            "spec.rules[2].regex: error parsing regexp: missing closing ): `^(?s:()$`",
        );
        check(
            &format!(
                "metric_relabel_configs: [{{target_label: a}}, {known}, {known}, {{action: hashmod, target_label: a}}]"
            ),
            "spec.metricRules[3]: relabel configuration for hashmod requires non-zero modulus",
        );
        check(
            "scrape_timeout: 5x",
            "scrape_timeout: unknown unit \"x\" in duration \"5x\"; write it as 30s, 5m or 1h30m",
        );
        check("relabel_configs: [1]", "spec.rules[0]: cannot unmarshal a single value into a mapping");
        let error = "scrape_timeout: scrape timeout greater than scrape interval for scrape config with job name \"j\"";
        check("scrape_interval: 1s\nscrape_timeout: 2s", error);
    }
}
