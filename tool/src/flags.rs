//! The flags of `promtool check config` and `promtool check rules`.

use std::io::{self, Write};

use crate::Outcome;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags<'a> {
    /// Values of `--lint`; `None` if it is not given.
    pub(super) lints: Option<Vec<&'a str>>,
    /// Is a finding of a lint a failure?
    pub(super) lint_fatal: bool,
    pub(super) ignore_unknown_fields: bool,
    pub(super) syntax_only: bool,
    pub(super) features: Vec<&'a str>,
    pub(super) files: Vec<&'a str>,
}

/// Why a command does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The usage was asked for, which is no misuse.
    Help,
    Misuse(String),
}

impl Stop {
    /// Prints the usage, and what is wrong.
    pub(super) fn tell(self, usage: &str, out: &mut dyn Write) -> io::Result<Outcome> {
        match self {
            Self::Help => writeln!(out, "{usage}").map(|()| Outcome::Passed),
            Self::Misuse(why) => writeln!(out, "{why}; {usage}").map(|()| Outcome::Misused),
        }
    }
}

impl<'a> Flags<'a> {
    /// Reads the arguments. A value may follow `=` or be the next argument, as upstream takes it.
    pub(super) fn parse(args: &[&'a str]) -> Result<Self, Stop> {
        let mut flags = Self::default();
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            // `-` alone is the standard input.
            if !arg.starts_with('-') || arg == "-" {
                flags.files.push(arg);
                continue;
            }
            if let "--help" | "-h" = arg {
                return Err(Stop::Help);
            }
            let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
            if let "--lint" | "--enable-feature" = name {
                let value = value.or_else(|| args.next());
                let value = value.ok_or_else(|| Stop::Misuse(format!("{name} needs a value")))?;
                let values = value.split(',').filter(|value| !value.is_empty());
                if name == "--lint" {
                    flags.lints.get_or_insert_default().extend(values);
                } else {
                    flags.features.extend(values);
                }
                continue;
            }
            let is_set = !arg.starts_with("--no-");
            match arg.strip_prefix("--no-").or_else(|| arg.strip_prefix("--")) {
                Some("lint-fatal") => flags.lint_fatal = is_set,
                Some("ignore-unknown-fields") => flags.ignore_unknown_fields = is_set,
                Some("syntax-only") => flags.syntax_only = is_set,
                _ => return Err(Stop::Misuse(format!("unknown flag {arg}"))),
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_in_either_form() {
        let args = ["--lint", "all", "a.yml", "--lint=none,,x", "--enable-feature=y", "--lint-fatal", "-"];
        let flags = Flags::parse(&args).unwrap();
        assert_eq!(flags.lints, Some(vec!["all", "none", "x"]));
        assert_eq!((flags.features, flags.files), (vec!["y"], vec!["a.yml", "-"]));
        assert!(flags.lint_fatal && !flags.ignore_unknown_fields);
        assert!(!Flags::parse(&["--lint-fatal", "--no-lint-fatal"]).unwrap().lint_fatal);
        assert_eq!(Flags::parse(&["--lint"]), Err(Stop::Misuse("--lint needs a value".to_owned())));
        assert_eq!(Flags::parse(&["-x"]), Err(Stop::Misuse("unknown flag -x".to_owned())));
        assert_eq!(Flags::parse(&["-x", "-h"]), Err(Stop::Misuse("unknown flag -x".to_owned())));
        assert_eq!(Flags::parse(&["-h"]), Err(Stop::Help));
    }
}
