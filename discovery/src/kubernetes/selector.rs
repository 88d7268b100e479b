//! Label and field selectors, for objects that no API server has filtered.

use kube_watch::{Meta, name, namespace};

/// Does a label selector match? One that cannot be read matches nothing; the API server refuses it as well.
pub(crate) fn matches_labels(selector: &str, meta: &Meta) -> bool {
    requirements(selector).into_iter().all(|requirement| meets(requirement, meta).unwrap_or(false))
}

/// Does a field selector match? Only the fields that every kind has are known; others match nothing.
pub(crate) fn matches_fields(selector: &str, meta: &Meta) -> bool {
    requirements(selector).into_iter().all(|requirement| {
        let Some((field, is_equal, value)) = comparison(requirement) else { return false };
        let own = match field {
            "metadata.name" => name(meta),
            "metadata.namespace" => namespace(meta),
            _ => return false,
        };
        (own == value) == is_equal
    })
}

/// The parts of a selector, which are separated by the commas outside of parentheses.
fn requirements(selector: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = selector.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// `key=value`, `key==value`, `key!=value`: the key, whether both have to be equal, and the value.
fn comparison(requirement: &str) -> Option<(&str, bool, &str)> {
    let (key, value) = requirement.split_once('=')?;
    match key.strip_suffix('!') {
        Some(key) => Some((key.trim(), false, value.trim())),
        None => Some((key.trim(), true, value.strip_prefix('=').unwrap_or(value).trim())),
    }
}

fn meets(requirement: &str, meta: &Meta) -> Option<bool> {
    let label = |key: &str| meta.labels.get(key);
    if let Some((head, rest)) = requirement.split_once('(') {
        let values = rest.trim_end().strip_suffix(')')?;
        let mut words = head.split_whitespace();
        let (key, operator) = (words.next()?, words.next()?);
        let is_one = label(key).is_some_and(|own| values.split(',').any(|value| value.trim() == own));
        return match operator {
            "in" => Some(is_one),
            "notin" => Some(!is_one),
            _ => None,
        };
    }
    if let Some((key, is_equal, value)) = comparison(requirement) {
        return Some((label(key) == Some(value)) == is_equal);
    }
    match requirement.strip_prefix('!') {
        Some(key) => Some(label(key.trim()).is_none()),
        None => Some(label(requirement).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors() {
        let labels = [("app", "kubelet"), ("tier", "x"), ("empty", "")];
        let meta = Meta::default().with_labels(labels.into_iter().collect());
        for selector in [
            "",
            "app=kubelet",
            "app==kubelet",
            " app = kubelet , tier = x",
            "app!=other",
            "none!=x",
            "app",
            "!none",
            "empty=",
            "! none",
            "app in (a, kubelet)",
            "app notin (a,b)",
            "none notin (a)",
            "tier in (x),app in (kubelet,b),!gone",
            "empty in (,a)",
        ] {
            assert!(matches_labels(selector, &meta), "{selector}");
        }
        for selector in [
            "app=other",
            "app!=kubelet",
            "none",
            "!app",
            "none=x",
            "app in (a,b)",
            "app notin (kubelet)",
            "none in (a)",
            "app in (kubelet",
            "app under (kubelet)",
            "(kubelet)",
            "app=kubelet,none",
        ] {
            assert!(!matches_labels(selector, &meta), "{selector}");
        }
    }

    #[test]
    fn field_selectors() {
        let meta = Meta::new("s", "n");
        for selector in ["", "metadata.name=n", "metadata.name==n,metadata.namespace!=d", "metadata.namespace = s"] {
            assert!(matches_fields(selector, &meta), "{selector}");
        }
        for selector in ["metadata.name=m", "metadata.namespace!=s", "spec.type=ClusterIP", "metadata.name"] {
            assert!(!matches_fields(selector, &meta), "{selector}");
        }
    }
}
