//! `consul_sd_configs`.

use std::collections::BTreeMap;

use crate::http::{BasicAuth, HttpClientConfig};
use crate::schema::{Bool, Duration, Fields, Inline, SecretText, Text, TextMap, Texts, section};
use crate::{Error, Secret};

section! {
    /// Targets from the services that a Consul server knows.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct ConsulSdConfig as "consul_sd_config" {
        /// The address of the server.
        #[yaml(Text, default = "localhost:8500".to_owned())]
        pub server: String,
        /// What stands before the paths of the API.
        #[yaml(Text)]
        pub path_prefix: String,
        /// The token of the access control list.
        #[yaml(SecretText)]
        pub token: Option<Secret>,
        /// The datacenter; that of the server if it is missing.
        #[yaml(Text)]
        pub datacenter: String,
        /// The namespace (Consul Enterprise).
        #[yaml(Text)]
        pub namespace: String,
        /// The admin partition (Consul Enterprise).
        #[yaml(Text)]
        pub partition: String,
        /// Stands between the tags in the label of tags, and around them.
        #[yaml(Text, default = ",".to_owned())]
        pub tag_separator: String,
        /// `http` or `https`.
        #[yaml(Text, default = "http".to_owned())]
        pub scheme: String,
        /// Short for the user name of `basic_auth`.
        #[yaml(Text)]
        pub username: String,
        /// Short for the password of `basic_auth`.
        #[yaml(SecretText)]
        pub password: Option<Secret>,
        /// Servers that are not the leader may answer, which costs Consul much less.
        #[yaml(Bool, default = true; always)]
        pub allow_stale: bool,
        /// The shortest time between two questions for the same thing. Consul answers when something changes.
        #[yaml(Duration, name = "refresh_interval", default = 30_000)]
        pub refresh_interval_ms: i64,
        /// The names of the services; all if it is missing.
        #[yaml(Texts)]
        pub services: Vec<String>,
        /// Tags that an instance must have, all of them.
        #[yaml(Texts)]
        pub tags: Vec<String>,
        /// Metadata that the node of an instance must have.
        #[yaml(TextMap)]
        pub node_meta: BTreeMap<String, String>,
        /// A filter expression for the services of the catalog.
        #[yaml(Text)]
        pub filter: String,
        /// A filter expression for the instances of a service.
        #[yaml(Text)]
        pub health_filter: String,
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
    }
    check = check_consul;
}

fn check_consul(config: &mut ConsulSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.server.trim().is_empty() {
        return Err(f.refuse("server", "consul SD configuration requires a server address"));
    }
    if !config.username.is_empty() || config.password.is_some() {
        if config.http.basic_auth.is_some() {
            let message =
                "at most one of consul SD configuration username and password and basic auth can be configured";
            return Err(f.refuse("username", message));
        }
        let (username, password) = (config.username.clone(), config.password.clone());
        config.http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        // As `HttpClientConfig` itself has it; it was checked before the name and password moved there.
        if config.http.authorization.is_some() || config.http.oauth2.is_some() {
            return Err(f.refuse_all("at most one of basic_auth, oauth2 & authorization must be configured"));
        }
    }
    // Checks the fields as written: `bearer_token` has become `authorization`, and upstream allows it together with `token`.
    if config.token.is_some() && (f.value("authorization").is_some() || f.value("oauth2").is_some()) {
        let message = "at most one of consul SD token, authorization, or oauth2 can be configured";
        return Err(f.refuse("token", message));
    }
    Ok(())
}
