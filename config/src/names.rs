//! Which names of metrics and labels are valid, and how the others are escaped.

use model::NameValidation;

use crate::Error;
use crate::schema::{Codec, Fields, Shape};
use crate::yaml::Yaml;

/// The ways to escape names for a target that does not know UTF-8 names.
pub(crate) const ESCAPINGS: [&str; 4] = ["allow-utf-8", "underscores", "dots", "values"];

/// The error for a way of escaping that there is not; `whose` is `global` or `scrape config`.
pub(crate) fn unknown_escaping(whose: &str, scheme: &str) -> String {
    let [first, second, third, last] = ESCAPINGS;
    format!(
        "unknown {whose} name escaping method specified, must be one of '{first}', '{second}', '{third}', or '{last}', got {scheme:?}"
    )
}

/// A way of escaping; the word is checked where `global` and the job are joined.
pub(crate) enum EscapingScheme {}

impl Codec<String> for EscapingScheme {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<String>, Error> {
        // Any text: which schemes fit a job depends on its validation scheme, which it may inherit (`complete_escaping`).
        f.text(name)
    }

    fn is_zero(scheme: &String) -> bool {
        scheme.is_empty()
    }

    fn encode(scheme: &String) -> Yaml {
        Yaml::text(scheme)
    }

    fn shape() -> Shape {
        Shape::Words(ESCAPINGS.to_vec())
    }
}

/// Which names are valid.
pub(crate) enum ValidationScheme {}

impl Codec<NameValidation> for ValidationScheme {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<NameValidation>, Error> {
        match f.text(name)?.as_deref() {
            None | Some("") => Ok(None),
            Some("utf8") => Ok(Some(NameValidation::Utf8)),
            Some("legacy") => Ok(Some(NameValidation::Legacy)),
            Some(other) => {
                Err(f.refuse(name, format!("unrecognized ValidationScheme: {other:?}; it is utf8 or legacy")))
            }
        }
    }

    fn is_zero(_: &NameValidation) -> bool {
        false
    }

    fn encode(scheme: &NameValidation) -> Yaml {
        Yaml::text(match scheme {
            NameValidation::Utf8 => "utf8",
            NameValidation::Legacy => "legacy",
        })
    }

    fn shape() -> Shape {
        Shape::Words(vec!["utf8", "legacy"])
    }
}
