//! `promtool tsdb export INTO [DIRECTORY]`: what a data directory holds, as blocks of Prometheus.

use std::path::Path;

use model::Timestamp;

use super::{DIRECTORY, SANDBOX, dump, open, told};
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;
use crate::times::parse_time;

pub(crate) const USAGE: &str = "usage: promtool tsdb export [--sandbox-dir-root=FOLDER] [--from=TIME] [--to=TIME] [--match=SELECTOR] \
                                INTO [DIRECTORY]";

const FLAGS: Known = Known { values: &[SANDBOX, "from", "to", "match"], ..Known::NONE };

/// Writes blocks, and lists them.
pub(crate) fn export(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let into = flags.some_files("folder to write blocks into")?.first().copied().unwrap_or_default();
    let [_, path] = flags.at_most(["", DIRECTORY])?;
    let time = |name: &str, default| match flags.value(name) {
        Some(text) => parse_time(text).map_err(|why| format!("error parsing {name} time: {why}")),
        None => Ok(default),
    };
    let (from, to) = (time("from", Timestamp::MIN)?, time("to", Timestamp::MAX)?);
    let selector = |text: &str| query::parse_selector(text).map_err(|error| Stop::Failed(error.to_string()));
    let matchers = flags.value("match").map(selector).transpose()?.unwrap_or_default();
    let db = open(path, &flags)?;
    let Some((first, last)) = dump::stored(&db)? else { return Ok(Outcome::Passed) };
    let mut printed = Ok(());
    let out = &mut *streams.out;
    let times = (first.max(from), last.min(to));
    ::blocks::export(&*db, times, &matchers, Path::new(into), &mut |block| {
        let line = writeln!(out, "{}: {} samples of {} series", block.path.display(), block.samples, block.series);
        printed = std::mem::replace(&mut printed, Ok(())).and(line);
    })
    .map_err(|error| told(&error))?;
    printed?;
    let selection = model::Selection { start: times.0, end: times.1, matchers: &matchers };
    for warning in model::Querier::listing_warnings(&*db, &selection) {
        writeln!(streams.err, "WARNING: {warning}")?;
    }
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, on};
    use crate::testing::run;

    #[test]
    fn what_is_exported_can_be_imported() {
        let folder = imported("a{z=\"1\"} 1 1600000000\na{z=\"1\"} 2 1600003600\nb 3 1700000000\n# EOF\n");
        let into = folder.path().join("blocks");
        let into = into.to_str().unwrap();
        let ran = on(&folder, &["export", into, "DATA"]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        let samples: Vec<&str> = ran.out.lines().map(|line| line.split_once(": ").unwrap().1).collect();
        assert_eq!(samples, ["2 samples of 1 series", "1 samples of 1 series"]);
        let data = folder.path().join("again").display().to_string();
        let ran = run(&["tsdb", "import", "-q", into, &data]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "imported 3 samples of 2 blocks\n"), "{}", ran.err);
        assert_eq!(run(&["tsdb", "dump", &data]).out, on(&folder, &["dump", "DATA"]).out);
        let some = folder.path().join("some");
        let ran = on(
            &folder,
            &["export", "--from=1600003600", "--to=1600003600", "--match=a", some.to_str().unwrap(), "DATA"],
        );
        assert!(ran.out.ends_with(": 1 samples of 1 series\n"), "{}", ran.out);
        let ran = on(&folder, &["export", "--match=a{", some.to_str().unwrap(), "DATA"]);
        assert_eq!(ran.code, 1, "{}", ran.err);
    }
}
