//! Discoveries that are not served yet: they find no targets.

use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Int, Opaque, Text, Texts, Url, section};

section! {
    /// Targets from DNS records.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct DnsSdConfig as "dns_sd_config" {
        /// The names to look up.
        #[yaml(Texts; always, required = "DNS-SD config must contain at least one SRV record name")]
        pub names: Vec<String>,
        /// The time from one lookup to the next.
        #[yaml(Duration, name = "refresh_interval", default = 30_000)]
        pub refresh_interval_ms: i64,
        /// The type of record: `SRV`, `A`, `AAAA`, `MX` or `NS`.
        #[yaml(Text, name = "type", default = "SRV".to_owned(); always)]
        pub kind: String,
        /// The port of the targets; needed unless the type is `SRV`.
        #[yaml(Int, default = 0; always)]
        pub port: i64,
    }
    check = check_dns;
}

fn check_dns(config: &mut DnsSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    // SRV records carry ports. The word is compared in any letter case and printed as written, as upstream does.
    match config.kind.to_uppercase().as_str() {
        "SRV" => Ok(()),
        "A" | "AAAA" | "MX" | "NS" if config.port == 0 => {
            Err(f.refuse("port", "a port is required in DNS-SD configs for all record types except SRV"))
        }
        "A" | "AAAA" | "MX" | "NS" => Ok(()),
        _ => Err(f.refuse("type", format!("invalid DNS-SD records type {}", config.kind))),
    }
}

section! {
    /// Targets from an HTTP endpoint.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct HttpSdConfig as "http_sd_config" {
        /// How the endpoint is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The URL to ask.
        #[yaml(Url; required = "URL is missing")]
        pub url: String,
    }
    check = check_http_sd;
}

fn check_http_sd(config: &mut HttpSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let url = config.url.as_str();
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Err(f.refuse("url", "URL scheme must be 'http' or 'https'"));
    };
    // Go's `url.Parse` takes `http:///path`, with an empty host.
    if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return Err(f.refuse("url", "host is missing in URL"));
    }
    Ok(())
}

/// A discovery whose settings are not described.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnservedSd {
    /// The name of the field: `consul_sd_configs`.
    pub kind: &'static str,
    pub(crate) settings: Opaque,
}

/// The kinds whose settings are not described: they are accepted and printed as they are.
pub(crate) const KINDS: [&str; 28] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];
