//! Tokens of an OAuth 2.0 server, by client credentials (RFC 6749, section 4.4) or a JWT bearer assertion (RFC 7523).
//!
//! A token is requested when it is first needed and used until shortly before it expires. It is requested again when the secret
//! changed, or when a server refuses one that is older than five minutes, which Go's client does not do; without the age a target
//! that always refuses would cause a request at each scrape of its job.

use std::time::Duration;

use config::{HttpClientConfig, OAuth2};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::auth::{basic, secret_value, text_or_file};
use crate::jwt_bearer::assertion;
use crate::transport::{Route, Transport};
use crate::{Error, Resolver, answer};

/// A token that expires sooner than this is replaced.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
/// A token that a server refuses is still used until it is this old.
const REFUSABLE_AFTER: Duration = Duration::from_secs(300);
/// The longest response that is read.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// The token of one configuration.
#[derive(Debug)]
pub(crate) struct Tokens {
    config: OAuth2,
    url: Url,
    transport: Box<Transport>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// How the server takes credentials; `None` until it has accepted one.
    style: Option<AuthStyle>,
}

/// How the client authenticates to the token server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthStyle {
    /// Credentials in `Authorization`.
    Header,
    /// Credentials among the parameters.
    Body,
    /// A signed assertion among the parameters.
    Assertion,
}

#[derive(Clone)]
struct Token {
    /// The value of `Authorization`.
    header: HeaderValue,
    /// The secret it was requested with.
    secret: String,
    expires: Option<Instant>,
    received: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(config: &OAuth2, user_agent: &str, resolver: &Resolver) -> Result<Self, Error> {
        let invalid = || Error::Url { url: config.token_url.clone() };
        let url = Url::parse(&config.token_url).map_err(|_| invalid())?;
        // The token server has TLS and proxy settings of its own; the credentials of the targets are not sent to it.
        let of_server = HttpClientConfig {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            follow_redirects: false,
            ..HttpClientConfig::default()
        };
        let transport = Box::new(Transport::new(&of_server, user_agent, resolver)?);
        Ok(Self { config: config.clone(), url, transport, state: Mutex::default() })
    }

    /// The value of `Authorization`, from a token that is valid now. Concurrent callers wait for one request.
    pub(crate) async fn header(&self) -> Result<HeaderValue, Error> {
        let config = &self.config;
        let (text, what, file) = if config.is_jwt_bearer() {
            let file = &config.client_certificate_key_file;
            (&config.client_certificate_key, "client_certificate_key_file", file)
        } else {
            (&config.client_secret, "client_secret_file", &config.client_secret_file)
        };
        // Read for every request, so that a rotated secret is used at once.
        let secret = text_or_file(text.as_ref(), what, file.as_deref())?.unwrap_or_default();
        // Held while a token is requested: other scrapes of the job wait for it instead of asking as well.
        let mut state = self.state.lock().await;
        let is_valid = |token: &&Token| token.expires.is_none_or(|expires| Instant::now() + EXPIRY_MARGIN < expires);
        if let Some(token) = state.token.as_ref().filter(|token| token.secret == secret).filter(is_valid) {
            return Ok(token.header.clone());
        }
        let token = self.fetch(&secret, &mut state.style).await?;
        let header = token.header.clone();
        state.token = Some(token);
        Ok(header)
    }

    /// A server refused this token: the next call requests another, unless this one is new.
    pub(crate) async fn refused(&self, header: &HeaderValue) {
        let mut state = self.state.lock().await;
        // Another caller may have renewed it already.
        let is_old = |token: &Token| token.header == *header && token.received.elapsed() >= REFUSABLE_AFTER;
        if state.token.as_ref().is_some_and(is_old) {
            state.token = None;
        }
    }

    /// Credentials are sent in the header, as the standard prefers; if that is refused, in the body.
    async fn fetch(&self, secret: &str, known: &mut Option<AuthStyle>) -> Result<Token, Error> {
        let styles: &[AuthStyle] = match known {
            _ if self.config.is_jwt_bearer() => &[AuthStyle::Assertion],
            Some(AuthStyle::Body) => &[AuthStyle::Body],
            Some(_) => &[AuthStyle::Header],
            // Found out by trying, as `AuthStyleAutoDetect` of Go's oauth2 does.
            None => &[AuthStyle::Header, AuthStyle::Body],
        };
        let mut refusal = None;
        for style in styles {
            match self.fetch_with(secret, *style).await {
                Ok(token) => {
                    *known = Some(*style);
                    return Ok(token);
                }
                // Report the refusal of the usual style, which comes first.
                Err(Refusal::Refused(error)) => refusal = refusal.or(Some(error)),
                Err(Refusal::Failed(error)) => return Err(error),
            }
        }
        // Neither worked; the server may have been set up anew, so both are tried the next time.
        *known = None;
        Err(refusal.expect("BUG: at least one way was tried"))
    }

    async fn fetch_with(&self, secret: &str, style: AuthStyle) -> Result<Token, Refusal> {
        let failed = |reason: String| Refusal::Failed(self.failed(reason));
        let id = &self.config.client_id;
        let mut request = self.transport.request(Method::POST, &self.url, Route::default()).map_err(Refusal::Failed)?;
        if style == AuthStyle::Header {
            // RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined.
            let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.header(AUTHORIZATION, basic(&escaped(id), &escaped(secret)).map_err(Refusal::Failed)?);
        }
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.form(secret, style).map_err(|why| failed(why.to_owned()))?);
        let mut response = request.send().await.map_err(|error| failed(crate::cause::of(&error)))?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded") || kind.starts_with("text/plain");
        // A token server may be any URL; its response is held in memory.
        let Some(body) = answer::body(&mut response, RESPONSE_BYTES_MAX).await.map_err(failed)? else {
            return Err(failed(format!("its answer has more than {RESPONSE_BYTES_MAX} bytes")));
        };
        let response = TokenResponse::read(&body, is_form);
        if !status.is_success() {
            return Err(Refusal::Refused(self.failed(response.refusal(status))));
        }
        let Some(access_token) = response.text("access_token").filter(|token| !token.is_empty()) else {
            return Err(failed("its answer holds no access_token".to_owned()));
        };
        let header = format!("{} {access_token}", scheme(&response.text("token_type").unwrap_or_default()));
        let header = secret_value("Authorization", &header).map_err(Refusal::Failed)?;
        // Some servers write a string, a fraction or 0. Without a lifetime the token is used until it is refused.
        let lifetime = response.text("expires_in").and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0.0);
        let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let received = Instant::now();
        let expires = lifetime.and_then(|lifetime| received.checked_add(lifetime));
        Ok(Token { header, secret: secret.to_owned(), expires, received })
    }

    fn form(&self, secret: &str, style: AuthStyle) -> Result<String, &'static str> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let params = &self.config.endpoint_params;
        // A server that deviates from the standard may need another name of the grant.
        if !params.contains_key("grant_type") {
            let jwt = style == AuthStyle::Assertion;
            form.append_pair("grant_type", if jwt { &self.config.grant_type } else { "client_credentials" });
        }
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        form.extend_pairs(params);
        match style {
            AuthStyle::Assertion => {
                let now_s = model::Timestamp::now().0 / 1000;
                form.append_pair("assertion", &assertion(&self.config, secret, now_s)?);
            }
            AuthStyle::Body => {
                form.append_pair("client_id", &self.config.client_id);
                form.append_pair("client_secret", secret);
            }
            AuthStyle::Header => {}
        }
        Ok(form.finish())
    }

    fn failed(&self, reason: String) -> Error {
        let mut url = self.url.clone();
        // Query and password may hold secrets, and errors are shown.
        url.set_query(None);
        // Fails for a URL without a host, which has no password.
        let _ = url.set_password(None);
        Error::Token { url: url.to_string(), reason }
    }
}

enum Refusal {
    /// The server refused these credentials, or this style.
    Refused(Error),
    /// Another style cannot help.
    Failed(Error),
}

/// The fields of a response, JSON or a form.
struct TokenResponse(serde_json::Value);

impl TokenResponse {
    fn read(body: &[u8], is_form: bool) -> Self {
        // By content, not by its type: some servers send JSON as `text/plain`.
        if let Ok(value) = serde_json::from_slice(body) {
            return Self(value);
        }
        let pairs = form_urlencoded::parse(body).filter(|_| is_form);
        Self(pairs.map(|(name, value)| (name.into_owned(), serde_json::Value::from(value.into_owned()))).collect())
    }

    fn text(&self, field: &str) -> Option<String> {
        match self.0.get(field)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The status and the error that the server gives, truncated.
    fn refusal(&self, status: StatusCode) -> String {
        let mut reason = status.to_string();
        for part in ["error", "error_description"].into_iter().filter_map(|field| self.text(field)) {
            reason = format!("{reason}: {}", part.chars().take(200).collect::<String>());
        }
        reason
    }
}

/// The scheme as HTTP spells it; servers differ in letter case.
fn scheme(kind: &str) -> &str {
    match kind.to_ascii_lowercase().as_str() {
        "" | "bearer" => "Bearer",
        "mac" => "MAC",
        "basic" => "Basic",
        _ => kind,
    }
}
