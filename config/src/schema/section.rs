//! `section!`: the one declaration of a section. From it come the struct, reading, checking, printing and the reference page.
//!
//! ```text
//! section! {
//!     /// Credentials of HTTP basic authentication.                 (documentation of the section)
//!     #[derive(Clone, Debug, PartialEq)]
//!     pub struct BasicAuth as "basic_auth" {                        (its name in the reference page)
//!         /// The user name.                                        (documentation of the field)
//!         #[yaml(Text)]                                             (how it is read and printed: a `Codec`)
//!         pub username: String,
//!     }
//!     check = check_basic_auth;                                     (what concerns several fields; not if one of them has a fault)
//! }
//! ```
//!
//! After the codec may follow, in this order: `name = "…"` where the YAML name is not the field's, `with = …` for what the codec
//! needs to know (fields declared above are in scope), `default = …` or `inherited = … => "where from"`, and after a semicolon
//! the flags of `Flags`. A check that goes well with faults in some of the fields, and looks for them where it must not tell
//! their consequences, is declared by `check_always`. A section that depends on another one declares it: `in (global: &'c GlobalConfig)`.

use std::borrow::Cow;

use super::describe::{FieldDoc, SectionDoc, Shape};
use super::fields::Fields;
use crate::Error;
use crate::yaml::Yaml;

/// Names and values in the order of printing.
pub(crate) type Pairs = Vec<(Cow<'static, str>, Yaml)>;

/// How a field of type `V` is read from YAML, printed and described.
pub(crate) trait Codec<V> {
    /// What reading needs beside the YAML.
    type Args<'a>;

    /// Reads the field; `None` if it is not set, so that its default holds.
    fn decode(f: &mut Fields<'_>, name: &'static str, args: Self::Args<'_>) -> Result<Option<V>, Error>;

    /// Is this the zero value, which is not printed (Go's `omitempty`)?
    fn is_zero(value: &V) -> bool;

    /// The value as it is printed, without secrets.
    fn encode(value: &V) -> Yaml;

    /// The type, for the reference page.
    fn shape() -> Shape;

    /// Adds the field to its mapping.
    fn put(value: &V, name: &'static str, always: bool, out: &mut Pairs) {
        if always || !Self::is_zero(value) {
            out.push((name.into(), Self::encode(value)));
        }
    }
}

/// The fields of one mapping; implemented by `section!`.
pub(crate) trait Section: Sized {
    /// The section that this one depends on.
    type Context<'c>: Copy;

    /// The name in the reference page: `tls_config`.
    const TITLE: &'static str;

    /// What the reference page says about the section.
    fn doc() -> String;

    /// Every field at its default.
    fn defaults(context: Self::Context<'_>) -> Self;

    /// Reads the fields.
    fn read(f: &mut Fields<'_>, context: Self::Context<'_>) -> Result<Self, Error>;

    /// Checks what concerns several fields, and that required fields are set.
    fn check(&mut self, f: &mut Fields<'_>, context: Self::Context<'_>) -> Result<(), Error>;

    /// Adds the fields as they are printed.
    fn encode(&self, out: &mut Pairs);

    /// Describes the fields, in their order.
    fn fields() -> Vec<FieldDoc>;

    /// Reads and checks a mapping of its own, in which other fields are an error.
    fn decode(f: &mut Fields<'_>, context: Self::Context<'_>) -> Result<Self, Error> {
        // All fields are read before any check, so a check sees defaults and inherited values filled in.
        let mut section = Self::read(f, context)?;
        // Unknown fields are reported before failed checks: a missing required field may be a misspelt one.
        f.finish()?;
        section.check(f, context)?;
        Ok(section)
    }

    /// Describes the section.
    fn describe() -> SectionDoc {
        SectionDoc { title: Self::TITLE, doc: Self::doc(), fields: Self::fields() }
    }

    /// The mapping as it is printed.
    fn to_map(&self) -> Yaml {
        let mut out = Pairs::new();
        self.encode(&mut out);
        Yaml::Map(out)
    }
}

/// Declares a section; see the head of this file.
macro_rules! section {
    // Internal rules begin with `@`, so that they cannot match a declaration.
    (@or [] $fallback:expr) => { $fallback };
    (@or [$given:expr] $fallback:expr) => { $given };
    (@flags $($flag:ident $($value:literal)?),*) => {{
        // A constant, so flags cost nothing where a section is read.
        const FLAGS: $crate::schema::Flags = $crate::schema::Flags::NONE $(.$flag($($value)?))*;
        FLAGS
    }};
    // The default as it is printed; none if it is zero or comes from elsewhere.
    (@shown $codec:ty, $ty:ty, []) => { None };
    (@shown $codec:ty, $ty:ty, [$default:expr]) => {{
        let default: $ty = $default;
        Some(<$codec as $crate::schema::Codec<$ty>>::encode(&default))
    }};
    (
        $(#[doc = $doc:literal])*
        #[derive($($derive:ident),*)]
        $vis:vis struct $section:ident as $title:literal $(in ($context:ident : $context_ty:ty))? {
            $(
                $(#[doc = $field_doc:literal])*
                #[yaml(
                    $codec:ty
                    $(, name = $name:literal)?
                    $(, with = $args:expr)?
                    $(, default = $default:expr)?
                    $(, inherited = $inherited:expr => $from:literal)?
                    $(; $($flag:ident $(= $flag_value:literal)?),+)?
                )]
                $field_vis:vis $field:ident : $ty:ty,
            )*
        }
        $(check = $check:path;)?
        $(check_always = $always:path;)?
    ) => {
        $(#[doc = $doc])*
        #[derive($($derive),*)]
        $vis struct $section {
            $($(#[doc = $field_doc])* $field_vis $field: $ty,)*
        }

        $crate::schema::section!(@default_impl $section [$($context)?]);

        impl $crate::schema::Section for $section {
            type Context<'c> = $crate::schema::section!(@context [$($context_ty)?]);

            const TITLE: &'static str = $title;

            fn doc() -> String {
                concat!($($doc, "\n"),*).to_owned()
            }

            fn defaults(context: Self::Context<'_>) -> Self {
                $(let $context = context; let _ = $context;)?
                let _ = context;
                $(
                    let $field: $ty =
                        $crate::schema::section!(@or [$($default)? $($inherited)?] Default::default());
                )*
                Self { $($field),* }
            }

            fn read(
                f: &mut $crate::schema::Fields<'_>,
                context: Self::Context<'_>,
            ) -> Result<Self, $crate::Error> {
                $(let $context = context; let _ = $context;)?
                let _ = context;
                $(
                    let name = $crate::schema::section!(@or [$($name)?] stringify!($field));
                    let args = $crate::schema::section!(@or [$($args)?] ());
                    let n_faults = f.source.n_faults();
                    // A variable of the field's name: expressions of later fields (`with`, `inherited`) may use it.
                    let read = <$codec as $crate::schema::Codec<$ty>>::decode(f, name, args);
                    let read = f.source.recover(read)?;
                    if f.source.n_faults() > n_faults {
                        f.note_failed(name);
                    }
                    let $field: $ty = match read {
                        Some(value) => {
                            let flags = $crate::schema::section!(@flags $($($flag $($flag_value)?),+)?);
                            // Only a value that is set to something warns; the zero value asks for nothing.
                            if let Some(warning) = flags.unserved
                                && !<$codec as $crate::schema::Codec<$ty>>::is_zero(&value)
                            {
                                f.source.note_unserved(format!("{}: {warning}", f.at(name)));
                            }
                            value
                        }
                        None => $crate::schema::section!(@or [$($default)? $($inherited)?] Default::default()),
                    };
                )*
                Ok(Self { $($field),* })
            }

            fn check(
                &mut self,
                f: &mut $crate::schema::Fields<'_>,
                context: Self::Context<'_>,
            ) -> Result<(), $crate::Error> {
                $(
                    let flags = $crate::schema::section!(@flags $($($flag $($flag_value)?),+)?);
                    // By value, not by presence: Go cannot tell a missing field from an empty one.
                    let name = $crate::schema::section!(@or [$($name)?] stringify!($field));
                    if let Some(error) = flags.required
                        && <$codec as $crate::schema::Codec<$ty>>::is_zero(&self.$field)
                        // It is there, and not valid.
                        && !f.has_failed(name)
                        // One that was already reported may be this field, misspelt.
                        && f.unknown().next().is_none()
                    {
                        f.source.report(f.refuse(name, error))?;
                        f.note_failed(name);
                    }
                )*
                // With a fault in one field a check of several may only report what follows from it.
                if f.is_sound() {
                    let checked = $crate::schema::section!(@check self, f, context, [$($check)?], [$($context)?]);
                    f.source.settle(checked)?;
                }
                let checked = $crate::schema::section!(@check self, f, context, [$($always)?], [$($context)?]);
                f.source.settle(checked)
            }

            fn encode(&self, out: &mut $crate::schema::Pairs) {
                $(
                    let name = $crate::schema::section!(@or [$($name)?] stringify!($field));
                    let flags = $crate::schema::section!(@flags $($($flag $($flag_value)?),+)?);
                    <$codec as $crate::schema::Codec<$ty>>::put(&self.$field, name, flags.always, out);
                )*
            }

            fn fields() -> Vec<$crate::schema::FieldDoc> {
                vec![$(
                    $crate::schema::FieldDoc {
                        name: $crate::schema::section!(@or [$($name)?] stringify!($field)),
                        doc: concat!($($field_doc, "\n"),*),
                        shape: <$codec as $crate::schema::Codec<$ty>>::shape(),
                        default: $crate::schema::section!(@shown $codec, $ty, [$($default)?]),
                        inherited: $crate::schema::section!(@or [$(Some($from))?] None),
                        flags: $crate::schema::section!(@flags $($($flag $($flag_value)?),+)?),
                    },
                )*]
            }
        }
    };
    // A section that depends on another one has no default of its own.
    (@default_impl $section:ident [$context:ident]) => {};
    (@default_impl $section:ident []) => {
        impl Default for $section {
            fn default() -> Self {
                $crate::schema::Section::defaults(())
            }
        }
    };
    (@context []) => { () };
    (@context [$ty:ty]) => { $ty };
    (@check $self:ident, $f:ident, $context:ident, [], [$($name:ident)?]) => {{
        let _ = $context;
        Ok::<(), $crate::Error>(())
    }};
    (@check $self:ident, $f:ident, $context:ident, [$check:path], []) => {{
        let () = $context;
        $check($self, $f)
    }};
    (@check $self:ident, $f:ident, $context:ident, [$check:path], [$name:ident]) => {
        $check($self, $f, $context)
    };
}
pub(crate) use section;
