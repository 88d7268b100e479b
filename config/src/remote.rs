//! `remote_write` and `remote_read`: other servers that get samples or are asked for them.

use std::collections::{BTreeMap, BTreeSet};

use model::{NameValidation, RelabelRule};

use crate::Error;
use crate::http::{HttpClientConfig, check_headers};
use crate::relabel::Rules;
use crate::schema::{
    Anything, Bool, Count, Duration, Fields, Inline, Int, Nested, Opaque, Text, TextMap, Url, section,
};

const AUTHORIZATION: &str = "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter";

// The `Content-Type` parameter `proto` of remote write 1.0 and 2.0.
const MESSAGES: [&str; 2] = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];

section! {
    /// A server that samples are sent to.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RemoteWriteConfig as "remote_write" in (names: NameValidation) {
        /// The URL that samples are sent to.
        #[yaml(Url; required = "url for remote_write is empty")]
        pub url: String,
        /// How long a request may take.
        #[yaml(Duration, name = "remote_timeout", default = 30_000)]
        pub remote_timeout_ms: i64,
        /// Headers of every request; those that the client sets itself may not be set.
        #[yaml(TextMap)]
        pub headers: BTreeMap<String, String>,
        /// Rules for the labels of series; a series may be dropped.
        #[yaml(Rules, with = (names, "empty or null relabeling rule in remote write config"))]
        pub write_relabel_configs: Vec<RelabelRule>,
        /// A name for metrics and logs; no two of the list may have the same.
        #[yaml(Text)]
        pub name: String,
        /// Send exemplars.
        #[yaml(Bool)]
        pub send_exemplars: bool,
        /// Send native histograms.
        #[yaml(Bool)]
        pub send_native_histograms: bool,
        /// Connect to the addresses of the host name in turn.
        #[yaml(Bool)]
        pub round_robin_dns: bool,
        /// The message to send: `prometheus.WriteRequest` or `io.prometheus.write.v2.Request`.
        #[yaml(Text, default = MESSAGES[0].to_owned())]
        pub protobuf_message: String,
        /// Log requests that failed.
        #[yaml(Bool)]
        pub failed_request_logging: bool,
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = false)]
        pub http: HttpClientConfig,
        /// The queue of samples.
        #[yaml(Nested<QueueConfig>)]
        pub queue_config: QueueConfig,
        /// The sending of metadata.
        #[yaml(Nested<MetadataConfig>)]
        pub metadata_config: MetadataConfig,
        /// Signs requests for AWS.
        #[yaml(Anything; unserved = "requests are not signed for AWS, so nothing is sent to this server")]
        pub sigv4: Option<Opaque>,
        /// Authenticates against Azure.
        #[yaml(Anything; unserved = "there are no tokens of Azure, so nothing is sent to this server")]
        pub azuread: Option<Opaque>,
        /// Authenticates against Google Cloud.
        #[yaml(Anything; unserved = "there are no tokens of Google Cloud, so nothing is sent to this server")]
        pub google_iam: Option<Opaque>,
        /// Convert native histograms with custom buckets to classic ones.
        #[yaml(Bool; unserved = "native histograms with custom buckets are not converted; version 2.0 sends them as they are")]
        pub convert_nhcb_to_classic: bool,
    }
    check_always = check_remote_write;
}

fn check_remote_write(config: &mut RemoteWriteConfig, f: &mut Fields<'_>, _: NameValidation) -> Result<(), Error> {
    f.source.settle(check_url(&config.url, f))?;
    if !MESSAGES.contains(&config.protobuf_message.as_str()) {
        let message = format!(
            "invalid protobuf_message value: unknown type for remote write protobuf message {}, supported: {}",
            config.protobuf_message,
            MESSAGES.join(", ")
        );
        f.source.report(f.refuse("protobuf_message", message))?;
    }
    f.source.settle(check_headers(&config.headers, f, AUTHORIZATION))?;
    // Each of them would set the header `Authorization`.
    let ways = [
        ("basic_auth", config.http.basic_auth.is_some()),
        ("authorization", config.http.authorization.is_some()),
        ("oauth2", config.http.oauth2.is_some()),
        ("sigv4", config.sigv4.is_some()),
        ("azuread", config.azuread.is_some()),
        ("google_iam", config.google_iam.is_some()),
    ];
    let set: Vec<&str> = ways.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if set.len() > 1 {
        let message = format!(
            "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. Currently configured: [{}]",
            set.join(" ")
        );
        return Err(f.refuse_all(message));
    }
    Ok(())
}

section! {
    /// The queue of samples that wait to be sent.
    #[derive(Clone, Debug, PartialEq)]
    pub struct QueueConfig as "queue_config" {
        /// Samples that wait in each shard.
        #[yaml(Int, default = 10_000)]
        pub capacity: i64,
        /// The most shards, each of which sends one request at a time.
        #[yaml(Int, default = 50)]
        pub max_shards: i64,
        /// The fewest shards.
        #[yaml(Int, default = 1)]
        pub min_shards: i64,
        /// Samples of one request.
        #[yaml(Int, default = 2_000)]
        pub max_samples_per_send: i64,
        /// How long a sample waits for others before it is sent.
        #[yaml(Duration, name = "batch_send_deadline", default = 5_000)]
        pub batch_send_deadline_ms: i64,
        /// The first wait after a failure; it doubles with every further one.
        #[yaml(Duration, name = "min_backoff", default = 30)]
        pub min_backoff_ms: i64,
        /// The longest wait after a failure.
        #[yaml(Duration, name = "max_backoff", default = 5_000)]
        pub max_backoff_ms: i64,
        /// Send again what was refused with HTTP status 429.
        #[yaml(Bool)]
        pub retry_on_http_429: bool,
        /// Older samples are not sent; 0 sends all.
        #[yaml(Duration, name = "sample_age_limit")]
        pub sample_age_limit_ms: i64,
    }
    check = check_queue;
}

fn check_queue(queue: &mut QueueConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let refuse = |name, text: &str| Err(f.refuse(name, format!("remote write queue {text}")));
    for (name, value) in [
        ("capacity", queue.capacity),
        ("max_shards", queue.max_shards),
        ("min_shards", queue.min_shards),
        ("max_samples_per_send", queue.max_samples_per_send),
    ] {
        // A queue without room or without shards would never send; `QueueConfig.Validate` refuses it, too.
        if value <= 0 {
            return refuse(name, &format!("{name} must be positive"));
        }
    }
    if queue.min_shards > queue.max_shards {
        return refuse("min_shards", "min_shards must not be greater than max_shards");
    }
    if queue.max_backoff_ms < queue.min_backoff_ms {
        return refuse("max_backoff", "max_backoff must not be less than min_backoff");
    }
    Ok(())
}

section! {
    /// The sending of metadata of metrics.
    #[derive(Clone, Debug, PartialEq)]
    pub struct MetadataConfig as "metadata_config" {
        /// Send metadata.
        #[yaml(Bool, default = true; always)]
        pub send: bool,
        /// The time from one sending to the next.
        #[yaml(Duration, name = "send_interval", default = 60_000; always)]
        pub send_interval_ms: i64,
        /// Metrics of one request.
        #[yaml(Int, default = 2_000)]
        pub max_samples_per_send: i64,
    }
}

section! {
    /// A server that queries ask for further samples.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RemoteReadConfig as "remote_read" {
        /// The URL to ask.
        #[yaml(Url; required = "url for remote_read is empty")]
        pub url: String,
        /// How long a request may take.
        #[yaml(Duration, name = "remote_timeout", default = 60_000)]
        pub remote_timeout_ms: i64,
        /// The largest frame of a streamed response, in bytes.
        #[yaml(Count, default = 50_000_000)]
        pub chunked_read_limit: u64,
        /// Headers of every request; those that the client sets itself may not be set.
        #[yaml(TextMap)]
        pub headers: BTreeMap<String, String>,
        /// Ask for times, too, that the local storage should know completely.
        #[yaml(Bool)]
        pub read_recent: bool,
        /// A name for metrics and logs; no two of the list may have the same.
        #[yaml(Text)]
        pub name: String,
        /// How the server is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// Ask only if a selector has these matchers.
        #[yaml(TextMap)]
        pub required_matchers: BTreeMap<String, String>,
        /// Add the external labels to the selectors.
        #[yaml(Bool, default = true)]
        pub filter_external_labels: bool,
    }
    check_always = check_remote_read;
}

fn check_remote_read(config: &mut RemoteReadConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    f.source.settle(check_url(&config.url, f))?;
    f.source.settle(check_headers(&config.headers, f, AUTHORIZATION))?;
    // Any other name is valid: these labels are decoded by the UTF-8 rules, whatever the scheme is.
    if config.required_matchers.contains_key("") {
        return Err(f.refuse("required_matchers", "\"\" is not a valid label name"));
    }
    Ok(())
}

fn check_url(url: &str, f: &Fields<'_>) -> Result<(), Error> {
    // One that is missing is told by `required`, and may be there, misspelt.
    if url.is_empty() {
        return Ok(());
    }
    // Stricter than Go's `url.Parse`, which takes nearly any text; such a URL would fail at the first request.
    url::Url::parse(url).map(drop).map_err(|error| f.refuse("url", format!("not a URL: {error}")))
}

/// Refuses a name that two servers of a list have in common.
pub(crate) fn check_names(f: &mut Fields<'_>, list: &'static str, what: &str) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    // What is no list, no section or no name was refused when it was read.
    let Ok(items) = f.items(list) else { return Ok(()) };
    for (item, path) in items {
        let Ok(mut server) = Fields::new(f.source, Some(item), path) else { continue };
        let Ok(Some(name)) = server.text("name") else { continue };
        // Servers without a name get one from a hash of their settings upstream, so only given names can clash here.
        if !name.is_empty() && !seen.insert(name.clone()) {
            let message = format!("found multiple remote {what} configs with job name {name:?}");
            f.source.report(server.refuse("name", message))?;
        }
    }
    Ok(())
}
