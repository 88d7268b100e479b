//! Objects of the API server that ask for jobs: `--operator`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use config::Config;
use futures::future::{self, BoxFuture};
use kube_watch::{ApiServer, Watches};
use operator::{Operator, OperatorOptions, Placeholders};

use crate::app::{App, What};
use crate::component::{Change, Component};
use crate::flags::Flags;
use crate::settings::Settings;

/// Where a pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

pub(super) struct Objects(pub(super) Arc<App>);

impl Component for Objects {
    fn name(&self) -> &'static str {
        "the operator"
    }

    /// Its jobs are part of the configuration already.
    fn prepare(&self, _: &Config, _: &Arc<Config>) -> Result<Change> {
        Ok(Change::none())
    }

    /// Puts the configuration into force again whenever objects ask for another one.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        let Some(operator) = self.0.operator.clone() else { return Box::pin(future::pending()) };
        Box::pin(async move {
            let app = &self.0;
            // Its error is logged where it happens.
            operator.run(|| async { drop(app.reload(What::Objects).await) }).await;
        })
    }
}

/// Follows the objects, if a flag says so.
///
/// # Errors
/// When another flag cannot be read.
pub(crate) fn follow_objects(
    flags: &Flags,
    settings: &Settings,
    watches: &Arc<Watches>,
) -> Result<Option<Arc<Operator>>> {
    if !flags.operator {
        return Ok(None);
    }
    let prometheus = match flags.operator_prometheus.as_str() {
        "" => None,
        name => match name.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Some((namespace.to_owned(), name.to_owned()))
            }
            _ => bail!("--operator.prometheus={name}: must be namespace/name"),
        },
    };
    if prometheus.is_some() && !flags.operator_selector.is_empty() {
        bail!(
            "--operator.selector has no effect with --operator.prometheus, whose object has selectors; remove one of the two"
        );
    }
    let selector = operator::parse_label_selector(&flags.operator_selector)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("--operator.selector={}", flags.operator_selector))?;
    let kubeconfig_file = Some(&flags.operator_kubeconfig).filter(|path| !path.is_empty()).map(PathBuf::from);
    let namespaces = flags.operator_namespaces.split(',').map(str::trim).filter(|name| !name.is_empty());
    let options = OperatorOptions {
        server: ApiServer { kubeconfig_file, ..ApiServer::default() },
        prometheus,
        own_namespace: own_namespace(),
        namespaces: namespaces.map(str::to_owned).collect(),
        selector,
        options: operator::Options {
            // Every API server since Kubernetes 1.21 has them.
            endpoint_slices: true,
            // Prometheus-Operator 0.93 enables these features by default.
            topology_sharding: true,
            shard_retention: true,
            ..operator::Options::default()
        },
        placeholders: placeholders(settings),
    };
    Ok(Some(Arc::new(Operator::new(Arc::clone(watches), options))))
}

/// The namespace of this pod; empty outside of a cluster.
fn own_namespace() -> String {
    let of_environment = std::env::var("POD_NAMESPACE").unwrap_or_default();
    if !of_environment.is_empty() {
        return of_environment;
    }
    std::fs::read_to_string(OWN_NAMESPACE).unwrap_or_default().trim().to_owned()
}

/// What Prometheus-Operator gives its pods in the environment, and what it is without that: the only shard.
fn placeholders(settings: &Settings) -> Placeholders {
    let env = |name: &str, default: &str| match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => default.to_owned(),
    };
    Placeholders::new([
        ("POD_NAME", env("POD_NAME", &settings.hostname)),
        ("SHARD", env("SHARD", "0")),
        ("INZONE_SHARD", env("INZONE_SHARD", "0")),
        ("TOPOLOGY_ZONE", env("TOPOLOGY_ZONE", "")),
        ("NODE_NAME", env("NODE_NAME", "")),
    ])
}
