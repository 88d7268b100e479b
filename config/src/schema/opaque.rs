//! Fields whose settings are not described: they are accepted, printed as they are, and have no effect.

use super::describe::Shape;
use super::fields::Fields;
use super::section::Codec;
use crate::yaml::{Kind, Tree, Yaml};
use crate::{Error, SECRET_SHOWN};

/// Settings that are not described: kept as they are printed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opaque(Yaml);

impl Opaque {
    /// Every field of a mapping, whatever its name.
    pub(crate) fn of(f: &mut Fields<'_>) -> Self {
        let pairs = f.pairs();
        f.allow_all();
        Self(Yaml::Map(pairs.iter().map(|(key, tree)| (key.text.clone().into(), redacted(&key.text, tree))).collect()))
    }

    pub(crate) fn yaml(&self) -> &Yaml {
        &self.0
    }
}

/// Settings that are not described.
pub(crate) enum Anything {}

impl Codec<Option<Opaque>> for Anything {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Option<Opaque>>, Error> {
        Ok(f.value(name).map(|tree| Some(Opaque(redacted(name, tree)))))
    }

    fn is_zero(value: &Option<Opaque>) -> bool {
        value.is_none()
    }

    fn encode(value: &Option<Opaque>) -> Yaml {
        value.as_ref().map_or(Yaml::Map(Vec::new()), |value| value.yaml().clone())
    }

    fn shape() -> Shape {
        Shape::Scalar("any")
    }
}

/// A value whose fields are not described. A scalar is hidden if its key sounds secret: better too much than too little.
fn redacted(key: &str, tree: &Tree) -> Yaml {
    let key_lower = key.to_ascii_lowercase();
    let sounds_secret =
        ["secret", "password", "token", "credential", "key", "auth"].iter().any(|s| key_lower.contains(s));
    match &*tree.kind {
        // The path of a file that holds a secret is none itself.
        Kind::Scalar { text, .. } if sounds_secret && !key_lower.ends_with("_file") && !text.is_empty() => {
            Yaml::text(SECRET_SHOWN)
        }
        // As written: without a declared type a number must not gain quotes, nor a quoted text lose them.
        Kind::Scalar { text, plain: true } => Yaml::Raw(text.clone()),
        Kind::Scalar { text, plain: false } => Yaml::text(text),
        // Items are judged by the key of their list.
        Kind::List(items) => Yaml::List(items.iter().map(|item| redacted(key, item)).collect()),
        Kind::Map(pairs) => {
            Yaml::Map(pairs.iter().map(|(key, tree)| (key.text.clone().into(), redacted(&key.text, tree))).collect())
        }
    }
}
