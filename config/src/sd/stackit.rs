//! `stackit_sd_configs`.

use std::path::PathBuf;

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Int, Path, SecretText, Text, Url, section};
use crate::{Error, Secret};

section! {
    /// Targets from the servers of STACKIT. A token belongs into `authorization`; a key of a service account is exchanged for one.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct StackitSdConfig as "stackit_sd_config" {
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The id of the project.
        #[yaml(Text; always)]
        pub project: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80)]
        pub port: i64,
        /// The region.
        #[yaml(Text, default = "eu01".to_owned())]
        pub region: String,
        /// The URL of the API, instead of that of the region.
        #[yaml(Url)]
        pub endpoint: String,
        /// The key of a service account, JSON.
        #[yaml(SecretText)]
        pub service_account_key: Option<Secret>,
        /// The private key of the service account, PEM, if it is not in its key.
        #[yaml(SecretText)]
        pub private_key: Option<Secret>,
        /// A file that holds the key of a service account.
        #[yaml(Path)]
        pub service_account_key_path: Option<PathBuf>,
        /// A file that holds the private key.
        #[yaml(Path)]
        pub private_key_path: Option<PathBuf>,
        /// A file that says where keys are.
        #[yaml(Path)]
        pub credentials_file_path: Option<PathBuf>,
    }
    check = check_stackit;
}

fn check_stackit(config: &mut StackitSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.endpoint.is_empty() && config.region.is_empty() {
        return Err(f.refuse("region", "stackit_sd: endpoint and region missing"));
    }
    if let Err(error) = url::Url::parse(&config.endpoint)
        && !config.endpoint.is_empty()
    {
        let message = format!("stackit_sd: invalid endpoint {:?}: {error}", config.endpoint);
        return Err(f.refuse("endpoint", message));
    }
    Ok(())
}
