//! Who wants to know of what is stored, before it is: the contract between a store and what sends its samples to others.
//!
//! A reader that goes through the store by time misses what is stored later for a time that it has passed. The observer says up to
//! where it has read; of what comes before that it makes a note, and it never moves on past what is being written.

use std::fmt;

use crate::{MetricId, SourceId, Timestamp};

/// Samples of a source that are about to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Whose they are.
    pub source: SourceId,
    /// Of which metric; of any where it is absent.
    pub metric: Option<MetricId>,
    /// The first of their times.
    pub from: Timestamp,
    /// The last of their times.
    pub to: Timestamp,
}

/// How much a write consists of. Without samples the first time is after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Samples.
    pub samples: usize,
    /// The first of their times.
    pub first: Timestamp,
    /// The last of their times.
    pub last: Timestamp,
}

/// What a write consists of, told only to who needs it.
pub type EachTouched<'t> = dyn Fn(&mut dyn FnMut(Touched)) + 't;

/// Is told of writes. Calls come from every thread that stores, and must be short.
pub trait CommitObserver: Send + Sync + fmt::Debug {
    /// A write is about to begin. What is returned goes to [`CommitObserver::end`]; nothing where nobody needs to know: then it is
    /// not asked what there is.
    fn begin(&self, extent: &dyn Fn() -> Extent, each: &EachTouched<'_>) -> Option<u64>;

    /// The write is done, or has failed.
    fn end(&self, ticket: u64);
}

/// A write that was announced and goes on until this is dropped.
#[derive(Debug, Default)]
pub struct Announced<'o>(Option<(&'o dyn CommitObserver, u64)>);

impl<'o> Announced<'o> {
    /// Announces a write, if anybody wants to know.
    #[must_use]
    pub fn new(observer: Option<&'o dyn CommitObserver>, extent: &dyn Fn() -> Extent, each: &EachTouched<'_>) -> Self {
        Self(observer.and_then(|observer| Some((observer, observer.begin(extent, each)?))))
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if let Some((observer, ticket)) = self.0 {
            observer.end(ticket);
        }
    }
}
