//! Codecs that several discoveries have in common.

use crate::schema::{Codec, Fields, SecretText, Shape};
use crate::yaml::Yaml;
use crate::{Error, Secret};

/// A secret that is always printed: as null while it is not set, as Go prints a `Secret` without `omitempty`.
pub(super) enum ShownSecret {}

impl Codec<Option<Secret>> for ShownSecret {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Option<Secret>>, Error> {
        SecretText::decode(f, name, ())
    }

    fn is_zero(_: &Option<Secret>) -> bool {
        false
    }

    fn encode(value: &Option<Secret>) -> Yaml {
        if value.is_some() { SecretText::encode(value) } else { Yaml::Raw("null".to_owned()) }
    }

    fn shape() -> Shape {
        <SecretText as Codec<Option<Secret>>>::shape()
    }
}
