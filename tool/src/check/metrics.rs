//! `promtool check metrics`: is an exposition on the standard input as is usual, and how many series are of which metric?

use std::io;

use super::promlint;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;
use crate::table::Columns;
use crate::text_format::{Family, MetricValue, families};

pub(crate) const USAGE: &str = "usage: promtool check metrics [--extended] [--lint=all|none] < METRICS";

const FLAGS: Known = Known { switches: &["extended"], values: &["lint"], ..Known::NONE };

/// Prints what is unusual, and how many series there are if that is asked for.
pub(crate) fn metrics(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [] = flags.exactly([])?;
    let (extended, lint) = (flags.is_on("extended"), flags.value("lint") != Some("none"));
    if !extended && !lint {
        let why = "error: at least one of --extended or linting must be enabled\n\
                   Use --extended for cardinality analysis, or remove --lint=none to enable linting";
        return Err(why.to_owned().into());
    }
    let mut text = Vec::new();
    let read = streams.input.read_to_end(&mut text).map_err(|error| error.to_string());
    let families = read.and_then(|_| families(&text)).map_err(|why| {
        let what = if lint { "linting" } else { "parsing text to metric families" };
        format!("error while {what}: {why}")
    })?;
    let families: Vec<Family> = families.into_values().collect();
    let mut problems = Vec::new();
    if lint {
        let found = families.iter().flat_map(|family| {
            promlint::problems(family).into_iter().map(move |problem| (family.name.as_str(), problem))
        });
        problems.extend(found);
        problems.sort();
    }
    for (name, problem) in &problems {
        writeln!(streams.err, "{name} {problem}")?;
    }
    if extended {
        print_cardinalities(&families, streams)?;
    }
    Ok(if problems.is_empty() { Outcome::Passed } else { Outcome::Linted })
}

/// The numbers of series, the largest first.
fn print_cardinalities(families: &[Family], streams: &mut Streams<'_>) -> io::Result<()> {
    let mut numbers: Vec<(&str, usize)> =
        families.iter().map(|family| (family.name.as_str(), cardinality(family))).collect();
    // Stable: equal ones stay in the order of their names.
    numbers.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let total: usize = numbers.iter().map(|(_, n)| n).sum();
    let row = |name: &str, n: &str, percentage: String| vec![name.to_owned(), n.to_owned(), percentage];
    let mut rows = vec![row("Metric", "Cardinality", "Percentage".to_owned())];
    let percent = |n: usize| format!("{:.2}%", n as f64 / total as f64 * 100.0);
    rows.extend(numbers.iter().map(|(name, n)| row(name, &n.to_string(), percent(*n))));
    rows.push(row("Total", &total.to_string(), "100%".to_owned()));
    Columns { min: 4, padding: 4, pad_last: true }.print(&rows, streams.out)
}

/// How many series a family has; its first histogram or summary stands for all.
fn cardinality(family: &Family) -> usize {
    let parts = match family.metrics.first().map(|metric| &metric.value) {
        // Beside their parts there are the sum and the count.
        Some(MetricValue::Histogram { buckets, .. }) if family.kind() == crate::text_format::Kind::Histogram => {
            buckets.len() + 2
        }
        Some(MetricValue::Summary { quantiles, .. }) => quantiles.len() + 2,
        _ => 1,
    };
    family.metrics.len() * parts
}

#[cfg(test)]
mod tests {
    use crate::testing::{Ran, run_with};

    fn check(flags: &[&str], text: &str) -> Ran {
        run_with(&[&["check", "metrics"], flags].concat(), text.as_bytes())
    }

    #[test]
    fn problems_are_told_in_order() {
        let text = "# HELP good_seconds Fine.\n# TYPE good_seconds gauge\ngood_seconds 1\n";
        let ran = check(&[], text);
        assert_eq!((ran.code, ran.both.as_str()), (0, ""));
        let text = "# HELP b Help.\n# TYPE b counter\nb{le=\"1\"} 1\nb{le=\"1\"} 2\nb 3\na:b 1\n# TYPE c_milliseconds_total gauge\n\
                    c_milliseconds_total 1\n# HELP gauge_bucket x\n# TYPE gauge_bucket gauge\ngauge_bucket{fooBar=\"1\",quantile=\"1\"} 1\n\
                    # HELP x_gauge_count_sum x\n# TYPE x_gauge_count_sum gauge\nx_gauge_count_sum 1\n# HELP fooBar_kb_MS x\nfooBar_kb_MS 1\n\
                    # HELP d_histogram x\n# TYPE d_histogram histogram\nd_histogram_count 1\n";
        let ran = check(&["--lint=all"], text);
        let expected = [
            "a:b metric names should not contain ':'",
            "a:b no help text",
            "b counter metrics should have \"_total\" suffix",
            "b metric not unique",
            "b non-histogram metrics should not have \"le\" label",
            "b non-histogram metrics should not have \"le\" label",
            "c_milliseconds_total no help text",
            "c_milliseconds_total non-counter metrics should not have \"_total\" suffix",
            "c_milliseconds_total use base unit \"seconds\" instead of \"milliseconds\"",
            "d_histogram metric name should not include type 'histogram'",
            "fooBar_kb_MS metric names should be written in 'snake_case' not 'camelCase'",
            "fooBar_kb_MS metric names should not contain abbreviated units",
            "fooBar_kb_MS metric names should not contain abbreviated units",
            "gauge_bucket label names should be written in 'snake_case' not 'camelCase'",
            "gauge_bucket non-histogram metrics should not have \"_bucket\" suffix",
            "gauge_bucket non-summary metrics should not have \"quantile\" label",
            "x_gauge_count_sum metric name should not include type 'gauge'",
            "x_gauge_count_sum non-histogram and non-summary metrics should not have \"_sum\" suffix",
        ];
        assert_eq!((ran.err.lines().collect::<Vec<_>>(), ran.code, ran.out.as_str()), (expected.to_vec(), 3, ""));
    }

    #[test]
    fn series_are_counted() {
        let text = "a{x=\"1\"} 1\na{x=\"2\"} 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1\n\
                    # TYPE s summary\ns{quantile=\"0.5\",a=\"b\"} 1\ns_count{a=\"b\"} 1\ns_sum{a=\"c\"} 1\n";
        let ran = check(&["--extended", "--lint=none"], text);
        let expected = "Metric    Cardinality    Percentage    \n\
                        s         6              50.00%        \n\
                        h         4              33.33%        \n\
                        a         2              16.67%        \n\
                        Total     12             100%          \n";
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
        assert_eq!(check(&["--extended"], text).code, 3);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let ran = check(&[], "a\n");
        assert!(ran.code == 1 && ran.err.starts_with("error while linting: text format parsing error in line 1: "));
        let ran = check(&["--extended", "--lint=none"], "a 1");
        let why = "error while parsing text to metric families: text format parsing error in line 1: unexpected end of input stream\n";
        assert_eq!((ran.code, ran.err.as_str()), (1, why));
        let ran = check(&["--lint=none"], "");
        assert!(ran.code == 1 && ran.err.contains("at least one of --extended or linting"), "{}", ran.err);
    }
}
