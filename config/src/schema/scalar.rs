//! Fields that hold single values, or lists and mappings of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::duration::format_duration_ms;
use model::float;

use super::describe::Shape;
use super::fields::{Fields, scalar};
use super::section::Codec;
use crate::size::format_size;
use crate::yaml::{Kind, Yaml};
use crate::{Error, SECRET_SHOWN, Secret};

/// Implements a codec without arguments: how it reads, when a value is zero, how it is printed, and what it is called.
macro_rules! scalar_codec {
    ($codec:ty, $value:ty, $read:expr, $is_zero:expr, $encode:expr, $shape:expr) => {
        impl Codec<$value> for $codec {
            type Args<'a> = ();

            fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<$value>, Error> {
                let read: fn(&mut Fields<'_>, &'static str) -> Result<Option<$value>, Error> = $read;
                read(f, name)
            }

            fn is_zero(value: &$value) -> bool {
                let is_zero: fn(&$value) -> bool = $is_zero;
                is_zero(value)
            }

            fn encode(value: &$value) -> Yaml {
                let encode: fn(&$value) -> Yaml = $encode;
                encode(value)
            }

            fn shape() -> Shape {
                $shape
            }
        }
    };
}

/// A string; as an option, the empty string is not set.
pub(crate) enum Text {}
/// A URL: printed without its password.
pub(crate) enum Url {}
/// A string that is never printed.
pub(crate) enum SecretText {}
/// The path of a file; a relative one starts at the folder of the configuration file.
pub(crate) enum Path {}
/// A list of paths.
pub(crate) enum Paths {}
/// `true` or `false`; null is `false`.
pub(crate) enum Bool {}
/// The same where null means not set.
pub(crate) enum OptionalBool {}
/// A whole number.
pub(crate) enum Int {}
/// A whole number that is not negative.
pub(crate) enum Count {}
/// A number.
pub(crate) enum Number {}
/// Milliseconds, written `1m30s`.
pub(crate) enum Duration {}
/// Bytes, written `10MB`.
pub(crate) enum Size {}
/// A list of strings.
pub(crate) enum Texts {}
/// A mapping of names to strings.
pub(crate) enum TextMap {}

fn non_empty(text: Option<String>) -> Option<Option<String>> {
    text.map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// As go-yaml v2 prints floats: `strconv.FormatFloat` with format `g`, and words of its own (`floatv` in its `encode.go`).
fn shown_number(number: f64) -> Yaml {
    Yaml::Raw(match number {
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        _ if number.is_nan() => ".nan".to_owned(),
        _ => float::format_g(number),
    })
}

fn shown_url(url: &str) -> Yaml {
    Yaml::text(without_password(url))
}

fn texts(map: &BTreeMap<String, String>) -> Yaml {
    Yaml::map(map.iter().map(|(name, value)| (name, Yaml::text(value))))
}

fn paths(f: &mut Fields<'_>, name: &'static str) -> Result<Option<Vec<PathBuf>>, Error> {
    let texts = f.texts(name)?;
    Ok(Some(texts.iter().map(|text| f.source.resolve(text)).collect()))
}

const STRING: Shape = Shape::Scalar("string");

// In the optional forms below the empty text counts as not set, because Go's structs cannot tell the two apart.
scalar_codec!(Text, String, |f, n| f.text(n), String::is_empty, |v| Yaml::text(v), STRING);
scalar_codec!(
    Text,
    Option<String>,
    |f, n| Ok(non_empty(f.text(n)?)),
    Option::is_none,
    |v| Yaml::text(v.as_deref().unwrap_or_default()),
    STRING
);
scalar_codec!(Url, String, |f, n| f.text(n), String::is_empty, |v| shown_url(v), Shape::Scalar("URL"));
scalar_codec!(
    Url,
    Option<String>,
    |f, n| Ok(non_empty(f.text(n)?)),
    Option::is_none,
    |v| shown_url(v.as_deref().unwrap_or_default()),
    Shape::Scalar("URL")
);
scalar_codec!(
    SecretText,
    Option<Secret>,
    |f, n| f.secret(n).map(Some),
    Option::is_none,
    |_| Yaml::text(SECRET_SHOWN),
    Shape::Scalar("secret")
);
scalar_codec!(
    SecretText,
    Vec<Secret>,
    |f, n| Ok(Some(f.texts(n)?.into_iter().map(Secret::new).collect())),
    Vec::is_empty,
    |v| Yaml::texts(v.iter().map(|_| SECRET_SHOWN)),
    Shape::list(Shape::Scalar("secret"))
);
scalar_codec!(
    Path,
    Option<PathBuf>,
    |f, n| f.path(n).map(Some),
    Option::is_none,
    |v| Yaml::text(v.as_ref().map(|path| path.display().to_string()).unwrap_or_default()),
    Shape::Scalar("path")
);
scalar_codec!(
    Paths,
    Vec<PathBuf>,
    paths,
    Vec::is_empty,
    |v| Yaml::texts(v.iter().map(|path| path.display().to_string())),
    Shape::list(Shape::Scalar("path"))
);
scalar_codec!(Bool, bool, |f, n| f.bool(n), |v| !*v, |v| Yaml::raw(v), Shape::Scalar("boolean"));
scalar_codec!(OptionalBool, bool, |f, n| f.optional_bool(n), |v| !*v, |v| Yaml::raw(v), Shape::Scalar("boolean"));
scalar_codec!(Int, i64, |f, n| f.int(n), |v| *v == 0, |v| Yaml::raw(v), Shape::Scalar("integer"));
scalar_codec!(Count, u64, |f, n| f.count(n), |v| *v == 0, |v| Yaml::raw(v), Shape::Scalar("integer"));
scalar_codec!(Number, f64, |f, n| f.float(n), |v| *v == 0.0, |v| shown_number(*v), Shape::Scalar("number"));
scalar_codec!(
    Number,
    Option<f64>,
    |f, n| f.float(n).map(Some),
    |v| v.is_none_or(|v| v == 0.0),
    |v| shown_number(v.unwrap_or_default()),
    Shape::Scalar("number")
);
scalar_codec!(
    Duration,
    i64,
    |f, n| f.duration_ms(n),
    |v| *v == 0,
    |v| Yaml::text(format_duration_ms(*v)),
    Shape::Scalar("duration")
);
scalar_codec!(
    Duration,
    Option<i64>,
    |f, n| f.duration_ms(n).map(Some),
    |v| v.is_none_or(|v| v == 0),
    |v| Yaml::text(format_duration_ms(v.unwrap_or_default())),
    Shape::Scalar("duration")
);
scalar_codec!(
    Duration,
    u64,
    // `model.ParseDuration` takes no sign, so there is nothing that this could turn around.
    |f, n| Ok(f.duration_ms(n)?.map(i64::unsigned_abs)),
    |v| *v == 0,
    |v| Yaml::text(format_duration_ms(v.cast_signed())),
    Shape::Scalar("duration")
);
scalar_codec!(Size, u64, size, |v| *v == 0, |v| Yaml::text(format_size(*v)), Shape::Scalar("size"));
scalar_codec!(
    Size,
    Option<u64>,
    |f, n| size(f, n).map(Some),
    |v| v.is_none_or(|v| v == 0),
    |v| Yaml::text(format_size(v.unwrap_or_default())),
    Shape::Scalar("size")
);
scalar_codec!(Texts, Vec<String>, |f, n| f.texts(n).map(Some), Vec::is_empty, |v| Yaml::texts(v), Shape::list(STRING));
scalar_codec!(
    TextMap,
    BTreeMap<String, String>,
    |f, n| f.text_map(n).map(Some),
    BTreeMap::is_empty,
    texts,
    Shape::Map(Box::new(STRING))
);

fn size(f: &mut Fields<'_>, name: &'static str) -> Result<Option<u64>, Error> {
    let Some(bytes) = f.size_bytes(name)? else { return Ok(None) };
    // `parse_size` accepts a minus sign, as upstream's parser does; where bytes are counted it makes no sense.
    let refuse = |_| f.refuse(name, format!("'{}' must be greater than or equal to 0", f.at(name)));
    u64::try_from(bytes).map(Some).map_err(refuse)
}

/// A value for which zero means not set, so that its default or what it inherits holds.
pub(crate) struct Nonzero<C>(std::marker::PhantomData<C>);

impl<V, C: Codec<V>> Codec<V> for Nonzero<C> {
    type Args<'a> = C::Args<'a>;

    fn decode(f: &mut Fields<'_>, name: &'static str, args: Self::Args<'_>) -> Result<Option<V>, Error> {
        // Upstream fills in what is zero after decoding (`Validate` in `config/config.go`): `scrape_interval: 0s` is no
        // error but the default.
        Ok(C::decode(f, name, args)?.filter(|value| !C::is_zero(value)))
    }

    fn is_zero(value: &V) -> bool {
        C::is_zero(value)
    }

    fn encode(value: &V) -> Yaml {
        C::encode(value)
    }

    fn shape() -> Shape {
        C::shape()
    }
}

/// A mapping of names to lists of strings or secrets.
impl Codec<BTreeMap<String, Vec<String>>> for TextMap {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<BTreeMap<String, Vec<String>>>, Error> {
        lists(f, name).map(Some)
    }

    fn is_zero(value: &BTreeMap<String, Vec<String>>) -> bool {
        value.is_empty()
    }

    fn encode(value: &BTreeMap<String, Vec<String>>) -> Yaml {
        Yaml::map(value.iter().map(|(name, values)| (name, Yaml::texts(values))))
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(Shape::list(STRING)))
    }
}

impl Codec<BTreeMap<String, Vec<Secret>>> for SecretText {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<BTreeMap<String, Vec<Secret>>>, Error> {
        let secrets = |texts: Vec<String>| texts.into_iter().map(Secret::new).collect();
        Ok(Some(lists(f, name)?.into_iter().map(|(name, texts)| (name, secrets(texts))).collect()))
    }

    fn is_zero(value: &BTreeMap<String, Vec<Secret>>) -> bool {
        value.is_empty()
    }

    fn encode(value: &BTreeMap<String, Vec<Secret>>) -> Yaml {
        // One `<secret>` for each, as upstream's `[]Secret`: how many there are is not secret.
        let hidden = |values: &Vec<Secret>| Yaml::texts(values.iter().map(|_| SECRET_SHOWN));
        Yaml::map(value.iter().map(|(name, values)| (name, hidden(values))))
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(Shape::list(Shape::Scalar("secret"))))
    }
}

fn lists(f: &mut Fields<'_>, name: &'static str) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let Some(inner) = f.fields(name)? else { return Ok(BTreeMap::new()) };
    let source = inner.source;
    source.each(inner.pairs(), |(key, tree)| {
        let path = inner.at(&key.text);
        let items = match &*tree.kind {
            Kind::List(items) => &items[..],
            // Go decodes a null list as an empty one.
            _ if tree.is_null() => &[],
            _ => {
                let message = format!("cannot unmarshal {} into a list; write [value]", tree.what());
                return Err(source.error(tree.pos, path, message));
            }
        };
        let texts: Vec<String> = source.each(items, |item| scalar(source, item, &path).map(str::to_owned))?;
        Ok((key.text.clone(), texts))
    })
}

/// A value that does not come from a field of the file.
pub(crate) enum Unread {}

impl<V: Default> Codec<V> for Unread {
    type Args<'a> = ();

    fn decode(_: &mut Fields<'_>, _: &'static str, (): ()) -> Result<Option<V>, Error> {
        Ok(None)
    }

    fn is_zero(_: &V) -> bool {
        // Never printed, since the file never had it; `encode` is not reached.
        true
    }

    fn encode(_: &V) -> Yaml {
        Yaml::Map(Vec::new())
    }

    fn shape() -> Shape {
        Shape::Hidden
    }
}

/// A URL with its password replaced as Go's `URL.Redacted` does it.
fn without_password(url: &str) -> String {
    // By hand: printing a parsed URL would also normalise the rest, and one that does not parse may hold a password.
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // The password ends at the last `@` of the authority; one in the path or query belongs to these.
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}://{name}:xxxxx@{host}{}", &rest[authority.len()..]),
        None => url.to_owned(),
    }
}
