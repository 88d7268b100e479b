//! Who asks and where: the region, the keys and the role of a section, and signed requests with them.

use std::time::Duration;

use config::{HttpClientConfig, Secret};
use model::Timestamp;
use roxmltree::Node;
use serde_json::{Map, Value};
use url::form_urlencoded::Serializer;

use super::keys::{
    self, Environment, Found, environment, keys_of_profile, of_container, of_environment, of_instance, of_instance_at,
};
use crate::api::{Answer, Api, url_of};
use crate::cloud::signature::{Keys, Unsigned, signed};
use crate::discoverer::Context;
use crate::json::Json as _;
use crate::xml;

/// Keys are replaced so long before they expire.
const EXPIRY_MARGIN_MS: i64 = 300_000;
/// How long a role is assumed.
const ROLE: &str = "3600";
/// What an instance or a container is told comes within this time, or not at all.
const LOCAL: Duration = Duration::from_secs(5);
/// Elements deeper than this are refused.
const DEPTH_MAX: usize = 64;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The fields that the sections of Amazon have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    pub(super) endpoint: String,
    pub(super) region: String,
    pub(super) access_key: String,
    pub(super) secret_key: Option<Secret>,
    pub(super) profile: String,
    pub(super) role_arn: String,
    pub(super) external_id: String,
}

/// An account.
pub(super) struct Account {
    section: Section,
    api: Api,
    /// For what instances and containers are told.
    local: Api,
    env: Environment,
    /// Found out once.
    region: Option<String>,
    /// And until when they are used.
    keys: Option<(Keys, i64)>,
    /// Instead of that of the region, for tests.
    sts: Option<String>,
}

impl Account {
    pub(super) fn new(section: Section, http: &HttpClientConfig, timeout: Duration, context: &Context) -> Self {
        Self {
            section,
            api: Api::new(http, timeout, context),
            local: Api::new(&HttpClientConfig::default(), LOCAL, context),
            env: environment(),
            region: None,
            keys: None,
            sts: None,
        }
    }

    /// The region: the one that is configured, or that of the environment, of the profile or of the instance.
    pub(super) async fn region(&mut self) -> Result<String, String> {
        if let Some(region) = &self.region {
            return Ok(region.clone());
        }
        let profile = self.profile();
        let of_env = || (self.env)("AWS_REGION").or_else(|| (self.env)("AWS_DEFAULT_REGION"));
        let region = match Some(self.section.region.clone()).filter(|region| !region.is_empty()).or_else(of_env) {
            Some(region) => region,
            None => match keys::of_profile(&self.env, &profile, "region").await {
                Some(region) => region,
                None => {
                    let told = of_instance_at(&self.env, &self.local, "/latest/meta-data/placement/region").await;
                    told.map_err(|error| format!("could not determine AWS region: {error}"))?
                }
            },
        };
        self.region = Some(region.clone());
        Ok(region)
    }

    fn profile(&self) -> String {
        let configured = Some(self.section.profile.clone()).filter(|profile| !profile.is_empty());
        configured.or_else(|| (self.env)("AWS_PROFILE")).unwrap_or_else(|| "default".to_owned())
    }

    /// Sends a POST to a service.
    pub(super) async fn post(
        &mut self,
        service: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let region = self.region().await?;
        let keys = self.keys(&region).await?;
        let url = match self.section.endpoint.as_str() {
            "" => of_service(service, &region),
            endpoint => endpoint.to_owned(),
        };
        let sent = self.signed_post((&url, service, &region), headers, body, &keys).await?;
        if matches!(sent.status.as_u16(), 401 | 403) {
            // They may have been replaced.
            self.keys = None;
        }
        sent.success()
    }

    /// Asks a service of the kind whose requests are forms and whose answers are XML.
    pub(super) async fn query(&mut self, service: &str, parameters: &[(String, String)]) -> Result<Value, String> {
        let answer = self.post(service, &[("content-type", FORM)], form(parameters)).await?;
        as_json(&String::from_utf8_lossy(&answer.body))
    }

    async fn signed_post(
        &self,
        (url, service, region): (&str, &str, &str),
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
        keys: &Keys,
    ) -> Result<Answer, String> {
        let url = url_of(url, "/", &[])?;
        let request = Unsigned { method: "POST", url: &url, headers, body: &body, region, service };
        let headers = signed(&request, keys, Timestamp::now())?;
        self.api.post(&url, &headers, body).await
    }

    /// The keys of now.
    async fn keys(&mut self, region: &str) -> Result<Keys, String> {
        let now = Timestamp::now().0;
        if let Some((keys, until)) = &self.keys
            && now < *until
        {
            return Ok(keys.clone());
        }
        let (mut keys, mut expires) = self.own_keys(region).await.map_err(|error| format!("no AWS keys: {error}"))?;
        if !self.section.role_arn.is_empty() {
            let assumed = self.assumed(&keys, region).await;
            (keys, expires) =
                assumed.map_err(|error| format!("cannot assume role {}: {error}", self.section.role_arn))?;
        }
        let expires = expires.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let until = expires.map_or(i64::MAX, |time| time.as_millisecond().saturating_sub(EXPIRY_MARGIN_MS));
        self.keys = Some((keys.clone(), until));
        Ok(keys)
    }

    async fn own_keys(&self, region: &str) -> Result<Found, String> {
        let Section { access_key, secret_key, profile, .. } = &self.section;
        if let Some(secret) = secret_key
            && !access_key.is_empty()
        {
            let keys = Keys { access: access_key.clone(), secret: secret.expose().to_owned(), session: None };
            return Ok((keys, None));
        }
        if !profile.is_empty() {
            let keys = keys_of_profile(&self.env, profile).await;
            return keys.map(|keys| (keys, None)).ok_or_else(|| format!("profile {profile:?} has none"));
        }
        if let Some(keys) = of_environment(&self.env) {
            return Ok((keys, None));
        }
        if let Some(file) = (self.env)("AWS_WEB_IDENTITY_TOKEN_FILE") {
            return self.of_web_identity(&file, region).await;
        }
        if let Some(keys) = keys_of_profile(&self.env, &self.profile()).await {
            return Ok((keys, None));
        }
        match of_container(&self.env, &self.local).await? {
            Some(found) => Ok(found),
            None => of_instance(&self.env, &self.local).await,
        }
    }

    /// The keys of a role that a token of Kubernetes is exchanged for.
    async fn of_web_identity(&self, file: &str, region: &str) -> Result<Found, String> {
        let token = tokio::fs::read_to_string(file).await.map_err(|error| format!("cannot read {file}: {error}"))?;
        let role = (self.env)("AWS_ROLE_ARN").ok_or("AWS_ROLE_ARN is not set")?;
        let body = form(&self.role("AssumeRoleWithWebIdentity", &role, &[("WebIdentityToken", token.trim())]));
        let url = url_of(&self.sts(region), "/", &[])?;
        let headers = crate::api::headers([("content-type", FORM)])?;
        of_sts(&self.api.post(&url, &headers, body).await?.success()?)
    }

    async fn assumed(&self, keys: &Keys, region: &str) -> Result<Found, String> {
        let Section { role_arn, external_id, .. } = &self.section;
        let external = (!external_id.is_empty()).then_some(("ExternalId", external_id.as_str()));
        let body = form(&self.role("AssumeRole", role_arn, external.as_slice()));
        let to = (self.sts(region), "sts");
        let answer = self.signed_post((&to.0, to.1, region), &[("content-type", FORM)], body, keys).await?;
        of_sts(&answer.success()?)
    }

    fn role(&self, action: &str, arn: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let session = (self.env)("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "weft".to_owned());
        let all = [("Action", action), ("Version", "2011-06-15"), ("RoleArn", arn), ("RoleSessionName", &session)];
        let all = all.iter().chain([&("DurationSeconds", ROLE)]).chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn sts(&self, region: &str) -> String {
        self.sts.clone().unwrap_or_else(|| of_service("sts", region))
    }
}

fn of_service(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

fn form(parameters: &[(String, String)]) -> Vec<u8> {
    Serializer::new(String::new()).extend_pairs(parameters).finish().into_bytes()
}

fn of_sts(answer: &Answer) -> Result<Found, String> {
    let said = as_json(&String::from_utf8_lossy(&answer.body))?;
    let credentials = said.members("").map(|(_, result)| result.at("/Credentials")).find(|one| !one.is_null());
    let credentials = credentials.ok_or("the answer has no keys")?;
    let keys = Keys {
        access: credentials.text("/AccessKeyId"),
        secret: credentials.text("/SecretAccessKey"),
        session: Some(credentials.text("/SessionToken")),
    };
    Ok((keys, Some(credentials.text("/Expiration"))))
}

/// XML as these services write it: an element of `item`s is a list, one of other elements an object.
fn as_json(text: &str) -> Result<Value, String> {
    value(xml::parse(text)?.root_element(), 0)
}

fn value(node: Node<'_, '_>, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err("the answer is nested too deeply".to_owned());
    }
    let children = || node.children().filter(Node::is_element);
    match node.first_element_child().map(|first| first.tag_name().name()) {
        None => Ok(Value::from(node.text().unwrap_or_default().trim())),
        Some("item") => children().map(|child| value(child, depth + 1)).collect(),
        Some(_) => {
            let member = |child: Node<'_, '_>| Ok((child.tag_name().name().to_owned(), value(child, depth + 1)?));
            children().map(member).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
    }
}

/// The headers of a request of the kind whose requests and answers are JSON.
pub(super) const fn json_headers(target: &'static str) -> [(&'static str, &'static str); 2] {
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recorded::{Recorded, context};

    fn account(section: Section, server: &Recorded, pairs: &[(&str, &str)]) -> Account {
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let section = Section { endpoint: server.url.clone(), ..section };
        let account = Account::new(section, &HttpClientConfig::default(), Duration::from_secs(30), &context());
        Account { env: Box::new(move |name| pairs.get(name).cloned()), sts: Some(server.url.clone()), ..account }
    }

    fn said(action: &str) -> String {
        format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>a2</AccessKeyId><SecretAccessKey>s2</SecretAccessKey>\
             <SessionToken>t2</SessionToken><Expiration>2040-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
        )
    }

    #[tokio::test]
    async fn roles_are_assumed() {
        let server = Recorded::start_with(|asked| {
            let body = if asked.body.contains("Action=AssumeRole&") {
                assert!(
                    asked.head.contains("Credential=a1/") && asked.head.contains("/eu-x/sts/aws4_request"),
                    "{}",
                    asked.head
                );
                assert!(asked.body.contains("ExternalId=e&") || asked.body.ends_with("ExternalId=e"), "{}", asked.body);
                said("AssumeRole")
            } else {
                assert!(asked.head.contains("Credential=a2/"), "{}", asked.head);
                assert!(asked.head.to_lowercase().contains("x-amz-security-token: t2\r\n"), "{}", asked.head);
                "<R><a>1</a><l><item><b>2</b></item><item><b>3</b></item></l></R>".to_owned()
            };
            Some((String::new(), body))
        });
        let section = Section {
            region: "eu-x".to_owned(),
            access_key: "a1".to_owned(),
            secret_key: Some(Secret::new("s1")),
            role_arn: "arn:r".to_owned(),
            external_id: "e".to_owned(),
            ..Section::default()
        };
        let mut account = account(section, &server, &[]);
        for _ in 0..2 {
            let said = account.query("ec2", &[("Action".to_owned(), "X".to_owned())]).await.unwrap();
            assert_eq!(said.to_string(), r#"{"a":"1","l":[{"b":"2"},{"b":"3"}]}"#);
        }
        assert_eq!(server.asked().len(), 3, "the role is assumed once");
    }

    #[tokio::test]
    async fn tokens_of_kubernetes_are_exchanged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "jwt\n").unwrap();
        let server = Recorded::start_with(|asked| {
            let is_exchange = asked.body.contains("Action=AssumeRoleWithWebIdentity&");
            assert_eq!(is_exchange, !asked.head.contains("Credential=a2/"), "{}", asked.head);
            assert!(!is_exchange || asked.body.contains("RoleArn=arn&") && asked.body.contains("WebIdentityToken=jwt"));
            Some((String::new(), if is_exchange { said("AssumeRoleWithWebIdentity") } else { "<R/>".to_owned() }))
        });
        let env =
            [("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()), ("AWS_ROLE_ARN", "arn"), ("AWS_REGION", "eu-y")];
        let mut account = account(Section::default(), &server, &env);
        account.query("ec2", &[]).await.unwrap();
        assert_eq!(account.region().await.unwrap(), "eu-y");
    }

    #[test]
    fn services_have_a_host_in_each_region() {
        assert_eq!(of_service("ec2", "eu-west-1"), "https://ec2.eu-west-1.amazonaws.com");
        assert_eq!(of_service("sts", "cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn");
    }
}
