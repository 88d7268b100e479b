//! `stackit_sd_configs`: servers of STACKIT (upstream: `discovery/stackit`).

use config::{HttpClientConfig, OAuth2, Secret, StackitSdConfig};
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;

use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// Who exchanges the key of a service account for a token.
const TOKENS: &str = "https://service-account.api.stackit.cloud/token";

pub(crate) fn new(config: &StackitSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Stackit::new(config, TOKENS, context), config.refresh_interval_ms, context)
}

struct Stackit {
    config: StackitSdConfig,
    /// Or why there is none.
    api: Result<Api, String>,
    endpoint: String,
}

impl Stackit {
    fn new(config: &StackitSdConfig, tokens: &str, context: &Context) -> Self {
        let timeout = refresh_interval(config.refresh_interval_ms);
        let endpoint = match config.endpoint.as_str() {
            "" => format!("https://iaas.api.{}.stackit.cloud", config.region),
            endpoint => endpoint.to_owned(),
        };
        let http = http(config, tokens);
        Self { config: config.clone(), api: http.map(|http| Api::new(&http, timeout, context)), endpoint }
    }

    /// A server without addresses is no target.
    fn target(&self, server: &Value) -> Option<TargetLabels> {
        let mut meta = Meta::new("__meta_stackit_");
        meta.set("project", &self.config.project);
        meta.texts(
            server,
            &[
                ("id", "/id"),
                ("name", "/name"),
                ("availability_zone", "/availabilityZone"),
                ("status", "/status"),
                ("power_status", "/powerStatus"),
                ("type", "/machineType"),
            ],
        );
        let interfaces = server.items("/nics");
        for interface in interfaces {
            meta.keyed("private_ipv4_", interface.str("/networkName"), interface.str("/ipv4"));
        }
        let first = |pointer: &str| interfaces.iter().map(|one| one.str(pointer)).find(|ip| !ip.is_empty());
        let public = first("/publicIp");
        meta.set("public_ipv4", public.unwrap_or_default());
        meta.address(public.or_else(|| first("/ipv4"))?, self.config.port);
        for (key, value) in server.members("/labels") {
            if let Some(value) = value.as_str() {
                meta.keyed("labelpresent_", key, "true");
                meta.keyed("label_", key, value);
            }
        }
        Some(meta.target())
    }
}

/// The client's configuration: with a key of a service account, tokens that a signed assertion is exchanged for.
fn http(config: &StackitSdConfig, tokens: &str) -> Result<HttpClientConfig, String> {
    let read = |text: &Option<Secret>, path: &Option<std::path::PathBuf>| match (text, path) {
        (Some(text), _) => Ok(Some(text.expose().to_owned())),
        (None, Some(path)) => {
            let read = std::fs::read_to_string(path);
            read.map(Some)
                .map_err(|error| format!("setting up authentication: cannot read {}: {error}", path.display()))
        }
        (None, None) => Ok(None),
    };
    let Some(key) = read(&config.service_account_key, &config.service_account_key_path)? else {
        return Ok(config.http.clone());
    };
    // Without what the text says, which holds a private key.
    let account: Value =
        serde_json::from_str(&key).map_err(|_| "setting up authentication: service_account_key is not valid JSON")?;
    // Go reads the names of fields in any letter case.
    let of = |object: &Value, name: &str| {
        object.members("").find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let credentials = of(&account, "credentials").unwrap_or_default();
    let text = |name: &str| of(&credentials, name).map(|value| value.text("")).unwrap_or_default();
    let private = match read(&config.private_key, &config.private_key_path)? {
        Some(key) => key,
        None => text("privateKey"),
    };
    let oauth2 = OAuth2 {
        client_id: text("sub"),
        client_certificate_key_id: text("kid"),
        client_certificate_key: Some(Secret::new(private)),
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
        signature_algorithm: "RS512".to_owned(),
        iss: text("iss"),
        audience: text("aud"),
        token_url: tokens.to_owned(),
        tls: config.http.tls.clone(),
        proxy: config.http.proxy.clone(),
        ..OAuth2::default()
    };
    // The token takes the place of other credentials.
    Ok(HttpClientConfig {
        oauth2: Some(Box::new(oauth2)),
        authorization: None,
        basic_auth: None,
        ..config.http.clone()
    })
}

impl List for Stackit {
    const MECHANISM: &'static str = "stackit";

    async fn list(&mut self) -> Listed {
        let api = self.api.as_ref().map_err(Clone::clone)?;
        let path = format!("/v1/projects/{}/servers", self.config.project);
        let servers = api.object(&url_of(&self.endpoint, &path, &[("details", "true")])?, &HeaderMap::new()).await?;
        Ok(vec![group("stackit", servers.items("/items").iter().filter_map(|server| self.target(server)).collect())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const SERVERS: &str = r#"{"items":[
        {"id":"s-1","name":"shop-1","availabilityZone":"eu01-3","machineType":"g1.1","powerStatus":"RUNNING","status":"ACTIVE",
         "labels":{"team.name":"web","n":1},
         "nics":[{"networkName":"back end","ipv4":"10.9.0.1"},{"networkName":"front","ipv4":"10.9.1.1","publicIp":"198.51.100.99"}]},
        {"id":"s-2","name":"inner","nics":[{"networkName":"back end","ipv4":"10.9.0.2"}]},
        {"id":"s-3","name":"bare","nics":[]},{"id":"s-4","name":"none","nics":null}]}"#;

    fn stackit(server: &Recorded, fields: &str) -> Stackit {
        let text = format!("stackit_sd_configs: [{{project: p-1, endpoint: '{}/', {fields}}}]", server.url);
        let config::SdConfig::Stackit(config) = sd(&text) else { panic!() };
        Stackit::new(&config, &format!("{}/token", server.url), &context())
    }

    #[tokio::test]
    async fn servers_become_targets() {
        let server = Recorded::start(&[("GET /v1/projects/p-1/servers?details=true", SERVERS)]);
        let groups = stackit(&server, "authorization: {credentials: t}").list().await.unwrap();
        assert_eq!(groups[0].source, "stackit");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.9.0.2:80", __meta_stackit_id="s-2", __meta_stackit_name="inner", __meta_stackit_private_ipv4_back_end="10.9.0.2", __meta_stackit_project="p-1"}"#,
                r#"{__address__="198.51.100.99:80", __meta_stackit_availability_zone="eu01-3", __meta_stackit_id="s-1", __meta_stackit_label_team_name="web", __meta_stackit_labelpresent_team_name="true", __meta_stackit_name="shop-1", __meta_stackit_power_status="RUNNING", __meta_stackit_private_ipv4_back_end="10.9.0.1", __meta_stackit_private_ipv4_front="10.9.1.1", __meta_stackit_project="p-1", __meta_stackit_public_ipv4="198.51.100.99", __meta_stackit_status="ACTIVE", __meta_stackit_type="g1.1"}"#,
            ]
        );
    }

    #[tokio::test]
    async fn the_key_of_a_service_account_gives_tokens() {
        let server = Recorded::start_with(|asked| match asked.line.as_str() {
            "POST /token" => {
                assert!(asked.body.contains("assertion=ey") && asked.body.contains("jwt-bearer"), "{}", asked.body);
                Some((
                    "Content-Type: application/json\r\n".to_owned(),
                    r#"{"access_token":"t-1","expires_in":600}"#.to_owned(),
                ))
            }
            _ => {
                assert!(asked.head.to_lowercase().contains("authorization: bearer t-1\r\n"), "{}", asked.head);
                Some((String::new(), SERVERS.to_owned()))
            }
        });
        let key = include_str!("../../../http-client/tests/data/rsa-pkcs1.pem");
        let folder = tempfile::tempdir().unwrap();
        let (account, private) = (folder.path().join("sa.json"), folder.path().join("key.pem"));
        std::fs::write(
            &account,
            r#"{"Credentials":{"Aud":"https://aud.test","Iss":"a@sa.test","Kid":"k-1","Sub":"s-1"}}"#,
        )
        .unwrap();
        std::fs::write(&private, key).unwrap();
        let fields =
            format!("service_account_key_path: '{}', private_key_path: '{}'", account.display(), private.display());
        let mut discovery = stackit(&server, &fields);
        assert_eq!(discovery.list().await.unwrap()[0].targets.len(), 2);
        let http = http(&discovery.config, "https://t").unwrap().oauth2.unwrap();
        assert_eq!(
            (
                http.client_id.as_str(),
                http.iss.as_str(),
                http.audience.as_str(),
                http.client_certificate_key_id.as_str()
            ),
            ("s-1", "a@sa.test", "https://aud.test", "k-1")
        );
        let mut broken = stackit(&server, "service_account_key: 'hunter2'");
        let error = broken.list().await.unwrap_err();
        assert!(error.contains("not valid JSON") && !error.contains("hunter2"), "{error}");
    }
}
