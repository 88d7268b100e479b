//! Credentials of Google Cloud as its libraries find them: a file, or the service account of the machine.

use std::path::PathBuf;
use std::time::Duration;

use config::{HttpClientConfig, OAuth2, Secret};
use http::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::api::{Api, headers, url_of};
use crate::discoverer::Context;
use crate::json::Json as _;

/// Who gives tokens, if the file does not say it.
const TOKENS: &str = "https://oauth2.googleapis.com/token";
/// Who tells a machine about itself.
const METADATA: &str = "metadata.google.internal";
/// A token is replaced so long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// Where a token comes from.
pub(super) enum Source {
    /// The client adds it.
    Client,
    /// A refresh token of a user: the server, and the parameters of the request.
    User { server: String, parameters: Vec<(&'static str, String)> },
    /// The service account of the machine.
    Machine { server: String },
}

/// Credentials, and the token they gave.
pub(super) struct Credentials {
    source: Source,
    api: Api,
    token: Option<(String, Instant)>,
}

impl Credentials {
    /// The credentials that the environment names, and the client's configuration with them.
    pub(super) fn find(
        env: &dyn Fn(&str) -> Option<String>,
        scope: &str,
        (timeout, context): (Duration, &Context),
    ) -> Result<(Self, HttpClientConfig), String> {
        let (source, http) = source(env, scope)?;
        let api = Api::new(&HttpClientConfig::default(), timeout, context);
        Ok((Self { source, api, token: None }, http))
    }

    /// The headers that a request needs beside those of the client.
    pub(super) async fn headers(&mut self) -> Result<HeaderMap, String> {
        if let Source::Client = self.source {
            return Ok(HeaderMap::new());
        }
        let token = match &self.token {
            Some((token, until)) if Instant::now() < *until => token.clone(),
            _ => {
                let said = self.fetch().await.map_err(|error| format!("cannot get a token of Google: {error}"))?;
                let token = said.text("/access_token");
                let seconds = Duration::from_secs(said.at("/expires_in").as_u64().unwrap_or_default());
                self.token = Some((token.clone(), Instant::now() + seconds.saturating_sub(EXPIRY_MARGIN)));
                token
            }
        };
        headers([("authorization", format!("Bearer {token}").as_str())])
    }

    async fn fetch(&self) -> Result<Value, String> {
        match &self.source {
            Source::Client => Ok(Value::Null),
            Source::User { server, parameters } => {
                let url = url_of(server, "", &[])?;
                let form = Serializer::new(String::new()).extend_pairs(parameters).finish();
                let headers = headers([("content-type", "application/x-www-form-urlencoded")])?;
                self.api.post(&url, &headers, form.into_bytes()).await?.success()?.json(&url)
            }
            Source::Machine { server } => {
                let path = "/computeMetadata/v1/instance/service-accounts/default/token";
                let headers = headers([("metadata-flavor", "Google")])?;
                self.api.json(&url_of(server, path, &[])?, &headers).await
            }
        }
    }
}

fn source(env: &dyn Fn(&str) -> Option<String>, scope: &str) -> Result<(Source, HttpClientConfig), String> {
    let http = HttpClientConfig::default;
    let named = env("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let usual = || {
        let home = PathBuf::from(env("HOME")?);
        Some(home.join(".config/gcloud/application_default_credentials.json")).filter(|path| path.exists())
    };
    let Some(path) = named.or_else(usual) else {
        let host = env("GCE_METADATA_HOST").unwrap_or_else(|| METADATA.to_owned());
        return Ok((Source::Machine { server: format!("http://{host}") }, http()));
    };
    let failed = |why: String| format!("cannot use credentials of Google in {}: {why}", path.display());
    let text = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
    // Without what the text says, which holds a private key.
    let file: Value = serde_json::from_slice(&text).map_err(|_| failed("not valid JSON".to_owned()))?;
    let server = Some(file.text("/token_uri")).filter(|uri| !uri.is_empty()).unwrap_or_else(|| TOKENS.to_owned());
    match file.str("/type") {
        "service_account" => {
            let oauth2 = OAuth2 {
                client_id: file.text("/client_email"),
                client_certificate_key_id: file.text("/private_key_id"),
                client_certificate_key: Some(Secret::new(file.text("/private_key"))),
                grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
                scopes: vec![scope.to_owned()],
                token_url: server,
                ..OAuth2::default()
            };
            Ok((Source::Client, HttpClientConfig { oauth2: Some(Box::new(oauth2)), ..http() }))
        }
        "authorized_user" => {
            let parameters = vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", file.text("/client_id")),
                ("client_secret", file.text("/client_secret")),
                ("refresh_token", file.text("/refresh_token")),
            ];
            Ok((Source::User { server, parameters }, http()))
        }
        kind => Err(failed(format!("credentials of type {kind:?} are not served; use service_account"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context};

    async fn token(env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let context = context();
        let (mut credentials, _) = Credentials::find(env, "s", (Duration::from_secs(30), &context))?;
        let first = credentials.headers().await?["authorization"].to_str().unwrap().to_owned();
        assert_eq!(credentials.headers().await?["authorization"], first.as_str(), "the token is used again");
        Ok(first)
    }

    #[tokio::test]
    async fn machines_have_a_service_account() {
        let server = Recorded::start_with(|asked| {
            assert!(asked.head.to_lowercase().contains("metadata-flavor: google\r\n"), "{}", asked.head);
            assert_eq!(asked.line, "GET /computeMetadata/v1/instance/service-accounts/default/token");
            Some((String::new(), r#"{"access_token":"t-1","expires_in":3599,"token_type":"Bearer"}"#.to_owned()))
        });
        let host = server.url.trim_start_matches("http://").to_owned();
        let env = |name: &str| (name == "GCE_METADATA_HOST").then(|| host.clone());
        assert_eq!(token(&env).await.unwrap(), "Bearer t-1");
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn files_name_users_and_service_accounts() {
        let server = Recorded::start_with(|asked| {
            assert_eq!(asked.body, "grant_type=refresh_token&client_id=c&client_secret=hunter2&refresh_token=r");
            Some((String::new(), r#"{"access_token":"t-2","expires_in":3599}"#.to_owned()))
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adc.json");
        let env = |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.display().to_string());
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write(&format!(
            r#"{{"type":"authorized_user","client_id":"c","client_secret":"hunter2","refresh_token":"r","token_uri":"{}/"}}"#,
            server.url
        ));
        assert_eq!(token(&env).await.unwrap(), "Bearer t-2");
        write(r#"{"type":"service_account","client_email":"a@p.test","private_key_id":"k","private_key":"hunter2"}"#);
        let (source, http) = source(&env, "scope-1").unwrap();
        let oauth2 = http.oauth2.unwrap();
        assert!(matches!(source, Source::Client) && oauth2.is_jwt_bearer());
        assert_eq!((oauth2.client_id.as_str(), oauth2.token_url.as_str()), ("a@p.test", TOKENS));
        for (text, expected) in [("hunter2", "not valid JSON"), (r#"{"type":"external_account"}"#, "are not served")] {
            write(text);
            let error = token(&env).await.unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
