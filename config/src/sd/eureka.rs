//! `eureka_sd_configs`.

use super::url::host_of;
use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Url, section};

section! {
    /// Targets from the instances that register with Eureka.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct EurekaSdConfig as "eureka_sd_config" {
        /// The URL of the server.
        #[yaml(Url; required = "eureka_sd: empty or null eureka server")]
        pub server: String,
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 30_000)]
        pub refresh_interval_ms: i64,
    }
    check = check_eureka;
}

fn check_eureka(config: &mut EurekaSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if !config.server.is_empty() && host_of(&config.server).is_none() {
        return Err(f.refuse("server", "eureka_sd: invalid eureka server URL"));
    }
    Ok(())
}
