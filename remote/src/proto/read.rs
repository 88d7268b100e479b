//! Remote read (`prometheus.ReadRequest` and its two kinds of answer).

use prost::Message;

use super::write::{Label, TimeSeries};

/// The form of an answer: all samples in one message.
pub const SAMPLES: i32 = 0;
/// The form of an answer: frames with chunks.
pub const STREAMED_XOR_CHUNKS: i32 = 1;
/// The function of hints that asks for label sets without samples (upstream: `storage.SelectHints.Func` of `/api/v1/series`).
pub const LABELS_ONLY: &str = "series";

/// Queries, answered each by itself.
#[derive(Clone, PartialEq, Message)]
pub struct ReadRequest {
    /// The queries.
    #[prost(message, repeated, tag = "1")]
    pub queries: Vec<Query>,
    /// 0 samples, 1 streamed chunks; the first that the server knows is taken, samples where there is none.
    #[prost(int32, repeated, tag = "2")]
    pub accepted_response_types: Vec<i32>,
}

/// Samples of some series in a span of time.
#[derive(Clone, PartialEq, Message)]
pub struct Query {
    /// Milliseconds; included.
    #[prost(int64, tag = "1")]
    pub start_timestamp_ms: i64,
    /// Milliseconds; included.
    #[prost(int64, tag = "2")]
    pub end_timestamp_ms: i64,
    /// Which series.
    #[prost(message, repeated, tag = "3")]
    pub matchers: Vec<LabelMatcher>,
    /// What for.
    #[prost(message, optional, tag = "4")]
    pub hints: Option<ReadHints>,
}

/// A condition on a label.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LabelMatcher {
    /// 0 `=`, 1 `!=`, 2 `=~`, 3 `!~`.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The label.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its value, or the regular expression.
    #[prost(string, tag = "3")]
    pub value: String,
}

/// What the samples are wanted for.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReadHints {
    /// Step of the query in milliseconds.
    #[prost(int64, tag = "1")]
    pub step_ms: i64,
    /// The function or aggregation around the selector.
    #[prost(string, tag = "2")]
    pub func: String,
    /// Milliseconds.
    #[prost(int64, tag = "3")]
    pub start_ms: i64,
    /// Milliseconds.
    #[prost(int64, tag = "4")]
    pub end_ms: i64,
    /// Labels of an aggregation.
    #[prost(string, repeated, tag = "5")]
    pub grouping: Vec<String>,
    /// Is it `by` these labels, not `without` them?
    #[prost(bool, tag = "6")]
    pub by: bool,
    /// Range of the selector in milliseconds.
    #[prost(int64, tag = "7")]
    pub range_ms: i64,
}

/// The answer as samples.
#[derive(Clone, PartialEq, Message)]
pub struct ReadResponse {
    /// One a query, in their order.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<QueryResult>,
}

/// What one query found.
#[derive(Clone, PartialEq, Message)]
pub struct QueryResult {
    /// Series in label order.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

/// A part of the answer as chunks: those of one series, or some of them.
#[derive(Clone, PartialEq, Message)]
pub struct ChunkedReadResponse {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub chunked_series: Vec<ChunkedSeries>,
    /// Of which query.
    #[prost(int64, tag = "2")]
    pub query_index: i64,
}

/// A series as chunks.
#[derive(Clone, PartialEq, Message)]
pub struct ChunkedSeries {
    /// Sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// In order of their first times.
    #[prost(message, repeated, tag = "2")]
    pub chunks: Vec<Chunk>,
}

/// A chunk as Prometheus' TSDB encodes it (`tsdb/chunkenc`).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Chunk {
    /// Milliseconds; included.
    #[prost(int64, tag = "1")]
    pub min_time_ms: i64,
    /// Milliseconds; included.
    #[prost(int64, tag = "2")]
    pub max_time_ms: i64,
    /// 1 XOR, 2 histogram, 3 float histogram.
    #[prost(int32, tag = "3")]
    pub kind: i32,
    /// Its bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
}
