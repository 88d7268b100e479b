//! OTLP, received: metrics of OpenTelemetry become series (upstream: `storage/remote/write_otlp_handler.go` and
//! `storage/remote/otlptranslator`).
//!
//! `names` translates names, `values` converts attribute values to text, `labels` builds label sets; `reader` goes through the
//! metrics of a request and `points` converts their data points to samples, with `exemplars`; `cumulative` converts delta to cumulative
//! temporality; `target_info` makes that metric from resource attributes. `weight` estimates the memory of a message before it is
//! decoded. Invalid data points are rejected and reported to the sender, the rest is stored.

mod cumulative;
mod exemplars;
mod labels;
mod metrics;
mod names;
mod points;
mod reader;
mod settings;
mod target_info;
mod values;
mod weight;

use std::sync::Arc;
use std::time::Instant;

use model::{SeriesAppender, Timestamp};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use parking_lot::Mutex;
use prometheus::Registry;
use prost::Message as _;

use self::cumulative::Cumulative;
use self::metrics::Metrics;
pub use self::names::Naming;
use self::reader::Reader;
pub use self::settings::{Deltas, OtlpSettings};
use crate::Error;
use crate::receive::Written;
use crate::receive::storing::Storing;

/// The longest body, once it is decompressed (upstream: `decodeReadLimit`).
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// What a request may take in memory.
const WEIGHT_MAX: usize = 512 << 20;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpFormat {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl OtlpFormat {
    /// The one that a `Content-Type` names.
    ///
    /// # Errors
    /// When it names none.
    pub fn of_content_type(content_type: &str) -> Result<Self, Error> {
        [Self::Protobuf, Self::Json].into_iter().find(|format| format.content_type() == content_type).ok_or_else(|| {
            let why = format!(
                "unsupported content type: {content_type}, supported: [{}, {}]",
                Self::Json.content_type(),
                Self::Protobuf.content_type()
            );
            Error::MediaType(why)
        })
    }

    /// Its name.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// About how many bytes a request takes in memory.
    ///
    /// # Errors
    /// When it is no request, or takes more than any may.
    pub fn weight(self, body: &[u8]) -> Result<usize, Error> {
        let weight = match self {
            Self::Protobuf => weight::of_protobuf(body).map_err(|why| broken(why.to_owned()))?,
            Self::Json => weight::of_json(body),
        };
        if weight > WEIGHT_MAX { Err(Error::TooLong { bytes_max: WEIGHT_MAX }) } else { Ok(weight) }
    }

    fn decoded(self, body: &[u8]) -> Result<ExportMetricsServiceRequest, Error> {
        match self {
            Self::Protobuf => ExportMetricsServiceRequest::decode(body).map_err(|error| broken(error.to_string())),
            Self::Json => serde_json::from_slice(body).map_err(|error| broken(error.to_string())),
        }
    }

    /// The answer to a request of which something was left out.
    #[must_use]
    pub fn partial_success(self, rejected_data_points: u64, error_message: String) -> Vec<u8> {
        let rejected_data_points = i64::try_from(rejected_data_points).unwrap_or(i64::MAX);
        let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message };
        let response = ExportMetricsServiceResponse { partial_success: Some(partial) };
        match self {
            Self::Protobuf => response.encode_to_vec(),
            Self::Json => serde_json::to_vec(&response).unwrap_or_default(),
        }
    }
}

fn broken(why: String) -> Error {
    Error::Message { message: "ExportMetricsServiceRequest", why }
}

/// Receives requests of OTLP.
pub struct OtlpReceiver {
    store: Arc<dyn SeriesAppender>,
    totals: Mutex<Cumulative>,
    metrics: Metrics,
}

impl std::fmt::Debug for OtlpReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpReceiver").finish_non_exhaustive()
    }
}

impl OtlpReceiver {
    /// One that writes to a store.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(store: Arc<dyn SeriesAppender>, registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self { store, totals: Mutex::default(), metrics: Metrics::new(registry)? })
    }

    /// Stores a request. Blocks, on the disk at worst.
    ///
    /// # Errors
    /// When it is none.
    pub fn receive(&self, format: OtlpFormat, body: &[u8], settings: &OtlpSettings) -> Result<Written, Error> {
        let mut request = format.decoded(body)?;
        // What comes too late for a total is dropped without a word, as by upstream's processor.
        if settings.deltas == Deltas::AddedUp {
            self.totals.lock().apply(&mut request, Instant::now());
        }
        let mut storing = Storing::new(&*self.store, Timestamp::now());
        let mut reader = Reader::new(settings);
        let read = request.resource_metrics.iter().try_for_each(|resource| reader.resource(resource, &mut storing));
        let (mut written, _) = storing.finish(read);
        self.metrics.count(&reader, written.late_exemplars);
        written.refused += reader.refused;
        Ok(written)
    }
}

#[cfg(test)]
mod tests;
