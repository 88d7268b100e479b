//! Tokens of an OAuth 2.0 server, by the client credentials grant (RFC 6749, section 4.4) or by a signed assertion (RFC 7523):
//! asked for when first needed, kept until shortly before they end, and asked for again when the secret changed, or when a
//! server refuses a token that is no longer new. Go's client does nothing of the latter; without the age, one target that always
//! refuses would have a token asked for at each scrape of its job.

use std::time::Duration;

use config::{HttpClientConfig, OAuth2};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::assertion::assertion;
use crate::auth::{basic, secret_value, text_or_file};
use crate::client::Route;
use crate::{Error, HttpClient, Resolver};

/// A token that ends sooner than this is not used any more.
const SPARE: Duration = Duration::from_secs(10);
/// A token that is refused is used on until it is that old.
const REFUSABLE_AFTER: Duration = Duration::from_secs(300);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The token of one configuration block.
#[derive(Debug)]
pub(crate) struct Tokens {
    config: OAuth2,
    url: Url,
    client: Box<HttpClient>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// How the server wants to be asked; `None` until it has accepted one way.
    way: Option<Way>,
}

/// How a server is told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
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
    /// With which secret it was got.
    secret: String,
    ends: Option<Instant>,
    since: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(config: &OAuth2, user_agent: &str, resolver: &Resolver) -> Result<Self, Error> {
        let invalid = || Error::Url { url: config.token_url.clone() };
        let url = Url::parse(&config.token_url).map_err(|_| invalid())?;
        let of_server = HttpClientConfig {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            follow_redirects: false,
            ..HttpClientConfig::default()
        };
        let client = Box::new(HttpClient::new(&of_server, user_agent, resolver)?);
        Ok(Self { config: config.clone(), url, client, state: Mutex::default() })
    }

    /// The value of `Authorization`, from a token that is valid now. Those who come while it is asked for wait for it.
    pub(crate) async fn header(&self) -> Result<HeaderValue, Error> {
        let config = &self.config;
        let (text, what, file) = if config.is_jwt_bearer() {
            let file = &config.client_certificate_key_file;
            (&config.client_certificate_key, "client_certificate_key_file", file)
        } else {
            (&config.client_secret, "client_secret_file", &config.client_secret_file)
        };
        let secret = text_or_file(text.as_ref(), what, file.as_deref())?.unwrap_or_default();
        let mut state = self.state.lock().await;
        let lasts = |token: &&Token| token.ends.is_none_or(|ends| Instant::now() + SPARE < ends);
        if let Some(token) = state.token.as_ref().filter(|token| token.secret == secret).filter(lasts) {
            return Ok(token.header.clone());
        }
        let token = self.ask(&secret, &mut state.way).await?;
        let header = token.header.clone();
        state.token = Some(token);
        Ok(header)
    }

    /// A server refused this token: the next request asks for another, unless it is new.
    pub(crate) async fn refused(&self, header: &HeaderValue) {
        let mut state = self.state.lock().await;
        let goes = |token: &Token| token.header == *header && token.since.elapsed() >= REFUSABLE_AFTER;
        if state.token.as_ref().is_some_and(goes) {
            state.token = None;
        }
    }

    /// Credentials go into the header as the standard wants it; where that is refused, into the body.
    async fn ask(&self, secret: &str, known: &mut Option<Way>) -> Result<Token, Error> {
        let ways: &[Way] = match known {
            _ if self.config.is_jwt_bearer() => &[Way::Assertion],
            Some(Way::Body) => &[Way::Body],
            Some(_) => &[Way::Header],
            None => &[Way::Header, Way::Body],
        };
        let mut refusal = None;
        for way in ways {
            match self.ask_with(secret, *way).await {
                Ok(token) => {
                    *known = Some(*way);
                    return Ok(token);
                }
                // What the server said first is about the better known way.
                Err(Refusal::Answered(error)) => refusal = refusal.or(Some(error)),
                Err(Refusal::Failed(error)) => return Err(error),
            }
        }
        *known = None;
        Err(refusal.expect("BUG: at least one way was tried"))
    }

    async fn ask_with(&self, secret: &str, way: Way) -> Result<Token, Refusal> {
        let failed = |reason: String| Refusal::Failed(self.failed(reason));
        let id = &self.config.client_id;
        let mut request = self.client.prepare(Method::POST, &self.url, Route::default()).map_err(Refusal::Failed)?;
        if way == Way::Header {
            let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.header(AUTHORIZATION, basic(&escaped(id), &escaped(secret)).map_err(Refusal::Failed)?);
        }
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.form(secret, way).map_err(|why| failed(why.to_owned()))?);
        let mut answer = request.send().await.map_err(|error| failed(crate::cause::of(&error)))?;
        let status = answer.status();
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded") || kind.starts_with("text/plain");
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| failed(crate::cause::of(&error)))? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(failed(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")));
            }
        }
        let answer = Answer::read(&body, is_form);
        if !status.is_success() {
            return Err(Refusal::Answered(self.failed(answer.refusal(status))));
        }
        let Some(access_token) = answer.text("access_token").filter(|token| !token.is_empty()) else {
            return Err(failed("its answer holds no access_token".to_owned()));
        };
        let header = format!("{} {access_token}", scheme(&answer.text("token_type").unwrap_or_default()));
        let header = secret_value("Authorization", &header).map_err(Refusal::Failed)?;
        let lasts = answer.text("expires_in").and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0.0);
        let lasts = lasts.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let since = Instant::now();
        let ends = lasts.and_then(|lasts| since.checked_add(lasts));
        Ok(Token { header, secret: secret.to_owned(), ends, since })
    }

    fn form(&self, secret: &str, way: Way) -> Result<String, &'static str> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let params = &self.config.endpoint_params;
        // What does not keep to the standard may want another name of the grant.
        if !params.contains_key("grant_type") {
            let jwt = way == Way::Assertion;
            form.append_pair("grant_type", if jwt { &self.config.grant_type } else { "client_credentials" });
        }
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        form.extend_pairs(params);
        match way {
            Way::Assertion => {
                let now_s = model::time::now_ms() / 1000;
                form.append_pair("assertion", &assertion(&self.config, secret, now_s)?);
            }
            Way::Body => {
                form.append_pair("client_id", &self.config.client_id);
                form.append_pair("client_secret", secret);
            }
            Way::Header => {}
        }
        Ok(form.finish())
    }

    fn failed(&self, reason: String) -> Error {
        let mut url = self.url.clone();
        url.set_query(None);
        // A URL without a host has no password either.
        let _ = url.set_password(None);
        Error::Token { url: url.to_string(), reason }
    }
}

enum Refusal {
    /// The server does not want these credentials, or not in this way.
    Answered(Error),
    /// There is no use in trying another way.
    Failed(Error),
}

/// The fields of an answer, JSON or a form.
struct Answer(serde_json::Value);

impl Answer {
    fn read(body: &[u8], is_form: bool) -> Self {
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

    /// The status and what the server said of it, cut short.
    fn refusal(&self, status: StatusCode) -> String {
        let mut reason = status.to_string();
        for part in ["error", "error_description"].into_iter().filter_map(|field| self.text(field)) {
            reason = format!("{reason}: {}", part.chars().take(200).collect::<String>());
        }
        reason
    }
}

/// Servers differ in how they spell the schemes that everybody knows.
fn scheme(kind: &str) -> &str {
    match kind.to_ascii_lowercase().as_str() {
        "" | "bearer" => "Bearer",
        "mac" => "MAC",
        "basic" => "Basic",
        _ => kind,
    }
}
