//! `vultr_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Inline, Int, section};

section! {
    /// Targets from the instances of Vultr. The token belongs into `authorization`.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct VultrSdConfig as "vultr_sd_config" {
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
    }
}
