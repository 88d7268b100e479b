//! `linode_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Inline, Int, Text, section};

section! {
    /// Targets from the instances of Linode. The token belongs into `authorization`.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct LinodeSdConfig as "linode_sd_config" {
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Stands between the tags in the label of tags, and around them.
        #[yaml(Text, default = ",".to_owned())]
        pub tag_separator: String,
        /// The region; all if it is missing.
        #[yaml(Text)]
        pub region: String,
    }
}
