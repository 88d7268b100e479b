//! `promtool tsdb …`: what a data directory of Weft holds, samples imported into one, and blocks of Prometheus made from one.
//!
//! What upstream calls a block is here a partition: a stretch of time that is kept and dropped as a whole. Directories are read as
//! a copy that shares their files (`storage::ReadCopy`), so that nothing is written to them.

pub(crate) mod analyze;
mod blocks;
mod distribution;
pub(crate) mod dump;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod take_over;
pub(crate) mod victoria;

use std::path::Path;

use storage::ReadCopy;

use crate::flags::Flags;
use crate::outcome::Stop;

/// The data directory, unless the command line says.
const DIRECTORY: &str = "data/";
/// Where the copy is made.
const SANDBOX: &str = "sandbox-dir-root";

/// Opens a data directory to be read.
fn open(path: &str, flags: &Flags<'_>) -> Result<ReadCopy, Stop> {
    let root = flags.value(SANDBOX).filter(|root| !root.is_empty()).map(Path::new);
    ReadCopy::open(Path::new(path), root).map_err(|error| {
        let hint = match &error {
            storage::Error::InUse { .. } => {
                "; stop the server, or read a snapshot (POST /api/v1/admin/tsdb/snapshot makes one)"
            }
            storage::Error::Copy { .. } => "; --sandbox-dir-root names another folder for the copy",
            _ => "",
        };
        Stop::Failed(format!("{}{hint}", model::with_causes(&error)))
    })
}

/// What the store says is wrong.
fn told(error: &(dyn std::error::Error + 'static)) -> Stop {
    Stop::Failed(model::with_causes(error))
}

/// Data directories for tests.
#[cfg(test)]
mod tests {
    use crate::testing::{Ran, run};

    /// A directory with what this OpenMetrics text says.
    pub(super) fn imported(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.om");
        std::fs::write(&file, text).unwrap();
        let data = folder.path().join("data");
        let ran =
            run(&["tsdb", "create-blocks-from", "openmetrics", "-q", file.to_str().unwrap(), data.to_str().unwrap()]);
        assert_eq!((ran.code, ran.both.as_str()), (0, ""));
        folder
    }

    /// Runs a command of `tsdb` on the directory.
    pub(super) fn on(folder: &tempfile::TempDir, args: &[&str]) -> Ran {
        let data = folder.path().join("data").display().to_string();
        let args: Vec<&str> =
            ["tsdb"].into_iter().chain(args.iter().map(|arg| if *arg == "DATA" { &*data } else { arg })).collect();
        run(&args)
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let ran = run(&["tsdb", "list", "/no/such"]);
        assert_eq!((ran.code, ran.err.as_str()), (1, "cannot read database /no/such: there is none\n"));
        let folder = imported("a 1 1\n# EOF\n");
        let db =
            storage::Db::open(storage::Options::new(folder.path().join("data")), &prometheus::Registry::new()).unwrap();
        let ran = on(&folder, &["dump", "DATA"]);
        assert!(ran.code == 1 && ran.err.contains("is in use by another process"), "{}", ran.err);
        assert!(ran.err.contains("stop the server, or read a snapshot"), "{}", ran.err);
        drop(db);
        assert_eq!(on(&folder, &["dump", "DATA"]).out, "{__name__=\"a\"} 1 1000\n");
    }
}
