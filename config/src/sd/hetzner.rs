//! `hetzner_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Inline, Int, Keyword, Text, Word, section};

section! {
    /// Targets from the servers of Hetzner. Hetzner Cloud takes a token (`authorization`), Robot a user (`basic_auth`).
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct HetznerSdConfig as "hetzner_sd_config" {
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Which API is asked.
        #[yaml(Word<HetznerRole>; always, required = "role missing (one of: robot, hcloud)")]
        pub role: Option<HetznerRole>,
        /// Which servers of Hetzner Cloud become targets.
        #[yaml(Text)]
        pub label_selector: String,
    }
}

/// Which API of Hetzner is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HetznerRole {
    /// Dedicated servers.
    Robot,
    /// Virtual servers.
    Hcloud,
}

impl Keyword for HetznerRole {
    const WORDS: &'static [(&'static str, Self)] = &[("robot", Self::Robot), ("hcloud", Self::Hcloud)];

    const EMPTY_IS_UNSET: bool = false;

    fn unknown(word: &str) -> String {
        format!("unknown role {word:?}; it is robot or hcloud")
    }
}
