//! HTTP to what a test started.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A client of one server; every call waits for its answer.
#[derive(Debug)]
pub struct Http {
    client: Client,
    runtime: Runtime,
    base: String,
    credentials: Credentials,
}

/// What every request shows.
#[derive(Debug)]
enum Credentials {
    None,
    Bearer(String),
    Basic(String, String),
}

impl Credentials {
    fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Bearer(token) => request.bearer_auth(token),
            Self::Basic(user, password) => request.basic_auth(user, Some(password)),
        }
    }
}

impl Http {
    /// A client; `base` has no slash at its end.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        Self::with(base.into(), None, None, Credentials::None)
    }

    /// A client that sends a bearer token, without TLS.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn bearer(base: impl Into<String>, token: &str) -> Self {
        Self::with(base.into(), None, None, Credentials::Bearer(token.to_owned()))
    }

    /// A client that trusts a certificate authority and sends a bearer token.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn trusting(base: impl Into<String>, ca_pem: &str, token: &str) -> Self {
        Self::with(base.into(), Some(ca_pem), None, Credentials::Bearer(token.to_owned()))
    }

    /// The same with a user and a password.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn basic(base: impl Into<String>, ca_pem: &str, (user, password): (&str, &str)) -> Self {
        Self::with(base.into(), Some(ca_pem), None, Credentials::Basic(user.to_owned(), password.to_owned()))
    }

    /// A client that shows a certificate of its own, if `identity` has one: certificate and key in PEM.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn identified(base: impl Into<String>, ca_pem: &str, identity: Option<&str>) -> Self {
        Self::with(base.into(), Some(ca_pem), identity, Credentials::None)
    }

    fn with(base: String, ca_pem: Option<&str>, identity: Option<&str>, credentials: Credentials) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let ca = ca_pem.map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap());
        let builder = Client::builder().timeout(Duration::from_secs(30)).no_proxy().no_gzip();
        let builder = match identity {
            Some(pem) => builder.identity(Identity::from_pem(pem.as_bytes()).unwrap()),
            None => builder,
        };
        let client = builder.tls_certs_only(ca).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client, runtime, base, credentials }
    }

    /// `host:port` of the server.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.split_once("://").map_or(&*self.base, |(_, address)| address)
    }

    fn send(&self, request: RequestBuilder) -> Result<(u16, String), String> {
        let request = self.credentials.on(request);
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| format!("{error:?}"))?;
            let status = response.status().as_u16();
            Ok((status, response.text().await.map_err(|error| format!("{error:?}"))?))
        })
    }

    /// Status and body of a GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        self.send(self.client.get(format!("{}{path}", self.base)))
    }

    /// Status and body of a POST of a form.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<(u16, String), String> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(format!("{}{path}", self.base));
        self.send(request.header("content-type", "application/x-www-form-urlencoded").body(body))
    }

    /// Status and body of a request with a text as its body.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn text(&self, method: &str, path: &str, body: &str) -> Result<(u16, String), String> {
        let method: Method = method.parse().map_err(|_| "no method".to_owned())?;
        self.send(self.client.request(method, format!("{}{path}", self.base)).body(body.to_owned()))
    }

    /// Status and body of a request with a JSON body.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn json(&self, method: &str, path: &str, kind: &str, body: &Value) -> Result<(u16, String), String> {
        self.body(method, path, kind, &body.to_string())
    }

    /// Status and body of a request with a body of some type.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn body(&self, method: &str, path: &str, kind: &str, body: &str) -> Result<(u16, String), String> {
        let method: Method = method.parse().map_err(|_| "no method".to_owned())?;
        let request = self.client.request(method, format!("{}{path}", self.base));
        self.send(request.header("content-type", kind).body(body.to_owned()))
    }

    /// Status, headers and body of a GET with further headers, the body as it was sent.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn page(&self, path: &str, headers: &HeaderMap) -> Result<(u16, HeaderMap, Vec<u8>), String> {
        let request = self.client.get(format!("{}{path}", self.base)).headers(headers.clone());
        let request = self.credentials.on(request);
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| format!("{error:?}"))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
            Ok((status, headers, body.to_vec()))
        })
    }

    /// Status, headers and body of a POST of bytes, the body as it was sent.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post_bytes(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<(u16, HeaderMap, Vec<u8>), String> {
        let mut request = self.client.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = self.credentials.on(request.body(body));
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| format!("{error:?}"))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
            Ok((status, headers, body.to_vec()))
        })
    }

    /// The `data` of a successful API answer.
    ///
    /// # Errors
    /// When there is no answer or it is an error.
    pub fn api(&self, path: &str) -> Result<Value, String> {
        let (status, body) = self.get(&format!("/api/v1/{path}"))?;
        let mut value: Value = serde_json::from_str(&body).map_err(|error| format!("{status}: {error}: {body}"))?;
        if value["status"] != "success" { Err(format!("{status}: {body}")) } else { Ok(value["data"].take()) }
    }

    /// What all paths stand behind.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The result of an instant query.
    ///
    /// # Errors
    /// When there is no answer or it is an error.
    pub fn query(&self, query: &str) -> Result<Value, String> {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        Ok(self.api(&format!("query?{query}"))?["result"].take())
    }
}
