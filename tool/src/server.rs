//! Asks a running server.

use std::time::Duration;

use config::HttpClientConfig;
use http::Method;
use http_client::{HttpClient, Resolver};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;
use url::form_urlencoded::Serializer;

/// Where a server is, unless the command line says.
pub(crate) const SERVER: &str = "http://localhost:9090";

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    client: HttpClient,
    runtime: Runtime,
    timeout: Duration,
}

impl Server {
    /// Requests to a server, each within a time.
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, String> {
        let url = url.trim_end_matches('/').to_owned();
        Url::parse(&url).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let client = HttpClient::new(&HttpClientConfig::default(), "promtool", &Resolver::system());
        let client = client.map_err(|error| model::with_causes(&error))?;
        Ok(Self { url, client, runtime, timeout })
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

    fn ask(&self, (method, accept): (Method, &str), path: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
        let mut url = Url::parse(&format!("{}{path}", self.url)).map_err(|error| error.to_string())?;
        let mut form = None;
        if method == Method::GET {
            url.query_pairs_mut().extend_pairs(pairs);
        } else {
            form = Some(Serializer::new(String::new()).extend_pairs(pairs).finish());
        }
        self.runtime.block_on(async {
            let request = self.client.request(method, &url).await.map_err(|error| model::with_causes(&error))?;
            let request = request.header("accept", accept).timeout(self.timeout);
            let request = match form {
                Some(form) => request.header("content-type", "application/x-www-form-urlencoded").body(form),
                None => request,
            };
            let response = request.send().await.map_err(|error| model::with_causes(&error))?;
            let is_answer = response.status().is_success();
            let text = response.text().await.map_err(|error| model::with_causes(&error))?;
            if is_answer { Ok(text) } else { Err(told(&text)) }
        })
    }
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/prefix/", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let is_whole = |request: &[u8]| {
                    let text = String::from_utf8_lossy(request).to_lowercase();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    body.len() >= length.map_or(0, |length| length.parse().unwrap())
                };
                while !is_whole(&request) {
                    let mut part = [0; 1024];
                    let n = stream.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..n]);
                }
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + &body).as_bytes()).unwrap();
                requests.push(String::from_utf8(request).unwrap());
            }
            requests
        });
        (url, asked)
    }
}
