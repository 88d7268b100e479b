//! The identity service of OpenStack (Keystone), version 3: a token, and where the other services are.

use config::{OpenstackSdConfig, Secret};
use http::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};
use url::Url;

use crate::api::{Api, headers, url_of};
use crate::json::Json as _;

/// Header of an answer: the token.
const SUBJECT: HeaderName = HeaderName::from_static("x-subject-token");

/// Who asks for a token.
#[derive(Clone, Debug, Default)]
pub(super) struct User {
    endpoint: String,
    name: String,
    id: String,
    password: Option<Secret>,
    project_name: String,
    project_id: String,
    domain_name: String,
    domain_id: String,
    credential_name: String,
    credential_id: String,
    credential_secret: Option<Secret>,
}

impl User {
    /// The user of a configuration; without an endpoint that of the environment.
    pub(super) fn new(config: &OpenstackSdConfig, env: &dyn Fn(&str) -> Option<String>) -> Self {
        if !config.identity_endpoint.is_empty() {
            return Self {
                endpoint: config.identity_endpoint.clone(),
                name: config.username.clone(),
                id: config.userid.clone(),
                password: config.password.clone(),
                project_name: config.project_name.clone(),
                project_id: config.project_id.clone(),
                domain_name: config.domain_name.clone(),
                domain_id: config.domain_id.clone(),
                credential_name: config.application_credential_name.clone(),
                credential_id: config.application_credential_id.clone(),
                credential_secret: config.application_credential_secret.clone(),
            };
        }
        let of = |names: &[&str]| names.iter().find_map(|name| env(name)).unwrap_or_default();
        Self {
            endpoint: of(&["OS_AUTH_URL"]),
            name: of(&["OS_USERNAME"]),
            id: of(&["OS_USERID", "OS_USER_ID"]),
            password: env("OS_PASSWORD").map(Secret::new),
            project_name: of(&["OS_PROJECT_NAME", "OS_TENANT_NAME"]),
            project_id: of(&["OS_PROJECT_ID", "OS_TENANT_ID"]),
            domain_name: of(&["OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME"]),
            domain_id: of(&["OS_DOMAIN_ID", "OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID"]),
            credential_name: of(&["OS_APPLICATION_CREDENTIAL_NAME"]),
            credential_id: of(&["OS_APPLICATION_CREDENTIAL_ID"]),
            credential_secret: env("OS_APPLICATION_CREDENTIAL_SECRET").map(Secret::new),
        }
    }

    /// Asks for a token.
    pub(super) async fn session(&self, api: &Api) -> Result<Session, String> {
        if self.endpoint.is_empty() {
            return Err("there is neither identity_endpoint nor the environment variable OS_AUTH_URL".to_owned());
        }
        let server = self.endpoint.trim_end_matches('/');
        let version = if server.ends_with("/v3") { "" } else { "/v3" };
        let url = url_of(server, &format!("{version}/auth/tokens"), &[])?;
        let headers_sent = headers([("accept", "application/json"), ("content-type", "application/json")])?;
        let answer = api.post(&url, &headers_sent, self.request().to_string().into_bytes()).await?.success()?;
        let token = headers([("x-auth-token", answer.header(&SUBJECT))])?;
        Ok(Session { token, catalog: answer.json(&url)?.at("/token/catalog").clone() })
    }

    fn request(&self) -> Value {
        let secret = |secret: &Option<Secret>| secret.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
        let has_credential = !self.credential_id.is_empty() || !self.credential_name.is_empty();
        let identity = if has_credential {
            let mut credential = named(&self.credential_id, &self.credential_name);
            credential["secret"] = secret(&self.credential_secret).into();
            // An id says whose it is, a name does not.
            if self.credential_id.is_empty() {
                credential["user"] = self.user();
            }
            json!({"methods": ["application_credential"], "application_credential": credential})
        } else {
            let mut user = self.user();
            user["password"] = secret(&self.password).into();
            json!({"methods": ["password"], "password": {"user": user}})
        };
        let mut auth = json!({"identity": identity});
        // A credential has its project.
        if !has_credential && (!self.project_id.is_empty() || !self.project_name.is_empty()) {
            let mut project = named(&self.project_id, &self.project_name);
            if self.project_id.is_empty() {
                project["domain"] = named(&self.domain_id, &self.domain_name);
            }
            auth["scope"] = json!({"project": project});
        }
        json!({"auth": auth})
    }

    fn user(&self) -> Value {
        let mut user = named(&self.id, &self.name);
        if self.id.is_empty() {
            user["domain"] = named(&self.domain_id, &self.domain_name);
        }
        user
    }
}

/// By its id, or by its name.
fn named(id: &str, name: &str) -> Value {
    let (key, value) = if id.is_empty() { ("name", name) } else { ("id", id) };
    Value::Object(Map::from_iter([(key.to_owned(), Value::from(value))]))
}

/// A token, and where the services are.
pub(super) struct Session {
    token: HeaderMap,
    catalog: Value,
}

impl Session {
    /// The URL of a service.
    pub(super) fn service(&self, kind: &str, region: &str, availability: &str) -> Result<String, String> {
        let services = self.catalog.items("").iter().filter(|service| service.str("/type") == kind);
        let is_wanted = |endpoint: &&Value| {
            let regions = [endpoint.str("/region"), endpoint.str("/region_id")];
            endpoint.str("/interface") == availability && regions.contains(&region)
        };
        let found = services.flat_map(|service| service.items("/endpoints")).find(is_wanted);
        let missing = || format!("there is no {availability} endpoint of service {kind} in region {region}");
        found.map(|endpoint| endpoint.text("/url")).ok_or_else(missing)
    }

    /// What a path of a service lists in a field, page by page.
    pub(super) async fn list(&self, api: &Api, url: Url, field: &str) -> Result<Vec<Value>, String> {
        let next = |here: &Url, page: &Value| {
            let link = page.items(&format!("/{field}_links")).iter().find(|link| link.str("/rel") == "next")?;
            here.join(link.str("/href")).ok()
        };
        let pages = api.pages(url, &self.token, next).await?;
        Ok(pages.iter().flat_map(|page| page.items(&format!("/{field}"))).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn requests_name_who_asks_and_for_what() {
        let user = User {
            name: text("u"),
            password: Some(Secret::new("hunter2")),
            project_name: text("p"),
            domain_name: text("d"),
            ..User::default()
        };
        assert_eq!(
            user.request(),
            json!({"auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "u", "domain": {"name": "d"}, "password": "hunter2"}}
                },
                "scope": {"project": {"name": "p", "domain": {"name": "d"}}}
            }})
        );
        let by_id = User { id: text("u1"), project_id: text("p1"), domain_id: text("d1"), ..user };
        let request = by_id.request();
        assert_eq!(request["auth"]["scope"], json!({"project": {"id": "p1"}}));
        assert_eq!(request["auth"]["identity"]["password"], json!({"user": {"id": "u1", "password": "hunter2"}}));
        let credential =
            User { credential_name: text("c"), credential_secret: Some(Secret::new("s")), ..by_id.clone() };
        assert_eq!(
            credential.request(),
            json!({"auth": {"identity": {
                "methods": ["application_credential"],
                "application_credential": {"name": "c", "secret": "s", "user": {"id": "u1"}}
            }}})
        );
        let credential = User { credential_id: text("c1"), ..credential };
        let of = &credential.request()["auth"]["identity"]["application_credential"];
        assert_eq!(*of, json!({"id": "c1", "secret": "s"}));
    }
}
