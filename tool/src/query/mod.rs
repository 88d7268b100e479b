//! `promtool query …`: asks a server, and prints what it answers.

pub(crate) mod analyze;
mod statistics;

use std::time::Duration;

use model::Timestamp;
use serde_json::Value as Json;

use crate::api::json::{labels, push_list, push_map, push_string};
use crate::api::value::{Value, label_set_text};
use crate::api::{Answer, Api, ApiError};
use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::Server;
use crate::streams::Streams;
use crate::times::{duration_flag, listing_times, parse_time};

pub(crate) const INSTANT_USAGE: &str = "usage: promtool query instant [-o promql|json] [--http.config.file=FILE] \
                                        [--time=TIME] [--header=NAME=VALUE]... SERVER QUERY";
pub(crate) const RANGE_USAGE: &str = "usage: promtool query range [-o promql|json] [--http.config.file=FILE] [--start=TIME] \
                                      [--end=TIME] [--step=DURATION] [--header=NAME=VALUE]... SERVER QUERY";
pub(crate) const SERIES_USAGE: &str = "usage: promtool query series [-o promql|json] [--http.config.file=FILE] \
                                       --match=SELECTOR... [--start=TIME] [--end=TIME] SERVER";
pub(crate) const LABELS_USAGE: &str = "usage: promtool query labels [-o promql|json] [--http.config.file=FILE] \
                                       [--match=SELECTOR]... [--start=TIME] [--end=TIME] SERVER NAME";

const FLAGS: Known = Known {
    values: &["format", http_config::FLAG, "time", "start", "end", "step", "header", "match"],
    short: &[('o', "format")],
    ..Known::NONE
};
/// Longer than a server may take for a query.
const TIMEOUT: Duration = Duration::from_secs(120);
/// So far back a range begins, unless it is said.
const RANGE_MS: i64 = 300_000;
/// So many steps a range has at most, unless it is said.
const STEPS: i64 = 250;

/// The flags, and whether JSON is to be printed.
fn parsed<'a>(args: &[&'a str], not_here: &[&str]) -> Result<(Flags<'a>, bool), Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    if let Some(name) = not_here.iter().find(|name| flags.value(name).is_some()) {
        return Err(Stop::Misuse(format!("unknown long flag '--{name}'")));
    }
    let is_json = flags.one_of("format", &["promql", "json"])? == "json";
    Ok((flags, is_json))
}

/// A connection as the flags say.
pub(crate) fn connect(flags: &Flags<'_>, url: &str) -> Result<Server, Stop> {
    let mut server = Server::new(url, &http_config::of(flags, url)?, TIMEOUT)?;
    flags.map("header")?.iter().try_for_each(|(name, value)| server.add_header(name, value))?;
    Ok(server)
}

/// What the API says is wrong, as upstream prints it.
pub(crate) fn query_error(error: ApiError) -> Stop {
    Stop::Failed(format!("query error: {error}"))
}

fn time_of(flags: &Flags<'_>, name: &str, what: &str) -> Result<Option<Timestamp>, Stop> {
    let text = flags.value(name).filter(|text| !text.is_empty());
    let time = text.map(|text| parse_time(text).map_err(|why| format!("error parsing {what} time: {why}")));
    Ok(time.transpose()?)
}

fn print_value(value: &Value, is_json: bool, streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    writeln!(streams.out, "{}", if is_json { value.to_json() } else { value.to_promql() })?;
    Ok(Outcome::Passed)
}

/// The value of a query at a time.
pub(crate) fn instant(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let (flags, is_json) = parsed(args, &["start", "end", "step", "match"])?;
    let [url, query] = flags.exactly(["server", "expr"])?;
    let server = connect(&flags, url)?;
    let time = time_of(&flags, "time", "evaluation")?.unwrap_or_else(Timestamp::now);
    let answer = Api::new(&server).instant(query, time).map_err(query_error)?;
    print_value(&answer.data, is_json, streams)
}

/// The values of a query over a range of time.
pub(crate) fn range(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let (flags, is_json) = parsed(args, &["time", "match"])?;
    let [url, query] = flags.exactly(["server", "expr"])?;
    let server = connect(&flags, url)?;
    let end = time_of(&flags, "end", "end")?.unwrap_or_else(Timestamp::now);
    let start = time_of(&flags, "start", "start")?.unwrap_or(end.saturating_sub(RANGE_MS));
    if start >= end {
        return Err("start time is not before end time".to_owned().into());
    }
    let step_ns = match duration_flag(&flags, "step")? {
        Some(step) if step != 0 => step,
        _ => default_step_seconds(start, end).saturating_mul(1_000_000_000),
    };
    let answer = Api::new(&server).range(query, (start, end), step_ns).map_err(query_error)?;
    print_value(&answer.data, is_json, streams)
}

/// Whole seconds, so that there are no more steps than [`STEPS`].
fn default_step_seconds(start: Timestamp, end: Timestamp) -> i64 {
    (end.0.saturating_sub(start.0) / 1000 / STEPS).max(1)
}

/// The series that selectors match.
pub(crate) fn series(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let (flags, is_json) = parsed(args, &["time", "step", "header"])?;
    let [url] = flags.exactly(["server"])?;
    let matches = flags.required("match")?;
    let server = connect(&flags, url)?;
    let times = listing_times(&flags)?;
    let answer = Api::new(&server).series(&matches, times).map_err(query_error)?;
    let found: Result<Vec<_>, String> = listed(&answer)?.iter().map(labels).collect();
    let found = found.map_err(|why| format!("query error: bad_response: {why}"))?;
    if is_json {
        let mut out = String::new();
        push_list(&mut out, &found, |out, labels| push_map(out, labels));
        writeln!(streams.out, "{out}")?;
    } else {
        found.iter().try_for_each(|labels| writeln!(streams.out, "{}", label_set_text(labels)))?;
    }
    Ok(Outcome::Passed)
}

/// The values of a label.
pub(crate) fn label_values(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let (flags, is_json) = parsed(args, &["time", "step", "header"])?;
    let [url, name] = flags.exactly(["server", "name"])?;
    let server = connect(&flags, url)?;
    let times = listing_times(&flags)?;
    let matches: Vec<&str> = flags.values("match").collect();
    let answer = Api::new(&server).label_values(name, &matches, times).map_err(query_error)?;
    answer.warnings.iter().try_for_each(|warning| writeln!(streams.err, "query warning: {warning}"))?;
    let values: Vec<&str> = listed(&answer)?.iter().filter_map(Json::as_str).collect();
    if is_json {
        let mut out = String::new();
        push_list(&mut out, &values, |out, value| push_string(out, value));
        writeln!(streams.out, "{out}")?;
    } else {
        values.iter().try_for_each(|value| writeln!(streams.out, "{value}"))?;
    }
    Ok(Outcome::Passed)
}

/// The items of an answer that is a list.
fn listed(answer: &Answer<Json>) -> Result<&[Json], Stop> {
    match &answer.data {
        Json::Null => Ok(&[]),
        Json::Array(items) => Ok(items),
        _ => Err("query error: bad_response: the data is not a list".to_owned().into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::tests::answering;
    use crate::testing::run;

    fn success(data: &Json) -> (&'static str, String) {
        ("200 OK", json!({"status": "success", "data": data}).to_string())
    }

    #[test]
    fn an_instant_query_is_asked_and_printed() {
        let vector =
            json!({"resultType": "vector", "result": [{"metric": {"__name__": "up", "a": "b"}, "value": [5, "1"]}]});
        let (url, asked) = answering(vec![success(&vector), success(&vector)]);
        let ran = run(&["query", "instant", "--time=5.25", "--header", "X-Scope-OrgID=a", &url, "sum(up) > 1"]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "up{a=\"b\"} => 1 @[5]\n", ""));
        let ran = run(&["query", "-o", "json", "instant", &url, "up"]);
        assert_eq!(ran.out, "[{\"metric\":{\"__name__\":\"up\",\"a\":\"b\"},\"value\":[5,\"1\"]}]\n");
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("POST /prefix/api/v1/query HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[0].ends_with("query=sum%28up%29+%3E+1&time=5.25"), "{}", asked[0]);
        assert!(asked[0].contains("x-scope-orgid: a\r\n"), "{}", asked[0]);
    }

    #[test]
    fn a_server_that_refuses_post_is_asked_by_get() {
        let scalar = json!({"resultType": "scalar", "result": [0, "3"]});
        let (url, asked) = answering(vec![("405 Method Not Allowed", String::new()), success(&scalar)]);
        let ran = run(&["query", "instant", &url, "3", "--time", "0"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "scalar: 3 @[0]\n"));
        assert!(asked.join().unwrap()[1].starts_with("GET /prefix/api/v1/query?query=3&time=0 HTTP/1.1\r\n"));
    }

    #[test]
    fn a_range_query_has_a_step_by_its_length() {
        let matrix = json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[0, "1"], [4, "2"]]}]});
        let (url, asked) = answering(vec![success(&matrix), success(&matrix)]);
        let ran = run(&["query", "range", "--start=0", "--end=1000", &url, "x"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "{} =>\n1 @[0]\n2 @[4]\n"));
        assert_eq!(run(&["query", "range", "--start=0", "--end=2", "--step=500ms", "-ojson", &url, "x"]).code, 0);
        let asked = asked.join().unwrap();
        assert!(asked[0].ends_with("query=x&start=0&end=1000&step=4"), "{}", asked[0]);
        assert!(asked[1].ends_with("query=x&start=0&end=2&step=0.5"), "{}", asked[1]);
        let ran = run(&["query", "range", "--start=2", "--end=2", &url, "x"]);
        assert_eq!((ran.code, ran.err.as_str()), (1, "start time is not before end time\n"));
    }

    #[test]
    fn series_and_labels_are_listed() {
        let series = json!([{"__name__": "up", "job": "a"}, {"job": "b"}]);
        let warned = json!({"status": "success", "data": ["a", "b<"], "warnings": ["careful"]}).to_string();
        let (url, asked) =
            answering(vec![success(&series), success(&series), ("200 OK", warned.clone()), ("200 OK", warned)]);
        let times = ["--start=1", "--end=2"];
        let ran = run(&[&["query", "series", "--match=up", "--match", "{job=\"b\"}", &url], &times[..]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (0, "{__name__=\"up\", job=\"a\"}\n{job=\"b\"}\n"));
        let ran = run(&["query", "series", "--format=json", "--match=up", &url]);
        assert_eq!(ran.out, "[{\"__name__\":\"up\",\"job\":\"a\"},{\"job\":\"b\"}]\n");
        let ran = run(&[&["query", "labels", &url, "job"], &times[..]].concat());
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("a\nb<\n", "query warning: careful\n"));
        let ran = run(&["query", "labels", "-o", "json", "--match=up", &url, "job"]);
        assert_eq!(ran.out, "[\"a\",\"b\\u003c\"]\n");
        let asked = asked.join().unwrap();
        assert!(asked[0].ends_with("match%5B%5D=up&match%5B%5D=%7Bjob%3D%22b%22%7D&start=1&end=2"), "{}", asked[0]);
        assert!(asked[2].starts_with("GET /prefix/api/v1/label/job/values?start=1&end=2 HTTP/1.1"), "{}", asked[2]);
    }

    #[test]
    fn what_is_wrong_is_told_on_the_standard_error() {
        let refusal = r#"{"status":"error","errorType":"bad_data","error":"no"}"#;
        let (url, asked) =
            answering(vec![("400 Bad Request", refusal.to_owned()), ("500 Internal Server Error", "x\n".to_owned())]);
        let ran = run(&["query", "instant", &url, "("]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", "query error: bad_data: no\n"));
        let ran = run(&["query", "instant", &url, "up"]);
        assert_eq!(ran.err, "query error: server_error: server error: 500 (detail: x)\n");
        asked.join().unwrap();
        for (args, why) in [
            (&["query", "instant", "http://h"][..], "required argument 'expr' not provided"),
            (&["query", "series", "http://h"], "required flag(s) '--match' not provided"),
            (&["query", "instant", "--step=1s", "http://h", "up"], "unknown long flag '--step'"),
            (&["query", "instant", "-o", "xml", "http://h", "up"], "enum value must be one of promql,json, got 'xml'"),
            (&["query", "range", "--step=5", "http://h", "up"], "time: missing unit in duration \"5\""),
        ] {
            let ran = run(args);
            assert_eq!((ran.code, ran.err), (1, format!("promtool: error: {why}, try --help\n")));
        }
        let ran = run(&["query", "instant", "--time=x", "http://h", "up"]);
        assert_eq!(ran.err, "error parsing evaluation time: cannot parse \"x\" to a valid timestamp\n");
        let ran = run(&["query", "series", "--match=up", "--end=x", "http://h"]);
        assert_eq!(ran.err, "error parsing end time: cannot parse \"x\" to a valid timestamp\n");
    }
}
