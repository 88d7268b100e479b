//! How a command ends.

use std::io;
use std::process::ExitCode;

use crate::streams::Streams;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The command line was wrong.
    Misused,
    /// Two servers could not be compared.
    NotCompared,
    /// Lints found something, and that was to be a failure.
    Linted,
}

impl Outcome {
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(self.code())
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed | Self::Misused => 1,
            Self::NotCompared => 2,
            Self::Linted => 3,
        }
    }
}

/// Why a command ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The usage was asked for, which is no misuse.
    Help,
    /// The command line is wrong.
    Misuse(String),
    /// It failed; the whole message.
    Failed(String),
    /// Nothing can be printed any more.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl Stop {
    /// Prints why, and the usage if it was asked for.
    pub(crate) fn tell(self, usage: &str, streams: &mut Streams<'_>) -> io::Result<Outcome> {
        match self {
            Self::Help => writeln!(streams.out, "{usage}").map(|()| Outcome::Passed),
            Self::Misuse(why) => writeln!(streams.err, "promtool: error: {why}, try --help").map(|()| Outcome::Misused),
            Self::Failed(message) => writeln!(streams.err, "{message}").map(|()| Outcome::Failed),
            Self::Output(error) => Err(error),
        }
    }
}
