//! The parameters of a request: query string and form in the body together.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use http::Method;
use http::header::CONTENT_TYPE;
use model::duration::parse_duration_ms;
use model::{Matcher, Timestamp};
use query::{Bounds, QueryMemory};

use super::error::ApiError;
use super::error::told;
use super::form::{Media, multipart, urlencoded};
use crate::app::App;
use crate::clock::parse_rfc3339;
use crate::serve::LongQuery;

/// Upstream's "minimum time" and "maximum time", which its clients send for "all".
const TIME_MIN_TEXT: &str = "-292273086-05-16T16:47:06Z";
const TIME_MAX_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";
/// The values of these here: far enough for any sample, small enough that arithmetic does not overflow.
pub(crate) const TIME_MIN: Timestamp = Timestamp(i64::MIN / 4);
/// The other end.
pub(crate) const TIME_MAX: Timestamp = Timestamp(i64::MAX / 4);

/// The most parameters of a request, and the most distinct selectors among them.
pub(crate) const PARAMS_MAX: usize = 10_000;
const SELECTORS_MAX: usize = 1_000;
/// The largest form that is read, as upstream's.
const FORM_BYTES_MAX: usize = 10 << 20;
/// Memory of a form: bytes for each of its bytes, raw and parsed, and bytes for each parameter besides.
const TEXT_COPIES: usize = 3;
const PARAM_BYTES: usize = 128;
const NS_PER_MS: i64 = 1_000_000;
/// How long to wait for memory for the parameters, and how often to try.
const ROOM_WAIT: Duration = Duration::from_secs(10);
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// The parameters of a request, in the order in which Go has them: a form, the query string, a form in parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    /// The number of pairs that do not come from a multipart form.
    n_plain: usize,
    /// The first syntax error in the query string or an urlencoded form.
    fault: Option<String>,
    /// The reservation of their memory.
    _share: Arc<QueryMemory>,
}

impl FromRequest<Arc<App>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        // Parameters count against the memory of queries: many large forms at once must not exhaust the process.
        let share = app.engine().bounds(&query::QueryOptions::default()).memory;
        let mut params = Self { _share: Arc::clone(&share), ..Self::default() };
        let (mut parts, body) = request.into_parts();
        let content_type = parts.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let media = Media::of(content_type.as_deref().unwrap_or_default());
        let mut in_parts = None;
        match &*media.kind {
            "application/x-www-form-urlencoded"
                // Go's `ParseForm` reads bodies of these methods only.
                if [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) =>
            {
                params.add(&form(body, &share).await?, &share).await?;
            }
            "multipart/form-data" => {
                in_parts = media.parameter("boundary").filter(|given| !given.is_empty()).map(|given| (given, body));
            }
            _ => {}
        }
        let query = parts.uri.query().unwrap_or_default();
        match parts.extensions.remove::<Arc<LongQuery>>() {
            None => params.add(query.as_bytes(), &share).await?,
            // `serve` cuts a very long query out of the head of the request and hands it on beside it.
            Some(long) => {
                let rest = long.bytes().unwrap_or_default();
                room(|| share.take(query.len() + rest.len())).await?;
                params.add(&[LongQuery::before(query).as_bytes(), rest].concat(), &share).await?;
            }
        }
        // A form in parts comes last, as in Go's `FormValue`: a parameter of the query string wins over it.
        params.n_plain = params.pairs.len();
        if let Some((boundary, body)) = in_parts {
            let body = form(body, &share).await?;
            room(|| share.take(TEXT_COPIES * body.len())).await?;
            // As with Go, one that cannot be read is none.
            params.pairs.extend(multipart(&body, boundary).unwrap_or_default());
            params.has_room(0)?;
        }
        Ok(params)
    }
}

/// Reserves memory; waits a moment if running queries hold all of it.
async fn room(take: impl Fn() -> Result<(), query::Error>) -> Result<(), ApiError> {
    let until = Instant::now() + ROOM_WAIT;
    loop {
        match take() {
            Err(error) if error.is_memory_contention() && Instant::now() < until => tokio::time::sleep(ROOM_LOOK).await,
            outcome => return outcome.map_err(told),
        }
    }
}

/// Reads a form; its memory is reserved as it arrives.
async fn form(mut body: Body, share: &QueryMemory) -> Result<Vec<u8>, ApiError> {
    let unreadable = |error: String| ApiError::bad_data(format!("error parsing form values: {error}"));
    let mut form = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| unreadable(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        // Counted as it comes, since the length may not be announced.
        if form.len() + data.len() > FORM_BYTES_MAX {
            return Err(unreadable("http: request body too large".to_owned()));
        }
        room(|| share.take_at_rest(TEXT_COPIES * data.len())).await?;
        form.extend_from_slice(&data);
    }
    Ok(form)
}

impl Params {
    /// Parses an urlencoded text, after reserving memory for its pairs.
    async fn add(&mut self, text: &[u8], share: &QueryMemory) -> Result<(), ApiError> {
        // Counted before anything is allocated for the pairs.
        let count = self.has_room(text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).count())?;
        room(|| share.take(TEXT_COPIES * text.len() + count * PARAM_BYTES)).await?;
        let (pairs, fault) = urlencoded(text);
        self.pairs.extend(pairs);
        // The first fault is kept: the body is read before the query string.
        self.fault = self.fault.take().or(fault);
        Ok(())
    }

    /// The number of parameters with `more`, or an error if they are too many.
    fn has_room(&self, more: usize) -> Result<usize, ApiError> {
        match self.pairs.len() + more {
            count if count <= PARAMS_MAX => Ok(count),
            count => Err(ApiError::bad_data(format!("too many parameters: {count}, at most {PARAMS_MAX} are read"))),
        }
    }

    /// Without the pairs of a multipart form, and an error if the others had a syntax error. Some endpoints are that strict.
    pub(crate) fn plain(mut self) -> Result<Self, ApiError> {
        if let Some(fault) = self.fault {
            return Err(ApiError::bad_data(format!("error parsing form values: {fault}")));
        }
        self.pairs.truncate(self.n_plain);
        Ok(self)
    }

    /// The first value, or the empty string.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A required time.
    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.get(name)).map_err(|error| ApiError::parameter(name, error))
    }

    /// A time, or the default if it is absent.
    pub(crate) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        self.time_or_fault(name, default).map_err(|fault| ApiError::parameter(name, fault))
    }

    /// The same, with the bare reason as the error.
    pub(crate) fn time_or_fault(&self, name: &str, default: Timestamp) -> Result<Timestamp, String> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|error| format!("invalid time value for '{name}': {error}")),
        }
    }

    /// A boolean as Go reads it (`strconv.ParseBool`), or the default if it is absent; any other word is the error.
    pub(crate) fn switch(&self, name: &str, default: bool) -> Result<bool, &str> {
        match self.get(name) {
            "" => Ok(default),
            word => truth(word).ok_or(word),
        }
    }

    /// The `timeout` of the request, if it is set.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let text = self.get("timeout");
        if text.is_empty() {
            return Ok(None);
        }
        let ns = parse_duration_ns(text).map_err(|error| ApiError::parameter("timeout", error))?;
        match u64::try_from(ns) {
            Ok(ns) if ns > 0 => Ok(Some(Duration::from_nanos(ns))),
            _ => {
                let why = format!("timeout must be positive, got {}", go_duration(ns));
                Err(ApiError::parameter("timeout", why))
            }
        }
    }

    /// How many results at most; 0: all.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let number: i64 = integer(text)
            .map_err(|why| ApiError::parameter("limit", format!("strconv.Atoi: parsing {text:?}: {why}")))?;
        usize::try_from(number).map_err(|_| ApiError::parameter("limit", "limit must be non-negative"))
    }

    /// The distinct selectors of `match[]`, parsed within the bounds of the request; `fault` makes an API error of a syntax
    /// error.
    pub(crate) fn matchers(
        &self,
        bounds: &Bounds,
        fault: impl Fn(String) -> ApiError,
    ) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.selectors(SELECTORS_MAX, bounds, fault)
    }

    /// The same, where there may be so many of them.
    pub(crate) fn selectors(
        &self,
        most: usize,
        bounds: &Bounds,
        fault: impl Fn(String) -> ApiError,
    ) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut seen = HashSet::new();
        // Clients that build their requests by lists repeat selectors; each would be read again.
        let texts: Vec<&str> = self.all("match[]").filter(|text| seen.insert(*text)).collect();
        if texts.len() > most {
            let got = texts.len();
            return Err(fault(format!("too many selectors: {got}, at most {most} may be asked for at once")));
        }
        let read = |text: &&str| match query::parse_selector_within(text, bounds) {
            Err(query::Error::Parse(text)) => Err(fault(text)),
            other => other.map_err(told),
        };
        texts.iter().map(read).collect()
    }
}

/// An integer, or Go's reason why it is none.
pub(crate) fn integer(text: &str) -> Result<i64, &'static str> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        NegOverflow | PosOverflow => "value out of range",
        _ => "invalid syntax",
    })
}

/// Float seconds or RFC 3339.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>()
        // `NaN` and `Inf` are floats to the parser, and no times.
        && seconds.is_finite()
    {
        return Ok(at_seconds(seconds));
    }
    match text {
        TIME_MIN_TEXT => return Ok(TIME_MIN),
        TIME_MAX_TEXT => return Ok(TIME_MAX),
        _ => {}
    }
    parse_rfc3339(text).ok_or_else(|| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Nanoseconds as Go writes them: `-5s`, `1m30.5s`, `20µs`.
#[expect(clippy::cast_precision_loss, reason = "less than a minute")]
pub(crate) fn go_duration(ns: i64) -> String {
    let (sign, ns) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    match ns {
        0 => return "0s".to_owned(),
        // Go's `Duration.String` switches units below a second and never uses days.
        1..1_000 => return format!("{sign}{ns}ns"),
        1_000..1_000_000 => return format!("{sign}{}µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => return format!("{sign}{}ms", ns as f64 / 1e6),
        _ => {}
    }
    let minutes = ns / 60_000_000_000;
    let seconds = (ns % 60_000_000_000) as f64 / 1e9;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Float seconds or a duration, to milliseconds; finer digits are cut.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    parse_duration_ns(text).map(|ns| ns / NS_PER_MS)
}

/// The same to nanoseconds, as Go counts them: 292 years at most.
#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn parse_duration_ns(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ns = seconds * 1e9;
        // 2^63 itself is a float and does not fit; the range excludes it.
        let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ns);
        let overflows = || format!("cannot parse {text:?} to a valid duration. It overflows int64");
        return if fits { Ok(ns as i64) } else { Err(overflows()) };
    }
    let ns = parse_duration_ms(text).ok().and_then(|ms| ms.checked_mul(NS_PER_MS));
    ns.ok_or_else(|| format!("cannot parse {text:?} to a valid duration"))
}

/// So many seconds after the epoch, clamped to the range of times.
#[expect(clippy::cast_possible_truncation, reason = "what is beyond is cut before it counts")]
fn at_seconds(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0).round() as i64).clamp(TIME_MIN, TIME_MAX)
}

/// A boolean as Go reads it (`strconv.ParseBool`).
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        assert_eq!(parse_time("1700000000.0505"), Ok(Timestamp(1_700_000_000_051)));
        assert_eq!(parse_time("2023-11-14T22:13:20Z"), Ok(Timestamp(1_700_000_000_000)));
        assert_eq!(parse_time(TIME_MIN_TEXT), Ok(TIME_MIN));
        assert_eq!(parse_time("abc"), Err("cannot parse \"abc\" to a valid timestamp".into()));
        assert!(parse_time("NaN").is_err());
        assert_eq!((parse_time("9e15"), parse_time("-9e15")), (Ok(TIME_MAX), Ok(TIME_MIN)));
        assert_eq!((parse_time("1e18"), parse_time("-1e300")), (Ok(TIME_MAX), Ok(TIME_MIN)));
        assert_eq!((parse_duration("1.5"), parse_duration("5m")), (Ok(1500), Ok(300_000)));
        assert_eq!(parse_duration("x"), Err("cannot parse \"x\" to a valid duration".into()));
        assert_eq!((parse_duration("0.0019"), parse_duration("-0.0019")), (Ok(1), Ok(-1)));
        for far in ["NaN", "Inf", "1e10", "-1e300"] {
            let overflows = format!("cannot parse {far:?} to a valid duration. It overflows int64");
            assert_eq!(parse_duration(far), Err(overflows));
        }
    }

    #[test]
    fn durations_as_go_writes_them() {
        for (ns, text) in [
            (0, "0s"),
            (-5_000_000_000, "-5s"),
            (1, "1ns"),
            (-1_500, "-1.5µs"),
            (1_234_567, "1.234567ms"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(ns), text);
        }
    }

    #[test]
    fn whole_numbers_as_go_reads_them() {
        assert_eq!((integer("+1"), integer("x"), integer("")), (Ok(1), Err("invalid syntax"), Err("invalid syntax")));
        assert_eq!(integer("99999999999999999999"), Err("value out of range"));
    }
}
