//! `promtool promql format`, `promtool promql label-matchers …`: queries printed again, with other label matchers if asked for.

use model::{MatchOp, Matcher};
use query::{Bounds, Engine};

use crate::features;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const FORMAT_USAGE: &str = "usage: promtool --experimental promql format QUERY";
pub(crate) const SET_USAGE: &str =
    "usage: promtool --experimental promql label-matchers set [-t =|!=|=~|!~] QUERY NAME VALUE";
pub(crate) const DELETE_USAGE: &str = "usage: promtool --experimental promql label-matchers delete QUERY NAME";

const SET_FLAGS: Known = Known { values: &["type"], short: &[('t', "type")], ..Known::NONE };

/// Prints a query formatted.
pub(crate) fn format(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, Known::NONE)?;
    let [query] = flags.exactly(["query"])?;
    print_edited(&flags, query, &|_| {}, streams)
}

/// Gives every selector of a query this matcher of a label.
pub(crate) fn set(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, SET_FLAGS)?;
    let [query, name, value] = flags.exactly(["query", "name", "value"])?;
    let op = match flags.one_of("type", &["=", "!=", "=~", "!~"])? {
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Regex,
        "!~" => MatchOp::NotRegex,
        _ => MatchOp::Equal,
    };
    let matcher = Matcher::new(op, name, value).map_err(|error| error.to_string())?;
    let edit = |matchers: &mut Vec<Matcher>| {
        let mut of_label = matchers.iter_mut().filter(|known| known.name == matcher.name).peekable();
        if of_label.peek().is_some() {
            of_label.for_each(|known| *known = matcher.clone());
        } else {
            matchers.push(matcher.clone());
        }
    };
    print_edited(&flags, query, &edit, streams)
}

/// Takes the matchers of a label away.
pub(crate) fn delete(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, Known::NONE)?;
    let [query, name] = flags.exactly(["query", "name"])?;
    print_edited(&flags, query, &|matchers| matchers.retain(|known| known.name != name), streams)
}

fn print_edited(
    flags: &Flags<'_>,
    query: &str,
    edit: &(dyn Fn(&mut Vec<Matcher>) + Sync),
    streams: &mut Streams<'_>,
) -> Result<Outcome, Stop> {
    if !flags.is_on("experimental") {
        let why = "This command is experimental and requires the --experimental flag to be set.";
        return Err(why.to_owned().into());
    }
    let engine = Engine::new(features::options(flags, streams.out)?);
    let text = engine.edited(query, edit, &Bounds::default()).map_err(|error| error.to_string())?;
    writeln!(streams.out, "{text}")?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use crate::testing::run;

    fn printed(args: &[&str]) -> String {
        let ran = run(&[&["--experimental", "promql"], args].concat());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        ran.out
    }

    #[test]
    fn queries_are_formatted() {
        assert_eq!(printed(&["format", "sum  by(job) (up)"]), "sum by (job) (up)\n");
        let long = "sum by (job, instance) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (job, instance) (rate(http_requests_total[5m]))";
        assert!(printed(&["format", long]).lines().count() > 2);
        let ran = run(&["promql", "format", "sum(", "--experimental"]);
        assert_eq!((ran.code, ran.err.as_str()), (1, "1:5: parse error: unclosed left parenthesis\n"));
        let ran = run(&["promql", "format", "up"]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.contains("requires the --experimental flag"), "{}", ran.err);
        let ran = run(&["promql", "format", "--experimental", "--enable-feature=nope", "up"]);
        assert_eq!(ran.out, "  WARNING: Unknown feature passed to --enable-feature: nope\nup\n");
    }

    #[test]
    fn matchers_are_set_and_deleted() {
        for (args, expected) in [
            (&["set", "up", "job", "a"][..], "up{job=\"a\"}"),
            (
                &["set", "-t", "=~", "rate(x{job=\"b\"}[5m]) + y", "job", "a.*"],
                "rate(x{job=~\"a.*\"}[5m]) + y{job=~\"a.*\"}",
            ),
            (&["set", "--type=!=", "up{job=~\"a\",job!=\"b\"}", "job", "c"], "up{job!=\"c\",job!=\"c\"}"),
            (&["set", "{__name__=\"up\"}", "__name__", "down"], "{__name__=\"down\"}"),
            (&["delete", "up{job=\"a\",z=\"1\"} offset 5m", "job"], "up{z=\"1\"} offset 5m"),
            (&["delete", "up{job=\"a\",job!=\"b\"}", "job"], "up"),
            (&["delete", "up", "job"], "up"),
        ] {
            assert_eq!(printed(&[&["label-matchers"], args].concat()), format!("{expected}\n"));
        }
        let ran = run(&["promql", "label-matchers", "set", "-t", "=~", "--experimental", "up", "job", "("]);
        assert!(ran.code == 1 && ran.err.contains("missing"), "{}", ran.err);
        let ran = run(&["promql", "label-matchers", "set", "-t", "==", "up", "job", "a"]);
        assert_eq!(ran.err, "promtool: error: enum value must be one of =,!=,=~,!~, got '==', try --help\n");
    }
}
