//! Objects of the API server that ask for jobs and rules: `--operator`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use config::Config;
use futures::future::{self, BoxFuture};
use kube_watch::{ApiServer, Key, Watches};
use operator::{Operator, OperatorOptions, Placeholders};

use crate::app::{App, What};
use crate::component::{Change, Component};
use crate::flags::Flags;
use crate::rule_language::Promql;
use crate::settings::Settings;

pub(super) struct Objects(pub(super) Arc<App>);

impl Component for Objects {
    fn name(&self) -> &'static str {
        "the operator"
    }

    /// Its jobs and rules are part of the configuration already.
    fn prepare(&self, _: &Arc<Config>) -> Result<Change> {
        Ok(Box::pin(future::ready(Ok(()))))
    }

    /// Puts the configuration into force again whenever objects ask for another one.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        let Some(operator) = self.0.operator.clone() else { return Box::pin(future::pending()) };
        Box::pin(async move {
            let _rights = tokio::task::JoinSet::from_iter([say_what_is_missing(Arc::clone(&operator))]);
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
    (flags, settings): (&Flags, &Settings),
    watches: &Arc<Watches>,
    engine: &query::Engine,
) -> Result<Option<Arc<Operator>>> {
    if !flags.operator {
        return Ok(None);
    }
    let prometheus = object_name("operator.prometheus", &flags.operator_prometheus)?;
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
        own_namespace: kube_watch::own_namespace().unwrap_or_default(),
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
    Ok(Some(Arc::new(Operator::new(Arc::clone(watches), options, Arc::new(Promql::new(engine))))))
}

/// The Service of all kubelets that is made up, if any.
///
/// # Errors
/// When its flag cannot be read.
pub(crate) fn kubelet_service(flags: &Flags) -> Result<Option<Key>> {
    let name = object_name("operator.kubelet-service", &flags.operator_kubelet_service)?;
    Ok(name.filter(|_| flags.operator).map(|(namespace, name)| Key::new(namespace, name)))
}

/// The namespace and the name that a flag gives.
fn object_name(flag: &str, given: &str) -> Result<Option<(String, String)>> {
    match given.split_once('/') {
        None if given.is_empty() => Ok(None),
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Some((namespace.to_owned(), name.to_owned())))
        }
        _ => bail!("--{flag}={given}: must be namespace/name"),
    }
}

/// Says at the start which rights are missing, and what does not work without them. Watches say so too, but each for itself and in
/// the words of the API server.
async fn say_what_is_missing(operator: Arc<Operator>) {
    match operator.missing_rights().await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            for one in &missing {
                tracing::warn!("the service account {one}");
            }
            tracing::warn!("`weft promtool rbac check` prints the Role that gives the missing rights");
        }
        Err(error) => tracing::warn!(err = %model::with_causes(&error), "cannot ask the API server about rights"),
    }
}

/// What Prometheus-Operator gives its pods in the environment, and what it is without that: the only shard. Where its zone is not
/// given, it follows from the shard.
fn placeholders(settings: &Settings) -> Placeholders {
    let env = |name: &'static str, default: Option<&str>| match std::env::var(name) {
        Ok(value) if !value.is_empty() => Some((name, value)),
        _ => default.map(|default| (name, default.to_owned())),
    };
    let known = [
        env("POD_NAME", Some(&settings.hostname)),
        env("SHARD", Some("0")),
        env("INZONE_SHARD", None),
        env("TOPOLOGY_ZONE", None),
        env("NODE_NAME", Some("")),
    ];
    Placeholders::new(known.into_iter().flatten())
}
