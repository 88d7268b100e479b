//! `scaleway_sd_configs`.

use std::path::PathBuf;

use super::codecs::ShownSecret;
use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Int, Keyword, Path, Text, Texts, Url, Word, section};
use crate::{Error, Secret};

section! {
    /// Targets from the servers of Scaleway.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct ScalewaySdConfig as "scaleway_sd_config" {
        /// The project.
        #[yaml(Text; always)]
        pub project_id: String,
        /// The URL of the API.
        #[yaml(Url, default = "https://api.scaleway.com".to_owned())]
        pub api_url: String,
        /// The zone.
        #[yaml(Text, default = "fr-par-1".to_owned(); always)]
        pub zone: String,
        /// The access key.
        #[yaml(Text; always)]
        pub access_key: String,
        /// The secret key.
        #[yaml(ShownSecret)]
        pub secret_key: Option<Secret>,
        /// A file that holds the secret key; it is read for every request.
        #[yaml(Path; always)]
        pub secret_key_file: Option<PathBuf>,
        /// What the name of a server must contain.
        #[yaml(Text)]
        pub name_filter: String,
        /// Tags that a server must have.
        #[yaml(Texts)]
        pub tags_filter: Vec<String>,
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
        #[yaml(Word<ScalewayRole>; always)]
        pub role: Option<ScalewayRole>,
    }
    check = check_scaleway;
}

/// What of Scaleway becomes targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScalewayRole {
    /// Virtual machines.
    Instance,
    /// Dedicated servers.
    Baremetal,
}

impl Keyword for ScalewayRole {
    const WORDS: &'static [(&'static str, Self)] = &[("instance", Self::Instance), ("baremetal", Self::Baremetal)];

    const EMPTY_IS_UNSET: bool = false;

    fn unknown(word: &str) -> String {
        format!("unknown role {word:?}; it is instance or baremetal")
    }
}

fn check_scaleway(config: &mut ScalewaySdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let (key, file) = (config.secret_key.is_some(), config.secret_key_file.is_some());
    let is_access_key = |key: &str| {
        key.len() == 20 && key.starts_with("SCW") && key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let secret = config.secret_key.as_ref().map(Secret::expose);
    let faults = [
        (config.role.is_none(), "role", "role missing (one of: instance, baremetal)"),
        (config.project_id.is_empty(), "project_id", "project_id is mandatory"),
        (!key && !file, "secret_key", "one of secret_key & secret_key_file must be configured"),
        (key && file, "secret_key_file", "at most one of secret_key & secret_key_file must be configured"),
        (config.access_key.is_empty(), "access_key", "access_key is mandatory"),
        // The form is checked by upstream's client.
        (!is_access_key(&config.access_key), "access_key", "not an access key; it is SCW and 17 letters or digits"),
        (secret.is_some_and(|secret| !is_uuid(secret)), "secret_key", "not a secret key; it is a UUID"),
        (!is_uuid(&config.project_id), "project_id", "not the id of a project; it is a UUID"),
        (!is_zone(&config.zone), "zone", "not a zone; it has the form fr-par-1"),
    ];
    match faults.iter().find(|(is_fault, ..)| *is_fault) {
        Some((_, name, message)) => Err(f.refuse(name, *message)),
        None => Ok(()),
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_zone(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [country, city, number] = parts.as_slice() else { return false };
    let is_word = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_lowercase());
    is_word(country, 2) && is_word(city, 3) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}
