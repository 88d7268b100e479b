//! Another server as a store: each selection is a request to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use model::{Caller, Labels, Listing, Matcher, Parts, Querier, QuerierError, ReadHints, Selection};
use parking_lot::Mutex;
use prometheus::Gauge;
use prost::Message as _;

use super::client::Event;
use super::error::ReadError;
use super::found::Found;
use super::gathered::{Failure, Gathered, Series};
use super::metrics::{ABORTED, KINDS};
use super::remote::{Asked, Remote};
use super::{chunked, sampled};
use crate::proto::read::{LABELS_ONLY, ReadRequest, SAMPLES, STREAMED_XOR_CHUNKS};
use crate::snappy;

/// Reasons of listings that are kept until they are asked for.
const UNLISTED_MAX: usize = 16;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Sampled,
    Chunked,
    Unsupported,
}

impl Form {
    fn of(media_type: &str) -> Self {
        if media_type.starts_with("application/x-protobuf") {
            Self::Sampled
        } else if media_type.starts_with("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse") {
            Self::Chunked
        } else {
            Self::Unsupported
        }
    }

    fn as_str(self) -> &'static str {
        KINDS[self as usize]
    }
}

/// A request that is counted as running until it is dropped.
struct Running<'r>(&'r Gauge);

impl<'r> Running<'r> {
    fn new(gauge: &'r Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Another server, for one request of whoever reads.
#[derive(Debug)]
pub(super) struct RemoteQuerier {
    remote: Arc<Remote>,
    /// Why something could not be listed.
    unlisted: Mutex<BTreeSet<String>>,
}

impl RemoteQuerier {
    pub(super) fn new(remote: Arc<Remote>) -> Self {
        Self { remote, unlisted: Mutex::default() }
    }

    fn failed(&self, failure: Failure) -> QuerierError {
        match failure {
            Failure::Stopped(error) => error,
            Failure::Why(why) => ReadError { name: self.remote.name.clone(), why }.told(),
        }
    }

    /// The series of a selection, without samples where only labels are asked for.
    fn read(&self, selection: &Selection<'_>, hints: &ReadHints<'_>) -> Result<Vec<Series>, Failure> {
        let Some(Asked { query, removed }) = self.remote.asked(selection, hints) else { return Ok(Vec::new()) };
        let labels_only = hints.function == LABELS_ONLY;
        // Only in one message series are named that have no samples.
        let accepted = if labels_only { [SAMPLES, STREAMED_XOR_CHUNKS] } else { [STREAMED_XOR_CHUNKS, SAMPLES] };
        let message = ReadRequest { queries: vec![query], accepted_response_types: accepted.to_vec() };
        let body = snappy::encoded(&message.encode_to_vec()).map_err(|error| Failure::Why(error.to_string()))?;
        let metrics = &self.remote.metrics;
        let _running = Running::new(&metrics.running);
        let begun = Instant::now();
        let mut exchange = self.remote.client.ask(&self.remote.runtime, body.into());
        let (code, media_type) = match exchange.next(hints.caller)? {
            Event::Head(code, media_type) => (code, media_type),
            Event::Failed(why) => return Err(Failure::Why(why)),
            Event::Piece(_) | Event::End => return Err(Failure::Why("BUG: a body without a head".to_owned())),
        };
        let form = Form::of(&media_type);
        metrics.began(form.as_str(), begun.elapsed());
        let mut gathered = Gathered::new((selection.matchers, &removed), hints.caller);
        gathered.labels_only = labels_only;
        let read = match form {
            Form::Sampled => sampled::read(&mut exchange, &mut gathered),
            Form::Chunked => chunked::read(&mut exchange, self.remote.config.chunked_read_limit, &mut gathered),
            Form::Unsupported => Err(Failure::Why(format!("unsupported content type: {media_type}"))),
        };
        let is_aborted = form == Form::Chunked && read.is_err();
        let code = code.to_string();
        metrics.ended(form.as_str(), if is_aborted { ABORTED } else { &code });
        read.map(|()| gathered.finish())
    }

    /// The label sets of a selection. The protocol has no listings: the server is asked for series without samples, which
    /// Prometheus and Weft know how to answer, and whoever does not sends samples along.
    fn labels(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        let hints = ReadHints { function: LABELS_ONLY, caller: Caller(Some(listing.grow)), ..ReadHints::default() };
        let series = self.read(selection, &hints).map_err(|failure| self.failed(failure));
        let series = series.inspect_err(|error| {
            if !matches!(error, QuerierError::Stopped) {
                self.unlisted(error.to_string());
            }
        })?;
        Ok(series.into_iter().map(|one| one.labels).collect())
    }

    fn unlisted(&self, why: String) {
        let mut unlisted = self.unlisted.lock();
        if unlisted.len() < UNLISTED_MAX {
            unlisted.insert(why);
        }
    }

    /// The label sets for a listing of names or values: of everything that a server has, one would have to read all series.
    fn selected(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        if selection.matchers.iter().all(Matcher::matches_empty) {
            let name = &self.remote.name;
            self.unlisted(format!(
                "remote_read {name}: label names and values are listed with a selector (match[]) only"
            ));
            return Ok(Vec::new());
        }
        self.labels(selection, listing)
    }
}

impl Querier for RemoteQuerier {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let series = self.read(selection, hints).map_err(|failure| self.failed(failure))?;
        Ok(Box::new(Found::new(&self.remote.name, (selection.start, selection.end), series)))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        let mut labels = self.labels(selection, listing)?;
        labels.truncate(listing.most());
        Ok(labels)
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        let all = self.selected(selection, listing)?;
        let names: BTreeSet<&str> = all.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
        Ok(names.into_iter().take(listing.most()).map(str::to_owned).collect())
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        let all = self.selected(selection, listing)?;
        let values: BTreeSet<&str> = all.iter().filter_map(|labels| labels.get(name)).collect();
        Ok(values.into_iter().take(listing.most()).map(str::to_owned).collect())
    }

    fn may_have(&self, selection: &Selection<'_>) -> bool {
        self.remote.may_have(selection)
    }

    fn listing_warnings(&self, _: &Selection<'_>) -> Vec<String> {
        std::mem::take(&mut *self.unlisted.lock()).into_iter().collect()
    }
}
