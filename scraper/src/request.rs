//! The HTTP request of a scrape, and the exposition format of its response. Part of step 3 of the scrape path.

use std::time::Duration;

use config::ScrapeProtocol;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use http_client::Connection;
use model::duration::format_duration_ms;
use tokio::time::timeout;
use url::Url;

use crate::fetch::{BodySize, FetchError, FetchedBody, Room, fetch};
use crate::job_settings::{JobSettings, seconds};
use crate::negotiate;
use crate::parse::{Format, Wanted};
use crate::target::Target;

/// The longest Content-Type that is remembered.
const CONTENT_TYPE_KEPT_BYTES: usize = 256;

const TIMEOUT_SECONDS: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// The request to a target, and the format of its last response.
pub(crate) struct Request {
    /// Or why it is none.
    url: Result<Url, String>,
    headers: HeaderMap,
    pub(crate) wanted: Wanted,
    /// The Content-Type, and the format that it selects.
    answered: Option<(String, Format)>,
}

impl Request {
    pub(crate) fn new(target: &Target, job: &JobSettings) -> Self {
        let encoding = if job.compression { "gzip" } else { "identity" };
        let timeout_seconds = seconds(target.timeout_ms).to_string();
        let texts = [(ACCEPT, job.accept.as_str()), (ACCEPT_ENCODING, encoding), (TIMEOUT_SECONDS, &timeout_seconds)];
        let headers = texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(text).ok()?)));
        let url = Url::parse(&target.url).map_err(|error| format!("{:?} is not a URL: {error}", target.url));
        Self { url, headers: headers.collect(), wanted: target.wanted(job.wanted), answered: None }
    }

    /// Sends it; returns the Content-Type and the body of the answer. `last_body`: the size of the target's last body.
    pub(crate) async fn send(
        &self,
        (target, job): (&Target, &JobSettings),
        connection: &mut Connection,
        (room, last_body): (&Room, usize),
    ) -> Result<(String, FetchedBody), FetchError> {
        let refused = job.refused.read().clone();
        if let Some(reason) = refused {
            return Err(FetchError::Refused(reason));
        }
        let client = job.client.as_ref().map_err(|reason| FetchError::Refused(reason.clone()))?;
        let url = self.url.as_ref().map_err(|why| FetchError::Refused(why.clone()))?;
        let size = BodySize { limit: job.body_size_limit, last: last_body };
        let fetched = fetch((client, connection), (url, &self.headers), size, (room, &job.name));
        let wait = Duration::from_millis(target.timeout_ms.unsigned_abs());
        let late = |_| FetchError::Timeout { url: target.url.clone(), timeout: format_duration_ms(target.timeout_ms) };
        timeout(wait, fetched).await.map_err(late)?
    }

    /// The format of an answer with this Content-Type and body.
    pub(crate) fn format(
        &mut self,
        content_type: String,
        body: &FetchedBody,
        fallback: Option<ScrapeProtocol>,
    ) -> Result<Format, FetchError> {
        // What is empty is empty in every format.
        if body.bytes.is_empty() {
            return Ok(Format::Text);
        }
        match &self.answered {
            Some((known, format)) if *known == content_type => Ok(*format),
            _ => {
                let format = negotiate::format(&content_type, fallback, self.wanted.openmetrics2)?;
                self.answered = Some((content_type, format)).filter(|(text, _)| text.len() <= CONTENT_TYPE_KEPT_BYTES);
                Ok(format)
            }
        }
    }
}
