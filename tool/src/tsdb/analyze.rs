//! `promtool tsdb analyze [DIRECTORY] [BLOCK]`: which labels a partition has many of, and which series come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use model::labels::METRIC_NAME;
use model::{Batch, Labels, Querier as _, ReadHints};
use storage::Db;

use super::blocks::{self, Block};
use super::{DIRECTORY, SANDBOX, distribution, open, told};
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool tsdb analyze [--limit=20] [--extended] [--match=SELECTOR] \
                                [--sandbox-dir-root=FOLDER] [DIRECTORY] [BLOCK]";

const FLAGS: Known = Known { switches: &["extended"], values: &["limit", "match", SANDBOX], ..Known::NONE };

/// Prints what is counted of a partition, by default the last one.
pub(crate) fn analyze(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [path, id] = flags.at_most([DIRECTORY, ""])?;
    let limit = usize::try_from(flags.number("limit", 20)?).unwrap_or(0);
    let selector = flags.value("match").filter(|text| !text.is_empty());
    let matchers = selector.map(query::parse_selector).transpose().map_err(|error| error.to_string())?;
    let db = open(path, &flags)?;
    let block = choose(&db, id)?;
    let mut counts = Counts::new(&block, flags.is_on("extended"));
    let selection = block.selection(matchers.as_deref().unwrap_or_default());
    db.select(&selection, &ReadHints::default(), &mut |batch| {
        batch.into_series().for_each(|series| counts.add(&series));
        Ok(())
    })
    .map_err(|error| told(&error))?;
    let out = &mut *streams.out;
    writeln!(out, "Block ID: {}", block.id)?;
    writeln!(out, "Duration: {}", blocks::duration(&block))?;
    writeln!(out, "Total Series: {}", if selector.is_some() { block.series } else { counts.series })?;
    if let Some(selector) = selector {
        writeln!(out, "Matcher: {selector}")?;
    }
    writeln!(out, "Label names: {}", counts.names.len())?;
    if selector.is_some() {
        writeln!(out, "Matched series: {}", counts.series)?;
    }
    counts.print(limit, out)?;
    Ok(Outcome::Passed)
}

/// The partition of an id, else the last one.
fn choose(db: &Db, id: &str) -> Result<Block, Stop> {
    let mut all = blocks::blocks(db)?;
    let at = match id {
        "" => all.len().checked_sub(1).ok_or_else(|| "no blocks found".to_owned())?,
        id => {
            let found = all.iter().position(|block| block.id == id);
            found.ok_or_else(|| format!("block {id} not found; `promtool tsdb list` lists them"))?
        }
    };
    Ok(all.swap_remove(at))
}

/// What is counted of one label.
#[derive(Debug, Default)]
struct LabelCounts {
    values: BTreeSet<String>,
    /// Milliseconds during which its series have no samples.
    uncovered: u64,
}

/// What is counted of one pair.
#[derive(Clone, Copy, Debug, Default)]
struct PairCounts {
    series: u64,
    uncovered: u64,
}

/// What is counted of a partition.
#[derive(Debug)]
struct Counts {
    length_ms: u64,
    series: u64,
    /// Pairs of all series.
    entries: u64,
    names: BTreeMap<String, LabelCounts>,
    /// By `name=value`.
    pairs: BTreeMap<String, PairCounts>,
    metrics: BTreeMap<String, u64>,
    columns: Option<Columns>,
}

/// Numbers of samples and buckets of each series, floats and native histograms apart.
#[derive(Debug, Default)]
struct Columns {
    float_samples: Vec<usize>,
    histogram_samples: Vec<usize>,
    buckets: Vec<usize>,
}

impl Counts {
    fn new(block: &Block, extended: bool) -> Self {
        Self {
            length_ms: u64::try_from(block.end.0.saturating_sub(block.start.0)).unwrap_or(0),
            series: 0,
            entries: 0,
            names: BTreeMap::new(),
            pairs: BTreeMap::new(),
            metrics: BTreeMap::new(),
            columns: extended.then(Columns::default),
        }
    }

    fn add(&mut self, series: &Batch) {
        let (Some(first), Some(last)) = (series.timestamps.first(), series.timestamps.last()) else { return };
        let Some(column) = series.columns.first() else { return };
        let covered = u64::try_from(last.0.saturating_sub(first.0)).unwrap_or(0);
        self.series += 1;
        self.add_labels(&column.metric, self.length_ms.saturating_sub(covered));
        if let Some(columns) = &mut self.columns {
            let n_histograms = column.histograms.len();
            let n_floats = column.values.len() - n_histograms.min(column.values.len());
            columns.float_samples.extend((n_floats > 0).then_some(n_floats));
            columns.histogram_samples.extend((n_histograms > 0).then_some(n_histograms));
            let n_buckets =
                column.histograms.iter().map(|(_, one)| one.positive.counts.len() + one.negative.counts.len());
            columns.buckets.extend((n_histograms > 0).then(|| n_buckets.sum::<usize>()));
        }
    }

    fn add_labels(&mut self, labels: &Labels, uncovered: u64) {
        for (name, value) in labels {
            self.entries += 1;
            let label = self.names.entry(name.to_owned()).or_default();
            label.values.insert(value.to_owned());
            label.uncovered += uncovered;
            let pair = self.pairs.entry(format!("{name}={value}")).or_default();
            pair.series += 1;
            pair.uncovered += uncovered;
        }
        if let Some(name) = labels.get(METRIC_NAME) {
            *self.metrics.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn print(self, limit: usize, out: &mut dyn Write) -> io::Result<()> {
        // In whole partitions.
        let churn = |uncovered: u64| (uncovered as f64 / self.length_ms as f64) as u64;
        let bytes = |label: &LabelCounts| label.values.iter().map(|value| value.len() as u64).sum();
        writeln!(out, "Postings (unique label pairs): {}", self.pairs.len())?;
        writeln!(out, "Postings entries (total label pairs): {}", self.entries)?;
        let mut top = |title: &str, counts: Vec<(u64, &String)>| print_top(title, counts, limit, out);
        let pairs = || self.pairs.iter();
        let names = || self.names.iter();
        top("Label pairs most involved in churning", pairs().map(|(key, one)| (churn(one.uncovered), key)).collect())?;
        top("Label names most involved in churning", names().map(|(key, one)| (churn(one.uncovered), key)).collect())?;
        top("Most common label pairs", pairs().map(|(key, one)| (one.series, key)).collect())?;
        top(
            "Label names with highest cumulative label value length",
            names().map(|(key, one)| (bytes(one), key)).collect(),
        )?;
        top("Highest cardinality labels", names().map(|(key, one)| (one.values.len() as u64, key)).collect())?;
        top("Highest cardinality metric names", self.metrics.iter().map(|(key, n)| (*n, key)).collect())?;
        match self.columns {
            Some(columns) => columns.print(out),
            None => Ok(()),
        }
    }
}

impl Columns {
    fn print(self, out: &mut dyn Write) -> io::Result<()> {
        let total = self.float_samples.len() + self.histogram_samples.len();
        writeln!(out, "\nCompaction analysis:\n")?;
        distribution::print("samples per float chunk", self.float_samples, total, out)?;
        // Pages hold many series; there are no bytes of one.
        distribution::print("bytes per float chunk", Vec::new(), total, out)?;
        distribution::print("samples per histogram chunk", self.histogram_samples, total, out)?;
        distribution::print("bytes per histogram chunk", Vec::new(), total, out)?;
        distribution::print("buckets per histogram chunk", self.buckets, total, out)
    }
}

/// Prints the largest counts; equal ones by name.
fn print_top(title: &str, mut counts: Vec<(u64, &String)>, limit: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{title}:")?;
    counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    counts.iter().take(limit).try_for_each(|(n, key)| writeln!(out, "{n} {key}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, on};

    #[test]
    fn a_partition_is_analyzed() {
        let folder = imported("a{x=\"1\"} 1 0\na{x=\"1\"} 2 1799.999\na{x=\"2\"} 1 0\nbb 1 0\n# EOF\n");
        let ran = on(&folder, &["analyze", "DATA"]);
        let expected = "Block ID: 0-1800000-rows\nDuration: 30m0s\nTotal Series: 3\nLabel names: 2\n\
                        Postings (unique label pairs): 4\nPostings entries (total label pairs): 5\n\n\
                        Label pairs most involved in churning:\n1 __name__=a\n1 __name__=bb\n1 x=2\n0 x=1\n\n\
                        Label names most involved in churning:\n2 __name__\n1 x\n\n\
                        Most common label pairs:\n2 __name__=a\n1 __name__=bb\n1 x=1\n1 x=2\n\n\
                        Label names with highest cumulative label value length:\n3 __name__\n2 x\n\n\
                        Highest cardinality labels:\n2 __name__\n2 x\n\n\
                        Highest cardinality metric names:\n2 a\n1 bb\n";
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
        let ran = on(&folder, &["analyze", "--match=a{x=\"1\"}", "--limit=1", "--extended", "DATA", "0-1800000-rows"]);
        assert!(ran.out.contains("Matcher: a{x=\"1\"}\nLabel names: 2\nMatched series: 1\n"), "{}", ran.out);
        assert!(ran.out.contains("samples per float chunk (min/avg/max): 2/2/2\n"), "{}", ran.out);
        assert!(ran.out.contains("\nHighest cardinality metric names:\n1 a\n\nCompaction analysis:\n"), "{}", ran.out);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let folder = imported("# EOF\n");
        let ran = on(&folder, &["analyze", "DATA"]);
        assert_eq!((ran.code, ran.err.as_str()), (1, "no blocks found\n"));
        let folder = imported("a 1 1\n# EOF\n");
        let ran = on(&folder, &["analyze", "DATA", "x"]);
        assert_eq!(ran.err, "block x not found; `promtool tsdb list` lists them\n");
    }
}
