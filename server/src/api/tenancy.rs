//! What a request may read of the store: with `--web.tenancy=namespace` a token may be one of a user who sees some namespaces only.
//! Every selection then has a matcher on the label `namespace`, as prom-label-proxy adds it, whatever else it asks for.

use std::sync::Arc;

use model::{Labels, Matcher, Querier, Selection};
use query::Bounds;

use super::params::{TIME_MAX, TIME_MIN};
use super::work::{self, Origin};
use super::{ApiError, Kind, Params};
use crate::app::App;
use crate::metric_usage::Counted;

/// The label that says whose a series is.
const NAMESPACE: &str = "namespace";
/// The longest name of a namespace.
const NAME_MAX: usize = 63;

/// The namespaces that a request may see; all of them where there is no set.
#[derive(Clone, Debug, Default)]
pub(super) struct Visible(Option<Matcher>);

impl Visible {
    /// Those of the request's user, and of these the ones that its parameter `namespace` names.
    pub(super) async fn of(app: &Arc<App>, (params, origin): (&Params, &Origin)) -> Result<Self, ApiError> {
        let Some(tenant) = &origin.tenant else { return Ok(Self::default()) };
        let named: Vec<String> = params.all(NAMESPACE).map(str::to_owned).collect();
        let asked = if named.is_empty() { stored(app, (params, origin)).await? } else { named.clone() };
        // The API server knows no others, and need not be asked.
        let asked = asked.into_iter().filter(|name| is_namespace(name)).collect();
        let visible = tenant.visible(asked).await.map_err(|why| ApiError::new(Kind::Forbidden, why))?;
        if let Some(other) = named.iter().find(|name| !visible.contains(name)) {
            let why = format!("{} may not get pods in the namespace {other:?}", tenant.name());
            return Err(ApiError::new(Kind::Forbidden, why));
        }
        if visible.is_empty() {
            let why = format!("{} may get pods in no namespace that has a series", tenant.name());
            return Err(ApiError::new(Kind::Forbidden, why));
        }
        Ok(Self(Some(Matcher::any_of(NAMESPACE, visible))))
    }

    /// The store with what other servers have, as the request may see it.
    pub(super) fn store(&self, app: &App) -> Arc<dyn Querier> {
        self.restricted(app.querier())
    }

    /// What is stored here, as the request may see it.
    pub(super) fn own_store(&self, app: &App) -> Arc<dyn Querier> {
        self.restricted(app.own_querier())
    }

    fn restricted(&self, store: Counted) -> Arc<dyn Querier> {
        Arc::new(match &self.0 {
            Some(matcher) => store.restricted(matcher.clone()),
            None => store,
        })
    }

    /// Some matchers and what the request may see at most.
    pub(super) fn restrict(&self, matchers: &mut Vec<Matcher>) {
        matchers.extend(self.0.clone());
    }

    /// May it see what has any namespace, and what has none?
    pub(super) fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// May it see what has this namespace? `""`: none.
    pub(super) fn shows(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|matcher| matcher.matches(namespace))
    }

    /// May it see what has these labels?
    pub(super) fn shows_labels(&self, labels: &Labels) -> bool {
        self.shows(labels.get(NAMESPACE).unwrap_or_default())
    }
}

/// The namespaces that series have.
async fn stored(app: &Arc<App>, of: (&Params, &Origin)) -> Result<Vec<String>, ApiError> {
    let db = Arc::clone(&app.db);
    let list = move |bounds: &Bounds| {
        let all = Selection { start: TIME_MIN, end: TIME_MAX, matchers: &[] };
        work::listed(bounds, 0, |listing| db.list_label_values(NAMESPACE, &all, listing))
    };
    work::run(app, of, list).await
}

/// Can a namespace have this name?
fn is_namespace(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    letters && !name.is_empty() && name.len() <= NAME_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_visible_namespace_is_not_shown() {
        let visible = Visible(Some(Matcher::any_of(NAMESPACE, ["a".to_owned(), "b".to_owned()])));
        for (labels, shown) in [
            (Labels::from_pairs([("namespace", "a")]), true),
            (Labels::from_pairs([("namespace", "ab")]), false),
            (Labels::from_pairs([("job", "a")]), false),
        ] {
            assert_eq!(visible.shows_labels(&labels), shown, "{labels}");
            assert!(Visible::default().shows_labels(&labels));
        }
    }

    #[test]
    fn names_that_no_namespace_can_have() {
        for name in ["a|b", "", "A", ".*", "a b", &"a".repeat(64)] {
            assert!(!is_namespace(name), "{name}");
        }
        assert!(is_namespace("kube-system") && is_namespace("0"));
    }
}
