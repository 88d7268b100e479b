//! `ionos_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Inline, Int, Text, section};

section! {
    /// Targets from the servers of a data center of IONOS Cloud.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct IonosSdConfig as "ionos_sd_config" {
        /// The id of the data center.
        #[yaml(Text; always, required = "datacenter id can't be empty")]
        pub datacenter_id: String,
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
