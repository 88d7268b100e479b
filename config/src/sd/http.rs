//! `http_sd_configs`.

use super::url::check_http_url;
use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Url, section};

section! {
    /// Targets from an HTTP endpoint.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct HttpSdConfig as "http_sd_config" {
        /// How the endpoint is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The URL to ask.
        #[yaml(Url; required = "URL is missing")]
        pub url: String,
    }
    check = check_http_sd;
}

fn check_http_sd(config: &mut HttpSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    check_http_url(&config.url, f, "url")
}
