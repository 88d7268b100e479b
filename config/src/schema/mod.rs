//! How a section of the configuration is declared: once, by the macro `section!`, for reading, printing and documentation.

mod describe;
mod fields;
mod keyword;
mod nested;
mod number;
mod opaque;
mod scalar;
mod section;
mod source;

pub(crate) use describe::{FieldDoc, Flags, SectionDoc, Shape};
pub(crate) use fields::{Fields, scalar};
pub(crate) use keyword::{Keyword, Word};
pub(crate) use nested::{Inline, Items, ListOf, MapOf, Nested, Nulls, OmitDefault, Optional, items};
pub(crate) use opaque::Anything;
pub use opaque::Opaque;
pub(crate) use scalar::{
    Bool, Count, Duration, Int, Nonzero, Number, OptionalBool, Path, Paths, SecretText, Size, Text, TextMap, Texts,
    Unread, Url,
};
pub(crate) use section::{Codec, Pairs, Section, section};
pub(crate) use source::{Source, UnknownFields};
