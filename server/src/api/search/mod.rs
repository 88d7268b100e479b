//! `/api/v1/search/metric_names`, `label_names`, `label_values`: names and values that look like what somebody types. The
//! answer is a JSON text per line: batches of results, then how it ended. Only with `--enable-feature=search-api`.

mod score;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use model::float::push_json;
use model::labels::METRIC_NAME;
use model::{Matcher, Querier, QuerierError, Selection};
use scraper::Metadata;

use self::score::{Algorithm, Terms};
use super::{ApiError, Kind, Params, format, in_place};
use crate::app::App;

/// Results of an answer, and of a line of it, where nothing is said.
const LIMIT: usize = 100;
const BATCH: usize = 100;
/// Each name is held against every term.
const TERMS_MAX: usize = 32;
/// How far back is looked where nothing is said.
const RANGE_MS: i64 = 3_600_000;

/// In which order results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    /// The best first, of equal ones by name.
    Score,
}

/// What all three endpoints may be asked.
#[derive(Debug)]
struct Search {
    range_ms: (i64, i64),
    sets: Vec<Vec<Matcher>>,
    terms: Option<Terms>,
    order: Order,
    shows_score: bool,
    limit: usize,
    batch: usize,
}

/// What is found, each with its score, and whether there was more.
#[derive(Debug)]
struct Found {
    results: Vec<(String, f64)>,
    has_more: bool,
}

/// `/api/v1/search/metric_names`
pub(crate) async fn metric_names(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let search = Search::new(&app, &params, "metric_names")?;
    let shows_metadata = switch(&params, "include_metadata", false)?;
    let found = find(&app, &search, |db, of, limit| db.label_values(METRIC_NAME, of, limit))?;
    let pools = if shows_metadata { app.scraper.status().await } else { BTreeMap::default() };
    let mut metadata: HashMap<&str, &Metadata> = HashMap::new();
    for (name, of) in pools.values().flat_map(|pool| &pool.active).flat_map(|target| target.status.metadata.iter()) {
        metadata.entry(name).or_insert(of);
    }
    Ok(search.answer(&found, "name", |out, name| {
        let Some(of) = metadata.get(name) else { return };
        for (field, text) in [("type", of.kind.as_str()), ("help", &*of.help), ("unit", &*of.unit)] {
            if !text.is_empty() {
                format::put(out, format_args!(",\"{field}\":"));
                format::string(out, text);
            }
        }
    }))
}

/// `/api/v1/search/label_names`
pub(crate) async fn label_names(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let search = Search::new(&app, &params, "label_names")?;
    let found = find(&app, &search, |db, of, limit| db.label_names(of, limit))?;
    Ok(search.answer(&found, "name", |_, _| {}))
}

/// `/api/v1/search/label_values`
pub(crate) async fn label_values(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let search = Search::new(&app, &params, "label_values")?;
    let label = params.get("label");
    if label.is_empty() {
        return Err(ApiError::bad_data("missing required parameter \"label\""));
    }
    let found = find(&app, &search, |db, of, limit| db.label_values(label, of, limit))?;
    Ok(search.answer(&found, "value", |_, _| {}))
}

fn find(
    app: &App,
    search: &Search,
    ask: impl Fn(&dyn Querier, &Selection<'_>, usize) -> Result<Vec<String>, QuerierError>,
) -> Result<Found, ApiError> {
    Ok(in_place(|| search.run(app.db.as_ref(), ask))??)
}

impl Search {
    fn new(app: &App, params: &Params, endpoint: &str) -> Result<Self, ApiError> {
        let Some(limit_max) = app.settings.search_max_limit else {
            return Err(ApiError::new(Kind::Unavailable, "search API disabled"));
        };
        let range_ms = times(params)?;
        let sets = params.matchers().map_err(ApiError::bad_data)?;
        if sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
            return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
        }
        let searched: Vec<&str> = params.all("search[]").collect();
        if searched.len() > TERMS_MAX {
            let got = searched.len();
            return Err(ApiError::bad_data(format!("too many search[] terms: got {got}, maximum is {TERMS_MAX}")));
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
        let batch = positive(params, "batch_size")?.unwrap_or(BATCH);
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
        Ok(Self { range_ms, sets, terms, order, shows_score, limit, batch })
    }

    fn run(
        &self,
        db: &dyn Querier,
        ask: impl Fn(&dyn Querier, &Selection<'_>, usize) -> Result<Vec<String>, QuerierError>,
    ) -> Result<Found, QuerierError> {
        // One more than wanted tells whether there is more.
        let ask_for =
            if self.terms.is_none() && self.order != Order::Descending { self.limit.saturating_add(1) } else { 0 };
        let any = [Vec::new()];
        let sets = if self.sets.is_empty() { &any[..] } else { &self.sets };
        let mut names = Vec::new();
        for matchers in sets {
            let (start_ms, end_ms) = self.range_ms;
            names.extend(ask(db, &Selection { start_ms, end_ms, matchers }, ask_for)?);
        }
        // Each answer is in order already.
        if sets.len() > 1 {
            names.sort();
            names.dedup();
        }
        let scored = |name: String| Some((self.terms.as_ref().map_or(Some(1.0), |terms| terms.score(&name))?, name));
        let mut results: Vec<(String, f64)> =
            names.into_iter().filter_map(scored).map(|(score, name)| (name, score)).collect();
        match self.order {
            Order::Ascending => {}
            Order::Descending => results.reverse(),
            Order::Score => results.sort_by(|(_, a), (_, b)| b.total_cmp(a)),
        }
        let has_more = results.len() > self.limit;
        results.truncate(self.limit);
        Ok(Found { results, has_more })
    }

    /// The lines of an answer; `more` adds fields to a result.
    fn answer(&self, found: &Found, field: &str, more: impl Fn(&mut String, &str)) -> Response {
        let mut body = String::new();
        let batches = found.results.chunks(self.batch);
        // The first line comes also when nothing is found.
        let nothing = found.results.is_empty().then_some(&[][..]);
        for batch in nothing.into_iter().chain(batches) {
            body.push_str("{\"results\":");
            format::array(&mut body, batch, |out, (name, score)| {
                format::put(out, format_args!("{{\"{field}\":"));
                format::string(out, name);
                if self.shows_score {
                    out.push_str(",\"score\":");
                    push_json(out, *score);
                }
                more(out, name);
                out.push('}');
            });
            body.push_str("}\n");
        }
        format::put(&mut body, format_args!("{{\"status\":\"success\",\"has_more\":{}}}\n", found.has_more));
        ([(CONTENT_TYPE, "application/x-ndjson; charset=utf-8")], body).into_response()
    }
}

/// The first and the last millisecond.
fn times(params: &Params) -> Result<(i64, i64), ApiError> {
    let now_ms = model::time::now_ms();
    let time = |name, default| params.time_or_fault(name, default).map_err(ApiError::bad_data);
    let (start_ms, end_ms) = (time("start", now_ms - RANGE_MS)?, time("end", now_ms)?);
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    Ok((start_ms, end_ms))
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
    let number = text.parse::<i64>().ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let fault = || ApiError::bad_data(format!("invalid {name} {text:?}: must be a positive integer"));
    number.map(Some).ok_or_else(fault)
}

fn switch(params: &Params, name: &str, default: bool) -> Result<bool, ApiError> {
    let fault = |text: &str| ApiError::bad_data(format!("invalid {name} {text:?}: must be boolean"));
    params.switch(name, default).map_err(fault)
}
