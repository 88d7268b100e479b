//! Fields whose values are words.

use super::describe::Shape;
use super::fields::Fields;
use super::section::Codec;
use crate::Error;
use crate::yaml::Yaml;

/// A type whose values are words.
pub(crate) trait Keyword: Copy + PartialEq + 'static {
    /// Every word and what it means, in the order in which errors list them.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of an empty text or null, which is not an error: not set.
    const EMPTY_IS_UNSET: bool = true;

    /// What is wrong with another word.
    fn unknown(word: &str) -> String;

    /// The word of a value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// One of the words of `T`.
pub(crate) struct Word<T>(std::marker::PhantomData<T>);

impl<T: Keyword> Word<T> {
    fn read(f: &mut Fields<'_>, name: &'static str) -> Result<Option<T>, Error> {
        // go-yaml does not call `UnmarshalYAML` for null: the field keeps its default.
        if f.is_null(name) {
            return Ok(None);
        }
        let Some(text) = f.text(name)? else { return Ok(None) };
        if text.is_empty() && T::EMPTY_IS_UNSET {
            return Ok(None);
        }
        let known = T::WORDS.iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| Some(*value)).ok_or_else(|| f.refuse(name, T::unknown(&text)))
    }

    fn words() -> Shape {
        Shape::Words(T::WORDS.iter().map(|(word, _)| *word).collect())
    }
}

impl<T: Keyword + Default> Codec<T> for Word<T> {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<T>, Error> {
        Self::read(f, name)
    }

    fn is_zero(value: &T) -> bool {
        *value == T::default()
    }

    fn encode(value: &T) -> Yaml {
        Yaml::text(value.word())
    }

    fn shape() -> Shape {
        Self::words()
    }
}

impl<T: Keyword> Codec<Option<T>> for Word<T> {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Option<T>>, Error> {
        Self::read(f, name).map(Some)
    }

    fn is_zero(value: &Option<T>) -> bool {
        value.is_none()
    }

    fn encode(value: &Option<T>) -> Yaml {
        Yaml::text(value.map_or("", Keyword::word))
    }

    fn shape() -> Shape {
        Self::words()
    }
}
