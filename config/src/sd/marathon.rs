//! `marathon_sd_configs`.

use std::path::PathBuf;

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Path, SecretText, Texts, section};
use crate::{Error, Secret};

section! {
    /// Targets from the apps of Marathon.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct MarathonSdConfig as "marathon_sd_config" {
        /// The URLs of the servers, of which one is asked each time.
        #[yaml(Texts; required = "marathon_sd: must contain at least one Marathon server")]
        pub servers: Vec<String>,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 30_000)]
        pub refresh_interval_ms: i64,
        /// The token of DC/OS.
        #[yaml(SecretText)]
        pub auth_token: Option<Secret>,
        /// A file that holds the token; it is read for every request.
        #[yaml(Path)]
        pub auth_token_file: Option<PathBuf>,
        /// How the servers are connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
    }
    check = check_marathon;
}

fn check_marathon(config: &mut MarathonSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.auth_token.is_some() && config.auth_token_file.is_some() {
        let message = "marathon_sd: at most one of auth_token & auth_token_file must be configured";
        return Err(f.refuse("auth_token_file", message));
    }
    if config.auth_token.is_none() && config.auth_token_file.is_none() {
        return Ok(());
    }
    // Checks the fields as written: `bearer_token` has become `authorization` by now.
    let (name, others) = if f.value("basic_auth").is_some() {
        ("basic_auth", "basic_auth, auth_token & auth_token_file")
    } else if f.value("bearer_token").is_some() || f.value("bearer_token_file").is_some() {
        ("bearer_token", "bearer_token, bearer_token_file, auth_token & auth_token_file")
    } else if f.value("authorization").is_some() {
        ("authorization", "auth_token, auth_token_file & authorization")
    } else {
        return Ok(());
    };
    Err(f.refuse(name, format!("marathon_sd: at most one of {others} must be configured")))
}
