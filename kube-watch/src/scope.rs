//! Which objects of a kind are watched.

use std::path::Path;

/// Where a pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The objects of a kind to watch. Everything is the default; the API server applies the selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only in this namespace; `None` for all. Without meaning for kinds that live outside of namespaces.
    pub namespace: Option<String>,
    /// A label selector, `app in (a,b)`; or empty.
    pub label_selector: String,
    /// A field selector, `spec.nodeName=n1`; or empty.
    pub field_selector: String,
    /// Where to look while looking in all namespaces is forbidden. Without meaning where a namespace is named, and for kinds that
    /// live outside of namespaces.
    pub fallback_namespace: Option<String>,
    /// There may be thousands of such scopes, as of objects that users name: [`Limits::named_watches`](crate::Limits) of them are
    /// watched at once.
    pub is_one_of_many: bool,
}

impl Scope {
    /// All objects of a namespace.
    #[must_use]
    pub fn namespace(name: impl Into<String>) -> Self {
        Self { namespace: Some(name.into()), ..Self::default() }
    }

    /// A single object. The right to `list` and `watch` may be restricted to its name (`resourceNames`).
    #[must_use]
    pub fn object(namespace: impl Into<String>, name: &str) -> Self {
        // The API server grants `list` and `watch` on `resourceNames` only with this field selector.
        Self { field_selector: format!("metadata.name={name}"), ..Self::namespace(namespace) }
    }

    /// The same for an object that a user's object names.
    #[must_use]
    pub fn named(namespace: impl Into<String>, name: &str) -> Self {
        Self { is_one_of_many: true, ..Self::object(namespace, name) }
    }
}

/// The namespace that this process runs in, if it can be found out: of its service account, or else of the environment variable
/// `POD_NAMESPACE`.
#[must_use]
pub fn own_namespace() -> Option<String> {
    own_namespace_of(Path::new(OWN_NAMESPACE), std::env::var("POD_NAMESPACE").ok())
}

fn own_namespace_of(file: &Path, of_environment: Option<String>) -> Option<String> {
    let of_file = std::fs::read_to_string(file).ok();
    let names = of_file.into_iter().chain(of_environment);
    names.map(|name| name.trim().to_owned()).find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_that_of_the_service_account_or_else_of_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namespace");
        let env = || Some("of-env".to_owned());
        assert_eq!(own_namespace_of(&file, None), None);
        assert_eq!(own_namespace_of(&file, Some(String::new())), None);
        assert_eq!(own_namespace_of(&file, env()).as_deref(), Some("of-env"));
        std::fs::write(&file, "of-file\n").unwrap();
        assert_eq!(own_namespace_of(&file, env()).as_deref(), Some("of-file"));
    }
}
