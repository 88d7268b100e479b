//! Asks a running server.

use std::time::Duration;

use config::HttpClientConfig;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_client::{HttpClient, Resolver, answer};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;
use url::form_urlencoded::Serializer;

/// Where a server is, unless the command line says.
pub(crate) const SERVER: &str = "http://localhost:9090";

/// As much of an error page is shown.
const SHOWN_CHARS_MAX: usize = 500;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Server {
    url: Url,
    headers: HeaderMap,
    client: HttpClient,
    runtime: Runtime,
    timeout: Duration,
}

/// What a server answers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// Requests to a server, each within a time. A URL without a scheme is one of plain HTTP.
    pub(crate) fn new(url: &str, http: &HttpClientConfig, timeout: Duration) -> Result<Self, String> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = Url::parse(&full).map_err(|error| format!("invalid URL {url:?}: {error}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let client = HttpClient::new(http, "promtool", &Resolver::system());
        let client = client.map_err(|error| model::with_causes(&error))?;
        Ok(Self { url, headers: HeaderMap::new(), client, runtime, timeout })
    }

    /// Sends a header with every request from here on.
    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = header.ok_or_else(|| format!("{name}: {value:?} is not a valid header"))?;
        self.headers.append(name, value);
        Ok(())
    }

    /// The URL of a path below that of the server.
    pub(crate) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url
    }

    /// The text that a GET is answered with.
    pub(crate) fn text(&self, path: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
        self.ask((Method::GET, "text/plain"), path, pairs)
    }

    /// The text that a POST is answered with.
    pub(crate) fn post_for_text(&self, path: &str, form: &[(&str, &str)]) -> Result<String, String> {
        self.ask((Method::POST, "text/plain"), path, form)
    }

    /// The `data` that a GET is answered with.
    pub(crate) fn data(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Value, String> {
        data(&self.ask((Method::GET, "application/json"), path, pairs)?)
    }

    /// The `data` that a POST is answered with.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        data(&self.ask((Method::POST, "application/json"), path, form)?)
    }

    /// Waits.
    pub(crate) fn rest(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    fn ask(
        &self,
        (method, accept): (Method, &'static str),
        path: &str,
        pairs: &[(&str, &str)],
    ) -> Result<String, String> {
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        let reply = match method {
            Method::GET => self.get(path, pairs, accept)?,
            _ => self.post_form(path, pairs, accept)?,
        };
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        if reply.status.is_success() { Ok(text) } else { Err(told(&text)) }
    }

    /// A GET with parameters.
    pub(crate) fn get(&self, path: &str, pairs: &[(&str, &str)], headers: HeaderMap) -> Result<Reply, String> {
        let mut url = self.at(path);
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.get_url(&url, headers)
    }

    /// A GET of a whole URL.
    pub(crate) fn get_url(&self, url: &Url, headers: HeaderMap) -> Result<Reply, String> {
        let headers = self.with_own(headers);
        self.reply(async {
            let response = self.client.fetch(url, &headers).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = response.bytes().await.map_err(|error| model::with_causes(&error))?;
            Ok(Reply { status, body: body.into() })
        })
        .map_err(|why| format!("Get {:?}: {why}", shown(url)))
    }

    /// A POST of parameters in the body.
    pub(crate) fn post_form(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        mut headers: HeaderMap,
    ) -> Result<Reply, String> {
        let form = Serializer::new(String::new()).extend_pairs(pairs).finish();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.post_body(path, form.into_bytes(), headers)
    }

    /// A POST of a body.
    pub(crate) fn post_body(&self, path: &str, body: Vec<u8>, headers: HeaderMap) -> Result<Reply, String> {
        let (url, headers) = (self.at(path), self.with_own(headers));
        self.reply(async {
            let response = self.client.post(&url, &headers, body.into()).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = response.bytes().await.map_err(|error| model::with_causes(&error))?;
            Ok(Reply { status, body: body.into() })
        })
        .map_err(|why| format!("Post {:?}: {why}", shown(&url)))
    }

    /// Hands out what a GET is answered with, as it comes: however long that takes, but never long without a word.
    pub(crate) fn stream(&self, url: &Url, take: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        let headers = self.with_own(HeaderMap::new());
        let late = |_| format!("no answer within {:?}", self.timeout);
        self.runtime.block_on(async {
            let response = tokio::time::timeout(self.timeout, self.client.fetch(url, &headers)).await.map_err(late)?;
            let mut response = response.map_err(|error| error.to_string())?;
            if !response.status().is_success() {
                let said = answer::excerpt(&mut response, SHOWN_CHARS_MAX).await;
                return Err(format!("the server returned HTTP status {}: {said}", response.status()));
            }
            loop {
                let piece = tokio::time::timeout(self.timeout, response.chunk()).await.map_err(late)?;
                match piece.map_err(|error| model::with_causes(&error))? {
                    Some(piece) => take(&piece)?,
                    None => return Ok(()),
                }
            }
        })
    }

    fn with_own(&self, mut headers: HeaderMap) -> HeaderMap {
        self.headers.iter().for_each(|(name, value)| _ = headers.append(name.clone(), value.clone()));
        headers
    }

    /// The answer, if it comes in time.
    fn reply(&self, answer: impl Future<Output = Result<Reply, String>>) -> Result<Reply, String> {
        self.runtime.block_on(async {
            let late = |_| format!("no answer within {:?}", self.timeout);
            tokio::time::timeout(self.timeout, answer).await.map_err(late)?
        })
    }
}

/// A URL without its password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return String::new();
    }
    url.into()
}

/// What the server says is wrong.
fn told(text: &str) -> String {
    let error = serde_json::from_str::<Value>(text).ok().and_then(|body| body["error"].as_str().map(str::to_owned));
    error.unwrap_or_else(|| text.trim_end().to_owned())
}

fn data(text: &str) -> Result<Value, String> {
    let mut body: Value = serde_json::from_str(text).map_err(|error| format!("the answer is no JSON: {error}"))?;
    Ok(body["data"].take())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// A server that gives these answers, status line and body, one after another; its URL, and what it was asked.
    pub(crate) fn answering(answers: Vec<(&'static str, String)>) -> (String, JoinHandle<Vec<String>>) {
        let (url, asked) = answering_bytes(answers);
        let text = |request| String::from_utf8(request).unwrap();
        (url, std::thread::spawn(move || asked.join().unwrap().into_iter().map(text).collect()))
    }

    /// The same for requests whose bodies are not text.
    pub(crate) fn answering_bytes(answers: Vec<(&'static str, String)>) -> (String, JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/prefix/", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let is_whole = |request: &[u8]| {
                    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
                    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    request.len() - end - 4 >= length.map_or(0, |length| length.parse().unwrap())
                };
                while !is_whole(&request) {
                    let mut part = [0; 1024];
                    let n = stream.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..n]);
                }
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).unwrap();
                requests.push(request);
            }
            requests
        });
        (url, asked)
    }
}
