//! Requests that are signed by version 4 of the signature of Amazon Web Services, which others take as well.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use http::header::HeaderMap;
use model::Timestamp;
use url::{Position, Url};

use crate::api::headers;

/// What signs a request.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) access: String,
    pub(crate) secret: String,
    /// Of keys that expire.
    pub(crate) session: Option<String>,
}

/// What is signed: a request to a service in a region.
pub(crate) struct Unsigned<'r> {
    pub(crate) method: &'r str,
    pub(crate) url: &'r Url,
    /// In lower case.
    pub(crate) headers: &'r [(&'static str, &'r str)],
    pub(crate) body: &'r [u8],
    pub(crate) region: &'r str,
    pub(crate) service: &'r str,
}

/// The headers of the request, its signature among them.
pub(crate) fn signed(request: &Unsigned<'_>, keys: &Keys, now: Timestamp) -> Result<HeaderMap, String> {
    let now = jiff::Timestamp::from_millisecond(now.0).map_err(|error| error.to_string())?;
    let (date, time) = (now.strftime("%Y%m%d").to_string(), now.strftime("%Y%m%dT%H%M%SZ").to_string());
    let host = &request.url[Position::BeforeHost..Position::AfterPort];
    let mut all = request.headers.to_vec();
    all.extend([("host", host), ("x-amz-date", time.as_str())]);
    all.extend(keys.session.as_deref().map(|token| ("x-amz-security-token", token)));
    all.sort_unstable();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = all.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let Unsigned { method, region, service, .. } = *request;
    let hash = hex(digest(&SHA256, request.body).as_ref());
    let canonical = format!("{method}\n{}\n{}\n{lines}\n{names}\n{hash}", request.url.path(), query(request.url));
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [date.as_str(), region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    let access = &keys.access;
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}");
    // The client sets the host itself.
    let sent = all.into_iter().filter(|(name, _)| *name != "host");
    headers(sent.chain([("authorization", authorization.as_str())]))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parameters in the order of their names.
fn query(url: &Url) -> String {
    let mut pairs: Vec<&str> = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the documentation.
    #[test]
    fn the_signature_is_that_of_the_documentation() {
        let url = Url::parse("https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers").unwrap();
        let request = Unsigned {
            method: "GET",
            url: &url,
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: b"",
            region: "us-east-1",
            service: "iam",
        };
        let mut keys = Keys {
            access: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: None,
        };
        // 2015-08-30T12:36:00Z
        let now = Timestamp(1_440_938_160_000);
        let headers = signed(&request, &keys, now).unwrap();
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        assert_eq!((headers["x-amz-date"].to_str().unwrap(), headers.get("host")), ("20150830T123600Z", None));
        keys.session = Some("st".to_owned());
        let headers = signed(&request, &keys, now).unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(
            authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "),
            "{authorization}"
        );
    }
}
