//! Remote write 2.0 (`io.prometheus.write.v2.Request`). Strings are indices into one table of the request.

use prost::Message;

use super::histogram::Histogram;

/// All of one request.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Every string of the request once; the first is empty.
    #[prost(string, repeated, tag = "4")]
    pub symbols: Vec<String>,
    /// Series with their samples.
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

/// A series and its samples: floats or histograms, not both.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Names and values in turn, sorted by name.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// In order of time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// In order of time.
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<Histogram>,
    /// Exemplars of the series.
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<Exemplar>,
    /// What is known of the metric family.
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
}

/// A float at a time.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// Since when it counts, in milliseconds; 0 where that is not known.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}

/// An example of what was observed.
#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    /// Names and values in turn.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// What was observed.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds; 0 where there is none.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// What is known of a metric family.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Metadata {
    /// 0 unspecified, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info, 7 state set.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The help text.
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    /// The unit.
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}
