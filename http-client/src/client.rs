//! The client: a transport, and OAuth 2.0 tokens on its requests where they are configured.

use config::HttpClientConfig;
use http::Method;
use http::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use crate::oauth2::Tokens;
use crate::transport::{Route, Transport};
use crate::{Error, Resolver};

/// Makes requests as one configuration says. Cheap to share behind an `Arc`; all its requests share connections.
#[derive(Debug)]
pub struct HttpClient {
    pub(crate) transport: Transport,
    tokens: Option<Tokens>,
}

impl HttpClient {
    /// A client. Files are not read yet: one that is missing now may be there for the first request.
    ///
    /// # Errors
    /// When the configuration asks for what is not served, or contradicts itself.
    pub fn new(config: &HttpClientConfig, user_agent: &str, resolver: &Resolver) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(config, user_agent, resolver)?,
            tokens: config.oauth2.as_ref().map(|oauth2| Tokens::new(oauth2, user_agent, resolver)).transpose()?,
        })
    }

    /// A request with the configured credentials and headers; the caller adds its own, a body and a timeout, and sends it.
    /// Redirects are not followed.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now, or the token server gives no token.
    pub async fn request(&self, method: Method, url: &Url) -> Result<reqwest::RequestBuilder, Error> {
        let token = self.token().await?;
        let request = self.transport.request(method, url, Route::default())?;
        Ok(match token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        })
    }

    /// The OAuth 2.0 token, as the value of `Authorization`.
    pub(crate) async fn token(&self) -> Result<Option<HeaderValue>, Error> {
        match &self.tokens {
            Some(tokens) => tokens.header().await.map(Some),
            None => Ok(None),
        }
    }

    /// A server refused the token.
    pub(crate) async fn token_refused(&self, token: &HeaderValue) {
        if let Some(tokens) = &self.tokens {
            tokens.refused(token).await;
        }
    }
}
