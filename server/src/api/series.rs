//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/<name>/values`: listings of series, label names and values.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::Uri;
use model::labels::is_legacy_label_name;
use model::{Labels, Listing, Matcher, Querier, QuerierError, Selection};
use query::Bounds;

use super::error::told;
use super::params::{TIME_MAX, TIME_MIN};
use super::tenancy::Visible;
use super::work::{self, Origin};
use super::{ApiError, Params, format};
use crate::app::App;

const TRUNCATED: &str = "results truncated due to limit";

/// `/api/v1/series`
pub(crate) async fn series(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let params = params.plain()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let asked = Asked::sets(|text| ApiError::parameter("match[]", text));
    collect(app, (origin, params), asked, |db, selection, listing| db.list_series(selection, listing)).await
}

/// `/api/v1/labels`
pub(crate) async fn label_names(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = Asked::texts(ApiError::bad_data);
    collect(app, (origin, params), asked, |db, selection, listing| db.list_label_names(selection, listing)).await
}

/// `/api/v1/label/<name>/values`
pub(crate) async fn label_values(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let Ok(Path(name)) = name else {
        // The extractor refuses names that are not UTF-8; upstream shows such bytes escaped.
        let raw = uri.path().split('/').rev().nth(1).unwrap_or_default();
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(raw).collect();
        return Err(ApiError::bad_data(format!("invalid label name: \"{}\"", bytes.escape_ascii())));
    };
    let name = unescape_name(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let asked = Asked::texts(ApiError::bad_data);
    collect(app, (origin, params), asked, move |db, selection, listing| db.list_label_values(&name, selection, listing))
        .await
}

/// How a listing reports errors of selectors and writes its items: the upper bound of an item's length, and the array.
struct Asked<T> {
    fault: fn(String) -> ApiError,
    length: fn(&T) -> usize,
    write: fn(&mut String, &[T]),
}

impl Asked<Labels> {
    fn sets(fault: fn(String) -> ApiError) -> Self {
        let write = |out: &mut String, all: &[Labels]| {
            let mut sets = format::LabelSets::default();
            format::array(out, all, |out, labels| sets.write(out, labels));
        };
        Self { fault, length: format::escaped_labels, write }
    }
}

impl Asked<String> {
    fn texts(fault: fn(String) -> ApiError) -> Self {
        let write =
            |out: &mut String, all: &[String]| format::array(out, all, |out, text: &String| format::string(out, text));
        Self { fault, length: |text| format::escaped(text), write }
    }
}

/// The results of all selectors together, sorted.
async fn collect<T: Ord + Send + 'static>(
    app: Arc<App>,
    (origin, params): (Origin, Params),
    asked: Asked<T>,
    ask: impl Fn(&dyn Querier, &Selection<'_>, &Listing<'_>) -> Result<Vec<T>, QuerierError> + Send + 'static,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let (start, end) = (params.time_or("start", TIME_MIN)?, params.time_or("end", TIME_MAX)?);
    // One more than wanted tells whether there is more.
    let ask_for = if limit == 0 { 0 } else { limit + 1 };
    let db = Visible::of(&app, (&params, &origin)).await?.store(&app);
    let given = params.clone();
    let work = move |bounds: &Bounds| {
        let mut sets = given.matchers(bounds, asked.fault)?;
        if sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
            // Such a selector would match every series, which upstream's `parseMatchersParam` refuses.
            return Err((asked.fault)("match[] must contain at least one non-empty matcher".to_owned()));
        }
        if sets.is_empty() {
            sets.push(Vec::new());
        }
        let mut items = Vec::new();
        let mut warnings = BTreeSet::new();
        for matchers in &sets {
            // Between selectors; within one `listed` does it.
            bounds.check().map_err(told)?;
            let selection = Selection { start, end, matchers };
            items.extend(work::listed(bounds, ask_for, |listing| ask(db.as_ref(), &selection, listing))?);
            warnings.extend(db.listing_warnings(&selection));
        }
        // Each answer is in order already.
        if sets.len() > 1 {
            items.sort();
            items.dedup();
        }
        let truncated = limit > 0 && items.len() > limit;
        items.truncate(if limit == 0 { usize::MAX } else { limit });
        let warnings: Vec<String> = warnings.into_iter().chain(truncated.then(|| TRUNCATED.to_owned())).collect();
        // A text that grows is there twice for a moment.
        bounds.memory.take(2 * items.iter().map(|item| 1 + (asked.length)(item)).sum::<usize>()).map_err(told)?;
        let text = format::success_text(|out| (asked.write)(out, &items), &warnings, &[]);
        drop(items);
        Ok((format::JSON, format::held(text, &bounds.memory)).into_response())
    };
    work::run(&app, (&params, &origin), work).await
}

/// `U__label_2e_dots` is `label.dots`: how clients write names that may not stand in a path.
fn unescape_name(name: &str) -> String {
    // Upstream's `model.UnescapeName` with `ValueEncodingEscaping`; a name that is not escaped correctly stays as it
    // is.
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
