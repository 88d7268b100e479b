//! `puppetdb_sd_configs`.

use super::url::check_http_url;
use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Bool, Duration, Fields, Inline, Int, Text, Url, section};

section! {
    /// Targets from the resources of PuppetDB.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct PuppetDbSdConfig as "puppetdb_sd_config" {
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The URL of the server.
        #[yaml(Url; always, required = "URL is missing")]
        pub url: String,
        /// A query in PQL for resources.
        #[yaml(Text; always)]
        pub query: String,
        /// Parameters of the resources become labels, secrets in them as well.
        #[yaml(Bool; always)]
        pub include_parameters: bool,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
    }
    check = check_puppetdb;
}

fn check_puppetdb(config: &mut PuppetDbSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    check_http_url(&config.url, f, "url")?;
    if config.query.is_empty() {
        return Err(f.refuse("query", "query missing"));
    }
    Ok(())
}
