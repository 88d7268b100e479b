//! `promtool tsdb list [DIRECTORY]`: the partitions of a data directory.

use super::{DIRECTORY, SANDBOX, blocks, open};
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool tsdb list [-r] [--sandbox-dir-root=FOLDER] [DIRECTORY]";

const FLAGS: Known = Known { switches: &["human-readable"], values: &[SANDBOX], short: &[('r', "human-readable")] };

/// Prints a line for each partition.
pub(crate) fn list(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [path] = flags.at_most([DIRECTORY])?;
    let db = open(path, &flags)?;
    blocks::print(&blocks::blocks(&db)?, flags.is_on("human-readable"), streams.out)?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, on};

    #[test]
    fn partitions_are_listed() {
        let folder = imported("a 1 1\na 2 2\nb{x=\"y\"} 1 7200\n# EOF\n");
        let ran = on(&folder, &["list", "DATA"]);
        let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines[0],
            [
                "BLOCK", "ULID", "MIN", "TIME", "MAX", "TIME", "DURATION", "NUM", "SAMPLES", "NUM", "CHUNKS", "NUM",
                "SERIES", "SIZE"
            ]
        );
        assert_eq!((ran.code, lines.len()), (0, 3), "{}", ran.out);
        assert_eq!(lines[1][1..5], ["0", "1800000", "30m0s", "2"], "{}", ran.out);
        assert_eq!(lines[2][1..5], ["7200000", "9000000", "30m0s", "1"], "{}", ran.out);
        let ran = on(&folder, &["list", "-r", "DATA"]);
        assert!(ran.out.contains("1970-01-01 00:00:00 +0000 UTC  1970-01-01 00:30:00 +0000 UTC  30m0s"), "{}", ran.out);
    }
}
