//! The words every other crate speaks: labels, samples, matchers, relabelling, and the contracts between the
//! engines, [`Appender`] or [`SeriesAppender`] (samples in) and [`Querier`] (batches out).
//!
//! - **What**: plain values and pure functions on them.
//! - **Path**: no step of its own; both paths (`docs/ARCHITECTURE.md`) are spelled in these types.
//! - **Invariants**: no I/O, no async, no serde in the public types, no knowledge of any engine.
//! - **Files**: `labels` one sorted compact allocation · `matcher`, `regex` the four label matchers with Go's regular expressions ·
//!   `relabel` rules on a label set · `appender`, `series_appender`, `commit_observer`, `querier` the contracts · `memo` what stores remember for their callers · `source_labels` which
//!   labels are a source's · `target_group` what discovery says ·
//!   `histogram/` native histograms, their rules and bounds · `exemplar` single events · `sample` values that are markers ·
//!   `protobuf` fields of messages in place · `causes` errors in words · `duration`, `float` Prometheus' and Go's spelling of numbers, `quote` of strings · `letter` which
//!   characters are letters · `time` points in time, the wall clock.
//! - **Tests**: at the foot of each file; `tests/` holds the ones that read upstream's data.

pub mod appender;
pub mod causes;
pub mod commit_observer;
pub mod duration;
pub mod exemplar;
pub mod float;
pub mod histogram;
pub mod labels;
pub mod letter;
pub mod matcher;
pub mod memo;
pub mod protobuf;
pub mod querier;
pub mod quote;
pub mod regex;
pub mod relabel;
pub mod sample;
pub mod series_appender;
pub mod source_labels;
pub mod target_group;
pub mod time;

pub use appender::{AppendError, Appender, Committed, ExtraSample, Layout, MetricId, Row, Scraped, SourceId};
pub use causes::with_causes;
pub use commit_observer::{Announced, CommitObserver, EachTouched, Extent, Touched};
pub use exemplar::Exemplar;
pub use histogram::{Histogram, ResetHint};
pub use labels::{Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher};
pub use memo::Memo;
pub use querier::{
    Batch, BatchSink, Caller, Column, GroupingHint, Grow, Listing, MergedQuerier, PartReader, Parts, Querier,
    QuerierError, ReadHints, SamplesNeeded, Selection, SeriesOrder, in_gaps,
};
pub use regex::{Regex, RegexError};
pub use relabel::{NameValidation, RelabelAction, RelabelError, RelabelRule, RelabelSpec, Relabeled, relabel};
pub use series_appender::{Lateness, SeriesAppendError, SeriesAppender, SeriesBatch, SeriesSamples};
pub use source_labels::SourceLabels;
pub use target_group::{TargetGroup, TargetGroups, TargetLabels};
pub use time::Timestamp;
