//! An HTTP API that a discovery asks: a client as the section configures it, with limits of time and size, and failures in words.

use std::path::PathBuf;
use std::time::Duration;

use config::HttpClientConfig;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_client::{Connection, HttpClient, answer};
use serde_json::Value;
use url::Url;

use crate::discoverer::Context;
use crate::json::Json as _;

/// A longer answer is refused.
const BODY_MAX: usize = 128 << 20;
/// A list of more pages is refused: the service would go on for ever.
const PAGES_MAX: usize = 10_000;
/// So much of an error page is shown.
const EXCERPT_CHARS: usize = 200;

/// Who is asked.
pub(crate) struct Api {
    /// Or why there is none.
    client: Result<HttpClient, String>,
    /// A whole answer takes no longer.
    timeout: Duration,
    /// The Unix socket to connect to, whatever the URL says.
    socket: Option<PathBuf>,
}

/// What was answered, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Api {
    pub(crate) fn new(config: &HttpClientConfig, timeout: Duration, context: &Context) -> Self {
        let (user_agent, resolver) = &context.http;
        let client = HttpClient::new(config, user_agent, resolver);
        Self { client: client.map_err(|error| model::with_causes(&error)), timeout, socket: None }
    }

    /// The same over a Unix socket, for GET.
    pub(crate) fn over_socket(path: PathBuf, timeout: Duration, context: &Context) -> Self {
        Self { socket: Some(path), ..Self::new(&HttpClientConfig::default(), timeout, context) }
    }

    pub(crate) async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, String> {
        self.ask(Method::GET, url, headers, Vec::new()).await
    }

    pub(crate) async fn post(&self, url: &Url, headers: &HeaderMap, body: Vec<u8>) -> Result<Answer, String> {
        self.ask(Method::POST, url, headers, body).await
    }

    /// Another method than POST is sent without its body.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let asked = async {
            match &self.socket {
                Some(path) => over_socket(client, path.clone(), url, headers).await,
                None => pooled(client, &method, (url, headers), body).await,
            }
        };
        let late = || Err(format!("no answer within {:?}", self.timeout));
        let answered = tokio::time::timeout(self.timeout, asked).await.unwrap_or_else(|_| late());
        // As Go names the method in its errors.
        let (first, rest) = method.as_str().split_at(1);
        answered.map_err(|error| format!("{first}{} \"{}\": {error}", rest.to_lowercase(), shown(url)))
    }

    /// Asks for JSON; another status than success is an error.
    pub(crate) async fn json(&self, url: &Url, headers: &HeaderMap) -> Result<Value, String> {
        let mut headers = headers.clone();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        self.get(url, &headers).await?.success()?.json(url)
    }

    /// Asks for a list in JSON.
    pub(crate) async fn list(&self, url: &Url, headers: &HeaderMap) -> Result<Value, String> {
        let list = self.json(url, headers).await?;
        list.expect_list().map_err(|error| format!("{}: {error}", shown(url)))?;
        Ok(list)
    }

    /// Asks for an object in JSON.
    pub(crate) async fn object(&self, url: &Url, headers: &HeaderMap) -> Result<Value, String> {
        let object = self.json(url, headers).await?;
        object.expect_object().map_err(|error| format!("{}: {error}", shown(url)))?;
        Ok(object)
    }

    /// Asks for page after page of JSON objects. `next` gives the URL of the page behind one, if there is one.
    pub(crate) async fn pages(
        &self,
        first: Url,
        headers: &HeaderMap,
        next: impl Fn(&Url, &Value) -> Option<Url>,
    ) -> Result<Vec<Value>, String> {
        let mut pages = Vec::new();
        let mut url = Some(first);
        while let Some(here) = url {
            if pages.len() == PAGES_MAX {
                return Err(format!("{}: there are more than {PAGES_MAX} pages", shown(&here)));
            }
            let page = self.object(&here, headers).await?;
            url = next(&here, &page);
            pages.push(page);
        }
        Ok(pages)
    }
}

impl Answer {
    /// Itself, if its status tells success.
    pub(crate) fn success(self) -> Result<Self, String> {
        if self.status.is_success() {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let excerpt: String = line.chars().take(EXCERPT_CHARS).collect();
        let separator = if excerpt.is_empty() { "" } else { ": " };
        Err(format!("server returned HTTP status {}{separator}{excerpt}", self.status))
    }

    /// Its body; the URL is for the error.
    pub(crate) fn json(&self, url: &Url) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("{}: not valid JSON: {error}", shown(url)))
    }

    /// Its body as text.
    pub(crate) fn text(&self, url: &Url) -> Result<&str, String> {
        str::from_utf8(&self.body).map_err(|error| format!("{}: not UTF-8: {error}", shown(url)))
    }

    /// A header; empty if it is missing.
    pub(crate) fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn too_long() -> String {
    format!("the answer is longer than {} MiB", BODY_MAX >> 20)
}

/// Over the connections of the client.
async fn pooled(
    client: &HttpClient,
    method: &Method,
    (url, headers): (&Url, &HeaderMap),
    body: Vec<u8>,
) -> Result<Answer, String> {
    let sent = match *method {
        Method::GET => client.fetch(url, headers).await.map_err(|error| error.to_string()),
        Method::POST => client.post(url, headers, body.into()).await.map_err(|error| error.to_string()),
        _ => {
            let request = client.request(method.clone(), url).await.map_err(|error| model::with_causes(&error))?;
            // Without the URL, which is added to every error.
            let sent = request.headers(headers.clone()).body("").send().await;
            sent.map_err(|error| model::with_causes(&error.without_url()))
        }
    };
    let mut response = sent?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let body = answer::body(&mut response, BODY_MAX).await?.ok_or_else(too_long)?;
    Ok(Answer { status, headers, body })
}

async fn over_socket(client: &HttpClient, path: PathBuf, url: &Url, headers: &HeaderMap) -> Result<Answer, String> {
    let mut connection = Connection::over_socket(path);
    let mut response = client.get(&mut connection, url, headers).await.map_err(|error| error.to_string())?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while response.read(&mut body).await.map_err(|error| error.to_string())? {
        if body.len() > BODY_MAX {
            return Err(too_long());
        }
    }
    Ok(Answer { status, headers, body })
}

/// A URL without its password, for errors and sources.
pub(crate) fn shown(url: &Url) -> Url {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // A URL with a password can have another one.
        let _ = shown.set_password(Some("xxxxx"));
    }
    shown
}

/// The URL of a path and parameters below that of a server.
pub(crate) fn url_of(server: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Url, String> {
    let mut url = Url::parse(&format!("{}{path}", server.trim_end_matches('/')))
        .map_err(|error| format!("the URL of the server is not valid: {error}"))?;
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    Ok(url)
}

/// The URL with a parameter set.
pub(crate) fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(other, _)| other != name).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url
}

/// Headers of a request.
pub(crate) fn headers<'a>(pairs: impl IntoIterator<Item = (&'static str, &'a str)>) -> Result<HeaderMap, String> {
    let header = |(name, value): (&'static str, &str)| {
        let value = HeaderValue::from_str(value).map_err(|_| format!("cannot send header {name}: not a valid header"));
        Ok((HeaderName::from_static(name), value?))
    };
    pairs.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context};

    #[tokio::test]
    async fn pages_are_asked_for_until_there_are_none() {
        let server = Recorded::start(&[
            ("GET /list?page=1", r#"{"next": 2, "items": ["a"]}"#),
            ("GET /list?page=2", r#"{"next": 3, "items": ["b"]}"#),
            ("GET /list?page=3", r#"{"items": []}"#),
        ]);
        let api = Api::new(&HttpClientConfig::default(), Duration::from_secs(30), &context());
        let next = |here: &Url, page: &Value| {
            page["next"].as_i64().map(|page| with_parameter(here, "page", &page.to_string()))
        };
        let first = url_of(&server.url, "/list", &[("page", "1")]).unwrap();
        let pages = api.pages(first.clone(), &HeaderMap::new(), next).await.unwrap();
        assert_eq!(pages.iter().map(|page| page["items"].to_string()).collect::<String>(), r#"["a"]["b"][]"#);
        let gone = url_of(&server.url, "/gone", &[]).unwrap();
        let error = api.json(&gone, &HeaderMap::new()).await.unwrap_err();
        assert_eq!(error, "server returned HTTP status 404 Not Found: not recorded");
        drop(server);
        let error = api.json(&first, &HeaderMap::new()).await.unwrap_err();
        assert!(error.starts_with(&format!("Get \"{first}\": ")), "{error}");
    }

    #[tokio::test]
    async fn a_server_behind_a_socket_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let _server = Recorded::at_socket(&path, &[("GET /v1/x?a=b", "[1]")]);
        let api = Api::over_socket(path, Duration::from_secs(30), &context());
        let url = url_of("http://localhost", "/v1/x", &[("a", "b")]).unwrap();
        assert_eq!(api.json(&url, &HeaderMap::new()).await.unwrap().to_string(), "[1]");
    }

    #[tokio::test]
    async fn passwords_are_sent_and_not_shown() {
        let server = Recorded::start(&[]);
        let api = Api::new(&HttpClientConfig::default(), Duration::from_secs(30), &context());
        let host = server.url.trim_start_matches("http://").to_owned();
        let url = url_of(&format!("http://me:hunter2@{host}"), "/x", &[]).unwrap();
        api.get(&url, &HeaderMap::new()).await.unwrap();
        // me:hunter2
        assert!(server.asked()[0].head.contains("Basic bWU6aHVudGVyMg=="), "{}", server.asked()[0].head);
        drop(server);
        let error = api.get(&url, &HeaderMap::new()).await.unwrap_err();
        assert!(error.starts_with(&format!("Get \"http://me:xxxxx@{host}/x\": ")), "{error}");
    }

    #[test]
    fn headers_are_checked() {
        assert_eq!(headers([("x-a", "b")]).unwrap()["x-a"], "b");
        assert_eq!(headers([("x-a", "b\n")]).unwrap_err(), "cannot send header x-a: not a valid header");
    }
}
