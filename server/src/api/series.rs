//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/<name>/values`: what series there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use model::labels::is_legacy_label_name;
use model::{Labels, Matcher, Querier, QuerierError, Selection};

use super::params::{TIME_MAX_MS, TIME_MIN_MS};
use super::{ApiError, Params, format, in_place};
use crate::app::App;

const TRUNCATED: &str = "results truncated due to limit";

/// `/api/v1/series`
pub(crate) async fn series(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let sets = params.matchers().map_err(|e| ApiError::parameter("match[]", e))?;
    let found: Found<Labels> = collect(&app, &params, sets, |db, selection, limit| db.series(selection, limit))?;
    let mut sets = format::LabelSets::default();
    Ok(found.answer(|out, labels| sets.write(out, labels)))
}

/// `/api/v1/labels`
pub(crate) async fn label_names(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let sets = params.matchers().map_err(ApiError::bad_data)?;
    let found = collect(&app, &params, sets, |db, selection, limit| db.label_names(selection, limit))?;
    Ok(found.answer(|out, name| format::string(out, name)))
}

/// `/api/v1/label/<name>/values`
pub(crate) async fn label_values(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    params: Params,
) -> Result<Response, ApiError> {
    let Ok(Path(name)) = name else {
        let raw = uri.path().split('/').rev().nth(1).unwrap_or_default();
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(raw).collect();
        return Err(ApiError::bad_data(format!("invalid label name: \"{}\"", bytes.escape_ascii())));
    };
    let name = unescape_name(&name);
    let sets = params.matchers().map_err(ApiError::bad_data)?;
    let found = collect(&app, &params, sets, |db, selection, limit| db.label_values(&name, selection, limit))?;
    Ok(found.answer(|out, value| format::string(out, value)))
}

/// The results of all selectors together, sorted, and whether there were more.
struct Found<T> {
    items: Vec<T>,
    truncated: bool,
    /// Of the store, about what it read.
    warnings: Vec<String>,
}

impl<T> Found<T> {
    fn answer<'a>(&'a self, item: impl FnMut(&mut String, &'a T)) -> Response {
        let truncated = self.truncated.then(|| TRUNCATED.to_owned());
        let warnings: Vec<String> = self.warnings.iter().cloned().chain(truncated).collect();
        format::success(|out| format::array(out, &self.items, item), &warnings, &[])
    }
}

fn collect<T: Ord>(
    app: &App,
    params: &Params,
    sets: Vec<Vec<Matcher>>,
    ask: impl Fn(&dyn Querier, &Selection<'_>, usize) -> Result<Vec<T>, QuerierError>,
) -> Result<Found<T>, ApiError> {
    if sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
        return Err(ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher"));
    }
    let limit = params.limit()?;
    let (start_ms, end_ms) = (params.time_or("start", TIME_MIN_MS)?, params.time_or("end", TIME_MAX_MS)?);
    // One more than wanted tells whether there is more.
    let ask_for = if limit == 0 { 0 } else { limit + 1 };
    let work = move || {
        let sets = if sets.is_empty() { vec![Vec::new()] } else { sets };
        let mut items = Vec::new();
        let mut warnings = BTreeSet::new();
        for matchers in &sets {
            let selection = Selection { start_ms, end_ms, matchers };
            items.extend(ask(app.db.as_ref(), &selection, ask_for)?);
            warnings.extend(app.db.listing_warnings(&selection));
        }
        // Each answer is in order already.
        if sets.len() > 1 {
            items.sort();
            items.dedup();
        }
        let truncated = limit > 0 && items.len() > limit;
        items.truncate(if limit == 0 { usize::MAX } else { limit });
        Ok::<_, QuerierError>(Found { items, truncated, warnings: warnings.into_iter().collect() })
    };
    Ok(in_place(work)??)
}

/// `U__label_2e_dots` is `label.dots`: how clients write names that may not stand in a path.
fn unescape_name(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__").filter(|_| is_legacy_label_name(name)) else {
        return name.to_owned();
    };
    let mut out = String::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('_') {
            out.push('_');
            rest = tail;
            continue;
        }
        let decoded = after
            .split_once('_')
            .and_then(|(hex, tail)| Some((u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?, tail)));
        let Some((c, tail)) = decoded else { return name.to_owned() };
        out.push(c);
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names() {
        for (escaped, name) in [
            ("U__label_2e_dots", "label.dots"),
            ("U__a__b", "a_b"),
            ("U___fc_nic", "ünic"),
            ("plain_name", "plain_name"),
            ("U__broken_zz", "U__broken_zz"),
        ] {
            assert_eq!(unescape_name(escaped), name);
        }
    }
}
