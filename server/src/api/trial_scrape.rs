//! `/api/v1/targets/scrape`: scrapes a target once, outside its schedule, and returns the response and the
//! samples that would be stored.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::float::format_f;
use scraper::parse::Format;
use scraper::{TrialSample, TrialScrape};
use serde::Serialize;

use super::format::{self, LabelSet};
use super::targets::pool;
use super::tenancy::Visible;
use super::work::Origin;
use super::{ApiError, Kind, Params};
use crate::app::App;
use crate::clock::rfc3339;

/// How many samples are shown.
const SAMPLES_MAX: usize = 1_000;
/// How much of a page is shown: before the line that is wrong, and in all.
const BEFORE_BYTES: usize = 32 << 10;
const PAGE_BYTES_MAX: usize = 256 << 10;

/// `/api/v1/targets/scrape`
pub(crate) async fn scrape(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let (pool, url) = (pool(&params)?, params.get("scrapeUrl"));
    // A body is in memory as a whole, with its series: one at a time. A trial has the time at which it is made.
    let _turn = app.trial_turn.acquire().await;
    let trial = app.scraper.trial(pool, url).await.filter(|trial| visible.shows_labels(&trial.target.public));
    let trial = trial.ok_or_else(|| {
        ApiError::new(Kind::NotFound, format!("the scrape pool {pool:?} has no active target with the URL {url:?}"))
    })?;
    let scrape = trial.run().await;
    Ok(format::success_of(&ScrapeJson::new(&scrape)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScrapeJson<'a> {
    /// Empty where the scrape would have been stored.
    error: &'a str,
    began: String,
    duration_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    body_bytes: usize,
    samples_scraped: usize,
    samples_post_metric_relabeling: usize,
    /// Where the body is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageJson<'a>>,
    /// The first of those that would be stored.
    samples: Vec<SampleJson<'a>>,
    samples_total: usize,
}

/// A part of the page: its start, or what is around the line that is wrong.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageJson<'a> {
    text: &'a str,
    /// The number of its first line, from 1.
    first_line: usize,
    /// Is there more before or behind it?
    is_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong_line: Option<usize>,
}

#[derive(Serialize)]
struct SampleJson<'a> {
    metric: LabelSet<'a>,
    /// A float, or a native histogram in PromQL's notation.
    value: String,
    /// The sample's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

impl<'a> ScrapeJson<'a> {
    fn new(scrape: &'a TrialScrape) -> Self {
        Self {
            error: &scrape.error,
            began: rfc3339(scrape.began),
            duration_seconds: scrape.duration.as_secs_f64(),
            content_type: scrape.content_type.as_deref(),
            format: scrape.format.map(name),
            body_bytes: scrape.body.len(),
            samples_scraped: scrape.counts.scraped,
            samples_post_metric_relabeling: scrape.counts.post_relabel,
            page: page(&scrape.body, scrape.wrong_line),
            samples: scrape.samples.iter().take(SAMPLES_MAX).map(SampleJson::new).collect(),
            samples_total: scrape.samples.len(),
        }
    }
}

impl<'a> SampleJson<'a> {
    fn new(sample: &'a TrialSample) -> Self {
        let value = sample.histogram.as_ref().map_or_else(|| format_f(sample.value), |histogram| histogram.notation());
        Self { metric: LabelSet(&sample.labels), value, timestamp: sample.own_time.map(rfc3339) }
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::OpenMetrics => "openmetrics",
        Format::OpenMetrics2 => "openmetrics2",
        Format::Protobuf => "protobuf",
    }
}

/// The part of a body that is shown, if it is text: whole lines, unless one is longer than that.
fn page(body: &[u8], wrong_line: Option<usize>) -> Option<PageJson<'_>> {
    if body.is_empty() || body.contains(&0) {
        return None;
    }
    let ends = || memchr::memchr_iter(b'\n', body);
    let wrong = wrong_line.map_or(0, |line| start_of(ends(), line));
    // From a line on that begins so far before the wrong one.
    let first = 1 + ends().take_while(|end| end + BEFORE_BYTES < wrong).count();
    let start = start_of(ends(), first);
    let rest = body.get(start..).unwrap_or_default();
    let shown = rest.get(..PAGE_BYTES_MAX).map_or(rest, |cut| match memchr::memrchr(b'\n', cut) {
        Some(end) => &cut[..=end],
        None => cut,
    });
    // A body that is none of the text formats, or one cut within a character.
    let text = match std::str::from_utf8(shown) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&shown[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    Some(PageJson { text, first_line: first, is_cut: text.len() < body.len(), wrong_line })
}

/// The offset of a line, by where lines end.
fn start_of(mut ends: impl Iterator<Item = usize>, line: usize) -> usize {
    line.checked_sub(2).map_or(0, |before| ends.nth(before).map_or(0, |end| end + 1))
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scrape_is_shown_with_its_samples_and_their_number() {
        let sample = |value: f64, histogram: Option<model::Histogram>| TrialSample {
            labels: Labels::from_pairs([("__name__", "m"), ("instance", "t")]),
            own_time: histogram.is_none().then_some(Timestamp(1_700_000_000_500)),
            value,
            histogram,
        };
        let histogram = model::Histogram { count: 2.0, zero_count: 2.0, ..model::Histogram::default() };
        let notation = histogram.notation();
        let scrape = TrialScrape {
            format: Some(Format::OpenMetrics),
            content_type: Some("application/openmetrics-text".to_owned()),
            body: b"m 1e6 1700000000.5\n# EOF\n".to_vec(),
            samples: [vec![sample(1e6, None)], vec![sample(0.0, Some(histogram)); SAMPLES_MAX]].concat(),
            ..TrialScrape::default()
        };
        let shown = serde_json::to_value(ScrapeJson::new(&scrape)).unwrap();
        let metric = json!({"__name__": "m", "instance": "t"});
        let first = json!({"metric": metric, "value": "1000000", "timestamp": "2023-11-14T22:13:20.500Z"});
        assert_eq!(shown["samples"][0], first);
        assert_eq!(shown["samples"][1], json!({"metric": metric, "value": notation}));
        let counts = (shown["samples"].as_array().unwrap().len(), &shown["samplesTotal"]);
        assert_eq!(counts, (SAMPLES_MAX, &json!(SAMPLES_MAX + 1)));
        assert_eq!((&shown["format"], &shown["bodyBytes"]), (&json!("openmetrics"), &json!(25)));
    }

    #[test]
    fn the_part_of_a_page_around_the_line_that_is_wrong() {
        let whole = |text: &'static str, wrong_line| Some(PageJson { text, first_line: 1, is_cut: false, wrong_line });
        assert_eq!(page(b"a 1\nb\n", Some(2)), whole("a 1\nb\n", Some(2)));
        assert_eq!(page(b"a 1", None), whole("a 1", None));
        for none in [&b""[..], b"\x08\x00\x01", b"caf\xe9 1\n"] {
            assert_eq!(page(none, None), None);
        }
        let lines: String = (1..=100_000).map(|i| format!("metric_with_a_name {i}\n")).collect();
        for wrong in [1, 2, 50_000, 100_000] {
            let shown = page(lines.as_bytes(), Some(wrong)).unwrap();
            assert!(shown.is_cut && shown.text.len() <= PAGE_BYTES_MAX, "{wrong}");
            let line = shown.text.lines().nth(wrong - shown.first_line).unwrap();
            assert_eq!(line, format!("metric_with_a_name {wrong}"));
            assert!(shown.text.ends_with('\n') && shown.text.starts_with("metric_with"), "{wrong}");
        }
        let long = "é".repeat(PAGE_BYTES_MAX);
        let shown = page(long.as_bytes(), None).unwrap();
        assert!(shown.is_cut && shown.text.len() == PAGE_BYTES_MAX);
        let odd = format!("a{long}");
        assert_eq!(page(odd.as_bytes(), None).unwrap().text.len(), PAGE_BYTES_MAX - 1);
    }
}
