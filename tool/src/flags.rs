//! The flags of commands, in the forms that upstream takes.

use std::io::{self, Write};

use crate::Outcome;

/// The flags that a command has, by their names without the hyphens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Those that are on or off.
    pub(crate) switches: &'static [&'static str],
    /// Those with a value.
    pub(crate) values: &'static [&'static str],
}

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags<'a> {
    switches: Vec<(&'a str, bool)>,
    values: Vec<(&'a str, &'a str)>,
    pub(crate) files: Vec<&'a str>,
}

/// Why a command does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The usage was asked for, which is no misuse.
    Help,
    Misuse(String),
}

impl Stop {
    /// Prints the usage, and what is wrong.
    pub(crate) fn tell(self, usage: &str, out: &mut dyn Write) -> io::Result<Outcome> {
        match self {
            Self::Help => writeln!(out, "{usage}").map(|()| Outcome::Passed),
            Self::Misuse(why) => writeln!(out, "{why}; {usage}").map(|()| Outcome::Misused),
        }
    }
}

impl<'a> Flags<'a> {
    /// Reads the arguments. A value may follow `=` or be the next argument; `--no-NAME` turns a switch off.
    pub(crate) fn parse(args: &[&'a str], known: Known) -> Result<Self, Stop> {
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
            let unknown = || Stop::Misuse(format!("unknown flag {arg}"));
            let flag = arg.strip_prefix("--").ok_or_else(unknown)?;
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            if known.values.contains(&name) {
                let value = value.or_else(|| args.next());
                flags.values.push((name, value.ok_or_else(|| Stop::Misuse(format!("--{name} needs a value")))?));
                continue;
            }
            let (switch, is_on) = flag.strip_prefix("no-").map_or((flag, true), |switch| (switch, false));
            if !known.switches.contains(&switch) {
                return Err(unknown());
            }
            flags.switches.push((switch, is_on));
        }
        Ok(flags)
    }

    /// Is a switch on? The last one counts.
    pub(crate) fn is_on(&self, switch: &str) -> bool {
        self.switches.iter().rev().find(|(name, _)| *name == switch).is_some_and(|(_, is_on)| *is_on)
    }

    /// The values of a flag, in their order.
    pub(crate) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.values.iter().filter(move |(of, _)| *of == name).map(|(_, value)| *value)
    }

    /// The values of a flag that takes several, between commas; `None` if it is not given.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        self.values(name).next()?;
        Some(self.values(name).flat_map(|value| value.split(',')).filter(|value| !value.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { switches: &["lint-fatal"], values: &["lint", "enable-feature"] };

    #[test]
    fn values_follow_in_either_form() {
        let args = ["--lint", "all", "a.yml", "--lint=none,,x", "--enable-feature=y", "--lint-fatal", "-"];
        let flags = Flags::parse(&args, KNOWN).unwrap();
        assert_eq!(flags.list("lint"), Some(vec!["all", "none", "x"]));
        assert_eq!(flags.values("lint").collect::<Vec<_>>(), ["all", "none,,x"]);
        assert_eq!((flags.list("enable-feature"), flags.list("run")), (Some(vec!["y"]), None));
        assert_eq!(flags.files, ["a.yml", "-"]);
        assert!(flags.is_on("lint-fatal") && !flags.is_on("diff"));
        assert!(!Flags::parse(&["--lint-fatal", "--no-lint-fatal"], KNOWN).unwrap().is_on("lint-fatal"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let stop = |args: &[&str]| Flags::parse(args, KNOWN).unwrap_err();
        assert_eq!(stop(&["--lint"]), Stop::Misuse("--lint needs a value".to_owned()));
        for flag in ["-x", "--x", "--no-lint", "--lint-fatal=1"] {
            assert_eq!(stop(&[flag]), Stop::Misuse(format!("unknown flag {flag}")));
        }
        assert_eq!(stop(&["a.yml", "--help"]), Stop::Help);
    }
}
