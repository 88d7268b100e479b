//! The `alerting` section: which Alertmanagers and webhooks get alerts.

use model::{NameValidation, RelabelRule};

use crate::http::HttpClientConfig;
use crate::relabel::Rules;
use crate::schema::{
    Anything, Bool, Count, Duration, Fields, Inline, ListOf, Opaque, SecretText, Text, Texts, section,
};
use crate::sd::{Discoveries, SdConfig, check_static_targets};
use crate::{Error, Secret};

const ALERT_NAME: &str = "alertname";

/// Settings of alerting rules that are flags unless a Prometheus object has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertOptions {
    /// The longest outage after which the state of alerts is restored.
    pub outage_tolerance_ms: Option<i64>,
    /// A restored alert is pending for at least this long.
    pub grace_period_ms: Option<i64>,
    /// An alert that goes on firing is sent again after this long.
    pub resend_delay_ms: Option<i64>,
}

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
            with = (names, "empty or null Alertmanager config section")
        )]
        pub alertmanagers: Vec<AlertmanagerConfig>,
        /// Servers that get alerts without an Alertmanager, for small clusters.
        #[yaml(
            ListOf<AlertWebhookConfig>,
            with = (names, "empty or null webhook section");
            ours
        )]
        pub webhooks: Vec<AlertWebhookConfig>,
    }
}

section! {
    /// A server that gets alerts in the format of Alertmanager's webhooks. Alerts are grouped and repeated as Alertmanager does
    /// it, without silences, inhibition and routes. What was sent is not remembered across a restart.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AlertWebhookConfig as "alert_webhook" in (names: NameValidation) {
        /// The receiver that the messages name.
        #[yaml(Text, default = "webhook".to_owned())]
        pub name: String,
        /// Where messages are sent to.
        #[yaml(SecretText; required = "a webhook needs 'url', where its messages are sent to")]
        pub url: Option<Secret>,
        /// How it is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// How long a request may take.
        #[yaml(Duration, name = "timeout", default = 10_000)]
        pub timeout_ms: i64,
        /// Labels by which alerts are grouped into one message; `...` groups by all labels.
        #[yaml(Texts, default = vec![ALERT_NAME.to_owned()]; always)]
        pub group_by: Vec<String>,
        /// How long a new group waits for further alerts.
        #[yaml(Duration, name = "group_wait", default = 30_000)]
        pub group_wait_ms: i64,
        /// How long a group waits after a message until it sends what changed.
        #[yaml(Duration, name = "group_interval", default = 300_000)]
        pub group_interval_ms: i64,
        /// How long a group waits until it repeats a message that has not changed.
        #[yaml(Duration, name = "repeat_interval", default = 14_400_000)]
        pub repeat_interval_ms: i64,
        /// Send alerts that are resolved.
        #[yaml(Bool, default = true; always)]
        pub send_resolved: bool,
        /// The most alerts in a message; 0: any number.
        #[yaml(Count)]
        pub max_alerts: u64,
        /// Rules for the labels of the alerts; an alert may be dropped.
        #[yaml(Rules, with = (names, "empty or null webhook alert relabeling rule"))]
        pub alert_relabel_configs: Vec<RelabelRule>,
    }
    check = check_webhook;
}

fn check_webhook(webhook: &mut AlertWebhookConfig, f: &mut Fields<'_>, _: NameValidation) -> Result<(), Error> {
    // A list that is missing reads as an empty one, which here means a single group of all alerts.
    if f.value("group_by").is_none() {
        webhook.group_by = vec![ALERT_NAME.to_owned()];
    }
    if let Some(url) = &webhook.url {
        // The text may hold a token and is not repeated.
        let parsed = url::Url::parse(url.expose()).map_err(|error| f.refuse("url", format!("not a URL: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(f.refuse("url", "a webhook is reached by http or https"));
        }
    }
    let waits = [
        ("timeout", webhook.timeout_ms),
        ("group_interval", webhook.group_interval_ms),
        ("repeat_interval", webhook.repeat_interval_ms),
    ];
    // As Alertmanager refuses them; `group_wait` may be 0.
    if let Some((name, _)) = waits.into_iter().find(|(_, ms)| *ms <= 0) {
        return Err(f.refuse(name, format!("{name} cannot be zero")));
    }
    Ok(())
}

section! {
    /// Where Alertmanagers are, and how they are connected to.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AlertmanagerConfig as "alertmanager" in (names: NameValidation) {
        /// How they are connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// Signs requests for AWS.
        #[yaml(
            Anything;
            unserved = "requests are not signed for AWS, so no alerts are sent to these Alertmanagers"
        )]
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
    check_always = check_alertmanager;
}

fn check_alertmanager(config: &mut AlertmanagerConfig, f: &mut Fields<'_>, _: NameValidation) -> Result<(), Error> {
    // Prometheus 3 dropped v1, which Alertmanager 0.27 has removed. Null is not decoded by the type of the version, and
    // passes.
    if config.api_version != "v2" && !f.has_failed("api_version") && f.value("api_version").is_some() {
        let message = format!("expected Alertmanager api version to be one of [v2] but got {}", config.api_version);
        f.source.report(f.refuse("api_version", message))?;
    }
    let http = &config.http;
    let is_authenticated = http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some();
    if is_authenticated && config.sigv4.is_some() {
        let message = "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured";
        f.source.report(f.refuse_all(message))?;
    }
    // Rules that have faults might take addresses apart.
    if f.are_sound(&["relabel_configs"]) {
        f.source.settle(check_static_targets((&config.sd, &config.relabel_configs), f, "path_prefix"))?;
    }
    Ok(())
}
