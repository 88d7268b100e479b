//! Fields that hold sections: one, a list or a mapping of them, or their fields among those of the section that holds them.

use std::collections::BTreeMap;

use super::describe::Shape;
use super::fields::Fields;
use super::section::{Codec, Pairs, Section};
use crate::Error;
use crate::yaml::{Key, Tree, Yaml};

/// A section that always has a value: where it is missing, its fields have their defaults.
pub(crate) struct Nested<S>(std::marker::PhantomData<S>);

impl<S: Section> Codec<S> for Nested<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(f: &mut Fields<'_>, name: &'static str, context: S::Context<'_>) -> Result<Option<S>, Error> {
        let path = f.at(name);
        // A missing section is decoded too, from no fields: defaults may depend on the context, and checks must run.
        let mut inner = Fields::new(f.source, f.value(name), path)?;
        S::decode(&mut inner, context).map(Some)
    }

    fn is_zero(value: &S) -> bool {
        matches!(value.to_map(), Yaml::Map(pairs) if pairs.is_empty())
    }

    // Mapped once: the default `put` would map the section for `is_zero` and again for `encode`.
    fn put(value: &S, name: &'static str, always: bool, out: &mut Pairs) {
        let map = value.to_map();
        if always || !matches!(&map, Yaml::Map(pairs) if pairs.is_empty()) {
            out.push((name.into(), map));
        }
    }

    fn encode(value: &S) -> Yaml {
        value.to_map()
    }

    fn shape() -> Shape {
        Shape::Section(S::describe())
    }
}

/// A section that may be missing, or null.
pub(crate) struct Optional<S>(std::marker::PhantomData<S>);

impl<S: Section> Codec<Option<S>> for Optional<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(f: &mut Fields<'_>, name: &'static str, context: S::Context<'_>) -> Result<Option<Option<S>>, Error> {
        // A Go pointer that is null is nil: the default does not hold.
        if f.is_null(name) {
            return Ok(Some(None));
        }
        let Some(mut inner) = f.fields(name)? else { return Ok(None) };
        S::decode(&mut inner, context).map(|section| Some(Some(section)))
    }

    fn is_zero(value: &Option<S>) -> bool {
        value.is_none()
    }

    fn encode(value: &Option<S>) -> Yaml {
        value.as_ref().map_or(Yaml::Map(Vec::new()), Section::to_map)
    }

    fn shape() -> Shape {
        Shape::Section(S::describe())
    }
}

impl<S: Section> Codec<Option<Box<S>>> for Optional<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        context: S::Context<'_>,
    ) -> Result<Option<Option<Box<S>>>, Error> {
        Ok(<Self as Codec<Option<S>>>::decode(f, name, context)?.map(|section| section.map(Box::new)))
    }

    fn is_zero(value: &Option<Box<S>>) -> bool {
        value.is_none()
    }

    fn encode(value: &Option<Box<S>>) -> Yaml {
        value.as_ref().map_or(Yaml::Map(Vec::new()), |section| section.to_map())
    }

    fn shape() -> Shape {
        Shape::Section(S::describe())
    }
}

/// The same, where a section that sets nothing counts as missing.
pub(crate) struct OmitDefault<S>(std::marker::PhantomData<S>);

impl<S: Section + PartialEq> Codec<Option<S>> for OmitDefault<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(f: &mut Fields<'_>, name: &'static str, context: S::Context<'_>) -> Result<Option<Option<S>>, Error> {
        let section = Optional::<S>::decode(f, name, context)?;
        // Printing must not show a section that upstream, which compares structs by value, leaves out.
        Ok(section.map(|section: Option<S>| section.filter(|section| *section != S::defaults(context))))
    }

    fn is_zero(value: &Option<S>) -> bool {
        value.is_none()
    }

    fn encode(value: &Option<S>) -> Yaml {
        Optional::<S>::encode(value)
    }

    fn shape() -> Shape {
        Shape::Section(S::describe())
    }
}

impl<S: for<'c> Section<Context<'c> = ()> + PartialEq> Codec<S> for OmitDefault<S> {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<S>, Error> {
        Nested::<S>::decode(f, name, ())
    }

    fn is_zero(value: &S) -> bool {
        *value == S::defaults(())
    }

    fn encode(value: &S) -> Yaml {
        value.to_map()
    }

    fn shape() -> Shape {
        Shape::Section(S::describe())
    }
}

/// A section whose fields stand among those of the section that holds it.
pub(crate) struct Inline<S>(std::marker::PhantomData<S>);

impl<S: Section> Codec<S> for Inline<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(f: &mut Fields<'_>, _name: &'static str, context: S::Context<'_>) -> Result<Option<S>, Error> {
        // `yaml:",inline"` of Go: the fields are read from the mapping that holds the section, and count as its own.
        // Not `decode`, which would refuse the fields of the section that holds this one.
        f.inline(|f| {
            let mut section = S::read(f, context)?;
            section.check(f, context)?;
            Ok(Some(section))
        })
    }

    fn is_zero(_: &S) -> bool {
        false
    }

    fn encode(value: &S) -> Yaml {
        value.to_map()
    }

    fn shape() -> Shape {
        Shape::Inline(S::describe())
    }

    fn put(value: &S, _name: &'static str, _always: bool, out: &mut Pairs) {
        value.encode(out);
    }
}

/// A list of sections. The arguments are the section's context, and the error for an item that is null.
pub(crate) struct ListOf<S>(std::marker::PhantomData<S>);

impl<S: Section> Codec<Vec<S>> for ListOf<S> {
    type Args<'a> = (S::Context<'a>, &'static str);

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        (context, empty): (S::Context<'_>, &'static str),
    ) -> Result<Option<Vec<S>>, Error> {
        let source = f.source;
        let decode = |(item, path): (&Tree, String)| {
            // A nil pointer in Go, which upstream looks for in each list, with an error of its own.
            if item.is_null() {
                return Err(source.error(item.pos, path, empty));
            }
            S::decode(&mut Fields::new(source, Some(item), path)?, context)
        };
        source.each(f.items(name)?, decode).map(Some)
    }

    fn is_zero(value: &Vec<S>) -> bool {
        value.is_empty()
    }

    fn encode(value: &Vec<S>) -> Yaml {
        Yaml::List(value.iter().map(Section::to_map).collect())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Section(S::describe()))
    }
}

/// A list of sections in which an item that is null has no fields: the section is no pointer in Go.
pub(crate) struct Items<S>(std::marker::PhantomData<S>);

impl<S: Section> Codec<Vec<S>> for Items<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(f: &mut Fields<'_>, name: &'static str, context: S::Context<'_>) -> Result<Option<Vec<S>>, Error> {
        items(f, name, Nulls::AreEmpty, |_| context)
    }

    fn is_zero(value: &Vec<S>) -> bool {
        value.is_empty()
    }

    fn encode(value: &Vec<S>) -> Yaml {
        Yaml::List(value.iter().map(Section::to_map).collect())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Section(S::describe()))
    }
}

/// What an item that is null is, where a list holds structs and no pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// A section that sets nothing, to go-yaml v2.
    AreEmpty,
    /// No item, to go-yaml v3.
    AreSkipped,
}

/// Reads the items of such a list; `context` is told the index of each.
pub(crate) fn items<'c, S: Section>(
    f: &mut Fields<'_>,
    name: &'static str,
    nulls: Nulls,
    context: impl Fn(usize) -> S::Context<'c>,
) -> Result<Option<Vec<S>>, Error> {
    let source = f.source;
    let mut sections = Vec::new();
    let is_item = |(item, _): &(&Tree, String)| nulls == Nulls::AreEmpty || !item.is_null();
    for (i, (item, path)) in f.items(name)?.into_iter().filter(is_item).enumerate() {
        let section = Fields::new(source, Some(item), path).and_then(|mut fields| {
            // Also of a null, which has a place although it has no fields.
            fields.pos = item.pos;
            S::decode(&mut fields, context(i)).map(Some)
        });
        sections.extend(source.recover(section)?);
    }
    Ok(Some(sections))
}

/// A mapping of names to sections.
pub(crate) struct MapOf<S>(std::marker::PhantomData<S>);

impl<S: Section> Codec<BTreeMap<String, S>> for MapOf<S> {
    type Args<'a> = S::Context<'a>;

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        context: S::Context<'_>,
    ) -> Result<Option<BTreeMap<String, S>>, Error> {
        let Some(inner) = f.fields(name)? else { return Ok(None) };
        let decode = |(key, tree): &(Key, Tree)| {
            let mut section = Fields::new(inner.source, Some(tree), inner.at(&key.text))?;
            Ok((key.text.clone(), S::decode(&mut section, context)?))
        };
        // A Go map upstream: the order of the file means nothing and is not kept.
        inner.source.each(inner.pairs(), decode).map(Some)
    }

    fn is_zero(value: &BTreeMap<String, S>) -> bool {
        value.is_empty()
    }

    fn encode(value: &BTreeMap<String, S>) -> Yaml {
        Yaml::map(value.iter().map(|(name, section)| (name, section.to_map())))
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(Shape::Section(S::describe())))
    }
}
