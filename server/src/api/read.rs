//! `POST /api/v1/read`: remote read, as samples or as a stream of chunks (upstream: `storage/remote/read_handler.go`).

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use model::{Batch, Querier, QuerierError, ReadHints, Selection, SeriesOrder};
use prometheus::Gauge;
use query::Bounds;
use remote::serve::{ExternalLabels, ReadForm, ReadQuery, ReadRequest, SampledResult, frames, sampled};
use remote::snappy;
use tokio::sync::mpsc;

use super::error::told;
use super::executor::execute;
use super::receive::arrive;
use super::receive::body::plain;
use super::work::{Origin, listed, options};
use super::{ApiError, Kind};
use crate::app::App;

/// How long reading may take, and a client that takes nothing may be waited for.
const TIMEOUT: Duration = Duration::from_hours(1);
/// Frames that wait for the client.
const FRAMES_WAITING: usize = 4;
/// About what a sample takes until it is sent: as it is read, in the message, and compressed.
const SAMPLE_BYTES: usize = 96;
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// A request that runs, until it is dropped.
struct Running {
    gauge: Gauge,
    _slot: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// `POST /api/v1/read`
pub(crate) async fn read(State(app): State<Arc<App>>, origin: Origin, request: Request) -> Response {
    answer(&app, origin, request).await.unwrap_or_else(|refused| refused)
}

async fn answer(app: &Arc<App>, origin: Origin, request: Request) -> Result<Response, Response> {
    let came = Instant::now();
    let slot = Arc::clone(&app.reads.slots).acquire_owned().await;
    app.reads.waited.observe(came.elapsed().as_secs_f64());
    let slot = slot.map_err(|_| plain(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"))?;
    app.reads.running.inc();
    let running = Running { gauge: app.reads.running.clone(), _slot: slot };
    let arrived = arrive(app, request).await?;
    let external = external_labels(app);
    let request = ReadRequest::of_body(&arrived.bytes, &external);
    let request = request.map_err(|error| plain(StatusCode::BAD_REQUEST, error.to_string()))?;
    drop(arrived);
    // Goes when nobody waits for the answer any more.
    let asked = Arc::new(());
    let mut options = options(app, None, origin.client.as_ref(), &asked);
    // Whole stores are read so: what bounds it is memory, and who asks.
    options.timeout = Some(TIMEOUT);
    // What is stored here and nothing else: servers that read from each other would ask in a circle.
    let reading = Reading { store: Arc::new(app.own_querier()), bounds: app.engine().bounds(&options), external };
    match request.form {
        ReadForm::Samples => {
            let samples_max = app.flags.storage_remote_read_sample_limit;
            let work = move || {
                let _running = running;
                reading.samples(&request.queries, samples_max)
            };
            let body = execute(&app.in_place, origin.version, work).await.and_then(|outcome| outcome);
            let headers = [(CONTENT_TYPE, "application/x-protobuf"), (CONTENT_ENCODING, "snappy")];
            drop(asked);
            Ok((headers, body.map_err(ApiError::into_plain)?).into_response())
        }
        ReadForm::Chunks => {
            let (frames, waiting) = mpsc::channel(FRAMES_WAITING);
            let bytes_max = app.flags.storage_remote_read_max_bytes_in_frame;
            tokio::task::spawn_blocking(move || {
                let _running = running;
                reading.stream(&request.queries, bytes_max, &frames);
            });
            streamed(waiting, asked).await
        }
    }
}

fn external_labels(app: &App) -> ExternalLabels {
    let config = app.config();
    let labels = config.global.external_labels.pairs().filter(|(_, value)| !value.is_empty());
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

type Frame = Result<Vec<u8>, ApiError>;

/// The frames as a body. An error before the first is told as such; one behind it ends the connection, so that nobody takes what
/// came for all there is.
async fn streamed(mut waiting: mpsc::Receiver<Frame>, asked: Arc<()>) -> Result<Response, Response> {
    let first = waiting.recv().await.transpose().map_err(ApiError::into_plain)?;
    let rest = stream::unfold((first, waiting, asked), |(first, mut waiting, asked)| async move {
        let frame = match first {
            Some(frame) => Ok(frame),
            None => waiting.recv().await?,
        };
        let frame = frame.map(Bytes::from).map_err(|error| {
            tracing::error!(?error, "cannot go on with an answer of remote read");
            std::io::Error::other("the rest could not be read")
        });
        Some((frame, (None, waiting, asked)))
    });
    Ok(([(CONTENT_TYPE, STREAMED)], Body::from_stream(rest)).into_response())
}

/// A request that is being answered.
struct Reading {
    store: Arc<dyn Querier>,
    bounds: Bounds,
    external: ExternalLabels,
}

impl Reading {
    /// All samples in one compressed message.
    fn samples(&self, queries: &[ReadQuery], samples_max: usize) -> Result<Vec<u8>, ApiError> {
        let mut results = Vec::new();
        for query in queries {
            let mut result = SampledResult::default();
            if query.labels_only {
                self.labels(query, &mut result)?;
                results.push(result);
                continue;
            }
            self.select(query, &mut |batch| {
                self.bounds.take(batch.timestamps.len() * SAMPLE_BYTES).map_err(told)?;
                result.push(&batch, &self.external);
                if samples_max > 0 && result.samples() > samples_max {
                    return Err(ApiError::bad_data(format!("exceeded sample limit ({samples_max})")));
                }
                Ok(())
            })?;
            results.push(result);
        }
        snappy::encoded(&sampled(results)).map_err(|error| ApiError::internal(&error))
    }

    /// The label sets of a query, without samples.
    fn labels(&self, query: &ReadQuery, result: &mut SampledResult) -> Result<(), ApiError> {
        let selection = Selection { start: query.start, end: query.end, matchers: &query.matchers };
        for labels in listed(&self.bounds, 0, |listing| self.store.list_series(&selection, listing))? {
            // As it is listed, in the message, and compressed.
            self.bounds.take(2 * labels.as_text().len()).map_err(told)?;
            result.push_labels(&labels, &self.external);
        }
        Ok(())
    }

    /// Sends frames as they are made, and an error where it comes to that.
    fn stream(&self, queries: &[ReadQuery], bytes_max: usize, to: &mpsc::Sender<Frame>) {
        let send = |frame: Frame| {
            let sent = tokio::time::timeout(TIMEOUT, to.send(frame));
            matches!(tokio::runtime::Handle::current().block_on(sent), Ok(Ok(())))
        };
        for (i, query) in queries.iter().enumerate() {
            let read = self.select(query, &mut |batch| {
                let mut is_wanted = true;
                frames(&batch, (i, &self.external), bytes_max, |frame| {
                    is_wanted = send(Ok(frame));
                    is_wanted
                });
                if is_wanted { Ok(()) } else { Err(ApiError::new(Kind::Canceled, "nobody takes the answer")) }
            });
            if let Err(error) = read {
                send(Err(error));
                return;
            }
        }
    }

    /// Hands out the series of a query in the order of their labels.
    fn select(&self, query: &ReadQuery, sink: &mut dyn FnMut(Batch) -> Result<(), ApiError>) -> Result<(), ApiError> {
        let failed = RefCell::new(None);
        let stop = |error: ApiError| {
            failed.replace(Some(error));
            QuerierError::Stopped
        };
        let grow = |bytes: usize| {
            let taken = self.bounds.check().and_then(|()| self.bounds.take(bytes));
            taken.map_err(|error| stop(told(error)))
        };
        let hints = ReadHints { order: SeriesOrder::ByLabels { grow: &grow }, ..ReadHints::default() };
        let selection = Selection { start: query.start, end: query.end, matchers: &query.matchers };
        let outcome = self.store.select(&selection, &hints, &mut |batch| {
            self.bounds.check().map_err(|error| stop(told(error)))?;
            sink(batch).map_err(stop)
        });
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(outcome?),
        }
    }
}
