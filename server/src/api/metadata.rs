//! `/api/v1/metadata`, `/api/v1/targets/metadata`: HELP, TYPE and UNIT of scraped metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use model::Matcher;
use scraper::Metadata;
use serde::Serialize;

use super::error::told;
use super::executor::in_place;
use super::format::{self, LabelSet};
use super::tenancy::Visible;
use super::work::Origin;
use super::{ApiError, Params};
use crate::app::App;

/// The text of a metric's metadata besides its own strings, bytes.
const ENTRY_BYTES: usize = 64;

/// `/api/v1/metadata`
pub(crate) async fn metadata(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let limit = number(&params, "limit")?;
    let per_metric = number(&params, "limit_per_metric")?.filter(|n| *n > 0);
    let wanted = params.get("metric");
    let pools = app.scraper.status().await;
    let mut families: BTreeMap<&str, Vec<&Metadata>> = BTreeMap::new();
    let targets = pools.values().flat_map(|pool| &pool.active);
    for target in targets.filter(|active| visible.shows_labels(&active.target.public)) {
        for (name, metadata) in target.status.metadata.iter() {
            if !wanted.is_empty() && name != wanted {
                continue;
            }
            let known = families.entry(name).or_default();
            // Targets of one job mostly say the same; each text is shown once.
            if !known.contains(&metadata) && per_metric.is_none_or(|n| known.len() < n) {
                known.push(metadata);
            }
        }
    }
    // A negative limit gave `None`; 0 shows nothing, as with upstream.
    let shown = families.iter().take(limit.unwrap_or(usize::MAX));
    let length = shown.clone().map(|(name, all)| {
        format::escaped(name)
            + all.iter().map(|m| format::escaped(&m.help) + format::escaped(&m.unit) + ENTRY_BYTES).sum::<usize>()
    });
    // For as long as the text is there.
    let share = app.engine().bounds(&query::QueryOptions::default()).memory;
    share.take(length.sum()).map_err(told)?;
    let shown: BTreeMap<_, Vec<_>> =
        shown.map(|(name, all)| (name, all.iter().copied().map(MetadataJson::new).collect())).collect();
    let text = format::success_text(|out| format::serialize(out, &shown), &[], &[]);
    Ok((format::JSON, format::held(text, &share)).into_response())
}

/// `/api/v1/targets/metadata`
pub(crate) async fn targets_metadata(
    State(app): State<Arc<App>>,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let limit = number(&params, "limit")?.unwrap_or(usize::MAX);
    let wanted = params.get("metric");
    let bounds = app.engine().bounds(&query::QueryOptions::default());
    let mut matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => in_place(|| query::parse_selector_within(text, &bounds))?.map_err(|error| match error {
            query::Error::Parse(text) => ApiError::parameter("match_target", text),
            error => told(error),
        })?,
    };
    visible.restrict(&mut matchers);
    let pools = app.scraper.status().await;
    // Matched by the public labels: internal ones are not shown and cannot be selected.
    let fits = |matchers: &[Matcher], labels: &model::Labels| matchers.iter().all(|m| m.matches(labels.value(&m.name)));
    let targets = pools.values().flat_map(|pool| &pool.active).filter(|active| fits(&matchers, &active.target.public));
    let entries = targets.flat_map(|active| active.status.metadata.iter().map(move |(name, m)| (active, name, m)));
    let entries = entries.filter(|(_, name, _)| wanted.is_empty() || *name == wanted).take(limit);
    let entries: Vec<_> = entries.collect();
    let length = entries.iter().map(|(active, name, m)| {
        let texts = format::escaped(name) + format::escaped(&m.help) + format::escaped(&m.unit);
        format::escaped_labels(&active.target.public) + texts + ENTRY_BYTES
    });
    bounds.memory.take(length.sum()).map_err(told)?;
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(active, name, m)| TargetMetadataJson {
            target: LabelSet(&active.target.public),
            metric: wanted.is_empty().then_some(name),
            kind: m.kind.as_str(),
            help: &m.help,
            unit: &m.unit,
        })
        .collect();
    let text = format::success_text(|out| format::serialize(out, &entries), &[], &[]);
    Ok((format::JSON, format::held(text, &bounds.memory)).into_response())
}

#[derive(Serialize)]
struct MetadataJson<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    unit: &'a str,
    help: &'a str,
}

impl<'a> MetadataJson<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        Self { kind: metadata.kind.as_str(), unit: &metadata.unit, help: &metadata.help }
    }
}

/// The same fields in another order, as upstream has them.
#[derive(Serialize)]
struct TargetMetadataJson<'a> {
    target: LabelSet<'a>,
    /// Not where only one metric was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    help: &'a str,
    unit: &'a str,
}

/// A negative number means no limit.
fn number(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    let text = params.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let number: i64 = text.parse().map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
    Ok(usize::try_from(number).ok())
}
