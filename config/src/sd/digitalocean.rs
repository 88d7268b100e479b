//! `digitalocean_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Inline, Int, Keyword, Word, section};

section! {
    /// Targets from the droplets or databases of DigitalOcean. The token belongs into `authorization`.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct DigitalOceanSdConfig as "digitalocean_sd_config" {
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// What becomes targets.
        #[yaml(Word<DigitalOceanRole>, default = DigitalOceanRole::Droplets; always)]
        pub role: DigitalOceanRole,
    }
}

/// What of DigitalOcean becomes targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DigitalOceanRole {
    /// Virtual machines.
    #[default]
    Droplets,
    /// Clusters of managed databases.
    Databases,
}

impl Keyword for DigitalOceanRole {
    const WORDS: &'static [(&'static str, Self)] = &[("droplets", Self::Droplets), ("databases", Self::Databases)];

    const EMPTY_IS_UNSET: bool = false;

    fn unknown(word: &str) -> String {
        format!("unknown DigitalOcean SD role {word:?}; it is droplets or databases")
    }
}
