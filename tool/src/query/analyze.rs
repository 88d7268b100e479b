//! `promtool query analyze`: how many buckets of histograms are populated.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ::rules::duration_text;
use model::Timestamp;
use model::labels::METRIC_NAME;

use super::statistics::{Statistics, Summary};
use super::{TIMEOUT, time_of};
use crate::api::value::{Stream, Value, label_set_text, metric_text};
use crate::api::{Api, ApiError};
use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::Server;
use crate::streams::Streams;
use crate::times::duration_flag;

pub(crate) const USAGE: &str = "usage: promtool query analyze [--http.config.file=FILE] --server=URL --type=histogram \
                                --match=SELECTOR... [--duration=1h] [--time=TIME]";

const FLAGS: Known = Known {
    values: &["server", "type", "duration", "time", "match", "format", http_config::FLAG],
    short: &[('o', "format")],
    ..Known::NONE
};
const HOUR_NS: i64 = 3_600_000_000_000;

const HEADER: &str = "Bucket stats for each histogram series over time
------------------------------------------------
First the min, avg, and max number of populated buckets, followed by the total
number of buckets (only if different from the max number of populated buckets
which is typical for classic but not native histograms).";
const FOOTER: &str = "Aggregated bucket stats
-----------------------
Each line shows min/avg/max over the series above.";

/// Prints the statistics of all histograms that the selectors match, and their summary.
pub(crate) fn analyze(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [] = flags.exactly([])?;
    let server = last(&flags, "server")?;
    let kind = last(&flags, "type")?;
    let matches = flags.required("match")?;
    if kind != "histogram" {
        return Err(format!("analyze type is {kind}, must be 'histogram'").into());
    }
    let duration = duration_text(duration_flag(&flags, "duration")?.unwrap_or(HOUR_NS));
    let time = time_of(&flags, "time", "evaluation")?.unwrap_or_else(Timestamp::now);
    let server = Server::new(server, &http_config::of(&flags, server)?, TIMEOUT)?;
    let (mut native, mut classic) = (Summary::default(), Summary::default());
    writeln!(streams.out, "{HEADER}\n")?;
    for selector in matches {
        let query = format!("{selector}[{duration}]");
        let answer = Api::new(&server).instant(&query, time).map_err(|error: ApiError| error.to_string())?;
        let Value::Matrix(series) = answer.data else {
            return Err("query of buckets resulted in non-Matrix".to_owned().into());
        };
        natives(&series, &mut native, streams.out)?;
        classics(&series, &mut classic, streams.out)?;
    }
    writeln!(streams.out, "\n{FOOTER}")?;
    for (name, summary) in [("Native", native), ("Classic", classic)] {
        if !summary.is_empty() {
            writeln!(streams.out, "\n{name} {summary}")?;
        }
    }
    Ok(Outcome::Passed)
}

fn last<'a>(flags: &Flags<'a>, name: &str) -> Result<&'a str, Stop> {
    flags.required(name).map(|values| values.last().copied().unwrap_or_default())
}

fn natives(series: &[Stream], summary: &mut Summary, out: &mut dyn Write) -> io::Result<()> {
    for one in series.iter().filter(|one| one.values.is_empty()) {
        let Some(statistics) = Statistics::native(one) else { continue };
        writeln!(out, "- {} (native): {statistics}", metric_text(&one.metric))?;
        summary.add(&statistics);
    }
    Ok(())
}

/// Series with floats are buckets of classic histograms if their name and their labels say so.
fn classics(series: &[Stream], summary: &mut Summary, out: &mut dyn Write) -> Result<(), Stop> {
    let mut histograms: BTreeMap<String, Vec<&Stream>> = BTreeMap::new();
    for one in series.iter().filter(|one| !one.values.is_empty() && one.metric.contains_key("le")) {
        let mut labels = one.metric.clone();
        labels.remove("le");
        let Some(name) = labels.remove(METRIC_NAME).filter(|name| name.ends_with("_bucket")) else { continue };
        histograms.entry(format!("{name}{}", label_set_text(&labels))).or_default().push(one);
    }
    for (name, buckets) in histograms {
        let Some(statistics) = Statistics::classic(buckets)? else { continue };
        writeln!(out, "- {name} (classic): {statistics}")?;
        summary.add(&statistics);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::server::tests::answering;
    use crate::testing::run;

    fn answer(result: &Json) -> (&'static str, String) {
        let data = json!({"resultType": "matrix", "result": result});
        ("200 OK", json!({"status": "success", "data": data}).to_string())
    }

    #[test]
    fn populated_buckets_are_counted() {
        let bucket = |le: &str, first: &str, second: &str| json!({"metric": {"__name__": "x_bucket", "a": "b", "le": le}, "values": [[0, first], [15, second]]});
        let histogram = |buckets: Json| json!({"count": "1", "sum": "1", "buckets": buckets});
        let native = json!({"metric": {"__name__": "h"}, "histograms": [
            [0, histogram(json!([[0, "1", "2", "1"]]))],
            [15, histogram(json!([[0, "1", "2", "1"], [0, "2", "4", "5"]]))],
        ]});
        let once = json!({"metric": {"__name__": "once"}, "histograms": [[0, histogram(json!([]))]]});
        let other = json!({"metric": {"__name__": "x_count"}, "values": [[0, "1"]]});
        let series =
            json!([bucket("+Inf", "3", "9"), bucket("1", "2", "2"), bucket("2", "2", "7"), native, once, other]);
        let (url, asked) = answering(vec![answer(&series)]);
        let ran = run(&[
            "query",
            "analyze",
            "--server",
            &url,
            "--type=histogram",
            "--match=x",
            "--time=20",
            "--duration=90m",
        ]);
        let expected = format!(
            "{HEADER}\n\n- h (native): 1/1.500/2\n- x_bucket{{a=\"b\"}} (classic): 2/2.500/3\n\n{FOOTER}\n\nNative histogram \
             series (1 in total):\n- min populated: 1/1.000/1\n- avg populated: 1/1.000/1\n- max populated: \
             2/2.000/2\n\nClassic histogram series (1 in total):\n- min populated: 2/2.000/2\n- avg populated: \
             2/2.000/2\n- max populated: 3/3.000/3\n"
        );
        assert_eq!((ran.code, ran.out, ran.err), (0, expected, String::new()));
        let asked = asked.join().unwrap().remove(0);
        assert!(asked.ends_with("query=x%5B1h30m0s%5D&time=20"), "{asked}");
    }

    #[test]
    fn what_cannot_be_analyzed_is_told() {
        let bucket =
            |le: &str, ts: i64| json!({"metric": {"__name__": "x_bucket", "le": le}, "values": [[0, "1"], [ts, "1"]]});
        let (url, asked) = answering(vec![answer(&json!([bucket("1", 15), bucket("2", 16)]))]);
        let ran = run(&["query", "analyze", "--server", &url, "--type=histogram", "--match=x"]);
        assert_eq!((ran.code, ran.err.as_str()), (1, "matrix result is not time aligned\n"));
        asked.join().unwrap();
        let ran = run(&["query", "analyze", "--server=h", "--type=summary", "--match=x"]);
        assert_eq!(ran.err, "analyze type is summary, must be 'histogram'\n");
        let ran = run(&["query", "analyze", "--type=histogram", "--match=x"]);
        assert_eq!(ran.err, "promtool: error: required flag(s) '--server' not provided, try --help\n");
    }
}
