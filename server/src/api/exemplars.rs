//! `/api/v1/query_exemplars`: the exemplars of the series that the selectors of a query match.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::{Exemplar, Labels};
use query::{Bounds, Error};
use serde::Serialize;

use super::error::told;
use super::format::{self, ExemplarJson, LabelSet};
use super::params::{TIME_MAX, TIME_MIN};
use super::tenancy::Visible;
use super::work::{self, Origin};
use super::{ApiError, Params};
use crate::app::App;

/// Selectors of one query.
const SELECTORS_MAX: usize = 1_000;
/// The text of a series or an exemplar besides its labels, bytes.
const ITEM_BYTES: usize = 256;

/// The endpoint. A query without selectors has no answer, as with upstream.
pub(crate) async fn query(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let range = (params.time_or("start", TIME_MIN)?, params.time_or("end", TIME_MAX)?);
    if range.1 < range.0 {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let (of, asked) = (Arc::clone(&app), params.clone());
    let work = move |bounds: &Bounds| {
        let mut selectors = match of.engine().selectors(asked.get("query"), bounds) {
            Err(Error::Parse(text)) => return Err(ApiError::bad_data(text)),
            selectors => selectors.map_err(told)?,
        };
        if selectors.is_empty() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        if selectors.len() > SELECTORS_MAX {
            return Err(ApiError::bad_data(format!("a query for exemplars has at most {SELECTORS_MAX} selectors")));
        }
        selectors.iter_mut().for_each(|matchers| visible.restrict(matchers));
        // The store bounds how many exemplars there are in all.
        bounds.check().map_err(told)?;
        let found = of.db.exemplars(&selectors, range)?;
        bounds.memory.take(found.iter().map(length).sum()).map_err(told)?;
        let series: Vec<_> = found.iter().map(SeriesJson::new).collect();
        let text = format::success_text(|out| format::serialize(out, &series), &[], &[]);
        drop(found);
        Ok((format::JSON, format::held(text, &bounds.memory)).into_response())
    };
    work::run(&app, (&params, &origin), work).await
}

/// Memory of the exemplars of a series, as values and as text.
fn length((labels, exemplars): &(Labels, Vec<Exemplar>)) -> usize {
    let of = |labels: &Labels| labels.as_text().len() + 2 * format::escaped_labels(labels) + ITEM_BYTES;
    of(labels) + exemplars.iter().map(|one| of(&one.labels)).sum::<usize>()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeriesJson<'a> {
    series_labels: LabelSet<'a>,
    exemplars: Vec<ExemplarJson<'a>>,
}

impl<'a> SeriesJson<'a> {
    fn new((labels, exemplars): &'a (Labels, Vec<Exemplar>)) -> Self {
        Self { series_labels: LabelSet(labels), exemplars: exemplars.iter().map(ExemplarJson).collect() }
    }
}
