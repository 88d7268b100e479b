//! `/debug/pprof/`: CPU and heap profiles of this process, under the paths and parameters of Go's `net/http/pprof`, which pprof's
//! tool, `promtool debug` and profilers that scrape know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri, header};
use model::Timestamp;

use super::Params;
use super::redirect::to;
use crate::app::App;
use crate::profiles::{self, Heap, Mapping, Profile, Sampler, Turn};

/// How long is profiled unless the request says it: the CPU as in Go, and the heap, of which Go knows everything beforehand.
const CPU_TIME: Duration = Duration::from_secs(30);
const HEAP_TIME: Duration = Duration::from_secs(10);
const SECONDS_MAX: u64 = 600;
/// Addresses of which the names are looked up in one request.
const ADDRESSES_MAX: usize = 10_000;

const INDEX: &str = include_str!("profiles.html");
/// What there is, for whoever asks for something else.
const OFFERED: &str = "Weft has /debug/pprof/profile (CPU), heap, allocs, goroutine and threadcreate (threads by name), block and \
                       mutex (empty), cmdline and symbol.\n";

/// Status and text of a request that gets no profile.
type Fault = (StatusCode, String);

/// `/debug/pprof/`
pub(crate) async fn index() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], INDEX).into_response()
}

/// `/debug/pprof`
pub(crate) async fn folder(uri: axum::extract::OriginalUri) -> Response {
    to(StatusCode::MOVED_PERMANENTLY, format!("{}/", uri.path()))
}

/// `/debug/pprof/profile`
pub(crate) async fn cpu(State(app): State<Arc<App>>, params: Params) -> Response {
    let taken = async {
        wanted(&params)?;
        // What is no number, or none above 0, is the default, as in Go.
        let time = seconds(&params).ok().flatten().unwrap_or(CPU_TIME);
        let time = bounded(time)?;
        let turn = turn(&app)?;
        let clock = Clock::start();
        let mut sampler = Sampler::start(turn.clone()).map_err(cannot)?;
        tokio::select! {
            () = sampler.run(time) => {}
            // Else the end of the server would wait for it.
            () = app.stop.cancelled() => {}
        }
        encoded(turn, clock, move |mappings| Ok(sampler.end(mappings))).await
    };
    answer("profile", taken.await)
}

/// `/debug/pprof/heap`: shows what is in use.
pub(crate) async fn heap(State(app): State<Arc<App>>, params: Params) -> Response {
    answer("heap", allocations(&app, params, "inuse_space").await)
}

/// `/debug/pprof/allocs`: the same, shows what was allocated.
pub(crate) async fn allocs(State(app): State<Arc<App>>, params: Params) -> Response {
    answer("allocs", allocations(&app, params, "alloc_space").await)
}

async fn allocations(app: &App, params: Params, shown: &'static str) -> Result<Vec<u8>, Fault> {
    wanted(&params)?;
    let asked = seconds(&params)?.map(bounded).transpose()?;
    let turn = turn(app)?;
    let (clock, of_heap) = (Clock::start(), turn.clone());
    let heap = blocking(move || Heap::start(of_heap, asked.is_some())).await?;
    // Where allocations are sampled since the start, there is something to show at once.
    if let Some(time) = asked.or((!heap.knows_the_past()).then_some(HEAP_TIME)) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = app.stop.cancelled() => {}
        }
    }
    encoded(turn, clock, move |_| Ok(Profile { shown: Some(shown), ..heap.end()? })).await
}

/// `/debug/pprof/goroutine` and `/debug/pprof/threadcreate`
pub(crate) async fn threads(uri: Uri, params: Params) -> Response {
    let kind = if uri.path().ends_with("threadcreate") { "threadcreate" } else { "goroutine" };
    let taken = async {
        wanted(&params)?;
        blocking(move || profiles::threads(kind)?.encode(&Mapping::all()?)).await
    };
    answer(kind, taken.await)
}

/// `/debug/pprof/block` and `/debug/pprof/mutex`: nothing counts how long threads wait, and tools that ask for everything take
/// only profiles.
pub(crate) async fn waits(params: Params) -> Response {
    let taken = async {
        wanted(&params)?;
        let mut profile = Profile::new(&[("contentions", "count"), ("delay", "nanoseconds")]);
        profile.comments.push("Weft does not count how long its threads wait".to_owned());
        blocking(move || profile.encode(&[])).await
    };
    answer("contentions", taken.await)
}

/// `/debug/pprof/trace`, and what no program has.
pub(crate) async fn unknown(uri: Uri) -> Response {
    let is_trace = uri.path().ends_with("/trace");
    let status = if is_trace { StatusCode::NOT_IMPLEMENTED } else { StatusCode::NOT_FOUND };
    let what = if is_trace { "execution traces are those of Go's runtime" } else { "unknown profile" };
    refusal((status, format!("{what}. {OFFERED}")))
}

/// `/debug/pprof/cmdline`: the arguments, a zero between them.
pub(crate) async fn cmdline() -> Response {
    text(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\0"))
}

/// `/debug/pprof/symbol`: the names of addresses, written `0x1+0x2` in the query or in the body.
pub(crate) async fn symbol(method: Method, uri: Uri, body: Bytes) -> Response {
    let given = if method == Method::POST { body } else { Bytes::from(uri.query().unwrap_or_default().to_owned()) };
    let names = blocking(move || {
        // That there are names at all; how many is not asked.
        let mut names = "num_symbols: 1\n".to_owned();
        for word in String::from_utf8_lossy(&given).split('+').take(ADDRESSES_MAX) {
            let address = usize::from_str_radix(word.trim().trim_start_matches("0x"), 16);
            if let Some((address, name)) = address.ok().and_then(|at| Some((at, profiles::name_of(at)?))) {
                names.push_str(&format!("{address:#x} {name}\n"));
            }
        }
        Ok(names)
    });
    names.await.map_or_else(refusal, text)
}

/// The parameters of a request that asks for a profile and not for text.
fn wanted(params: &Params) -> Result<(), Fault> {
    match params.get("debug") {
        "" | "0" => Ok(()),
        _ => {
            let why = "profiles are not written as text (parameter \"debug\"); go tool pprof shows them\n";
            Err((StatusCode::NOT_IMPLEMENTED, why.to_owned()))
        }
    }
}

/// The parameter `seconds`.
fn seconds(params: &Params) -> Result<Option<Duration>, Fault> {
    match params.get("seconds") {
        "" => Ok(None),
        text => match text.parse::<u64>().ok().filter(|seconds| *seconds > 0) {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => Err((StatusCode::BAD_REQUEST, "\"seconds\" must be a positive integer\n".to_owned())),
        },
    }
}

fn bounded(time: Duration) -> Result<Duration, Fault> {
    if time.as_secs() > SECONDS_MAX {
        return Err((StatusCode::BAD_REQUEST, format!("\"seconds\" must be at most {SECONDS_MAX}\n")));
    }
    Ok(time)
}

fn turn(app: &App) -> Result<Turn, Fault> {
    let why = "another profile is being taken; try again when it has ended\n";
    app.profiles.take().ok_or_else(|| (StatusCode::CONFLICT, why.to_owned()))
}

/// When a profile was begun.
#[derive(Clone, Copy)]
struct Clock(Timestamp, Instant);

impl Clock {
    fn start() -> Self {
        Self(Timestamp::now(), Instant::now())
    }
}

/// Ends a profile and writes it.
async fn encoded(
    turn: Turn,
    Clock(begun, at): Clock,
    end: impl FnOnce(&[Mapping]) -> std::io::Result<Profile> + Send + 'static,
) -> Result<Vec<u8>, Fault> {
    blocking(move || {
        let mappings = Mapping::all()?;
        let took = at.elapsed();
        let profile = Profile { begun: Some(begun), took, ..end(&mappings)? };
        let encoded = profile.encode(&mappings);
        // Not before: looking names up takes memory, once.
        drop(turn);
        encoded
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?.map_err(cannot)
}

fn cannot(error: std::io::Error) -> Fault {
    let status = match error.kind() {
        std::io::ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("cannot take the profile: {error}\n"))
}

fn answer(name: &str, taken: Result<Vec<u8>, Fault>) -> Response {
    let profile = match taken {
        Ok(profile) => profile,
        Err(fault) => return refusal(fault),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, profile).into_response()
}

fn refusal((status, why): Fault) -> Response {
    // By the first header pprof's tool knows that the text is to be shown.
    (status, [("x-go-pprof", "1"), ("x-content-type-options", "nosniff")], why).into_response()
}

fn text(text: String) -> Response {
    ([(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}
