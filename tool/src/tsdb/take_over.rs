//! `promtool tsdb import FROM [DIRECTORY]`: what a Prometheus has stored, into a data directory of Weft.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use ::blocks::{DataDirectory, Import, Progress, Report};
use model::Timestamp;
use prometheus::Registry;
use storage::{Db, Options};

use super::{DIRECTORY, told};
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool tsdb import [-q] FROM [DIRECTORY]";

const FLAGS: Known = Known { switches: &["quiet"], short: &[('q', "quiet")], ..Known::NONE };

/// Imports blocks and logs, and says how far it is.
pub(crate) fn import(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let from = flags.some_files("data directory of Prometheus")?.first().copied().unwrap_or_default();
    let [_, path] = flags.at_most(["", DIRECTORY])?;
    let directory = DataDirectory::open(Path::new(from)).map_err(|error| told(&error))?;
    // Kept for ever as far as the import goes; a server drops what its own retention does not keep.
    let options = Options { retention_ms: 0, ..Options::new(Path::new(path)) };
    let db = Db::open(options, &Registry::new()).map_err(|error| {
        let hint = match &error {
            storage::Error::InUse { .. } => "; start the server with --storage.import-from instead, or stop it first",
            _ => "",
        };
        Stop::Failed(format!("{}{hint}", model::with_causes(&error)))
    })?;
    // What is past goes where it is kept for good at once.
    db.set_now(Timestamp::now()).map_err(|error| told(&error))?;
    let (is_quiet, mut shown) = (flags.is_on("quiet"), None);
    let mut watch = |progress: &Progress| {
        let percent = percent(progress);
        if !is_quiet && shown != Some(percent) {
            shown = Some(percent);
            // An output that is gone does not end the import.
            let of = progress.samples_total;
            writeln!(streams.err, "{percent} %: {} of {of} samples, {}", progress.samples, progress.part).ok();
        }
        ControlFlow::Continue(())
    };
    let report = Import::run(&directory, &db, &Path::new(path).join(::blocks::NOTES), &mut watch);
    let closed = db.close().map_err(|error| told(&error));
    let report = report.map_err(|error| told(&error))?;
    closed?;
    tell(&report, streams.out)
}

fn percent(progress: &Progress) -> u64 {
    (progress.samples * 100).checked_div(progress.samples_total).unwrap_or(100)
}

fn tell(report: &Report, out: &mut dyn Write) -> Result<Outcome, Stop> {
    writeln!(out, "{report}")?;
    report.faults.iter().try_for_each(|fault| writeln!(out, "  {fault}"))?;
    Ok(if report.n_faults == 0 { Outcome::Passed } else { Outcome::Failed })
}

#[cfg(test)]
mod tests {
    use super::super::tests::imported;
    use crate::testing::run;

    #[test]
    fn what_is_no_directory_of_prometheus_is_told() {
        let ran = run(&["tsdb", "import", "/no/such"]);
        assert!(ran.code == 1 && ran.err.contains("/no/such"), "{}", ran.err);
        let folder = tempfile::tempdir().unwrap();
        let ran = run(&["tsdb", "import", folder.path().to_str().unwrap()]);
        assert!(ran.code == 1 && ran.err.contains("no blocks of Prometheus"), "{}", ran.err);
        assert_eq!(run(&["tsdb", "import"]).code, 1);
    }

    #[test]
    fn an_empty_log_is_imported_and_a_directory_in_use_is_told() {
        let folder = imported("a 1 1\n# EOF\n");
        let data = folder.path().join("data").display().to_string();
        let from = folder.path().join("prometheus");
        std::fs::create_dir_all(from.join("wal")).unwrap();
        let from = from.to_str().unwrap();
        let ran = run(&["tsdb", "import", from, &data]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "imported 0 samples of 0 blocks and the head\n"), "{}", ran.err);
        // The log has not changed since.
        let ran = run(&["tsdb", "import", from, &data]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "imported 0 samples of 0 blocks\n"), "{}", ran.err);
        let _db = storage::Db::open(storage::Options::new(&data), &prometheus::Registry::new()).unwrap();
        let ran = run(&["tsdb", "import", from, &data]);
        assert!(ran.code == 1 && ran.err.contains("--storage.import-from"), "{}", ran.err);
    }
}
