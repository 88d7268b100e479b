//! How the form of an answer is described: as a schema of OpenAPI, from which the web page's types are generated.

use std::borrow::Cow;
use std::collections::BTreeMap;

use config::Yaml;

/// The form of a value in an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    Number,
    Whole,
    Truth,
    /// One of these texts.
    Word(&'static [&'static str]),
    List(&'static Shape),
    /// A list whose items have these shapes, in this order.
    Tuple(&'static [Shape]),
    /// An object with any keys.
    Map(&'static Shape),
    Object(&'static Schema),
    /// A value of one of these shapes.
    Either(&'static [Shape]),
    /// A value of this shape, or null.
    Nullable(&'static Shape),
}

/// An object with known fields; it stands below `components` under its name.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of an object.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
}

/// A field that is always there.
pub(super) const fn has(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_required: true }
}

/// A field that may be missing.
pub(super) const fn may_have(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_required: false }
}

impl Shape {
    /// The schema of the value; objects are references.
    pub(super) fn schema(self) -> Yaml {
        let typed = |kind| map([("type", Yaml::text(kind))]);
        match self {
            Self::Text => typed("string"),
            Self::Number => typed("number"),
            Self::Whole => typed("integer"),
            Self::Truth => typed("boolean"),
            Self::Word(words) => {
                let words = words.iter().map(|word| Yaml::text(*word)).collect();
                map([("type", Yaml::text("string")), ("enum", Yaml::List(words))])
            }
            Self::List(items) => map([("type", Yaml::text("array")), ("items", items.schema())]),
            Self::Tuple(items) => map([
                ("type", Yaml::text("array")),
                ("prefixItems", all(items)),
                ("minItems", Yaml::raw(items.len())),
                ("maxItems", Yaml::raw(items.len())),
            ]),
            Self::Map(values) => map([("type", Yaml::text("object")), ("additionalProperties", values.schema())]),
            Self::Object(schema) => reference(schema.name),
            Self::Either(shapes) => map([("oneOf", all(shapes))]),
            Self::Nullable(shape) => map([("oneOf", Yaml::List(vec![shape.schema(), typed("null")]))]),
        }
    }

    /// Adds the objects that stand in the value, and in these, by their names.
    pub(super) fn collect(self, found: &mut BTreeMap<&'static str, &'static Schema>) {
        match self {
            Self::Text | Self::Number | Self::Whole | Self::Truth | Self::Word(_) => {}
            Self::List(inner) | Self::Map(inner) | Self::Nullable(inner) => inner.collect(found),
            Self::Tuple(shapes) | Self::Either(shapes) => shapes.iter().for_each(|shape| shape.collect(found)),
            Self::Object(schema) => {
                if found.insert(schema.name, schema).is_none() {
                    schema.fields.iter().for_each(|field| field.shape.collect(found));
                }
            }
        }
    }
}

impl Schema {
    /// What stands below `components`.
    pub(super) fn definition(&self) -> Yaml {
        let properties = self.fields.iter().map(|field| (field.name, field.shape.schema()));
        let required = self.fields.iter().filter(|field| field.is_required);
        map([
            ("type", Yaml::text("object")),
            ("properties", map(properties)),
            ("required", Yaml::List(required.map(|field| Yaml::text(field.name)).collect())),
        ])
    }
}

/// A reference to what stands below `components`.
pub(super) fn reference(schema: &str) -> Yaml {
    map([("$ref", Yaml::text(format!("#/components/schemas/{schema}")))])
}

fn all(shapes: &[Shape]) -> Yaml {
    Yaml::List(shapes.iter().map(|shape| shape.schema()).collect())
}

/// An object of the document.
pub(super) fn map(pairs: impl IntoIterator<Item = (&'static str, Yaml)>) -> Yaml {
    Yaml::Map(pairs.into_iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect())
}
