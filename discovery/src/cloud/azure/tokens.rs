//! Tokens of Azure: by the secret of a client, by a token of Kubernetes, or by the identity of the machine.

use std::time::Duration;

use config::{AzureSdConfig, Secret};
use http::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::api::{Api, headers, url_of};
use crate::json::Json as _;

/// The service that tells a machine about itself.
const MACHINE: &str = "http://169.254.169.254";
/// A token is replaced so long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The environment of the process.
pub(super) type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The places of one cloud.
#[derive(Clone, Debug)]
pub(super) struct Cloud {
    /// Who gives tokens.
    pub(super) login: String,
    /// Azure Resource Manager.
    pub(super) manager: String,
}

impl Cloud {
    /// The cloud of this name, in any letter case.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let (login, manager) = match name.to_uppercase().as_str() {
            // That of Germany is no more.
            "AZURECLOUD" | "AZUREPUBLICCLOUD" | "AZUREGERMANCLOUD" => {
                ("https://login.microsoftonline.com", "https://management.azure.com")
            }
            "AZURECHINACLOUD" => ("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
            "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => {
                ("https://login.microsoftonline.us", "https://management.usgovcloudapi.net")
            }
            other => return Err(format!("there is no cloud configuration matching the name {other:?}")),
        };
        Ok(Self { login: login.to_owned(), manager: manager.to_owned() })
    }
}

/// Who asks for tokens, and the last one.
pub(super) struct Tokens {
    config: AzureSdConfig,
    cloud: Cloud,
    env: Environment,
    api: Api,
    token: Option<(String, Instant)>,
}

impl Tokens {
    pub(super) fn new(config: &AzureSdConfig, cloud: Cloud, env: Environment, api: Api) -> Self {
        Self { config: config.clone(), cloud, env, api, token: None }
    }

    /// The headers of a request.
    pub(super) async fn headers(&mut self) -> Result<HeaderMap, String> {
        let token = match &self.token {
            Some((token, until)) if Instant::now() < *until => token.clone(),
            _ => {
                let said = self.fetch().await.map_err(|error| format!("cannot get a token of Azure: {error}"))?;
                let token = said.text("/access_token");
                // A number, or one as text.
                let seconds = Duration::from_secs(said.text("/expires_in").parse().unwrap_or_default());
                self.token = Some((token.clone(), Instant::now() + seconds.saturating_sub(EXPIRY_MARGIN)));
                token
            }
        };
        headers([("authorization", format!("Bearer {token}").as_str())])
    }

    async fn fetch(&self) -> Result<Value, String> {
        let config = &self.config;
        match config.authentication_method.as_str() {
            "OAuth" => {
                let secret = config.client_secret.as_ref().map(Secret::expose).unwrap_or_default();
                self.of_client(&config.tenant_id, &config.client_id, &[("client_secret", secret)]).await
            }
            "WorkloadIdentity" => self.of_kubernetes().await?.ok_or("AZURE_FEDERATED_TOKEN_FILE is not set".to_owned()),
            "ManagedIdentity" => self.of_machine().await,
            _ => self.of_sdk().await,
        }
    }

    /// The first that is there: the environment, a token of Kubernetes, the machine.
    async fn of_sdk(&self) -> Result<Value, String> {
        let tenant = Some(self.config.tenant_id.clone()).filter(|tenant| !tenant.is_empty());
        let of = (tenant.or_else(|| (self.env)("AZURE_TENANT_ID")), (self.env)("AZURE_CLIENT_ID"));
        if let ((Some(tenant), Some(client)), Some(secret)) = (of, (self.env)("AZURE_CLIENT_SECRET")) {
            return self.of_client(&tenant, &client, &[("client_secret", &secret)]).await;
        }
        match self.of_kubernetes().await? {
            Some(said) => Ok(said),
            None => self.of_machine().await,
        }
    }

    async fn of_kubernetes(&self) -> Result<Option<Value>, String> {
        let Some(file) = (self.env)("AZURE_FEDERATED_TOKEN_FILE") else { return Ok(None) };
        let token = tokio::fs::read_to_string(&file).await.map_err(|error| format!("cannot read {file}: {error}"))?;
        let of = |name: &str| (self.env)(name).ok_or_else(|| format!("{name} is not set"));
        let (tenant, client) = (of("AZURE_TENANT_ID")?, of("AZURE_CLIENT_ID")?);
        let assertion = [("client_assertion_type", ASSERTION), ("client_assertion", token.trim())];
        self.of_client(&tenant, &client, &assertion).await.map(Some)
    }

    async fn of_client(&self, tenant: &str, client: &str, proof: &[(&str, &str)]) -> Result<Value, String> {
        let login = (self.env)("AZURE_AUTHORITY_HOST").unwrap_or_else(|| self.cloud.login.clone());
        let url = url_of(&login, &format!("/{tenant}/oauth2/v2.0/token"), &[])?;
        let scope = format!("{}/.default", self.cloud.manager);
        let fixed = [("grant_type", "client_credentials"), ("client_id", client), ("scope", &scope)];
        let body = Serializer::new(String::new()).extend_pairs(fixed).extend_pairs(proof).finish().into_bytes();
        let headers = headers([("content-type", "application/x-www-form-urlencoded")])?;
        self.api.post(&url, &headers, body).await?.success()?.json(&url)
    }

    async fn of_machine(&self) -> Result<Value, String> {
        let resource = format!("{}/", self.cloud.manager);
        let mut parameters = vec![("api-version", "2018-02-01"), ("resource", resource.as_str())];
        let client = self.config.client_id.as_str();
        parameters.extend((!client.is_empty()).then_some(("client_id", client)));
        let server = (self.env)("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| MACHINE.to_owned());
        let url = url_of(&server, "/metadata/identity/oauth2/token", &parameters)?;
        self.api.json(&url, &headers([("metadata", "true")])?).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recorded::{Recorded, context, sd};

    async fn token(server: &Recorded, fields: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
        let config::SdConfig::Azure(config) = sd(&format!("azure_sd_configs: [{{subscription_id: s, {fields}}}]"))
        else {
            panic!()
        };
        let cloud = Cloud { login: server.url.clone(), ..Cloud::named("AzurePublicCloud").unwrap() };
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let env: Environment = Box::new(move |name| pairs.get(name).cloned());
        let api = Api::new(&config::HttpClientConfig::default(), Duration::from_secs(30), &context());
        let mut tokens = Tokens::new(&config, cloud, env, api);
        let first = tokens.headers().await?["authorization"].to_str().unwrap().to_owned();
        assert_eq!(tokens.headers().await?["authorization"], first.as_str());
        Ok(first)
    }

    #[tokio::test]
    async fn each_method_gives_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "jwt\n").unwrap();
        let server = Recorded::start_with(|asked| {
            let scope = "scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
            let start = format!("grant_type=client_credentials&client_id=c&{scope}&");
            let token = match asked.line.as_str() {
                "POST /t/oauth2/v2.0/token" if asked.body == format!("{start}client_secret=hunter2") => "by-secret",
                "POST /t/oauth2/v2.0/token" if asked.body.ends_with("&client_assertion=jwt") => "by-kubernetes",
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F&client_id=c" => {
                    "by-machine"
                }
                _ => return None,
            };
            Some((String::new(), format!(r#"{{"access_token":"{token}","expires_in":"3599"}}"#)))
        });
        let oauth = "tenant_id: t, client_id: c, client_secret: hunter2";
        assert_eq!(token(&server, oauth, &[]).await.unwrap(), "Bearer by-secret");
        let file = file.to_str().unwrap();
        let kubernetes = [("AZURE_FEDERATED_TOKEN_FILE", file), ("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
        let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url.as_str())];
        let secret = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "hunter2")];
        for (method, env, expected) in [
            ("WorkloadIdentity", &kubernetes[..], "Bearer by-kubernetes"),
            ("ManagedIdentity", &machine[..], "Bearer by-machine"),
            ("SDK", &secret[..], "Bearer by-secret"),
            ("SDK", &kubernetes[..], "Bearer by-kubernetes"),
            ("SDK", &machine[..], "Bearer by-machine"),
        ] {
            let fields = format!("client_id: c, authentication_method: {method}");
            assert_eq!(token(&server, &fields, env).await.unwrap(), expected, "{method}");
        }
        let error = token(&server, "authentication_method: WorkloadIdentity", &[]).await.unwrap_err();
        assert_eq!(error, "cannot get a token of Azure: AZURE_FEDERATED_TOKEN_FILE is not set");
        let error = token(&server, "tenant_id: t, client_id: c, client_secret: wrong", &[]).await.unwrap_err();
        assert!(error.contains("404 Not Found") && !error.contains("wrong"), "{error}");
    }

    #[test]
    fn clouds_are_known_by_name() {
        assert_eq!(Cloud::named("azurechinacloud").unwrap().manager, "https://management.chinacloudapi.cn");
        assert_eq!(Cloud::named("x").unwrap_err(), "there is no cloud configuration matching the name \"X\"");
    }
}
