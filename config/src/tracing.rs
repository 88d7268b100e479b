//! The `tracing` section: where traces are sent.

use std::collections::BTreeMap;

use crate::Error;
use crate::http::{TlsConfig, check_headers};
use crate::schema::{Bool, Duration, Fields, Number, OmitDefault, Text, TextMap, section};

section! {
    /// Where traces are sent.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TracingConfig as "tracing" {
        /// The protocol: `grpc` or `http`.
        #[yaml(Text, default = "grpc".to_owned())]
        pub client_type: String,
        /// The address of the collector.
        #[yaml(Text; required = "tracing endpoint must be set")]
        pub endpoint: String,
        /// The part of traces that is sent, from 0 to 1.
        #[yaml(Number)]
        pub sampling_fraction: f64,
        /// Connect without TLS.
        #[yaml(Bool)]
        pub insecure: bool,
        /// TLS of the connection.
        #[yaml(OmitDefault<TlsConfig>, name = "tls_config")]
        pub tls: Option<TlsConfig>,
        /// Headers of every request.
        #[yaml(TextMap)]
        pub headers: BTreeMap<String, String>,
        /// The compression of requests: `gzip`, or none.
        #[yaml(Text)]
        pub compression: String,
        /// How long a request may take.
        #[yaml(Duration, name = "timeout")]
        pub timeout_ms: i64,
    }
    check = check_tracing;
}

fn check_tracing(config: &mut TracingConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    // Null is not decoded by the type of the word, and passes, as with upstream.
    if !matches!(config.client_type.as_str(), "http" | "grpc") && f.value("client_type").is_some() {
        let message = format!("expected tracing client type to be to be http or grpc, but got {}", config.client_type);
        return Err(f.refuse("client_type", message));
    }
    if !matches!(config.compression.as_str(), "" | "gzip") {
        let message = format!("invalid compression type {} provided, valid options: gzip", config.compression);
        return Err(f.refuse("compression", message));
    }
    // Upstream has no credentials for traces, and a header is no place for a secret: it would be printed.
    check_headers(&config.headers, f, "custom authorization header configuration is not yet supported")
}
