//! `uyuni_sd_configs`.

use crate::Secret;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Inline, SecretText, Text, Url, section};

section! {
    /// Targets from the systems that Uyuni manages.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct UyuniSdConfig as "uyuni_sd_config" {
        /// The URL of the server.
        #[yaml(Url; always, required = "Uyuni SD configuration requires server host")]
        pub server: String,
        /// The user name.
        #[yaml(Text; always, required = "Uyuni SD configuration requires a username")]
        pub username: String,
        /// The password.
        #[yaml(SecretText; always, required = "Uyuni SD configuration requires a password")]
        pub password: Option<Secret>,
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The entitlement that a system must have.
        #[yaml(Text, default = "monitoring_entitled".to_owned())]
        pub entitlement: String,
        /// Stands between the names of groups in their label.
        #[yaml(Text, default = ",".to_owned())]
        pub separator: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
    }
}
