//! `kuma_sd_configs`.

use super::url::host_of;
use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Text, Url, section};

section! {
    /// Targets from the control plane of Kuma, by its monitoring assignments (MADS).
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct KumaSdConfig as "kuma_sd_config" {
        /// How the control plane is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The shortest time between two requests. The control plane answers when something changes.
        #[yaml(Duration, name = "refresh_interval", default = 15_000)]
        pub refresh_interval_ms: i64,
        /// How long the control plane may wait for a change.
        #[yaml(Duration, name = "fetch_timeout", default = 120_000)]
        pub fetch_timeout_ms: i64,
        /// The URL of the control plane.
        #[yaml(Url)]
        pub server: String,
        /// By which name the control plane knows the client; the host name if it is missing.
        #[yaml(Text)]
        pub client_id: String,
    }
    check = check_kuma;
}

fn check_kuma(config: &mut KumaSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.server.is_empty() {
        return Err(f.refuse("server", "kuma SD server must not be empty: "));
    }
    match host_of(&config.server) {
        Some(("http" | "https", _)) => Ok(()),
        Some(_) => Err(f.refuse("server", "invalid xDS server URL protocol. must be either 'http' or 'https'")),
        None => {
            let message = format!("kuma SD server must not be empty and have a scheme: {}", config.server);
            Err(f.refuse("server", message))
        }
    }
}
