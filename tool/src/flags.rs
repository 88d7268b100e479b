//! The flags of commands, in the forms that upstream takes.

use std::collections::BTreeMap;

use crate::outcome::Stop;

/// The flags that a command has, by their names without the hyphens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Those that are on or off.
    pub(crate) switches: &'static [&'static str],
    /// Those with a value.
    pub(crate) values: &'static [&'static str],
    /// Letters that stand for one of these, `-o` for `--format`.
    pub(crate) short: &'static [(char, &'static str)],
}

impl Known {
    pub(crate) const NONE: Self = Self { switches: &[], values: &[], short: &[] };

    fn is_value(&self, name: &str) -> bool {
        self.values.contains(&name) || GLOBAL_VALUES.contains(&name)
    }

    fn is_switch(&self, name: &str) -> bool {
        self.switches.contains(&name) || GLOBAL_SWITCHES.contains(&name)
    }
}

/// Flags that every command takes.
const GLOBAL_VALUES: [&str; 1] = ["enable-feature"];
const GLOBAL_SWITCHES: [&str; 1] = ["experimental"];

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags<'a> {
    switches: Vec<(&'a str, bool)>,
    values: Vec<(&'a str, &'a str)>,
    /// What is no flag.
    pub(crate) files: Vec<&'a str>,
}

impl<'a> Flags<'a> {
    /// Reads the arguments. A value may follow `=` or be the next argument; `--no-NAME` turns a switch off; behind `--` there are no
    /// flags.
    pub(crate) fn parse(args: &[&'a str], known: Known) -> Result<Self, Stop> {
        let mut flags = Self::default();
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            match arg {
                "--" => flags.files.extend(args.by_ref()),
                "--help" | "-h" => return Err(Stop::Help),
                // `-` alone is the standard input.
                _ if !arg.starts_with('-') || arg == "-" => flags.files.push(arg),
                _ => match arg.strip_prefix("--") {
                    Some(long) => flags.long((arg, long), known, &mut args)?,
                    None => flags.short(arg, known, &mut args)?,
                },
            }
        }
        Ok(flags)
    }

    fn long(
        &mut self,
        (arg, flag): (&str, &'a str),
        known: Known,
        args: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), Stop> {
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if known.is_value(name) {
            let value = value.or_else(|| args.next());
            let value = value.ok_or_else(|| Stop::Misuse(format!("expected argument for flag '--{name}'")))?;
            self.values.push((name, value));
            return Ok(());
        }
        let (switch, is_on) = match flag.strip_prefix("no-") {
            Some(switch) if !known.is_switch(flag) => (switch, false),
            _ => (flag, true),
        };
        if !known.is_switch(switch) {
            return Err(Stop::Misuse(format!("unknown long flag '{arg}'")));
        }
        self.switches.push((switch, is_on));
        Ok(())
    }

    /// `-o json`, `-ojson`, `-r`, `-rq`.
    fn short(&mut self, arg: &'a str, known: Known, args: &mut impl Iterator<Item = &'a str>) -> Result<(), Stop> {
        let mut rest = arg.get(1..).unwrap_or_default();
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            let name = known.short.iter().find(|(short, _)| *short == letter).map(|(_, name)| *name);
            let name = name.ok_or_else(|| Stop::Misuse(format!("unknown short flag '-{letter}'")))?;
            if known.is_value(name) {
                let value = if rest.is_empty() { args.next() } else { Some(rest) };
                let value = value.ok_or_else(|| Stop::Misuse(format!("expected argument for flag '-{letter}'")))?;
                self.values.push((name, value));
                return Ok(());
            }
            self.switches.push((name, true));
        }
        Ok(())
    }

    /// Is a switch on? The last one counts.
    pub(crate) fn is_on(&self, switch: &str) -> bool {
        self.switches.iter().rev().find(|(name, _)| *name == switch).is_some_and(|(_, is_on)| *is_on)
    }

    /// The values of a flag, in their order.
    pub(crate) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.values.iter().filter(move |(of, _)| *of == name).map(|(_, value)| *value)
    }

    /// The value of a flag; the last one counts.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next_back()
    }

    /// The values of a flag that takes several, between commas; `None` if it is not given.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        self.values(name).next()?;
        Some(self.values(name).flat_map(|value| value.split(',')).filter(|value| !value.is_empty()).collect())
    }

    /// The values of a flag that must be there at least once.
    pub(crate) fn required(&self, name: &str) -> Result<Vec<&'a str>, Stop> {
        let values: Vec<&str> = self.values(name).collect();
        if values.is_empty() {
            Err(Stop::Misuse(format!("required flag(s) '--{name}' not provided")))
        } else {
            Ok(values)
        }
    }

    /// `--header NAME=VALUE`, also with a colon: pairs by name, the last one of a name.
    pub(crate) fn map(&self, name: &str) -> Result<BTreeMap<&'a str, &'a str>, Stop> {
        let pair = |value: &'a str| {
            value.split_once([':', '=']).ok_or_else(|| Stop::Misuse(format!("expected KEY=VALUE got '{value}'")))
        };
        self.values(name).map(pair).collect()
    }

    /// A flag that takes a whole number.
    pub(crate) fn number(&self, name: &str, default: i64) -> Result<i64, Stop> {
        let Some(value) = self.value(name) else { return Ok(default) };
        value.parse().map_err(|_| Stop::Misuse(format!("--{name}: {value:?} is no whole number")))
    }

    /// A flag with one of some words; the first is its default.
    pub(crate) fn one_of(&self, name: &str, words: &[&'static str]) -> Result<&'static str, Stop> {
        let Some(value) = self.value(name) else { return Ok(words.first().copied().unwrap_or_default()) };
        let word = words.iter().find(|word| **word == value).copied();
        word.ok_or_else(|| Stop::Misuse(format!("enum value must be one of {}, got '{value}'", words.join(","))))
    }

    /// The arguments that a command must have, by their names for messages.
    pub(crate) fn exactly<const N: usize>(&self, names: [&str; N]) -> Result<[&'a str; N], Stop> {
        if let Some(name) = names.get(self.files.len()) {
            return Err(Stop::Misuse(format!("required argument '{name}' not provided")));
        }
        if let Some(more) = self.files.get(N) {
            return Err(Stop::Misuse(format!("unexpected {more}")));
        }
        self.files.as_slice().try_into().map_err(|_| Stop::Misuse("unexpected arguments".to_owned()))
    }

    /// The arguments of a command that has defaults for them.
    pub(crate) fn at_most<const N: usize>(&self, defaults: [&'a str; N]) -> Result<[&'a str; N], Stop> {
        if let Some(more) = self.files.get(N) {
            return Err(Stop::Misuse(format!("unexpected {more}")));
        }
        let mut arguments = defaults;
        for (argument, given) in arguments.iter_mut().zip(&self.files) {
            *argument = given;
        }
        Ok(arguments)
    }

    /// The arguments of a command that must have one at least.
    pub(crate) fn some_files(&self, name: &str) -> Result<&[&'a str], Stop> {
        if self.files.is_empty() {
            return Err(Stop::Misuse(format!("required argument '{name}' not provided")));
        }
        Ok(&self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        switches: &["lint-fatal", "human-readable", "quiet", "no-color"],
        values: &["lint", "format", "header"],
        short: &[('o', "format"), ('r', "human-readable"), ('q', "quiet")],
    };

    fn parsed<'a>(args: &[&'a str]) -> Flags<'a> {
        Flags::parse(args, KNOWN).unwrap()
    }

    #[test]
    fn values_follow_in_either_form() {
        let args = ["--lint", "all", "a.yml", "--lint=none,,x", "--enable-feature=y", "--lint-fatal", "-"];
        let flags = parsed(&args);
        assert_eq!(flags.list("lint"), Some(vec!["all", "none", "x"]));
        assert_eq!(flags.values("lint").collect::<Vec<_>>(), ["all", "none,,x"]);
        assert_eq!((flags.list("enable-feature"), flags.list("run")), (Some(vec!["y"]), None));
        assert_eq!(flags.files, ["a.yml", "-"]);
        assert!(flags.is_on("lint-fatal") && !flags.is_on("diff"));
        assert!(!parsed(&["--lint-fatal", "--no-lint-fatal"]).is_on("lint-fatal"));
        assert!(parsed(&["--no-color"]).is_on("no-color"));
        assert_eq!(parsed(&["-o", "json"]).value("format"), Some("json"));
        assert_eq!(parsed(&["-ojson"]).value("format"), Some("json"));
        assert!(parsed(&["-rq"]).is_on("quiet") && parsed(&["-rq"]).is_on("human-readable"));
        assert_eq!(parsed(&["a", "--", "--lint", "-x"]).files, ["a", "--lint", "-x"]);
    }

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        let flags = parsed(&["--header", "a=b:c", "--header=X:y=z", "--header=a=d"]);
        assert_eq!(flags.map("header").unwrap(), BTreeMap::from([("a", "d"), ("X", "y=z")]));
        assert!(
            matches!(parsed(&["--header=a"]).map("header"), Err(Stop::Misuse(why)) if why == "expected KEY=VALUE got 'a'")
        );
    }

    #[test]
    fn arguments_are_counted() {
        let misuse = |result: Result<[&str; 2], Stop>| match result {
            Err(Stop::Misuse(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(parsed(&["a", "b"]).exactly(["server", "expr"]).unwrap(), ["a", "b"]);
        assert_eq!(misuse(parsed(&["a"]).exactly(["server", "expr"])), "required argument 'expr' not provided");
        assert_eq!(misuse(parsed(&["a", "b", "c"]).exactly(["server", "expr"])), "unexpected c");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let stop = |args: &[&str]| match Flags::parse(args, KNOWN) {
            Err(Stop::Misuse(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(stop(&["--lint"]), "expected argument for flag '--lint'");
        assert_eq!(stop(&["-o"]), "expected argument for flag '-o'");
        assert_eq!(stop(&["-x"]), "unknown short flag '-x'");
        assert_eq!(stop(&["-é"]), "unknown short flag '-é'");
        for flag in ["--x", "--no-lint", "--lint-fatal=1"] {
            assert_eq!(stop(&[flag]), format!("unknown long flag '{flag}'"));
        }
        assert!(matches!(Flags::parse(&["a.yml", "--help"], KNOWN), Err(Stop::Help)));
        assert!(parsed(&["--lint", "x"]).one_of("lint", &["all", "none"]).is_err());
        assert_eq!(parsed(&[]).one_of("lint", &["all", "none"]).unwrap(), "all");
    }
}
