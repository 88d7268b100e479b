//! `triton_sd_configs`.

use crate::Error;
use crate::http::TlsConfig;
use crate::schema::{Duration, Fields, Int, OmitDefault, Text, Texts, section};

section! {
    /// Targets from the containers or compute nodes of Triton.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct TritonSdConfig as "triton_sd_config" {
        /// The account.
        #[yaml(Text; always)]
        pub account: String,
        /// What becomes targets: `container` or `cn`.
        #[yaml(Text, default = "container".to_owned(); always)]
        pub role: String,
        /// What stands behind the id of a target in its host name.
        #[yaml(Text; always)]
        pub dns_suffix: String,
        /// The host of the discovery, which is also that of its metrics.
        #[yaml(Text; always)]
        pub endpoint: String,
        /// Groups of which a target must be a member.
        #[yaml(Texts)]
        pub groups: Vec<String>,
        /// The port of the discovery and of the targets.
        #[yaml(Int, default = 9163; always)]
        pub port: i64,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// TLS.
        #[yaml(OmitDefault<TlsConfig>, name = "tls_config")]
        pub tls: Option<TlsConfig>,
        /// The version of the API.
        #[yaml(Int, default = 1; always)]
        pub version: i64,
    }
    check = check_triton;
}

fn check_triton(config: &mut TritonSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let missing = [
        (config.role == "container" || config.role == "cn", "role", "role to be 'container' or 'cn'"),
        (!config.account.is_empty(), "account", "an account"),
        (!config.dns_suffix.is_empty(), "dns_suffix", "a dns_suffix"),
        (!config.endpoint.is_empty(), "endpoint", "an endpoint"),
        (config.refresh_interval_ms > 0, "refresh_interval", "RefreshInterval to be a positive integer"),
    ];
    match missing.iter().find(|(is_there, ..)| !is_there) {
        Some((_, name, what)) => Err(f.refuse(name, format!("triton SD configuration requires {what}"))),
        None => Ok(()),
    }
}
