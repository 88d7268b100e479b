//! The types of flags: how each is read, and how upstream writes its value.

use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValuesParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use config::format_size;
use model::duration::{format_duration_ms, parse_duration_ms};
use remote::receive::write::WriteMessage;

/// What a flag's value can be.
pub(super) trait FlagValue: Sized {
    /// A switch: `--flag` and `--no-flag`.
    const IS_SWITCH: bool = false;
    /// May be given several times.
    const IS_REPEATED: bool = false;
    /// The words it may be; any text where there are none.
    const WORDS: &'static [&'static str] = &[];

    /// Parses the texts that were given, or the default; more than one only where it is repeated.
    fn parse(texts: &[String]) -> Result<Self, String>;

    /// The value as upstream writes it, however it was given.
    fn shown(&self) -> String;
}

/// A flag as an argument, and `--no-flag` of a switch.
pub(super) struct Args(Arg, Option<Arg>);

impl Args {
    pub(super) fn help(self, help: &'static str) -> Self {
        Self(self.0.help(help), self.1)
    }

    /// Leaves it out of `--help`.
    pub(super) fn hide(self) -> Self {
        Self(self.0.hide(true), self.1)
    }
}

impl IntoIterator for Args {
    type Item = Arg;
    type IntoIter = std::iter::Chain<std::iter::Once<Arg>, std::option::IntoIter<Arg>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.0).chain(self.1)
    }
}

/// The argument of a flag of type `T`.
pub(super) fn args<T: FlagValue>(name: &'static str, default: &'static str) -> Args {
    let arg = Arg::new(name).long(name).value_name("value").default_value(default);
    if T::IS_SWITCH {
        // `--flag=true` is more than Prometheus accepts, and what people write.
        // Were the equals sign not required, `--flag x` would take `x` for its value.
        let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true);
        let no = format!("no-{name}");
        // clap drops the earlier of two that override each other, so that the last one counts, whichever it is.
        let off = Arg::new(no.clone()).long(no).action(ArgAction::SetTrue).hide(true).overrides_with(name);
        return Args(arg.value_parser(BoolishValueParser::new()), Some(off));
    }
    let arg = arg.action(if T::IS_REPEATED { ArgAction::Append } else { ArgAction::Set }).allow_hyphen_values(true);
    if T::WORDS.is_empty() {
        Args(arg, None)
    } else {
        Args(arg.value_parser(PossibleValuesParser::new(T::WORDS)), None)
    }
}

/// The value of a flag.
pub(super) fn read<T: FlagValue>(name: &str, matches: &ArgMatches) -> Result<T, clap::Error> {
    let texts: Vec<String> = if T::IS_SWITCH {
        let is_on = matches.get_one(name).copied().unwrap_or_default() && !matches.get_flag(&format!("no-{name}"));
        vec![is_on.to_string()]
    } else {
        matches.get_many(name).map(|texts| texts.cloned().collect()).unwrap_or_default()
    };
    T::parse(&texts).map_err(|why| clap::Error::raw(ErrorKind::ValueValidation, format!("--{name}: {why}\n")))
}

/// Was it on the command line?
pub(super) fn was_given(name: &str, matches: &ArgMatches) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}

/// The last of several.
fn last(texts: &[String]) -> &str {
    texts.last().map_or("", String::as_str)
}

impl FlagValue for String {
    fn parse(texts: &[String]) -> Result<Self, String> {
        Ok(last(texts).to_owned())
    }

    fn shown(&self) -> String {
        self.clone()
    }
}

impl FlagValue for bool {
    const IS_SWITCH: bool = true;

    fn parse(texts: &[String]) -> Result<Self, String> {
        // `read` wrote the word, from what clap made of `yes`, `off` and the like.
        Ok(last(texts) == "true")
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl FlagValue for usize {
    fn parse(texts: &[String]) -> Result<Self, String> {
        let text = last(texts);
        text.parse().map_err(|_| format!("{text:?} is not a whole number"))
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl FlagValue for Duration {
    fn parse(texts: &[String]) -> Result<Self, String> {
        let ms = parse_duration_ms(last(texts)).map_err(|error| error.to_string())?;
        Ok(Self::from_millis(ms.unsigned_abs()))
    }

    fn shown(&self) -> String {
        format_duration_ms(ms(*self))
    }
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Empty where it was not given.
impl<T: FlagValue> FlagValue for Option<T> {
    fn parse(texts: &[String]) -> Result<Self, String> {
        if last(texts).is_empty() { Ok(None) } else { T::parse(texts).map(Some) }
    }

    fn shown(&self) -> String {
        self.as_ref().map(T::shown).unwrap_or_default()
    }
}

/// A size, `512MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FlagValue for Bytes {
    fn parse(texts: &[String]) -> Result<Self, String> {
        let text = last(texts);
        let bytes = config::parse_size(text).ok().and_then(|bytes| u64::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| format!("{text:?} is not a size such as 512MB"))
    }

    fn shown(&self) -> String {
        format_size(self.0)
    }
}

/// All texts that were given.
#[derive(Clone, Debug)]
pub(crate) struct Repeated(pub(crate) Vec<String>);

impl Repeated {
    /// The last one.
    pub(crate) fn last(&self) -> &str {
        last(&self.0)
    }
}

impl FlagValue for Repeated {
    const IS_REPEATED: bool = true;

    fn parse(texts: &[String]) -> Result<Self, String> {
        Ok(Self(texts.to_vec()))
    }

    fn shown(&self) -> String {
        self.0.join(",")
    }
}

/// Messages of remote write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteMessages(pub(crate) Vec<WriteMessage>);

impl FlagValue for WriteMessages {
    const IS_REPEATED: bool = true;

    fn parse(texts: &[String]) -> Result<Self, String> {
        let mut messages = Vec::new();
        // Upstream takes one a flag; several in one are written as `/api/v1/status/flags` shows them.
        for name in texts.iter().flat_map(|text| text.split(',')) {
            let message = WriteMessage::named(name.trim())?;
            if messages.contains(&message) {
                return Err(format!("duplicated {name} flag value"));
            }
            messages.push(message);
        }
        Ok(Self(messages))
    }

    fn shown(&self) -> String {
        self.0.iter().map(|message| message.name()).collect::<Vec<_>>().join(",")
    }
}

/// The least severe level that is logged.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(pub(crate) String);

impl FlagValue for LogLevel {
    const WORDS: &'static [&'static str] = &["debug", "info", "warn", "error"];

    fn parse(texts: &[String]) -> Result<Self, String> {
        Ok(Self(last(texts).to_owned()))
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}

pub(crate) use crate::logging::Format as LogFormat;

impl FlagValue for LogFormat {
    const WORDS: &'static [&'static str] = &["logfmt", "json"];

    fn parse(texts: &[String]) -> Result<Self, String> {
        Ok(if last(texts) == "json" { Self::Json } else { Self::Logfmt })
    }

    fn shown(&self) -> String {
        match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        }
        .to_owned()
    }
}

/// Whether a token without the right to a path may read a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenancy {
    None,
    /// What has the label `namespace` of one whose pods it may get.
    Namespace,
}

impl FlagValue for Tenancy {
    const WORDS: &'static [&'static str] = &["none", "namespace"];

    fn parse(texts: &[String]) -> Result<Self, String> {
        Ok(if last(texts) == "namespace" { Self::Namespace } else { Self::None })
    }

    fn shown(&self) -> String {
        match self {
            Self::None => "none",
            Self::Namespace => "namespace",
        }
        .to_owned()
    }
}
