//! Where keys come from that are not configured: the environment, files of profiles, and what containers and instances are told.
//! The order is that of the SDK of Amazon for Go.

use std::path::PathBuf;

use http::Method;
use http::header::HeaderMap;
use serde_json::Value;

use crate::api::{Api, headers, url_of};
use crate::cloud::signature::Keys;
use crate::json::Json as _;

/// The service that tells an instance about itself.
const INSTANCE: &str = "http://169.254.169.254";
/// The service that tells a container its keys.
const CONTAINER: &str = "http://169.254.170.2";

/// The environment of the process.
pub(super) type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The variables that are set to something.
pub(super) fn environment() -> Environment {
    Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Keys, and when they expire: as text, as all of the services say it.
pub(super) type Found = (Keys, Option<String>);

pub(super) fn of_environment(env: &Environment) -> Option<Keys> {
    let (access, secret) = (env("AWS_ACCESS_KEY_ID")?, env("AWS_SECRET_ACCESS_KEY")?);
    Some(Keys { access, secret, session: env("AWS_SESSION_TOKEN") })
}

/// A value of a profile.
pub(super) async fn of_profile(env: &Environment, profile: &str, key: &str) -> Option<String> {
    let home = || env("HOME").map(PathBuf::from).unwrap_or_default().join(".aws");
    let file = |variable: &str, name: &str| env(variable).map_or_else(|| home().join(name), PathBuf::from);
    // In one of the files only other profiles than the default have a word before their names.
    let of_config = if profile == "default" { profile.to_owned() } else { format!("profile {profile}") };
    for (path, section) in [
        (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), profile),
        (file("AWS_CONFIG_FILE", "config"), of_config.as_str()),
    ] {
        let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
        if let Some(value) = of_section(&text, section, key) {
            return Some(value.to_owned());
        }
    }
    None
}

/// A value of a section of an INI file.
fn of_section<'t>(text: &'t str, section: &str, key: &str) -> Option<&'t str> {
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == section;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim()).filter(|value| !value.is_empty());
        }
    }
    None
}

pub(super) async fn keys_of_profile(env: &Environment, profile: &str) -> Option<Keys> {
    let access = of_profile(env, profile, "aws_access_key_id").await?;
    let secret = of_profile(env, profile, "aws_secret_access_key").await?;
    Some(Keys { access, secret, session: of_profile(env, profile, "aws_session_token").await })
}

/// Keys of a container, if the environment says that it has some.
pub(super) async fn of_container(env: &Environment, api: &Api) -> Result<Option<Found>, String> {
    let relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER}{path}"));
    let Some(url) = relative.or_else(|| env("AWS_CONTAINER_CREDENTIALS_FULL_URI")) else { return Ok(None) };
    let token = match env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => {
            let text =
                tokio::fs::read_to_string(&file).await.map_err(|error| format!("cannot read {file}: {error}"))?;
            Some(text.trim().to_owned())
        }
        None => env("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let headers = headers(token.as_deref().map(|token| ("authorization", token)))?;
    Ok(Some(said(&api.json(&url_of(&url, "", &[])?, &headers).await?)?))
}

/// The role of the instance.
pub(super) async fn of_instance(env: &Environment, api: &Api) -> Result<Found, String> {
    let path = "/latest/meta-data/iam/security-credentials/";
    let role = of_instance_at(env, api, path).await?;
    let name = role.lines().next().unwrap_or_default().trim();
    let text = of_instance_at(env, api, &format!("{path}{name}")).await?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("the keys of role {name}: {error}"))?;
    said(&value)
}

/// What the instance is told at a path.
pub(super) async fn of_instance_at(env: &Environment, api: &Api, path: &str) -> Result<String, String> {
    let server = env("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| INSTANCE.to_owned());
    let seconds = headers([("x-aws-ec2-metadata-token-ttl-seconds", "300")])?;
    let url = url_of(&server, "/latest/api/token", &[])?;
    let token = api.ask(Method::PUT, &url, &seconds, Vec::new()).await?;
    // Without a token by the first version, where the second is not there.
    let headers = match token.success() {
        Ok(token) => headers([("x-aws-ec2-metadata-token", token.text(&url)?.trim())])?,
        Err(_) => HeaderMap::new(),
    };
    let url = url_of(&server, path, &[])?;
    Ok(api.get(&url, &headers).await?.success()?.text(&url)?.trim().to_owned())
}

fn said(value: &Value) -> Result<Found, String> {
    let (access, secret) = (value.text("/AccessKeyId"), value.text("/SecretAccessKey"));
    if access.is_empty() || secret.is_empty() {
        return Err(format!("there are no keys: {}", value.str("/Message")));
    }
    let session = Some(value.text("/Token")).filter(|token| !token.is_empty());
    Ok((Keys { access, secret, session }, Some(value.text("/Expiration"))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::recorded::{Recorded, context};

    fn env(pairs: &[(&str, &str)]) -> Environment {
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Box::new(move |name| pairs.get(name).cloned())
    }

    fn shown(keys: &Keys) -> (&str, &str, Option<&str>) {
        (&keys.access, &keys.secret, keys.session.as_deref())
    }

    #[tokio::test]
    async fn keys_are_in_the_environment_or_in_profiles() {
        let keys = of_environment(&env(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")])).unwrap();
        assert_eq!(shown(&keys), ("a", "s", None));
        assert!(of_environment(&env(&[("AWS_ACCESS_KEY_ID", "a")])).is_none());
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(".aws").join(name), text).unwrap();
        write(
            "credentials",
            "[default]\naws_access_key_id = a1\naws_secret_access_key=s1\n[other]\naws_access_key_id=a2\n",
        );
        write("config", "[profile other]\naws_secret_access_key = s2\naws_session_token = t2\nregion = eu-west-9\n");
        let env = env(&[("HOME", home.path().to_str().unwrap())]);
        assert_eq!(shown(&keys_of_profile(&env, "default").await.unwrap()), ("a1", "s1", None));
        assert_eq!(shown(&keys_of_profile(&env, "other").await.unwrap()), ("a2", "s2", Some("t2")));
        assert_eq!(of_profile(&env, "other", "region").await.as_deref(), Some("eu-west-9"));
        assert!(keys_of_profile(&env, "gone").await.is_none());
    }

    #[tokio::test]
    async fn instances_and_containers_are_told_their_keys() {
        const KEYS: &str = r#"{"Code":"Success","AccessKeyId":"a","SecretAccessKey":"s","Token":"t","Expiration":"2040-01-01T00:00:00Z"}"#;
        let server = Recorded::start_with(|asked| {
            let has_token = asked.head.to_lowercase().contains("x-aws-ec2-metadata-token: tok\r\n");
            let body = match asked.line.as_str() {
                "PUT /latest/api/token" => "tok",
                "GET /latest/meta-data/iam/security-credentials/" if has_token => "role-1\n",
                "GET /latest/meta-data/iam/security-credentials/role-1" if has_token => KEYS,
                "GET /container" if asked.head.to_lowercase().contains("authorization: c\r\n") => KEYS,
                _ => return None,
            };
            Some((String::new(), body.to_owned()))
        });
        let api = Api::new(&config::HttpClientConfig::default(), Duration::from_secs(30), &context());
        let instance = env(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url)]);
        let (keys, expires) = of_instance(&instance, &api).await.unwrap();
        assert_eq!((shown(&keys), expires.as_deref()), (("a", "s", Some("t")), Some("2040-01-01T00:00:00Z")));
        assert!(of_container(&instance, &api).await.unwrap().is_none());
        let url = format!("{}/container", server.url);
        let container =
            env(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "c")]);
        assert_eq!(shown(&of_container(&container, &api).await.unwrap().unwrap().0), ("a", "s", Some("t")));
    }
}
