//! Which command the arguments name.

use std::io;

use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

/// A command.
pub(crate) struct Command {
    /// The words that name it.
    pub(crate) words: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) run: fn(&[&str], &mut Streams<'_>) -> Result<Outcome, Stop>,
}

/// Flags with a value that may stand before the words of a command are complete: upstream has them on the program or on a group of
/// commands.
const EARLY_VALUES: [&str; 7] = [
    "--enable-feature",
    "--http.config.file",
    "--format",
    "-o",
    "--query.lookback-delta",
    "--junit",
    "--max-block-duration",
];

/// Runs the command that the arguments name.
pub(crate) fn run(commands: &[Command], args: &[&str], streams: &mut Streams<'_>) -> io::Result<Outcome> {
    if let None | Some(&("help" | "--help" | "-h")) = args.first() {
        return usages(commands, args.get(1..).unwrap_or_default(), streams);
    }
    if args.first() == Some(&"--version") {
        return writeln!(streams.out, "promtool, version {}", env!("CARGO_PKG_VERSION")).map(|()| Outcome::Passed);
    }
    match find(commands, args) {
        Ok((command, rest)) => match (command.run)(&rest, streams) {
            Ok(outcome) => Ok(outcome),
            Err(stop) => stop.tell(command.usage, streams),
        },
        // Only the group of commands is known here.
        Err(NotFound { stop: Stop::Help, words }) => usages(commands, &words, streams),
        Err(NotFound { stop, .. }) => stop.tell("", streams),
    }
}

/// Prints the usages of the commands whose names begin with these words; without any, of all.
fn usages(commands: &[Command], words: &[&str], streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let chosen: Vec<&Command> = commands.iter().filter(|command| begins_with(command, words)).collect();
    if chosen.is_empty() {
        return unknown(words).tell("", streams);
    }
    chosen.iter().try_for_each(|command| writeln!(streams.out, "{}", command.usage))?;
    Ok(Outcome::Passed)
}

fn begins_with(command: &Command, words: &[&str]) -> bool {
    let mut of_command = command.words.split(' ');
    words.iter().all(|word| of_command.next() == Some(word))
}

fn unknown(words: &[&str]) -> Stop {
    let word = words.last().copied().unwrap_or_default();
    Stop::Misuse(format!("expected command but got {}", model::quote::quoted(word)))
}

/// Why the arguments name no command, and the words that they begin with.
struct NotFound<'a> {
    stop: Stop,
    words: Vec<&'a str>,
}

/// The command, and the arguments without its words.
fn find<'c, 'a>(commands: &'c [Command], args: &[&'a str]) -> Result<(&'c Command, Vec<&'a str>), NotFound<'a>> {
    let (mut words, mut rest) = (Vec::new(), Vec::new());
    let mut left = args.iter().copied();
    while let Some(arg) = left.next() {
        if let "--help" | "-h" = arg {
            return Err(NotFound { stop: Stop::Help, words });
        }
        if arg.starts_with('-') {
            rest.push(arg);
            if EARLY_VALUES.contains(&arg) {
                rest.extend(left.next());
            }
            continue;
        }
        words.push(arg);
        if let Some(command) = commands.iter().find(|command| command.words.split(' ').eq(words.iter().copied())) {
            rest.extend(left);
            return Ok((command, rest));
        }
        if !commands.iter().any(|command| begins_with(command, &words)) {
            return Err(NotFound { stop: unknown(&words), words });
        }
    }
    let stop = match words.as_slice() {
        [] => Stop::Misuse("command not specified".to_owned()),
        words => Stop::Misuse(format!("must select a subcommand of '{}'", words.join(" "))),
    };
    Err(NotFound { stop, words })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn commands_are_found_between_flags() {
        fn nothing(_: &[&str], _: &mut Streams<'_>) -> Result<Outcome, Stop> {
            Ok(Outcome::Passed)
        }
        let command = |words| Command { words, usage: "", run: nothing };
        let commands = [command("query instant"), command("query range"), command("push metrics"), command("explain")];
        let found = |args: &[&'static str]| {
            let found = find(&commands, args).map(|(command, rest)| (command.words, rest));
            found.map_err(|NotFound { stop, .. }| format!("{stop:?}"))
        };
        let args = ["--enable-feature", "a", "query", "-o", "json", "instant", "--time", "5", "url", "query"];
        let rest = vec!["--enable-feature", "a", "-o", "json", "--time", "5", "url", "query"];
        assert_eq!(found(&args), Ok(("query instant", rest)));
        assert_eq!(found(&["explain", "query"]), Ok(("explain", vec!["query"])));
        assert_eq!(found(&["query", "-o=json"]), Err("Misuse(\"must select a subcommand of 'query'\")".to_owned()));
        assert_eq!(found(&["query", "x"]), Err("Misuse(\"expected command but got \\\"x\\\"\")".to_owned()));
        assert_eq!(found(&[]), Err("Misuse(\"command not specified\")".to_owned()));
        assert_eq!(found(&["query", "--help"]), Err("Help".to_owned()));
    }

    #[test]
    fn help_and_misuse_end_as_upstreams_do() {
        let help = run(&["--help"]);
        assert_eq!((help.code, help.err.as_str()), (0, ""));
        assert!(help.out.contains("usage: promtool check config") && help.out.contains("promtool explain"));
        assert_eq!(run(&[]).out, help.out);
        let group = run(&["check", "--help"]);
        assert!(group.out.contains("check healthy") && !group.out.contains("explain"), "{}", group.out);
        assert_eq!(run(&["help", "check", "rules"]).out.lines().count(), 1);
        let misused = run(&["chekc"]);
        assert_eq!((misused.code, misused.out.as_str()), (1, ""));
        assert_eq!(misused.err, "promtool: error: expected command but got \"chekc\", try --help\n");
        assert!(run(&["--version"]).out.starts_with("promtool, version "));
    }
}
