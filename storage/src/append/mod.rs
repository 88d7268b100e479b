//! Samples in: a scrape as rows (`scrape`, the step *keep* of the scrape path), batches of series as rows and pages (`series`).

mod announce;
pub(crate) mod scrape;
pub(crate) mod series;
