//! Rows in: the step *keep* of the scrape path.

pub(crate) mod scrape;
