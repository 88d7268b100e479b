//! `promtool tsdb create-blocks-from openmetrics FILE [DIRECTORY]`: imports samples into a data directory.

use std::collections::HashMap;
use std::path::Path;

use model::{
    Committed, Labels, LabelsBuilder, Lateness, SeriesAppender as _, SeriesBatch, SeriesSamples, SourceLabels,
    Timestamp,
};
use prometheus::Registry;
use scraper::parse::{Entry, Format, Parser};
use storage::{Db, Options};

use super::{DIRECTORY, blocks, open, told};
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str =
    "usage: promtool tsdb create-blocks-from openmetrics [-r] [-q] [--label=NAME=VALUE]... FILE [DIRECTORY]";
pub(crate) const RULES_USAGE: &str = "usage: promtool rules backfill (instead of tsdb create-blocks-from rules)";

const FLAGS: Known = Known {
    switches: &["human-readable", "quiet"],
    values: &["label", "max-block-duration"],
    short: &[('r', "human-readable"), ('q', "quiet")],
};
/// So many samples are stored at once.
const SAMPLES_AT_ONCE: usize = 200_000;

/// Imports a file, and lists the partitions that it fell into.
pub(crate) fn openmetrics(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let file = flags.some_files("input file")?.first().copied().unwrap_or_default();
    let [_, path] = flags.at_most(["", DIRECTORY])?;
    let labels = flags.map("label")?;
    let text = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    // All of it is read before anything is stored: of a file with a fault nothing is.
    let (first, last) = span(&text)?;
    // Kept for ever as far as the import goes; a server drops what its own retention does not keep.
    let options = Options { retention_ms: 0, ..Options::new(Path::new(path)) };
    let db = Db::open(options, &Registry::new()).map_err(|error| {
        let hint = if matches!(error, storage::Error::InUse { .. }) { "; stop the server first" } else { "" };
        Stop::Failed(format!("{}{hint}", model::with_causes(&error)))
    })?;
    let mut import = Import { db: &db, labels: labels.into_iter().collect(), series: HashMap::new(), waiting: 0 };
    import.read(&text)?;
    db.close().map_err(|error| told(&error))?;
    drop(db);
    if !flags.is_on("quiet") && first <= last {
        // Opened again, when all of it is in files and has a size.
        let copy = open(path, &flags)?;
        let all = blocks::blocks(&copy)?;
        let touched: Vec<_> = all.into_iter().filter(|block| block.start <= last && first < block.end).collect();
        blocks::print(&touched, flags.is_on("human-readable"), streams.out)?;
    }
    Ok(Outcome::Passed)
}

/// Upstream's other import: here it is done by the server.
pub(crate) fn rules(_: &[&str], _: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let why = "rules are not evaluated into blocks here: `promtool rules backfill` has a running server compute their history";
    Err(why.to_owned().into())
}

/// The first and the last time of a file; the first is after the last where there is no sample.
fn span(text: &[u8]) -> Result<(Timestamp, Timestamp), String> {
    let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
    each_sample(text, &mut |_, ts, _| {
        (first, last) = (first.min(ts), last.max(ts));
        Ok(())
    })
    .map_err(|why| format!("getting min and max timestamp: {why}"))?;
    Ok((first, last))
}

/// Takes a sample: its labels, its time and its value.
type Take<'t> = dyn FnMut(Labels, Timestamp, f64) -> Result<(), String> + 't;

fn each_sample(text: &[u8], take: &mut Take<'_>) -> Result<(), String> {
    let mut parser = Parser::new(Format::OpenMetrics, text);
    while let Some(entry) = parser.next_entry().map_err(|error| error.to_string())? {
        let Entry::Series(sample) = entry else { continue };
        let labels = Labels::from_pairs(sample.series.labels()?);
        let ts = sample.point.ts.ok_or_else(|| format!("expected timestamp for series {labels}, got none"))?;
        take(labels, ts, sample.point.value)?;
    }
    Ok(())
}

/// Collects samples by series, and stores them now and then.
struct Import<'d> {
    db: &'d Db,
    /// Added to all series.
    labels: Vec<(&'d str, &'d str)>,
    series: HashMap<Labels, (Vec<Timestamp>, Vec<f64>)>,
    /// Samples that are not stored yet.
    waiting: usize,
}

impl Import<'_> {
    fn read(&mut self, text: &[u8]) -> Result<(), String> {
        each_sample(text, &mut |labels, ts, value| {
            let labels = if self.labels.is_empty() { labels } else { self.labelled(&labels) };
            let samples = self.series.entry(labels).or_default();
            samples.0.push(ts);
            samples.1.push(value);
            self.waiting += 1;
            if self.waiting < SAMPLES_AT_ONCE { Ok(()) } else { self.store() }
        })?;
        self.store()
    }

    fn labelled(&self, labels: &Labels) -> Labels {
        let mut builder = LabelsBuilder::new(labels);
        self.labels.iter().for_each(|(name, value)| _ = builder.set(name, *value));
        builder.labels()
    }

    fn store(&mut self) -> Result<(), String> {
        self.waiting = 0;
        let collected = std::mem::take(&mut self.series);
        let series: Vec<SeriesSamples<'_>> =
            collected.iter().map(|(labels, (times, values))| SeriesSamples::floats(labels, times, values)).collect();
        let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
        let Committed { out_of_order, duplicate, too_old, .. } =
            self.db.append_series(&batch).map_err(|error| model::with_causes(&error))?;
        match out_of_order + duplicate + too_old {
            0 => Ok(()),
            n => Err(format!(
                "{n} samples were not stored: {duplicate} have another value at a time that is stored already, {too_old} are too \
                 old, {out_of_order} out of order"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, on};
    use crate::testing::run;

    #[test]
    fn what_is_imported_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.om");
        let (file, data) = (file.to_str().unwrap(), folder.path().join("data"));
        let import = |text: &str, flags: &[&str]| {
            std::fs::write(file, text).unwrap();
            let words = ["tsdb", "create-blocks-from", "openmetrics"];
            run(&[&words[..], flags, &[file, data.to_str().unwrap()]].concat())
        };
        let ran = import("a{z=\"1\"} 1 1600000000\nb 2 1600003600\n# EOF\n", &["--label=job=j", "--label", "z=2"]);
        assert_eq!((ran.code, ran.out.lines().count(), ran.err.as_str()), (0, 3, ""), "{}", ran.out);
        let ran = import("b 4 1600007200.5\n# EOF\n", &["-q"]);
        assert_eq!((ran.code, ran.both.as_str()), (0, ""));
        let dumped = on(&folder, &["dump", "DATA"]).out;
        let expected = "{__name__=\"a\", job=\"j\", z=\"2\"} 1 1600000000000\n{__name__=\"b\"} 4 1600007200500\n\
                        {__name__=\"b\", job=\"j\", z=\"2\"} 2 1600003600000\n";
        assert_eq!(dumped, expected);
        let ran = import("b 5 1600007200.5\n# EOF\n", &["-q"]);
        assert!(ran.code == 1 && ran.err.contains("1 have another value at a time that is stored"), "{}", ran.err);
    }

    #[test]
    fn of_a_file_with_a_fault_nothing_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.om");
        let data = folder.path().join("data");
        for (text, part) in
            [("a 1 1\nb 1\n# EOF\n", "expected timestamp for series b, got none"), ("a 1 1\nb\n# EOF\n", "line 2: ")]
        {
            std::fs::write(&file, text).unwrap();
            let ran =
                run(&["tsdb", "create-blocks-from", "openmetrics", file.to_str().unwrap(), data.to_str().unwrap()]);
            assert!(ran.code == 1 && ran.err.contains(part), "{}", ran.err);
        }
        assert!(!data.exists());
        let ran = run(&["tsdb", "create-blocks-from", "rules", "--start=1", "r.yml"]);
        assert!(ran.code == 1 && ran.err.contains("promtool rules backfill"), "{}", ran.err);
    }

    #[test]
    fn a_directory_in_use_is_told() {
        let folder = imported("a 1 1\n# EOF\n");
        let data = folder.path().join("data");
        let _db = storage::Db::open(storage::Options::new(&data), &prometheus::Registry::new()).unwrap();
        let file = folder.path().join("in.om");
        let ran = run(&["tsdb", "create-blocks-from", "openmetrics", file.to_str().unwrap(), data.to_str().unwrap()]);
        assert!(ran.code == 1 && ran.err.contains("stop the server first"), "{}", ran.err);
    }
}
