//! `nomad_sd_configs`.

use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Bool, Duration, Fields, Inline, Text, Url, section};

section! {
    /// Targets from the services that a Nomad server knows.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct NomadSdConfig as "nomad_sd_config" {
        /// Servers that are not the leader may answer.
        #[yaml(Bool, default = true; always)]
        pub allow_stale: bool,
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The namespace.
        #[yaml(Text, default = "default".to_owned(); always)]
        pub namespace: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// The region.
        #[yaml(Text, default = "global".to_owned(); always)]
        pub region: String,
        /// The URL of the server.
        #[yaml(Url, default = "http://localhost:4646".to_owned(); always)]
        pub server: String,
        /// Stands between the tags in the label of tags, and around them.
        #[yaml(Text, default = ",".to_owned())]
        pub tag_separator: String,
    }
    check = check_nomad;
}

fn check_nomad(config: &mut NomadSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.server.trim().is_empty() {
        return Err(f.refuse("server", "nomad SD configuration requires a server address"));
    }
    Ok(())
}
