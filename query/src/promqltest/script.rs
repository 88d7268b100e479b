//! Script text → commands.

use model::duration::parse_duration_ms;
use model::{Labels, Timestamp};

use super::Point;
use super::notation::series;

#[derive(Debug)]
pub(crate) enum Command {
    Clear,
    Load { step_ms: i64, classic: bool, series: Vec<Line> },
    Eval(Box<Eval>),
}

/// One series of a `load`.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) labels: Labels,
    pub(crate) points: Vec<Point>,
    /// Start timestamps relative to the points, milliseconds, negative; empty when not given.
    pub(crate) start_offsets_ms: Vec<Option<i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    Instant(Timestamp),
    Range { start: Timestamp, end: Timestamp, step_ms: i64 },
}

/// One `eval`.
#[derive(Debug)]
pub(crate) struct Eval {
    /// Counted from one.
    pub(crate) line: usize,
    pub(crate) when: When,
    pub(crate) query: String,
    pub(crate) expect: Expect,
}

#[derive(Debug, Default)]
pub(crate) struct Expect {
    pub(crate) fail: Option<Text>,
    pub(crate) warn: Vec<Text>,
    pub(crate) no_warn: bool,
    pub(crate) info: Vec<Text>,
    pub(crate) no_info: bool,
    pub(crate) ordered: bool,
    pub(crate) string: Option<String>,
    pub(crate) range: Option<When>,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<(Labels, Vec<Point>)>,
}

/// An expected message.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Any,
    Equal(String),
    Regex(String),
}

/// Parses a script.
pub(crate) fn parse(text: &str) -> Result<Vec<Command>, String> {
    // A comment becomes an empty line, which ends the body of a command, as in upstream's parser.
    let lines: Vec<&str> = text.lines().map(|l| l.trim()).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        // The lines of a command reach up to the next empty line.
        let body_end = (at + 1..lines.len()).find(|i| lines[*i].is_empty()).unwrap_or(lines.len());
        let word = line.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        let body = &lines[at + 1..body_end];
        let fault = |message: String| format!("line {}: {message}", at + 1);
        let next = match word.as_str() {
            "" => at + 1,
            "clear" => {
                commands.push(Command::Clear);
                at + 1
            }
            w if w.starts_with("load") => {
                commands.push(load(line, body).map_err(fault)?);
                body_end
            }
            w if w.starts_with("eval") => {
                commands.push(Command::Eval(Box::new(eval(line, at + 1, body).map_err(fault)?)));
                body_end
            }
            _ => return Err(fault(format!("unknown command {word:?}"))),
        };
        at = next;
    }
    Ok(commands)
}

fn duration(text: Option<&str>) -> Result<i64, String> {
    parse_duration_ms(text.unwrap_or("")).map_err(|error| error.to_string())
}

fn load(line: &str, body: &[&str]) -> Result<Command, String> {
    let mut words = line.split_whitespace();
    let classic = words.next().is_some_and(|w| w.eq_ignore_ascii_case("load_with_nhcb"));
    let step_ms = duration(words.next())?;
    let mut lines: Vec<Line> = Vec::new();
    // A line of start timestamps (`metric@st`) applies to the line of points that follows it.
    let mut waiting: Option<(Labels, Vec<Option<i64>>)> = None;
    for line in body {
        let metric = line.split_whitespace().next().unwrap_or("");
        if let Some(metric) = metric.strip_suffix("@st") {
            let items = line.split_whitespace().skip(1).map(starts).collect::<Result<Vec<_>, _>>()?;
            waiting = Some((series(metric)?.0, items.concat()));
            continue;
        }
        let (labels, points) = series(line)?;
        let start_offsets_ms = match waiting.take() {
            None => Vec::new(),
            Some((of, start_offsets_ms)) if of == labels && start_offsets_ms.len() == points.len() => start_offsets_ms,
            Some((of, start_offsets_ms)) => {
                let (n, got) = (start_offsets_ms.len(), points.len());
                return Err(format!("{n} start timestamps of {of} before {got} points of {labels}"));
            }
        };
        lines.push(Line { labels, points, start_offsets_ms });
    }
    match waiting {
        None => Ok(Command::Load { step_ms, classic, series: lines }),
        Some((of, _)) => Err(format!("start timestamps of {of} without points")),
    }
}

/// `_`, `_xN`, `dur`, `durxN`, `dur+durxN`, `dur-durxN`
fn starts(item: &str) -> Result<Vec<Option<i64>>, String> {
    let (item, times) = match item.rsplit_once('x') {
        Some((item, times)) => (item, Some(times.parse::<usize>().map_err(|e| format!("{times:?}: {e}"))?)),
        None => (item, None),
    };
    if item == "_" {
        return Ok(vec![None; times.unwrap_or(1)]);
    }
    let signed = |text: &str| match text.strip_prefix('-') {
        Some(rest) => duration(Some(rest)).map(|ms| -ms),
        None => duration(Some(text.strip_prefix('+').unwrap_or(text))),
    };
    // The first character may be the sign of the first value.
    let step_at = item.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map(|(i, _)| i);
    let (first, step) = item.split_at(step_at.unwrap_or(item.len()));
    let (first, step) = (signed(first)?, if step.is_empty() { 0 } else { signed(step)? });
    Ok((0..=times.unwrap_or(0) as i64).map(|i| Some(first + step * i)).collect())
}

/// Splits words from the front of a line.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let trimmed = rest.trim_start();
    let (word, after) = trimmed.split_at(trimmed.find(char::is_whitespace).unwrap_or(trimmed.len()));
    *rest = after;
    word
}

fn range(rest: &mut &str) -> Result<When, String> {
    let mut value = |key: &str| {
        let got = word(rest);
        if got == key { duration(Some(word(rest))) } else { Err(format!("expected {key:?}, got {got:?}")) }
    };
    Ok(When::Range { start: Timestamp(value("from")?), end: Timestamp(value("to")?), step_ms: value("step")? })
}

fn eval(line: &str, number: usize, body: &[&str]) -> Result<Eval, String> {
    let mut rest = line;
    let mut expect = Expect::default();
    match word(&mut rest).to_ascii_lowercase().as_str() {
        // Deprecated by upstream for `expect` lines, but still used in some of its scripts.
        "eval_fail" => expect.fail = Some(Text::Any),
        "eval_warn" => expect.warn.push(Text::Any),
        "eval_info" => expect.info.push(Text::Any),
        "eval_ordered" => expect.ordered = true,
        _ => {}
    }
    let when = match word(&mut rest) {
        "instant" => {
            // The word `at`.
            word(&mut rest);
            When::Instant(Timestamp(duration(Some(word(&mut rest)))?))
        }
        "range" => range(&mut rest)?,
        other => return Err(format!("expected instant or range, got {other:?}")),
    };
    for line in body {
        if let Some(rule) = line.strip_prefix("expect ") {
            expectation(rule.trim(), &mut expect)?;
        } else if let Some(text) = line.strip_prefix("expected_fail_message ") {
            expect.fail = Some(Text::Equal(text.trim().to_owned()));
        } else if let Some(text) = line.strip_prefix("expected_fail_regexp ") {
            expect.fail = Some(Text::Regex(text.trim().to_owned()));
        } else if let Ok(value) = line.parse::<f64>() {
            expect.scalar = Some(value);
            // The scalar is the last line of its command, as in upstream's parser.
            break;
        } else {
            expect.series.push(series(line)?);
        }
    }
    Ok(Eval { line: number, when, query: rest.trim().to_owned(), expect })
}

fn expectation(rule: &str, expect: &mut Expect) -> Result<(), String> {
    let mut rest = rule;
    match word(&mut rest) {
        "fail" => expect.fail = Some(message(rest)),
        "warn" => expect.warn.push(message(rest)),
        "info" => expect.info.push(message(rest)),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        "ordered" => expect.ordered = true,
        "string" => expect.string = Some(crate::parse::unquote(rest.trim())?),
        "range" => {
            word(&mut rest);
            expect.range = Some(range(&mut rest)?);
        }
        other => return Err(format!("unknown expectation {other:?}")),
    }
    Ok(())
}

fn message(rest: &str) -> Text {
    let rest = rest.trim();
    match (rest.strip_prefix("msg:"), rest.strip_prefix("regex:")) {
        (Some(text), _) => Text::Equal(text.trim().to_owned()),
        (_, Some(text)) => Text::Regex(text.trim().to_owned()),
        _ => Text::Any,
    }
}
