//! Whole requests over the connection pool, with their redirects: for those who push alerts or samples, and for commands.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, StatusCode};
use url::Url;

use crate::HttpClient;
use crate::error::GetError;
use crate::redirect::{REDIRECTS_MAX, stays_with, target};
use crate::transport::Route;

impl HttpClient {
    /// Sends a GET with these headers beside the configured ones. Redirects are followed if the configuration says so; all other
    /// responses are returned as they are.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now, or there is no response.
    pub async fn fetch(&self, url: &Url, headers: &HeaderMap) -> Result<reqwest::Response, GetError> {
        self.followed(Method::GET, url, headers, Bytes::new()).await
    }

    /// Sends a POST with these headers beside the configured ones. Redirects that keep the body (307 and 308) are followed if
    /// the configuration says so; all other responses are returned as they are.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now, or there is no response.
    pub async fn post(&self, url: &Url, headers: &HeaderMap, body: Bytes) -> Result<reqwest::Response, GetError> {
        self.followed(Method::POST, url, headers, body).await
    }

    async fn followed(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, GetError> {
        let mut next = None;
        let mut route = Route::default();
        for _ in 0..REDIRECTS_MAX {
            let here = next.as_ref().unwrap_or(url);
            let request = self.transport.request(method.clone(), here, route)?.headers(headers.clone());
            let answer = self.send_once((here, route), request.body(body.clone())).await?;
            // Clients turn a POST into a GET without body at the other redirects. The success of that would say nothing
            // about the body, which is lost.
            let keeps_body = method == Method::GET || matches!(answer.status().as_u16(), 307 | 308);
            let leads = if keeps_body && self.transport.config().follow_redirects {
                target(here, answer.status(), answer.headers())?
            } else {
                None
            };
            let Some(leads) = leads else { return Ok(answer) };
            route.untrusted |= !stays_with(url.host_str(), &leads);
            route.redirected = leads.origin() != url.origin();
            next = Some(leads);
        }
        Err(GetError::Failed(format!("stopped after {REDIRECTS_MAX} redirects")))
    }

    async fn send_once(
        &self,
        (url, route): (&Url, Route<'_>),
        mut request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, GetError> {
        // Neither tokens nor credentials for another host.
        let token = if route.untrusted { None } else { self.token().await? };
        if let Some(token) = &token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let answer = request.send().await.map_err(|error| self.not_sent(&error, url))?;
        // The token may have been revoked before it expired.
        if let Some(token) = token.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) {
            self.token_refused(&token).await;
        }
        Ok(answer)
    }
}
