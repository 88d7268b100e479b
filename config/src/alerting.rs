//! The `alerting` section: which Alertmanagers get alerts.

use model::{NameValidation, RelabelRule};

use crate::Error;
use crate::http::HttpClientConfig;
use crate::relabel::Rules;
use crate::schema::{Anything, Duration, Fields, Inline, ListOf, Opaque, Text, section};
use crate::sd::{Discoveries, SdConfig, check_static_targets};

section! {
    /// Which Alertmanagers get alerts.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AlertingConfig as "alerting" in (names: NameValidation) {
        /// Rules for the labels of alerts; an alert may be dropped.
        #[yaml(Rules, with = (names, "empty or null alert relabeling rule"))]
        pub alert_relabel_configs: Vec<RelabelRule>,
        /// The Alertmanagers.
        #[yaml(
            ListOf<AlertmanagerConfig>,
            with = (names, "empty or null Alertmanager config section");
            unserved = "alerts are not sent yet"
        )]
        pub alertmanagers: Vec<AlertmanagerConfig>,
    }
}

section! {
    /// Where Alertmanagers are, and how they are connected to.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AlertmanagerConfig as "alertmanager" in (names: NameValidation) {
        /// How they are connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// Signs requests for AWS.
        #[yaml(Anything)]
        pub sigv4: Option<Opaque>,
        /// The scheme of the URL.
        #[yaml(Text, default = "http".to_owned())]
        pub scheme: String,
        /// Stands before the path of the URL.
        #[yaml(Text)]
        pub path_prefix: String,
        /// How long a request may take.
        #[yaml(Duration, name = "timeout", default = 10_000)]
        pub timeout_ms: i64,
        /// The version of the API: `v2`.
        #[yaml(Text, default = "v2".to_owned(); always)]
        pub api_version: String,
        /// Rules for the labels of the Alertmanagers that were discovered.
        #[yaml(Rules, with = (names, "empty or null Alertmanager target relabeling rule"))]
        pub relabel_configs: Vec<RelabelRule>,
        /// Rules for the labels of alerts that are sent to these Alertmanagers.
        #[yaml(Rules, with = (names, "empty or null Alertmanager alert relabeling rule"))]
        pub alert_relabel_configs: Vec<RelabelRule>,
        /// Where the Alertmanagers are.
        #[yaml(Discoveries)]
        pub sd: Vec<SdConfig>,
    }
    check = check_alertmanager;
}

fn check_alertmanager(config: &mut AlertmanagerConfig, f: &mut Fields<'_>, _: NameValidation) -> Result<(), Error> {
    // Prometheus 3 dropped v1, which Alertmanager 0.27 has removed. Null is not decoded by the type of the version, and
    // passes.
    if config.api_version != "v2" && f.value("api_version").is_some() {
        let message = format!("expected Alertmanager api version to be one of [v2] but got {}", config.api_version);
        return Err(f.refuse("api_version", message));
    }
    let http = &config.http;
    let is_authenticated = http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some();
    if is_authenticated && config.sigv4.is_some() {
        return Err(f.refuse_all("at most one of basic_auth, authorization, oauth2, & sigv4 must be configured"));
    }
    check_static_targets((&config.sd, &config.relabel_configs), f, "path_prefix")
}
