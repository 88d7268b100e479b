//! `outscale_sd_configs`.

use std::path::PathBuf;

use super::codecs::ShownSecret;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Int, Path, Text, Url, section};
use crate::{Error, Secret};

section! {
    /// Targets from the virtual machines of Outscale.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct OutscaleSdConfig as "outscale_sd_config" {
        /// The URL of the API; that of the region if it is missing.
        #[yaml(Url)]
        pub endpoint: String,
        /// The region.
        #[yaml(Text, default = "eu-west-2".to_owned(); always)]
        pub region: String,
        /// The access key.
        #[yaml(Text; always)]
        pub access_key: String,
        /// The secret key.
        #[yaml(ShownSecret)]
        pub secret_key: Option<Secret>,
        /// A file that holds the secret key; it is read for every request.
        #[yaml(Path; always)]
        pub secret_key_file: Option<PathBuf>,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
    }
    check = check_outscale;
}

fn check_outscale(config: &mut OutscaleSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let (key, file) = (config.secret_key.is_some(), config.secret_key_file.is_some());
    let faults = [
        (config.region.is_empty(), "region", "outscale SD configuration requires a region"),
        (config.access_key.is_empty(), "access_key", "outscale SD configuration requires access_key"),
        (!key && !file, "secret_key", "one of secret_key & secret_key_file must be configured"),
        (key && file, "secret_key_file", "at most one of secret_key & secret_key_file must be configured"),
    ];
    if let Some((_, name, message)) = faults.iter().find(|(is_fault, ..)| *is_fault) {
        return Err(f.refuse(name, *message));
    }
    if config.endpoint.is_empty() {
        config.endpoint = format!("https://api.{}.outscale.com/api/v1", config.region);
    }
    Ok(())
}
