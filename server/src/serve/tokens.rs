//! `Authorization: Bearer` of service accounts and users of the cluster, checked by its API server: `--web.kubernetes-auth`. Verdicts
//! are cached, for as long as Kubernetes itself caches those of a webhook.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use aws_lc_rs::hmac;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use kube_watch::{Action, ApiServer, Reviews, User};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// How long a token is known to be good, and to be none.
const KNOWN: Duration = Duration::from_secs(120);
const UNKNOWN: Duration = Duration::from_secs(10);
/// How long a right is known to be there, and not to be.
const ALLOWED: Duration = Duration::from_secs(300);
const FORBIDDEN: Duration = Duration::from_secs(30);
/// Verdicts of each kind that are kept.
const VERDICTS_MAX: usize = 20_000;
/// Questions to the API server at once: who guesses tokens must not keep it busy.
const QUESTIONS: usize = 16;
/// No token of Kubernetes is longer.
const TOKEN_MAX: usize = 16 << 10;
/// Namespaces of which the rights are asked for one request.
const NAMESPACES_MAX: usize = 1_000;

/// The right to everything but `/metrics`, in the namespace of the server, as OpenShift asks for it. Not one to paths: every account
/// of a cluster may get `/api/*` (ClusterRole `system:discovery`).
const GROUP: &str = "monitoring.coreos.com";
const RESOURCE: &str = "prometheuses/api";
/// A right to a path, which roles for scraping have.
const METRICS: &str = "/metrics";

/// Paths below the route prefix that change something or end the server; by verb `create`.
const CHANGES: [&str; 5] = ["/-/reload", "/-/quit", "/api/v1/admin/", "/api/v1/write", "/api/v1/otlp/"];
/// What a user may read who sees some namespaces only: it is cut down to these, or says nothing of anyone.
const OF_TENANTS: [&str; 17] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/query_exemplars",
    "/api/v1/format_query",
    "/api/v1/parse_query",
    "/api/v1/series",
    "/api/v1/labels",
    "/api/v1/label/",
    "/api/v1/metadata",
    "/api/v1/targets",
    "/api/v1/targets/metadata",
    "/api/v1/rules",
    "/api/v1/alerts",
    "/api/v1/search/",
    "/api/v1/status/buildinfo",
    "/federate",
    "/mcp",
];

/// What a request may do.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// What it asks for.
    All,
    /// That, as far as it is about the namespaces of a user.
    Tenant(Tenant),
}

/// Why it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no token, or none that is valid.
    Unauthorized,
    /// The user, and what is missing.
    Forbidden(String),
    /// The API server could not be asked.
    Unavailable(String),
}

/// Of a token, under a key of this process: the token itself is not kept.
type Digest = [u8; 32];

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "Unauthorized\n").into_response()
            }
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, why).into_response(),
            Self::Unavailable(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
        }
    }
}

/// Asks the API server about tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    reviews: Reviews,
    /// That of the server; empty outside of a cluster.
    namespace: String,
    /// Users without the right may read what is about their namespaces.
    tenancy: bool,
    users: Mutex<Verdicts<Digest, Option<Arc<User>>>>,
    rights: Mutex<Verdicts<(Digest, Action), bool>>,
    key: hmac::Key,
    questions: Semaphore,
}

/// A user who may see some namespaces.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    tokens: Arc<Tokens>,
    digest: Digest,
    user: Arc<User>,
}

/// Answers, each until it is to be asked for again.
type Verdicts<K, V> = HashMap<K, (V, Instant)>;

impl Tokens {
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new(server: ApiServer, tenancy: bool) -> Result<Self> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| anyhow!("no random numbers"))?;
        Ok(Self {
            reviews: Reviews::new(server),
            namespace: kube_watch::own_namespace().unwrap_or_default(),
            tenancy,
            users: Mutex::default(),
            rights: Mutex::default(),
            key,
            questions: Semaphore::new(QUESTIONS),
        })
    }

    /// May this request be served? `path` is below the route prefix.
    pub(super) async fn admit(
        self: &Arc<Self>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Access, Refusal> {
        let token = bearer(headers).ok_or(Refusal::Unauthorized)?;
        let mut digest = Digest::default();
        digest.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        let user = self.user((token, digest)).await?.ok_or(Refusal::Unauthorized)?;
        // A query by POST reads, too.
        let changes = method != Method::GET && is_of(&CHANGES, path);
        let verb = if changes { "create" } else { "get" };
        let action = match path {
            METRICS => Action::Path { path: path.to_owned(), verb },
            _ => Action::Resource { group: GROUP, resource: RESOURCE, verb, namespace: self.namespace.clone() },
        };
        if self.is_allowed((digest, &user), &action).await? {
            return Ok(Access::All);
        }
        if self.tenancy && is_of(&OF_TENANTS, path) {
            return Ok(Access::Tenant(Tenant { tokens: Arc::clone(self), digest, user }));
        }
        let what = match action {
            Action::Path { path, verb } => format!("verb={verb}, nonResourceURL={path}"),
            Action::Resource { group, resource, verb, namespace } => {
                format!("verb={verb}, apiGroup={group}, resource={resource}, namespace={namespace}")
            }
        };
        Err(Refusal::Forbidden(format!("Forbidden (user={}, {what})\n", user.username)))
    }

    async fn user(&self, (token, digest): (&str, Digest)) -> Result<Option<Arc<User>>, Refusal> {
        if let Some(user) = known(&self.users, &digest) {
            return Ok(user);
        }
        let _question = self.question().await?;
        let user = self.reviews.user(token).await.map_err(unavailable)?.map(Arc::new);
        let until = if user.is_some() { KNOWN } else { UNKNOWN };
        remember(&self.users, digest, user.clone(), until);
        Ok(user)
    }

    async fn is_allowed(&self, (digest, user): (Digest, &User), action: &Action) -> Result<bool, Refusal> {
        let key = (digest, action.clone());
        if let Some(allowed) = known(&self.rights, &key) {
            return Ok(allowed);
        }
        let _question = self.question().await?;
        let allowed = self.reviews.is_allowed(user, action).await.map_err(unavailable)?;
        remember(&self.rights, key, allowed, if allowed { ALLOWED } else { FORBIDDEN });
        Ok(allowed)
    }

    async fn question(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
        self.questions.acquire().await.map_err(|_| Refusal::Unavailable("the server is stopping\n".to_owned()))
    }
}

impl Tenant {
    /// Those of some namespaces of which the user may get the pods.
    ///
    /// # Errors
    /// With a reason, when there are too many, or the API server cannot be asked.
    pub(crate) async fn visible(&self, namespaces: Vec<String>) -> Result<Vec<String>, String> {
        if namespaces.len() > NAMESPACES_MAX {
            return Err(format!(
                "there are {} namespaces, and the rights of at most {NAMESPACES_MAX} are looked up; name one by the parameter \
                 \"namespace\"",
                namespaces.len()
            ));
        }
        let asked = namespaces.into_iter().map(|namespace| async move {
            let action = Action::Resource { group: "", resource: "pods", verb: "get", namespace: namespace.clone() };
            let allowed = self.tokens.is_allowed((self.digest, &self.user), &action).await;
            allowed.map(|allowed| allowed.then_some(namespace))
        });
        let answers = futures::future::try_join_all(asked).await.map_err(|refusal| match refusal {
            Refusal::Unavailable(why) | Refusal::Forbidden(why) => why,
            Refusal::Unauthorized => "unauthorized".to_owned(),
        })?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// May one who sees some namespaces only ask for this path, below the route prefix?
    pub(crate) fn may_ask(path: &str) -> bool {
        is_of(&OF_TENANTS, path)
    }

    /// Who it is.
    pub(crate) fn name(&self) -> &str {
        &self.user.username
    }
}

fn is_of(paths: &[&str], path: &str) -> bool {
    paths.iter().any(|known| if known.ends_with('/') { path.starts_with(known) } else { path == *known })
}

fn unavailable(error: kube_watch::Error) -> Refusal {
    Refusal::Unavailable(format!("the token cannot be checked: {}\n", model::with_causes(&error)))
}

fn known<K: Eq + Hash, V: Clone>(verdicts: &Mutex<Verdicts<K, V>>, key: &K) -> Option<V> {
    let verdicts = verdicts.lock();
    verdicts.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
}

fn remember<K: Eq + Hash, V>(verdicts: &Mutex<Verdicts<K, V>>, key: K, value: V, time: Duration) {
    let (mut verdicts, now) = (verdicts.lock(), Instant::now());
    if verdicts.len() >= VERDICTS_MAX {
        verdicts.retain(|_, (_, until)| *until > now);
    }
    // So many that are all in force: what is asked for again is asked of the API server again.
    if verdicts.len() >= VERDICTS_MAX {
        verdicts.clear();
    }
    verdicts.insert(key, (value, now + time));
}

/// The token of `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_MAX).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_of_a_list_whole_or_by_their_folder() {
        for (path, tenants, changes) in [
            ("/api/v1/query", true, false),
            ("/api/v1/query_range", true, false),
            ("/api/v1/query_x", false, false),
            ("/api/v1/label/job/values", true, false),
            ("/api/v1/admin/tsdb/delete_series", false, true),
            ("/api/v1/status/config", false, false),
            ("/-/quit", false, true),
        ] {
            assert_eq!((is_of(&OF_TENANTS, path), is_of(&CHANGES, path)), (tenants, changes), "{path}");
        }
    }

    #[test]
    fn a_token_is_read_from_its_header() {
        let with = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&with("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&with("bearer  abc ")), Some("abc"));
        for none in ["Basic YTpi", "Bearer ", "Bearer", "abc"] {
            assert_eq!(bearer(&with(none)), None, "{none}");
        }
        assert_eq!(bearer(&with(&format!("Bearer {}", "a".repeat(TOKEN_MAX + 1)))), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn verdicts_end_and_are_bounded() {
        let verdicts = Mutex::default();
        remember(&verdicts, 1, true, Duration::ZERO);
        assert_eq!(known(&verdicts, &1), None);
        for key in 0..3 * VERDICTS_MAX {
            remember(&verdicts, key, true, KNOWN);
        }
        assert!(verdicts.lock().len() <= VERDICTS_MAX);
        assert_eq!(known(&verdicts, &(3 * VERDICTS_MAX - 1)), Some(true));
    }
}
