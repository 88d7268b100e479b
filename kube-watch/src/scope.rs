//! Which objects of a kind are watched.

/// The objects of a kind to watch. Everything is the default; the API server applies the selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only in this namespace; `None` for all. Without meaning for kinds that live outside of namespaces.
    pub namespace: Option<String>,
    /// A label selector, `app in (a,b)`; or empty.
    pub label_selector: String,
    /// A field selector, `spec.nodeName=n1`; or empty.
    pub field_selector: String,
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
}
