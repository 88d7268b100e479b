//! `promtool tsdb dump`, `promtool tsdb dump-openmetrics`: the samples of a data directory as text.

use std::io::{self, BufWriter, Write};

use model::float::format_g;
use model::labels::{METRIC_NAME, is_legacy_label_name};
use model::quote::quoted;
use model::sample::is_stale;
use model::{Batch, Labels, Matcher, Querier as _, QuerierError, ReadHints, Selection, SeriesOrder, Timestamp};
use storage::Db;

use super::{DIRECTORY, SANDBOX, open, told};
use crate::api::json::push_map;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool tsdb dump [--sandbox-dir-root=FOLDER] [--min-time=MS] [--max-time=MS] \
                                [--match=SELECTOR]... [--format=prom|seriesjson] [DIRECTORY]";
pub(crate) const OPENMETRICS_USAGE: &str = "usage: promtool tsdb dump-openmetrics [--sandbox-dir-root=FOLDER] [--min-time=MS] \
                                            [--max-time=MS] [--match=SELECTOR]... [DIRECTORY]";

const FLAGS: Known = Known { values: &[SANDBOX, "min-time", "max-time", "match", "format"], ..Known::NONE };

/// How a series is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Samples,
    Labels,
    OpenMetrics,
}

/// Prints samples, or series alone.
pub(crate) fn dump(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let form =
        if flags.one_of("format", &["prom", "seriesjson"])? == "seriesjson" { Form::Labels } else { Form::Samples };
    run(&flags, form, streams)
}

/// Prints samples as OpenMetrics text, but for native histograms and stale markers, which it cannot have.
pub(crate) fn openmetrics(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    if flags.value("format").is_some() {
        return Err(Stop::Misuse("unknown long flag '--format'".to_owned()));
    }
    run(&flags, Form::OpenMetrics, streams)?;
    writeln!(streams.out, "# EOF")?;
    Ok(Outcome::Passed)
}

fn run(flags: &Flags<'_>, form: Form, streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let [path] = flags.at_most([DIRECTORY])?;
    let (start, end) = (flags.number("min-time", i64::MIN)?, flags.number("max-time", i64::MAX)?);
    let selector = |text: &str| query::parse_selector(text).map_err(|error| Stop::Failed(error.to_string()));
    let mut selectors: Vec<Vec<Matcher>> = flags.values("match").map(selector).collect::<Result<_, _>>()?;
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let db = open(path, flags)?;
    let Some((first, last)) = stored(&db)? else { return Ok(Outcome::Passed) };
    let (start, end) = (first.max(Timestamp(start)), last.min(Timestamp(end)));
    let mut out = BufWriter::new(&mut *streams.out);
    let mut fault = None;
    for (i, matchers) in selectors.iter().enumerate() {
        let selection = Selection { start, end, matchers };
        let hints = ReadHints { order: SeriesOrder::ByLabels { grow: &|_| Ok(()) }, ..ReadHints::default() };
        let earlier = selectors.get(..i).unwrap_or_default();
        let read = db.select(&selection, &hints, &mut |batch| {
            print_batch(batch, (form, earlier), &mut out).map_err(|error| {
                fault = Some(error);
                QuerierError::Stopped
            })
        });
        match (read, fault.take()) {
            (_, Some(error)) => return Err(error.into()),
            (read, None) => read.map_err(|error| told(&error))?,
        }
        for warning in db.listing_warnings(&selection) {
            writeln!(streams.err, "WARNING: {warning}")?;
        }
    }
    out.flush()?;
    Ok(Outcome::Passed)
}

/// The first and the last millisecond of which there is anything.
pub(super) fn stored(db: &Db) -> Result<Option<(Timestamp, Timestamp)>, Stop> {
    let partitions = db.partitions().map_err(|error| told(&error))?;
    let start = partitions.iter().map(|one| one.start).min();
    let end = partitions.iter().map(|one| one.end.saturating_sub(1)).max();
    Ok(start.zip(end))
}

/// Prints the series of a batch, but for those that an earlier selector matches too.
fn print_batch(batch: Batch, (form, earlier): (Form, &[Vec<Matcher>]), out: &mut dyn Write) -> io::Result<()> {
    for series in batch.into_series() {
        let Some(column) = series.columns.first() else { continue };
        let labels = &column.metric;
        let is_printed = |matchers: &Vec<Matcher>| matchers.iter().all(|one| one.matches(labels.value(&one.name)));
        if !earlier.iter().any(is_printed) {
            print_series(&series, labels, form, out)?;
        }
    }
    Ok(())
}

fn print_series(series: &Batch, labels: &Labels, form: Form, out: &mut dyn Write) -> io::Result<()> {
    let name = match form {
        Form::Labels => {
            let mut text = String::new();
            push_map(&mut text, labels);
            return writeln!(out, "{text}");
        }
        Form::Samples => braced(labels.iter(), ", "),
        // With braces also where there is nothing in them, as upstream.
        Form::OpenMetrics => {
            let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
            format!("{}{}", labels.name(), braced(others, ","))
        }
    };
    let Some(column) = series.columns.first() else { return Ok(()) };
    let mut histograms = column.histograms.iter().peekable();
    for ((slot, ts), value) in (0u32..).zip(&series.timestamps).zip(&column.values) {
        let histogram = histograms.next_if(|(at, _)| *at == slot).map(|(_, histogram)| histogram);
        match (form, histogram) {
            (Form::Samples, Some(histogram)) => writeln!(out, "{name} {histogram} {}", ts.0)?,
            (Form::Samples, None) => writeln!(out, "{name} {} {}", format_g(*value), ts.0)?,
            (_, None) if !is_stale(*value) => {
                writeln!(out, "{name} {} {}", format_g(*value), seconds(ts.0))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// `12.345`
fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

/// Labels in braces; names that need it are quoted.
fn braced<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>, comma: &str) -> String {
    let label = |(name, value): (&str, &str)| {
        let name = if is_legacy_label_name(name) { name.to_owned() } else { quoted(name) };
        format!("{name}={}", quoted(value))
    };
    format!("{{{}}}", labels.map(label).collect::<Vec<_>>().join(comma))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, on};

    const TEXT: &str = "b{x=\"\\\"\",job=\"j\"} 1e9 1.5\na 1 1\na 2 2\na NaN 3\n# EOF\n";

    #[test]
    fn samples_are_printed() {
        let folder = imported(TEXT);
        let ran = on(&folder, &["dump", "DATA"]);
        let b = "{__name__=\"b\", job=\"j\", x=\"\\\"\"} 1e+09 1500\n";
        let a = "{__name__=\"a\"} 1 1000\n{__name__=\"a\"} 2 2000\n{__name__=\"a\"} NaN 3000\n";
        assert_eq!((ran.code, ran.out, ran.err.as_str()), (0, format!("{a}{b}"), ""));
        let ran = on(
            &folder,
            &["dump", "--match={job=\"j\"}", "--match=b", "--match", "a", "DATA", "--max-time=2000", "--min-time=1200"],
        );
        assert_eq!(ran.out, format!("{b}{{__name__=\"a\"}} 2 2000\n"));
        let ran = on(&folder, &["dump", "--format=seriesjson", "DATA"]);
        assert_eq!(ran.out, "{\"__name__\":\"a\"}\n{\"__name__\":\"b\",\"job\":\"j\",\"x\":\"\\\"\"}\n");
        let ran = on(&folder, &["dump", "--match={", "DATA"]);
        assert!(ran.code == 1 && ran.err.contains("parse error"), "{}", ran.err);
        let ran = on(&folder, &["dump", "--min-time=x", "DATA"]);
        assert!(ran.err.contains("--min-time: \"x\" is no whole number"), "{}", ran.err);
    }

    #[test]
    fn openmetrics_can_be_imported_again() {
        let folder = imported(TEXT);
        let ran = on(&folder, &["dump-openmetrics", "DATA"]);
        let expected = "a{} 1 1.000\na{} 2 2.000\na{} NaN 3.000\nb{job=\"j\",x=\"\\\"\"} 1e+09 1.500\n# EOF\n";
        assert_eq!((ran.code, ran.out.as_str()), (0, expected));
        let again = imported(&ran.out);
        assert_eq!(on(&again, &["dump-openmetrics", "DATA"]).out, expected);
    }
}
