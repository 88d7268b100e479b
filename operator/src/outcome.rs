//! What became of the objects: jobs and rule groups, and for each object why it has them or has none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use config::{Config, RuleFile, ScrapeConfig};

use crate::generate::Origin;
use crate::objects::{Kind, ObjectRef};
use crate::select::NotSelected;

/// A job that is valid.
#[derive(Clone, Debug)]
pub struct ReadyJob {
    /// The job.
    pub config: Arc<ScrapeConfig>,
    /// Who asks for it; `None` is `additionalScrapeConfigs` of the Prometheus object.
    pub object: Option<ObjectRef>,
    /// What asks for each rule of `relabel_configs`.
    pub relabel_origins: Arc<[Origin]>,
    /// What asks for each rule of `metric_relabel_configs`.
    pub metric_relabel_origins: Arc<[Origin]>,
}

/// The groups of a PrometheusRule that is valid.
#[derive(Clone, Debug)]
pub struct ReadyRules {
    /// The object.
    pub object: ObjectRef,
    /// Its groups.
    pub groups: Arc<RuleFile>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not selected.
    NotSelected(NotSelected),
    /// It is not valid.
    Invalid {
        /// Why: first the place, then what is wrong.
        message: String,
        /// Its last valid version goes on.
        last_valid_in_use: bool,
    },
    /// What it names is being read.
    Pending,
    /// Its jobs or rules run.
    Accepted,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSelected(why) => write!(f, "not selected: {why}"),
            Self::Invalid { message, last_valid_in_use: true } => {
                write!(f, "not valid, its last valid version goes on: {message}")
            }
            Self::Invalid { message, .. } => write!(f, "not valid: {message}"),
            Self::Pending => f.write_str("the Secrets and ConfigMaps that it names are being read"),
            Self::Accepted => f.write_str("accepted"),
        }
    }
}

/// One object and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// The object.
    pub object: ObjectRef,
    /// Differs between two objects of one name, one after the other.
    pub uid: String,
    /// The version of its spec.
    pub generation: i64,
    /// What became of it.
    pub state: State,
    /// The names of its jobs.
    pub jobs: Vec<String>,
}

/// The Prometheus object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrometheusState {
    /// `namespace/name`.
    pub name: String,
    /// Why it is not in force, if it is not; the last valid version goes on.
    pub error: Option<String>,
    /// It is paused: neither it nor any other object changes what runs.
    pub is_paused: bool,
    /// Fields that have no effect here, each with the reason.
    pub not_applied: Vec<String>,
}

/// The objects of one kind, as far as the API server shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindState {
    /// The kind.
    pub kind: Kind,
    /// How many there are.
    pub objects: usize,
    /// What keeps objects from being seen, for each scope in which they are looked for.
    pub errors: Vec<String>,
}

/// What the objects of a cluster ask for.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What the Prometheus object asks for beside jobs.
    pub base: Option<Arc<Config>>,
    /// The jobs, in upstream's order.
    pub jobs: Vec<ReadyJob>,
    /// The rule groups, in the same order.
    pub rules: Vec<ReadyRules>,
    /// All objects that are known.
    pub objects: Vec<ObjectState>,
    /// The Prometheus object, if one is asked for.
    pub prometheus: Option<PrometheusState>,
    /// The kinds.
    pub kinds: Vec<KindState>,
    /// Is everything listed once?
    pub is_complete: bool,
}

impl Outcome {
    /// Is the configuration that follows from both the same?
    #[must_use]
    pub fn is_same_configuration(&self, other: &Self) -> bool {
        let same_base = match (&self.base, &other.base) {
            // By address first: what has not changed is the same there, and a comparison of thousands of jobs takes long.
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            (None, None) => true,
            _ => false,
        };
        let same = |(a, b): (&ReadyJob, &ReadyJob)| Arc::ptr_eq(&a.config, &b.config) || a.config == b.config;
        let same_rules = |(a, b): (&ReadyRules, &ReadyRules)| a.groups == b.groups;
        same_base
            && self.jobs.len() == other.jobs.len()
            && self.jobs.iter().zip(&other.jobs).all(same)
            && self.rules.len() == other.rules.len()
            && self.rules.iter().zip(&other.rules).all(same_rules)
    }

    /// Is all seen that objects ask for? Until then rules that ran before a restart may be missing.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        let prometheus = self.prometheus.as_ref().and_then(|state| state.error.as_ref());
        self.is_complete && prometheus.is_none() && self.kinds.iter().all(|kind| kind.errors.is_empty())
    }

    /// The objects whose state is another one than before, those that were not there or are created again included.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<&ObjectState> {
        // A map: thousands are compared.
        let known: BTreeMap<(&ObjectRef, &str), &State> =
            before.objects.iter().map(|one| ((&one.object, one.uid.as_str()), &one.state)).collect();
        let is_changed = |one: &&ObjectState| known.get(&(&one.object, one.uid.as_str())) != Some(&&one.state);
        self.objects.iter().filter(is_changed).collect()
    }

    /// What became of an object.
    #[must_use]
    pub fn state_of(&self, object: &ObjectRef) -> Option<&ObjectState> {
        self.objects.iter().find(|one| one.object == *object)
    }

    /// The rule groups of an object.
    #[must_use]
    pub fn rules_of(&self, object: &ObjectRef) -> Option<&Arc<RuleFile>> {
        self.rules.iter().find(|one| one.object == *object).map(|one| &one.groups)
    }

    /// The job of that name.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&ReadyJob> {
        self.jobs.iter().find(|job| job.config.job_name == name)
    }
}
