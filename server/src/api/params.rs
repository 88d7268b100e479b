//! What a request asks: the query string and a form in the body, together.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use model::Matcher;
use model::duration::parse_duration_ms;
use query::{Bounds, Share};

use super::error::ApiError;
use super::work::told;
use crate::app::App;
use crate::clock::parse_rfc3339;

/// Upstream's "minimum time" and "maximum time", which its clients send for "all".
const TIME_MIN: &str = "-292273086-05-16T16:47:06Z";
const TIME_MAX: &str = "292277025-08-18T07:12:54.999999999Z";
/// What those stand for here: far enough for any sample, small enough that nothing overflows.
pub(crate) const TIME_MIN_MS: i64 = i64::MIN / 4;
/// The other end.
pub(crate) const TIME_MAX_MS: i64 = i64::MAX / 4;

/// Parameters of a request, and selectors among them that differ.
const PARAMS_MAX: usize = 10_000;
const SELECTORS_MAX: usize = 1_000;
/// The largest form that is read, as upstream's.
const FORM_BYTES_MAX: usize = 10 << 20;
/// What a byte of a form takes, as it came and taken apart, and what a parameter takes besides.
const TEXT_COPIES: usize = 3;
const PARAM_BYTES: usize = 128;
/// How long memory for them is waited for, and how often it is looked for.
const ROOM_WAIT: Duration = Duration::from_secs(10);
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// The parameters of a request, in the order given, the query string first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    /// The memory that they take.
    _share: Arc<Share>,
}

impl FromRequest<Arc<App>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let share = app.engine.bounds(&query::QueryOptions::default()).share;
        let mut pairs = Vec::new();
        let is_form = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        let (parts, body) = request.into_parts();
        if is_form {
            let form = form(body, &share).await?;
            // As in Go, the values of a form come before those of the query string.
            add(&mut pairs, &form, &share).await?;
        }
        add(&mut pairs, parts.uri.query().unwrap_or_default().as_bytes(), &share).await?;
        Ok(Self { pairs, _share: share })
    }
}

/// Takes memory, and waits a moment for it where queries hold all there is.
async fn room(take: impl Fn() -> Result<(), query::Error>) -> Result<(), ApiError> {
    let until = Instant::now() + ROOM_WAIT;
    loop {
        match take() {
            Err(error) if error.is_of_all() && Instant::now() < until => tokio::time::sleep(ROOM_LOOK).await,
            outcome => return outcome.map_err(told),
        }
    }
}

/// A form, whose memory is taken as it comes.
async fn form(mut body: Body, share: &Share) -> Result<Vec<u8>, ApiError> {
    let unreadable = |error: String| ApiError::bad_data(format!("error parsing form values: {error}"));
    let mut form = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| unreadable(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if form.len() + data.len() > FORM_BYTES_MAX {
            return Err(unreadable("http: request body too large".to_owned()));
        }
        room(|| share.take_at_rest(TEXT_COPIES * data.len())).await?;
        form.extend_from_slice(&data);
    }
    Ok(form)
}

/// Takes a text apart, once it is clear that there is room for what is in it.
async fn add(pairs: &mut Vec<(String, String)>, text: &[u8], share: &Share) -> Result<(), ApiError> {
    let count = pairs.len() + text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).count();
    if count > PARAMS_MAX {
        return Err(ApiError::bad_data(format!("too many parameters: {count}, at most {PARAMS_MAX} are read")));
    }
    room(|| share.take(TEXT_COPIES * text.len() + count * PARAM_BYTES)).await?;
    pairs.extend(url::form_urlencoded::parse(text).into_owned());
    Ok(())
}

impl Params {
    /// The first value, or the empty string.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A time that must be there, milliseconds.
    pub(crate) fn time(&self, name: &str) -> Result<i64, ApiError> {
        parse_time(self.get(name)).map_err(|error| ApiError::parameter(name, error))
    }

    /// A time, or what stands for its absence.
    pub(crate) fn time_or(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        self.time_or_fault(name, default).map_err(|fault| ApiError::parameter(name, fault))
    }

    /// The same, with what is wrong with it as the error.
    pub(crate) fn time_or_fault(&self, name: &str, default: i64) -> Result<i64, String> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|error| format!("invalid time value for '{name}': {error}")),
        }
    }

    /// A word that Go takes for a truth value (`strconv.ParseBool`), or what stands for its absence; as the error any other.
    pub(crate) fn switch(&self, name: &str, default: bool) -> Result<bool, &str> {
        match self.get(name) {
            "" => Ok(default),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            other => Err(other),
        }
    }

    /// How many results at most; 0: all.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let number: i64 = text
            .parse()
            .map_err(|_| ApiError::parameter("limit", format!("strconv.Atoi: parsing {text:?}: invalid syntax")))?;
        usize::try_from(number).map_err(|_| ApiError::parameter("limit", "limit must be non-negative"))
    }

    /// The selectors of `match[]`, each once, read within the bounds of the request; `fault` makes an error of what is
    /// wrong with one.
    pub(crate) fn matchers(
        &self,
        bounds: &Bounds,
        fault: impl Fn(String) -> ApiError,
    ) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut seen = HashSet::new();
        let texts: Vec<&str> = self.all("match[]").filter(|text| seen.insert(*text)).collect();
        if texts.len() > SELECTORS_MAX {
            let got = texts.len();
            return Err(fault(format!("too many selectors: {got}, at most {SELECTORS_MAX} may be asked for at once")));
        }
        let read = |text: &&str| match query::parse_selector_within(text, bounds) {
            Err(query::Error::Parse(text)) => Err(fault(text)),
            other => other.map_err(told),
        };
        texts.iter().map(read).collect()
    }
}

/// Float seconds or RFC 3339, to milliseconds.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && let Some(ms) = to_ms(seconds)
    {
        return Ok(ms.clamp(TIME_MIN_MS, TIME_MAX_MS));
    }
    match text {
        TIME_MIN => return Ok(TIME_MIN_MS),
        TIME_MAX => return Ok(TIME_MAX_MS),
        _ => {}
    }
    parse_rfc3339(text).ok_or_else(|| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Float seconds or a duration, to milliseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return to_ms(seconds).ok_or_else(|| format!("cannot parse {text:?} to a valid duration. It overflows int64"));
    }
    parse_duration_ms(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn to_ms(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    (ms.abs() < 9.2e18).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        assert_eq!(parse_time("1700000000.0505"), Ok(1_700_000_000_051));
        assert_eq!(parse_time("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000));
        assert_eq!(parse_time(TIME_MIN), Ok(TIME_MIN_MS));
        assert_eq!(parse_time("abc"), Err("cannot parse \"abc\" to a valid timestamp".into()));
        assert!(parse_time("NaN").is_err());
        assert_eq!((parse_time("9e15"), parse_time("-9e15")), (Ok(TIME_MAX_MS), Ok(TIME_MIN_MS)));
        assert_eq!((parse_duration("1.5"), parse_duration("5m")), (Ok(1500), Ok(300_000)));
        assert_eq!(parse_duration("x"), Err("cannot parse \"x\" to a valid duration".into()));
    }
}
