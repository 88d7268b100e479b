//! The discoveries of ScrapeConfigs: which field of the object is which of the configuration.
//!
//! Credentials, TLS, proxies and what else concerns the HTTP client are the same in all of them and stand in none of the
//! tables.

use config::Yaml;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::assets::NamespacedAssets;
use crate::document::{Mapping, ToYaml as _};
use crate::objects::{HttpConfig, KeySelector, ProxyConfig};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The same as in the configuration.
    Same,
    /// The same, and left out where it is empty.
    Filled,
    /// A word, there in lower case.
    Lower,
    /// A word in camel case, there with underscores.
    Snake,
    /// A key of a Secret, there its value.
    Secret,
    /// `name` and `values` of several filters, there sorted by name.
    Filters,
}

/// A field: its name in the object, that in the configuration, and what it holds.
type Field = (&'static str, &'static str, Form);

/// Every kind that refreshes has this one.
const REFRESH: Field = ("refreshInterval", "refresh_interval", Form::Same);
const PORT: Field = ("port", "port", Form::Same);

/// The kinds: field of the object, section of the configuration, fields.
const KINDS: &[(&str, &str, &[Field])] = {
    use Form::{Filled, Filters, Lower, Same, Secret, Snake};
    &[
        ("fileSDConfigs", "file_sd_configs", &[("files", "files", Same), REFRESH]),
        ("httpSDConfigs", "http_sd_configs", &[("url", "url", Same), REFRESH]),
        (
            "consulSDConfigs",
            "consul_sd_configs",
            &[
                ("server", "server", Same),
                ("pathPrefix", "path_prefix", Same),
                ("tokenRef", "token", Secret),
                ("datacenter", "datacenter", Same),
                ("namespace", "namespace", Same),
                ("partition", "partition", Same),
                ("scheme", "scheme", Lower),
                ("services", "services", Filled),
                ("tags", "tags", Filled),
                ("tagSeparator", "tag_separator", Same),
                ("nodeMeta", "node_meta", Filled),
                ("filter", "filter", Same),
                ("healthFilter", "health_filter", Same),
                ("allowStale", "allow_stale", Same),
                REFRESH,
            ],
        ),
        ("dnsSDConfigs", "dns_sd_configs", &[("names", "names", Same), REFRESH, ("type", "type", Same), PORT]),
        (
            "ec2SDConfigs",
            "ec2_sd_configs",
            &[
                ("region", "region", Same),
                ("accessKey", "access_key", Secret),
                ("secretKey", "secret_key", Secret),
                ("roleARN", "role_arn", Same),
                REFRESH,
                PORT,
                ("filters", "filters", Filters),
            ],
        ),
        (
            "azureSDConfigs",
            "azure_sd_configs",
            &[
                ("environment", "environment", Same),
                ("authenticationMethod", "authentication_method", Same),
                ("subscriptionID", "subscription_id", Filled),
                ("tenantID", "tenant_id", Same),
                ("clientID", "client_id", Same),
                ("clientSecret", "client_secret", Secret),
                ("resourceGroup", "resource_group", Same),
                REFRESH,
                PORT,
            ],
        ),
        (
            "gceSDConfigs",
            "gce_sd_configs",
            &[
                ("project", "project", Same),
                ("zone", "zone", Same),
                ("filter", "filter", Same),
                REFRESH,
                PORT,
                ("tagSeparator", "tag_separator", Same),
            ],
        ),
        (
            "openstackSDConfigs",
            "openstack_sd_configs",
            &[
                ("role", "role", Lower),
                ("region", "region", Same),
                ("identityEndpoint", "identity_endpoint", Same),
                ("username", "username", Same),
                ("userid", "userid", Same),
                ("password", "password", Secret),
                ("domainName", "domain_name", Same),
                ("domainID", "domain_id", Same),
                ("projectName", "project_name", Same),
                ("projectID", "project_id", Same),
                ("applicationCredentialName", "application_credential_name", Same),
                ("applicationCredentialId", "application_credential_id", Same),
                ("applicationCredentialSecret", "application_credential_secret", Secret),
                ("allTenants", "all_tenants", Same),
                REFRESH,
                PORT,
                ("availability", "availability", Same),
            ],
        ),
        ("digitalOceanSDConfigs", "digitalocean_sd_configs", &[PORT, REFRESH]),
        (
            "kumaSDConfigs",
            "kuma_sd_configs",
            &[
                ("server", "server", Same),
                REFRESH,
                ("fetchTimeout", "fetch_timeout", Same),
                ("clientID", "client_id", Same),
            ],
        ),
        ("eurekaSDConfigs", "eureka_sd_configs", &[REFRESH, ("server", "server", Filled)]),
        (
            "dockerSDConfigs",
            "docker_sd_configs",
            &[
                ("filters", "filters", Filters),
                ("host", "host", Same),
                PORT,
                ("hostNetworkingHost", "host_networking_host", Same),
                ("matchFirstNetwork", "match_first_network", Same),
                REFRESH,
            ],
        ),
        (
            "linodeSDConfigs",
            "linode_sd_configs",
            &[PORT, ("region", "region", Same), ("tagSeparator", "tag_separator", Same), REFRESH],
        ),
        (
            "hetznerSDConfigs",
            "hetzner_sd_configs",
            &[("role", "role", Lower), PORT, REFRESH, ("labelSelector", "label_selector", Filled)],
        ),
        (
            "nomadSDConfigs",
            "nomad_sd_configs",
            &[
                ("server", "server", Same),
                ("allowStale", "allow_stale", Same),
                ("namespace", "namespace", Same),
                REFRESH,
                ("region", "region", Same),
                ("tagSeparator", "tag_separator", Same),
            ],
        ),
        (
            "dockerSwarmSDConfigs",
            "dockerswarm_sd_configs",
            &[("filters", "filters", Filters), ("host", "host", Same), ("role", "role", Lower), PORT, REFRESH],
        ),
        (
            "puppetDBSDConfigs",
            "puppetdb_sd_configs",
            &[
                ("url", "url", Same),
                ("query", "query", Same),
                ("includeParameters", "include_parameters", Same),
                PORT,
                REFRESH,
            ],
        ),
        (
            "lightSailSDConfigs",
            "lightsail_sd_configs",
            &[
                ("region", "region", Same),
                ("endpoint", "endpoint", Same),
                PORT,
                REFRESH,
                ("accessKey", "access_key", Secret),
                ("secretKey", "secret_key", Secret),
                ("roleARN", "role_arn", Same),
            ],
        ),
        (
            "ovhcloudSDConfigs",
            "ovhcloud_sd_configs",
            &[
                ("applicationKey", "application_key", Same),
                ("applicationSecret", "application_secret", Secret),
                ("consumerKey", "consumer_key", Secret),
                ("service", "service", Snake),
                ("endpoint", "endpoint", Same),
                REFRESH,
            ],
        ),
        (
            "scalewaySDConfigs",
            "scaleway_sd_configs",
            &[
                ("accessKey", "access_key", Same),
                ("secretKey", "secret_key", Secret),
                ("projectID", "project_id", Same),
                ("role", "role", Lower),
                PORT,
                ("apiURL", "api_url", Same),
                ("zone", "zone", Same),
                ("nameFilter", "name_filter", Same),
                ("tagsFilter", "tags_filter", Filled),
                REFRESH,
            ],
        ),
        ("ionosSDConfigs", "ionos_sd_configs", &[("datacenterID", "datacenter_id", Same), PORT, REFRESH]),
    ]
};

impl Mapping {
    /// Adds all discoveries of a ScrapeConfig.
    pub(super) fn put_discoveries(&mut self, assets: NamespacedAssets<'_>, spec: &Map<String, Value>) {
        let configs = |name: &str| spec.get(name).and_then(Value::as_array).filter(|all| !all.is_empty());
        // These two do not fit the table: one always has labels, and the other has fields within fields.
        if let Some(all) = configs("staticConfigs") {
            self.put("static_configs", all.iter().map(static_config).collect::<Vec<_>>());
        }
        if let Some(all) = configs("kubernetesSDConfigs") {
            self.put("kubernetes_sd_configs", all.iter().map(|one| kubernetes(assets, one)).collect::<Vec<_>>());
        }
        for (name, section, fields) in KINDS {
            if let Some(all) = configs(name) {
                self.put(*section, all.iter().map(|one| discovery(assets, one, fields)).collect::<Vec<_>>());
            }
        }
    }

    /// Adds credentials and whatever else concerns the HTTP client, as the object has it.
    fn put_http(&mut self, assets: NamespacedAssets<'_>, config: &Value) {
        // What cannot be read was refused before: the same types are read there.
        let http = HttpConfig::deserialize(config).unwrap_or_default();
        self.put_basic_auth(assets, http.basic_auth.as_ref());
        self.put_authorization(assets, http.authorization.as_ref().filter(|_| !is_ionos_oauth2(config)));
        self.put_oauth2(assets, http.oauth2.as_ref());
        self.put_tls(assets, http.tls_config.as_ref());
        self.put_proxy(assets, &ProxyConfig::deserialize(config).unwrap_or_default());
        self.put_some("follow_redirects", http.follow_redirects);
        self.put_some("enable_http2", http.enable_http2);
    }
}

/// IONOS requires `authorization` in the object, and `oauth2` wins over it.
fn is_ionos_oauth2(config: &Value) -> bool {
    config.get("datacenterID").is_some() && config.get("oauth2").is_some_and(|oauth2| !oauth2.is_null())
}

fn discovery(assets: NamespacedAssets<'_>, config: &Value, fields: &[Field]) -> Mapping {
    let mut out = Mapping::default();
    let mut config = config.clone();
    // A field that only Azure has tells the kind.
    if fields.iter().any(|(name, ..)| *name == "subscriptionID")
        && let Some(pairs) = config.as_object_mut()
    {
        // Upstream leaves these out for Azure.
        pairs.retain(|name, _| !matches!(name.as_str(), "tlsConfig" | "followRedirects" | "enableHTTP2"));
    }
    let config = &config;
    out.put_http(assets, config);
    // Half a pair of keys would hide credentials of the environment.
    let has_half_a_pair = config.get("roleARN").is_some() || config.get("region").is_some();
    let has_pair = config.get("accessKey").is_some() && config.get("secretKey").is_some();
    for (name, yaml_name, form) in fields {
        let is_key = *form == Form::Secret && matches!(*name, "accessKey" | "secretKey");
        let Some(value) = config.get(name).filter(|value| !value.is_null()) else { continue };
        if is_key && has_half_a_pair && !has_pair {
            continue;
        }
        if let Some(value) = converted(assets, value, *form) {
            out.put(*yaml_name, value);
        }
    }
    out
}

fn converted(assets: NamespacedAssets<'_>, value: &Value, form: Form) -> Option<Yaml> {
    let word = || value.as_str().unwrap_or_default();
    let is_empty = match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(pairs) => pairs.is_empty(),
        _ => false,
    };
    match form {
        Form::Same => Some(plain(value)),
        Form::Filled => (!is_empty).then(|| plain(value)),
        Form::Lower => Some(Yaml::text(word().to_lowercase())),
        Form::Snake => Some(Yaml::text(snake_case(word()))),
        Form::Secret => {
            let selector = KeySelector::deserialize(value).unwrap_or_default();
            assets.secret(&selector).ok().map(Yaml::text)
        }
        Form::Filters => {
            let mut filters: Vec<&Value> = value.as_array()?.iter().collect();
            filters.sort_by_key(|filter| filter["name"].as_str().unwrap_or_default());
            (!filters.is_empty()).then(|| Yaml::List(filters.into_iter().map(plain).collect()))
        }
    }
}

/// `DedicatedServer` to `dedicated_server`, and `VPS` to `vps`.
fn snake_case(word: &str) -> String {
    let mut out = String::new();
    let mut before = None::<char>;
    for c in word.chars() {
        // Only after a small letter: a word in capitals is one word.
        if c.is_ascii_uppercase() && before.is_some_and(|before| before.is_ascii_lowercase()) {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = Some(c);
    }
    out
}

/// JSON as YAML.
fn plain(value: &Value) -> Yaml {
    match value {
        Value::String(text) => Yaml::text(text.as_str()),
        Value::Array(items) => Yaml::List(items.iter().map(plain).collect()),
        Value::Object(pairs) => {
            Yaml::Map(pairs.iter().map(|(key, value)| (key.clone().into(), plain(value))).collect())
        }
        scalar => Yaml::raw(scalar),
    }
}

fn static_config(config: &Value) -> Mapping {
    let mut out = Mapping::default();
    out.put("targets", config.get("targets").map_or(Yaml::List(Vec::new()), plain));
    // Written even if there are none, as upstream does.
    out.put("labels", config.get("labels").map_or(Yaml::Map(Vec::new()), plain));
    out
}

fn kubernetes(assets: NamespacedAssets<'_>, config: &Value) -> Mapping {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let mut out = Mapping::default();
    out.put_some("api_server", config.get("apiServer").map(plain));
    // The API spells roles as kinds: `EndpointSlice`.
    let role = config.get("role").map(word).unwrap_or_default();
    out.put("role", &role);
    out.put_http(assets, config);
    if let Some(namespaces) = config.get("namespaces") {
        let mut section = Mapping::default();
        section.put("names", namespaces.get("names").map_or(Yaml::List(Vec::new()), plain));
        section.put_some("own_namespace", namespaces.get("ownNamespace").map(plain));
        out.put("namespaces", section);
    }
    let selector = |one: &Value| {
        let mut section = Mapping::default();
        section.put("role", one.get("role").map(word).unwrap_or_default());
        section.put_some("label", one.get("label").map(plain));
        section.put_some("field", one.get("field").map(plain));
        section.to_yaml()
    };
    if let Some(selectors) = config.get("selectors").and_then(Value::as_array).filter(|all| !all.is_empty()) {
        out.put("selectors", Yaml::List(selectors.iter().map(selector).collect()));
    }
    // Other roles have no node to attach.
    if matches!(role.as_str(), "pod" | "endpoints" | "endpointslice") {
        out.put_some("attach_metadata", config.get("attachMetadata").map(plain));
    }
    out
}
