//! `/api/v1/status/cardinality`: the series of a day by the values of a label, and who brought those that the day before had not.

use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use model::labels::METRIC_NAME;
use model::{Listing, Timestamp};
use query::Bounds;
use serde::Serialize;
use storage::{Cardinality, SeriesCount};

use super::error::told;
use super::work::{self, Origin};
use super::{ApiError, Params, format};
use crate::app::App;

/// Values that are shown unless the request says otherwise.
const SHOWN: usize = 100;
/// The text of a value besides itself, bytes.
const VALUE_BYTES: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// Which values come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Series,
    New,
}

/// `/api/v1/status/cardinality`
pub(crate) async fn cardinality(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let label = match params.get("label") {
        "" => METRIC_NAME.to_owned(),
        label => label.to_owned(),
    };
    let (day, start) = day(&params)?;
    let order = match params.get("sort") {
        "" | "series" => Order::Series,
        "new" => Order::New,
        other => return Err(ApiError::parameter("sort", format!("{other:?} is neither series nor new"))),
    };
    let limit = match params.limit()? {
        0 => SHOWN,
        limit => limit,
    };
    let db = Arc::clone(&app.db);
    let work = move |bounds: &Bounds| {
        let of_day = |start: Timestamp| -> RangeInclusive<Timestamp> { start..=start + (DAY_MS - 1) };
        let count =
            |listing: &Listing<'_>| db.cardinality(&label, &of_day(start), &of_day(start - DAY_MS), listing.grow);
        let mut found = work::listed(bounds, 0, count)?;
        sort(&mut found, order);
        let shown = &found.values[..found.values.len().min(limit)];
        bounds
            .memory
            .take(shown.iter().map(|(value, _)| 2 * format::escaped(value) + VALUE_BYTES).sum())
            .map_err(told)?;
        let answer = CardinalityJson {
            label: &label,
            day: &day,
            total: found.total.into(),
            without: found.without.into(),
            values_total: found.values.len(),
            values: shown.iter().map(|(value, count)| ValueJson { value, count: (*count).into() }).collect(),
        };
        let text = format::success_text(|out| format::serialize(out, &answer), &[], &[]);
        Ok((format::JSON, format::held(text, &bounds.memory)).into_response())
    };
    work::run(&app, (&params, &origin), work).await
}

/// The largest first; equal ones by their value.
fn sort(found: &mut Cardinality, order: Order) {
    found.values.sort_by_key(|(_, count)| match order {
        Order::Series => Reverse((count.series, count.new)),
        Order::New => Reverse((count.new, count.series)),
    });
}

/// The day that is asked for, in UTC, and its first millisecond.
fn day(params: &Params) -> Result<(String, Timestamp), ApiError> {
    let text = match params.get("day") {
        "" => {
            let now = jiff::Timestamp::from_millisecond(Timestamp::now().0).unwrap_or_default();
            now.strftime("%Y-%m-%d").to_string()
        }
        given => given.to_owned(),
    };
    let date: Date =
        text.parse().map_err(|_| ApiError::parameter("day", format!("{text:?} is not a day, such as 2026-01-31")))?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    Ok((date.to_string(), Timestamp(days * DAY_MS)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardinalityJson<'a> {
    label: &'a str,
    day: &'a str,
    total: CountJson,
    /// Those that lack the label.
    without: CountJson,
    /// How many values there are.
    values_total: usize,
    /// The first of them.
    values: Vec<ValueJson<'a>>,
}

#[derive(Serialize)]
struct ValueJson<'a> {
    value: &'a str,
    #[serde(flatten)]
    count: CountJson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountJson {
    series: u64,
    /// Those that the day before had not.
    new_series: u64,
}

impl From<SeriesCount> for CountJson {
    fn from(SeriesCount { series, new }: SeriesCount) -> Self {
        Self { series, new_series: new }
    }
}
