//! `/api/v1/search/metric_names`, `label_names`, `label_values`: fuzzy search of names and values for completion. The
//! response is NDJSON: batches of results, then a status line. Only with `--enable-feature=search-api`.

mod metadata;
mod score;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderName;
use http::header::CONTENT_TYPE;
use model::labels::METRIC_NAME;
use model::{Listing, Matcher, Querier, QuerierError, Selection, Timestamp};
use query::Bounds;
use scraper::Metadata;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use self::metadata::Known;
use self::score::{Algorithm, Terms};
use super::error::told;
use super::tenancy::Visible;
use super::work::{self, Origin};
use super::{ApiError, Kind, Params, format};
use crate::app::App;

/// Default numbers of results of a response and of one of its lines.
const LIMIT: usize = 100;
const BATCH: usize = 100;
/// The most results of a line, whatever the request says.
const BATCH_MAX: usize = 1_000;
/// Bounds on terms: each name is compared with every term.
const TERMS_MAX: usize = 32;
const TERM_BYTES_MAX: usize = 1_024;
/// Names that are scored between two checks of the deadline.
const SCORED_AT_ONCE: usize = 64;
/// What a result takes as text besides its name.
const RESULT_BYTES: usize = 256;
const NDJSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/x-ndjson; charset=utf-8")];
/// The default time range.
const RANGE_MS: i64 = 3_600_000;

/// In which order results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    /// The best first, of equal ones by name.
    Score,
}

/// The parameters of all three endpoints.
#[derive(Debug)]
struct Search {
    range: (Timestamp, Timestamp),
    terms: Option<Terms>,
    order: Order,
    shows_score: bool,
    limit: usize,
    batch: usize,
}

/// The results with their scores, and whether there were more.
#[derive(Debug)]
struct Found {
    results: Vec<(String, f64)>,
    has_more: bool,
}

/// `/api/v1/search/metric_names`
pub(crate) async fn metric_names(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Search::new(&app, &params, "metric_names")?;
    let known = if switch(&params, "include_metadata", false)? { Known::of(&app).await } else { Known::default() };
    let more = move |name: &str| known.metadata(name).map_or_else(More::default, More::of);
    let ask =
        |db: &dyn Querier, of: &Selection<'_>, listing: &Listing<'_>| db.list_label_values(METRIC_NAME, of, listing);
    find(app, (origin, params), search, ("name", more), ask).await
}

/// `/api/v1/search/label_names`
pub(crate) async fn label_names(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Search::new(&app, &params, "label_names")?;
    let ask = |db: &dyn Querier, of: &Selection<'_>, listing: &Listing<'_>| db.list_label_names(of, listing);
    find(app, (origin, params), search, ("name", |_: &str| More::default()), ask).await
}

/// `/api/v1/search/label_values`
pub(crate) async fn label_values(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let search = Search::new(&app, &params, "label_values")?;
    let label = params.get("label").to_owned();
    if label.is_empty() {
        return Err(ApiError::bad_data("missing required parameter \"label\""));
    }
    let ask =
        move |db: &dyn Querier, of: &Selection<'_>, listing: &Listing<'_>| db.list_label_values(&label, of, listing);
    find(app, (origin, params), search, ("value", |_: &str| More::default()), ask).await
}

/// Searches and answers; `more` adds fields to a result.
async fn find(
    app: Arc<App>,
    (origin, params): (Origin, Params),
    search: Search,
    (field, more): (&'static str, impl Fn(&str) -> More + Send + 'static),
    ask: impl Fn(&dyn Querier, &Selection<'_>, &Listing<'_>) -> Result<Vec<String>, QuerierError> + Send + 'static,
) -> Result<Response, ApiError> {
    let db = Visible::of(&app, (&params, &origin)).await?.store(&app);
    let given = params.clone();
    let work = move |bounds: &Bounds| {
        let found = search.run((db.as_ref(), &given, bounds), ask)?;
        // Of a result its metadata is the most, which targets bound.
        let length: usize = found.results.iter().map(|(name, _)| 2 * format::escaped(name) + RESULT_BYTES).sum();
        bounds.memory.take(length).map_err(told)?;
        let text = search.answer(&found, field, more);
        drop(found);
        Ok((NDJSON, format::held(text, &bounds.memory)).into_response())
    };
    work::run(&app, (&params, &origin), work).await
}

impl Search {
    fn new(app: &App, params: &Params, endpoint: &str) -> Result<Self, ApiError> {
        let Some(limit_max) = app.settings.search_max_limit else {
            return Err(ApiError::new(Kind::Unavailable, "search API disabled"));
        };
        let range = times(params)?;
        let searched: Vec<&str> = params.all("search[]").collect();
        if searched.len() > TERMS_MAX {
            let got = searched.len();
            return Err(ApiError::bad_data(format!("too many search[] terms: got {got}, maximum is {TERMS_MAX}")));
        }
        if searched.iter().any(|term| term.len() > TERM_BYTES_MAX) {
            return Err(ApiError::bad_data(format!("a search[] term is longer than {TERM_BYTES_MAX} bytes")));
        }
        let threshold = match params.get("fuzz_threshold") {
            "" => 0,
            text => text
                .parse()
                .ok()
                .filter(|n| *n <= 100u8)
                .ok_or_else(|| ApiError::bad_data(format!("invalid fuzz_threshold {text:?}: must be 0-100")))?,
        };
        let algorithm = match params.get("fuzz_alg") {
            "" | "subsequence" => Algorithm::Subsequence,
            "jarowinkler" => Algorithm::JaroWinkler,
            other => {
                let known = "[subsequence jarowinkler]";
                return Err(ApiError::bad_data(format!("unsupported fuzz_alg {other:?}: must be one of {known}")));
            }
        };
        let case_sensitive = switch(params, "case_sensitive", true)?;
        let shows_score = switch(params, "include_score", false)?;
        let sort = (params.get("sort_by"), params.get("sort_dir"));
        check_direction(sort, searched.is_empty())?;
        let limit = limit(params, limit_max)?;
        let batch = positive(params, "batch_size")?.unwrap_or(BATCH).min(limit).min(BATCH_MAX);
        let order = match sort {
            ("" | "alpha", "dsc") => Order::Descending,
            ("" | "alpha", _) => Order::Ascending,
            ("score", _) => Order::Score,
            (other, _) => {
                return Err(ApiError::bad_data(format!(
                    "invalid sort_by {other:?} for {endpoint}: must be \"alpha\" or \"score\""
                )));
            }
        };
        let terms = Terms::new(&searched, algorithm, f64::from(threshold) / 100.0, case_sensitive);
        Ok(Self { range, terms, order, shows_score, limit, batch })
    }

    fn run(
        &self,
        (db, params, bounds): (&dyn Querier, &Params, &Bounds),
        ask: impl Fn(&dyn Querier, &Selection<'_>, &Listing<'_>) -> Result<Vec<String>, QuerierError>,
    ) -> Result<Found, ApiError> {
        let mut sets = params.matchers(bounds, ApiError::bad_data)?;
        if sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
            return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
        }
        if sets.is_empty() {
            // Without selectors all series are searched.
            sets.push(Vec::new());
        }
        // One more than wanted tells whether there is more.
        let ask_for =
            if self.terms.is_none() && self.order != Order::Descending { self.limit.saturating_add(1) } else { 0 };
        // Terms and the descending order need all names: the best, or the last, may be anywhere.
        let mut names = Vec::new();
        for matchers in &sets {
            let (start, end) = self.range;
            let selection = Selection { start, end, matchers };
            names.extend(work::listed(bounds, ask_for, |listing| ask(db, &selection, listing))?);
        }
        // Each answer is in order already.
        if sets.len() > 1 {
            names.sort();
            names.dedup();
        }
        let mut results: Vec<(String, f64)> = Vec::new();
        for (i, name) in names.into_iter().enumerate() {
            // Scoring is the only part whose time grows with the names and the terms.
            if i % SCORED_AT_ONCE == 0 {
                bounds.check().map_err(told)?;
            }
            let score = self.terms.as_ref().map_or(Some(1.0), |terms| terms.score(&name));
            results.extend(score.map(|score| (name, score)));
        }
        match self.order {
            Order::Ascending => {}
            Order::Descending => results.reverse(),
            // A stable sort, so names of equal score stay in order.
            Order::Score => results.sort_by(|(_, a), (_, b)| b.total_cmp(a)),
        }
        let has_more = results.len() > self.limit;
        results.truncate(self.limit);
        Ok(Found { results, has_more })
    }

    /// The lines of an answer; `more` adds fields to a result.
    fn answer(&self, found: &Found, field: &str, more: impl Fn(&str) -> More) -> String {
        let mut body = String::new();
        let batches = found.results.chunks(self.batch);
        // The first line comes also when nothing is found.
        let nothing = found.results.is_empty().then_some(&[][..]);
        for batch in nothing.into_iter().chain(batches) {
            let results = batch.iter().map(|(name, score)| ResultJson {
                field,
                name,
                score: self.shows_score.then_some(*score),
                more: more(name),
            });
            format::serialize(&mut body, &BatchJson { results: results.collect() });
            body.push('\n');
        }
        format::serialize(&mut body, &EndJson { status: "success", has_more: found.has_more });
        body.push('\n');
        body
    }
}

/// A line of an answer.
#[derive(Serialize)]
struct BatchJson<'a> {
    results: Vec<ResultJson<'a>>,
}

/// The last line.
#[derive(Serialize)]
struct EndJson {
    status: &'static str,
    has_more: bool,
}

/// A name or value that was found, under a field that is the endpoint's.
struct ResultJson<'a> {
    field: &'a str,
    name: &'a str,
    score: Option<f64>,
    more: More,
}

impl Serialize for ResultJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.field, self.name)?;
        if let Some(score) = self.score {
            map.serialize_entry("score", &score)?;
        }
        let More { kind, help, unit } = &self.more;
        for (field, text) in [("type", *kind), ("help", help), ("unit", unit)] {
            if !text.is_empty() {
                map.serialize_entry(field, text)?;
            }
        }
        map.end()
    }
}

/// What is known of a metric besides its name.
#[derive(Default)]
struct More {
    kind: &'static str,
    help: String,
    unit: String,
}

impl More {
    fn of(metadata: &Metadata) -> Self {
        Self { kind: metadata.kind.as_str(), help: metadata.help.to_string(), unit: metadata.unit.to_string() }
    }
}

/// The first and the last time.
fn times(params: &Params) -> Result<(Timestamp, Timestamp), ApiError> {
    let now = Timestamp::now();
    // Without `invalid parameter`, as in upstream's search endpoints.
    let time = |name, default| params.time_or_fault(name, default).map_err(ApiError::bad_data);
    let (start, end) = (time("start", now - RANGE_MS)?, time("end", now)?);
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    Ok((start, end))
}

fn check_direction((by, direction): (&str, &str), nothing_searched: bool) -> Result<(), ApiError> {
    let fault = match (by, direction) {
        ("score", "") if nothing_searched => "sort_by=score requires search[] to be set".to_owned(),
        (_, "") => return Ok(()),
        ("", _) => "sort_dir is only valid when sort_by is set".to_owned(),
        ("score", _) => "sort_dir is not supported for sort_by=score".to_owned(),
        (_, "asc" | "dsc") => return Ok(()),
        _ => format!("invalid sort_dir {direction:?}: must be \"asc\" or \"dsc\""),
    };
    Err(ApiError::bad_data(fault))
}

/// How many results at most; `max` is what the operator allows, 0 for anything.
fn limit(params: &Params, max: usize) -> Result<usize, ApiError> {
    let max = if max == 0 { usize::MAX } else { max };
    match positive(params, "limit")? {
        None => Ok(LIMIT.min(max)),
        Some(limit) if limit > max => Err(ApiError::bad_data(format!(
            "limit {limit} exceeds the configured maximum ({max}, see --web.search.max-limit)"
        ))),
        Some(limit) => Ok(limit),
    }
}

fn positive(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    let text = params.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    // As Go's `int`: numbers between its end and that of `usize` are refused.
    let number = text.parse::<i64>().ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let fault = || ApiError::bad_data(format!("invalid {name} {text:?}: must be a positive integer"));
    number.map(Some).ok_or_else(fault)
}

fn switch(params: &Params, name: &str, default: bool) -> Result<bool, ApiError> {
    let fault = |text: &str| ApiError::bad_data(format!("invalid {name} {text:?}: must be boolean"));
    params.switch(name, default).map_err(fault)
}
