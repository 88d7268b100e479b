//! `promtool diff-query URL_A URL_B FILE…`: asks two servers the same queries, and says where their answers differ.

mod compare;
mod dashboard;
mod manifest;
mod queries;
mod query;
mod times;
mod variables;

use std::io;

use self::compare::{Difference, Tolerance, first_difference, size};
use self::queries::queries;
use self::query::Query;
use self::times::Times;
use self::variables::Variables;
use crate::api::value::Value;
use crate::api::{Answer, Api, ApiError};
use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::query::connect;
use crate::server::Server;
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool diff-query [--http.config.file=FILE] [--http.config.file-b=FILE] [--header=NAME=VALUE]... \
                                [--time=TIME] [--start=TIME] [--end=TIME] [--step=DURATION] [--tolerance=1e-9] [--var=NAME=VALUE]... \
                                [--enable-feature=NAME,...] URL_A URL_B FILE...";

/// The flag for the connection to the second server, if it is another one.
const FLAG_B: &str = "http.config.file-b";
const FLAGS: Known = Known {
    values: &[http_config::FLAG, FLAG_B, "header", "time", "start", "end", "step", "tolerance", "var"],
    ..Known::NONE
};
/// It ends with 0 if all answers are alike, 1 if some differ, and 2 if something could not be compared.
pub(crate) fn diff_query(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    match run(args, streams) {
        Err(Stop::Help) => Err(Stop::Help),
        Err(stop) => {
            stop.tell(USAGE, streams)?;
            Ok(Outcome::NotCompared)
        }
        Ok(outcome) => Ok(outcome),
    }
}

fn run(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [a, b, files @ ..] = flags.files.as_slice() else {
        return Err(Stop::Misuse("two servers and a file are needed".to_owned()));
    };
    if files.is_empty() {
        return Err(Stop::Misuse("required argument 'file' not provided".to_owned()));
    }
    let times = Times::of(&flags)?;
    let variables = Variables::new(&flags.map("var")?, times);
    let mut all = Vec::new();
    for file in files {
        all.extend(queries(file, &flags, &variables)?);
    }
    let pair = Pair { a: connect(&flags, a)?, b: connect_second(&flags, b)?, times, tolerance: tolerance(&flags)? };
    let mut tally = Tally::default();
    for query in &all {
        let verdict = pair.ask(query)?;
        tally.add(&verdict);
        print(query, &verdict, streams)?;
    }
    writeln!(
        streams.out,
        "{} queries: {} same, {} differ, {} fail on both",
        all.len(),
        tally.same,
        tally.differ,
        tally.fail
    )?;
    Ok(match tally {
        Tally { differ: 1.., .. } => Outcome::Failed,
        // Nothing that was compared differs, but not everything was.
        Tally { fail: 1.., .. } => Outcome::NotCompared,
        _ => Outcome::Passed,
    })
}

fn connect_second(flags: &Flags<'_>, url: &str) -> Result<Server, Stop> {
    match flags.value(FLAG_B) {
        None => connect(flags, url),
        Some(file) => {
            let known = Known { values: &[http_config::FLAG, "header"], ..Known::NONE };
            let headers = flags.values("header").flat_map(|header| ["--header", header]);
            let args: Vec<&str> = ["--http.config.file", file].into_iter().chain(headers).collect();
            connect(&Flags::parse(&args, known)?, url)
        }
    }
}

fn tolerance(flags: &Flags<'_>) -> Result<Tolerance, Stop> {
    let Some(text) = flags.value("tolerance") else { return Ok(Tolerance(1e-9)) };
    let number = text.parse().ok().filter(|number: &f64| *number >= 0.0);
    number.map(Tolerance).ok_or_else(|| Stop::Misuse(format!("--tolerance: {text:?} is no number from 0 on")))
}

/// What became of a query, asked for an instant or for a range.
#[derive(Debug)]
enum Verdict {
    /// How much there is on both.
    Same(Vec<String>),
    /// Which way of asking has another answer, and how.
    Differs(Vec<(&'static str, Difference)>),
    /// Neither server answers.
    Fails { a: String, b: String },
}

/// The two servers.
struct Pair {
    a: Server,
    b: Server,
    times: Times,
    tolerance: Tolerance,
}

type Asked = Result<Answer<Value>, ApiError>;

impl Pair {
    fn ask(&self, query: &Query) -> Result<Verdict, Stop> {
        let text = match &query.text {
            Ok(text) => text,
            Err(why) => return Ok(Verdict::Fails { a: why.clone(), b: why.clone() }),
        };
        let Times { time, start, end, step_ns } = self.times;
        let (a, b) = (Api::new(&self.a), Api::new(&self.b));
        let (mut same, mut differ) = (Vec::new(), Vec::new());
        let instant = (a.instant(text, time), b.instant(text, time));
        if let Some(fails) = self.compare("instant", &instant, (&mut same, &mut differ))? {
            return Ok(fails);
        }
        // Of ranges and texts there is no value at each step.
        let has_steps =
            |asked: &Asked| !matches!(asked, Ok(answer) if matches!(answer.data, Value::Matrix(_) | Value::Text(..)));
        if has_steps(&instant.0) && has_steps(&instant.1) {
            let range = (a.range(text, (start, end), step_ns), b.range(text, (start, end), step_ns));
            if let Some(fails) = self.compare("range", &range, (&mut same, &mut differ))? {
                return Ok(fails);
            }
        }
        Ok(if differ.is_empty() { Verdict::Same(same) } else { Verdict::Differs(differ) })
    }

    /// Compares one pair of answers; a verdict where both servers fail.
    fn compare(
        &self,
        way: &'static str,
        (a, b): &(Asked, Asked),
        (same, differ): (&mut Vec<String>, &mut Vec<(&'static str, Difference)>),
    ) -> Result<Option<Verdict>, Stop> {
        for (name, asked) in [("A", a), ("B", b)] {
            if let Err(ApiError::Unreached(why)) = asked {
                return Err(format!("cannot ask {name}: {why}").into());
            }
        }
        match (a, b) {
            (Err(a), Err(b)) => return Ok(Some(Verdict::Fails { a: a.to_string(), b: b.to_string() })),
            (Ok(a), Ok(b)) => match first_difference(&a.data, &b.data, self.tolerance) {
                Some(difference) => differ.push((way, difference)),
                None => same.push(format!("{way}: {}", size(&a.data))),
            },
            (a, b) => {
                let side = |asked: &Asked| match asked {
                    Ok(answer) => size(&answer.data),
                    Err(error) => format!("error: {error}"),
                };
                differ.push((way, Difference { what: None, a: side(a), b: side(b), more: 0 }));
            }
        }
        Ok(None)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    same: usize,
    differ: usize,
    fail: usize,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Same(_) => self.same += 1,
            Verdict::Differs(_) => self.differ += 1,
            Verdict::Fails { .. } => self.fail += 1,
        }
    }
}

fn print(query: &Query, verdict: &Verdict, streams: &mut Streams<'_>) -> io::Result<()> {
    let out = &mut *streams.out;
    match verdict {
        Verdict::Same(sizes) => writeln!(out, "same     {} ({})", query.name, sizes.join(", ")),
        Verdict::Differs(differences) => {
            writeln!(out, "differs  {}", query.name)?;
            for (way, Difference { what, a, b, more }) in differences {
                let what = what.as_deref().map(|what| format!(" {what}")).unwrap_or_default();
                writeln!(out, "  {way}:{what}\n    A: {a}\n    B: {b}")?;
                if *more > 0 {
                    writeln!(out, "    and {more} more series")?;
                }
            }
            Ok(())
        }
        Verdict::Fails { a, b } if a == b => writeln!(out, "fails    {}\n    A and B: {a}", query.name),
        Verdict::Fails { a, b } => writeln!(out, "fails    {}\n    A: {a}\n    B: {b}", query.name),
    }
}

#[cfg(test)]
mod tests;
