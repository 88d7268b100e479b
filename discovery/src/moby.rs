//! The API of a Docker daemon, for `docker_sd_configs` and `dockerswarm_sd_configs` (upstream: `discovery/moby`).

use std::collections::BTreeMap;
use std::time::Duration;

use config::{DockerFilter, HttpClientConfig};
use http::header::HeaderMap;
use serde_json::{Map, Value};

use crate::api::{Api, url_of};
use crate::discoverer::Context;
use crate::json::Json as _;
use crate::meta::Meta;

/// A daemon.
pub(crate) struct Moby {
    api: Api,
    base: String,
    /// As the API takes them; empty if there are none.
    filters: String,
}

impl Moby {
    pub(crate) fn new(
        (host, http, filters): (&str, &HttpClientConfig, &[DockerFilter]),
        timeout: Duration,
        context: &Context,
    ) -> Self {
        let (api, base) = match host.split_once("://") {
            Some(("unix", path)) => (Api::over_socket(path.into(), timeout, context), "http://localhost".to_owned()),
            // As Docker's client has it, which knows nothing of `http_config` then.
            Some(("tcp", host)) => (Api::new(&HttpClientConfig::default(), timeout, context), format!("http://{host}")),
            _ => (Api::new(http, timeout, context), host.to_owned()),
        };
        Self { api, base, filters: encoded(filters) }
    }

    /// A list of objects; the filters apply to the one that targets are made of.
    pub(crate) async fn list(&self, path: &str, is_filtered: bool) -> Result<Value, String> {
        let filters = (is_filtered && !self.filters.is_empty()).then_some(("filters", self.filters.as_str()));
        let url = url_of(&self.base, path, filters.as_slice())?;
        self.api.list(&url, &HeaderMap::new()).await
    }

    /// The labels of each network, by its id.
    pub(crate) async fn networks(&self, prefix: &'static str) -> Result<BTreeMap<String, Meta>, String> {
        let networks = self.list("/networks", false).await;
        let networks = networks.map_err(|error| format!("error while computing network labels: {error}"))?;
        let labels = |network: &Value| {
            let mut meta = Meta::new(prefix);
            meta.texts(network, &[("network_id", "/Id"), ("network_name", "/Name"), ("network_scope", "/Scope")]);
            meta.flags(network, &[("network_internal", "/Internal"), ("network_ingress", "/Ingress")]);
            meta.members("network_label_", network.at("/Labels"));
            (network.text("/Id"), meta)
        };
        Ok(networks.items("").iter().map(labels).collect())
    }
}

fn encoded(filters: &[DockerFilter]) -> String {
    let mut all = Map::new();
    for filter in filters {
        let values = all.entry(&filter.name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(values) = values {
            values.extend(filter.values.iter().map(|value| (value.clone(), Value::Bool(true))));
        }
    }
    if all.is_empty() { String::new() } else { Value::Object(all).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_sets_of_values() {
        let filter = |name: &str, values: &[&str]| DockerFilter {
            name: name.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert_eq!(encoded(&[]), "");
        assert_eq!(
            encoded(&[filter("label", &["a=b", "c"]), filter("status", &["running"]), filter("label", &["d"])]),
            r#"{"label":{"a=b":true,"c":true,"d":true},"status":{"running":true}}"#
        );
    }
}
