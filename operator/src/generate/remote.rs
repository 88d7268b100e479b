//! `remote_write` and `remote_read`. Upstream: `GenerateRemoteWriteConfig`, `generateRemoteReadConfig`.

use config::Yaml;

use super::Generator;
use super::rules::user_rule;
use crate::assets::NamespacedAssets;
use crate::document::{Mapping, ToYaml as _};
use crate::objects::{AzureAd, MetadataConfig, QueueConfig, RemoteRead, RemoteWrite};

impl Generator<'_> {
    pub(super) fn remote_write(&self) -> Option<Yaml> {
        let all = &self.spec().remote_write;
        let assets = self.assets.in_namespace(&self.prometheus.metadata.namespace);
        (!all.is_empty()).then(|| Yaml::List(all.iter().map(|one| write(assets, one).to_yaml()).collect()))
    }

    pub(super) fn remote_read(&self) -> Option<Yaml> {
        let all = &self.spec().remote_read;
        let assets = self.assets.in_namespace(&self.prometheus.metadata.namespace);
        (!all.is_empty()).then(|| Yaml::List(all.iter().map(|one| read(assets, one).to_yaml()).collect()))
    }
}

fn write(assets: NamespacedAssets<'_>, one: &RemoteWrite) -> Mapping {
    // The API names versions, the configuration names messages of protocol buffers.
    let is_v2 = one.message_version.as_deref() == Some("V2.0");
    let message = if is_v2 { "io.prometheus.write.v2.Request" } else { "prometheus.WriteRequest" };
    let mut out = Mapping::default();
    out.put("url", &one.url);
    out.put_some("remote_timeout", one.remote_timeout.as_ref());
    out.put_filled("headers", &one.headers);
    out.put_some("name", one.name.as_ref().filter(|name| !name.is_empty()));
    out.put_some("protobuf_message", one.message_version.as_ref().map(|_| message));
    out.put_some("send_exemplars", one.send_exemplars);
    out.put_some("send_native_histograms", one.send_native_histograms);
    out.put_filled("write_relabel_configs", &one.write_relabel_configs.iter().map(user_rule).collect::<Vec<_>>());
    out.put_basic_auth(assets, one.basic_auth.as_ref());
    out.put_filled("bearer_token", &one.bearer_token);
    out.put_filled("bearer_token_file", &one.bearer_token_file);
    out.put_oauth2(assets, one.oauth2.as_ref());
    out.put_tls(assets, one.tls_config.as_ref());
    out.put_authorization(assets, one.authorization.as_ref());
    out.put_proxy(assets, &one.proxy);
    out.put_sigv4(assets, one.sigv4.as_ref());
    out.put_some("azuread", one.azure_ad.as_ref().map(|azure| azure_ad(assets, azure)));
    out.put_some("follow_redirects", one.follow_redirects);
    out.put_some("enable_http2", one.enable_http2);
    out.put_some("queue_config", one.queue_config.as_ref().map(queue));
    out.put_some("metadata_config", one.metadata_config.as_ref().map(|config| metadata(config, is_v2)));
    out.put_some("round_robin_dns", one.round_robin_dns);
    out
}

fn azure_ad(assets: NamespacedAssets<'_>, azure: &AzureAd) -> Mapping {
    let mut out = Mapping::default();
    if let Some(identity) = &azure.managed_identity {
        let mut section = Mapping::default();
        section.put_some("client_id", identity.client_id.as_ref().filter(|id| !id.is_empty()));
        out.put("managed_identity", section);
    }
    if let Some(oauth) = &azure.oauth
        && let Ok(secret) = assets.secret(&oauth.client_secret)
    {
        let mut section = Mapping::default();
        section.put("client_id", oauth.client_id.as_deref().unwrap_or_default());
        section.put("client_secret", secret);
        section.put("tenant_id", oauth.tenant_id.as_deref().unwrap_or_default());
        out.put("oauth", section);
    }
    if let Some(sdk) = &azure.sdk {
        let mut section = Mapping::default();
        section.put("tenant_id", sdk.tenant_id.as_deref().unwrap_or_default());
        out.put("sdk", section);
    }
    if let Some(workload) = &azure.workload_identity {
        let mut section = Mapping::default();
        section.put("client_id", workload.client_id.as_deref().unwrap_or_default());
        section.put("tenant_id", workload.tenant_id.as_deref().unwrap_or_default());
        out.put("workload_identity", section);
    }
    out.put_some("cloud", azure.cloud.as_ref());
    out.put_some("scope", azure.scope.as_ref().filter(|scope| !scope.is_empty()));
    out
}

fn queue(queue: &QueueConfig) -> Mapping {
    // 0 is not set: fields of the API are no pointers here.
    let positive = |n: i64| (n != 0).then_some(n);
    let mut out = Mapping::default();
    out.put_some("capacity", positive(queue.capacity));
    out.put_some("min_shards", positive(queue.min_shards));
    out.put_some("max_shards", positive(queue.max_shards));
    out.put_some("max_samples_per_send", positive(queue.max_samples_per_send));
    out.put_some("batch_send_deadline", queue.batch_send_deadline.as_ref());
    out.put_some("min_backoff", queue.min_backoff.as_ref());
    out.put_some("max_backoff", queue.max_backoff.as_ref());
    out.put_some("retry_on_http_429", queue.retry_on_rate_limit.then_some(true));
    out.put_some("sample_age_limit", queue.sample_age_limit.as_ref());
    out
}

/// Version 2 of the protocol sends metadata with the series, and never apart from them.
fn metadata(metadata: &MetadataConfig, is_v2: bool) -> Mapping {
    let mut out = Mapping::default();
    out.put("send", metadata.send && !is_v2);
    out.put_filled("send_interval", &metadata.send_interval);
    out.put_some("max_samples_per_send", metadata.max_samples_per_send);
    out
}

fn read(assets: NamespacedAssets<'_>, one: &RemoteRead) -> Mapping {
    let mut out = Mapping::default();
    out.put("url", &one.url);
    out.put_some("remote_timeout", one.remote_timeout.as_ref());
    out.put_filled("headers", &one.headers);
    out.put_filled("name", &one.name);
    out.put_filled("required_matchers", &one.required_matchers);
    out.put_some("read_recent", one.read_recent.then_some(true));
    out.put_basic_auth(assets, one.basic_auth.as_ref());
    out.put_filled("bearer_token", &one.bearer_token);
    out.put_filled("bearer_token_file", &one.bearer_token_file);
    out.put_oauth2(assets, one.oauth2.as_ref());
    out.put_tls(assets, one.tls_config.as_ref());
    out.put_authorization(assets, one.authorization.as_ref());
    out.put_proxy(assets, &one.proxy);
    out.put_some("follow_redirects", one.follow_redirects);
    out.put_some("filter_external_labels", one.filter_external_labels);
    out
}
