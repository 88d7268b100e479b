//! `promtool size`: how much memory, CPU and disk a server will need, by what was measured (`docs/sizing.md`).

mod formula;
mod report;

use model::duration::parse_duration_ms;

use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;
use formula::Load;

pub(crate) const USAGE: &str = "usage: promtool size [--targets=N] [--series-per-target=N|--series=N] [--interval=30s] [--retention=15d] \
                                [--churn=N|N%] [--rules=N] [--pods=N] [--format=table|json]";

const FLAGS: Known = Known {
    values: &["targets", "series-per-target", "series", "interval", "retention", "churn", "rules", "pods", "format"],
    ..Known::NONE
};
/// Unless the command line says: kube-prometheus' interval, Prometheus' retention, and targets as node-exporters and Go programs are.
const INTERVAL: &str = "30s";
const RETENTION: &str = "15d";
const SERIES_PER_TARGET: f64 = 1_000.0;
/// More than this of anything is a slip of the keyboard.
const MOST: i64 = 1_000_000_000_000;

/// Computes and prints what is needed; asks nobody.
pub(crate) fn size(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    flags.exactly([])?;
    let load = load(&flags)?;
    match flags.one_of("format", &["table", "json"])? {
        "json" => report::json(&load, streams.out)?,
        _ => report::table(&load, streams.out)?,
    }
    Ok(Outcome::Passed)
}

fn load(flags: &Flags<'_>) -> Result<Load, Stop> {
    if flags.value("series").is_some() && flags.value("series-per-target").is_some() {
        return Err(Stop::Misuse("--series and --series-per-target say the same thing; give one".to_owned()));
    }
    let (targets, series) = match (count(flags, "targets")?, count(flags, "series")?) {
        (None, None) => return Err(Stop::Misuse("required flag(s) '--targets' or '--series' not provided".to_owned())),
        (Some(targets), Some(series)) => (targets, series),
        (Some(targets), None) => (targets, targets * count(flags, "series-per-target")?.unwrap_or(SERIES_PER_TARGET)),
        (None, Some(series)) => ((series / SERIES_PER_TARGET).ceil(), series),
    };
    Ok(Load {
        targets,
        series,
        interval_seconds: seconds(flags, "interval", INTERVAL)?,
        retention_seconds: seconds(flags, "retention", RETENTION)?,
        new_series_per_day: churn(flags, series)?,
        rules: count(flags, "rules")?.unwrap_or(0.0),
        pods: count(flags, "pods")?.unwrap_or(0.0),
    })
}

/// A number of things; `None` unless it is given.
fn count(flags: &Flags<'_>, name: &str) -> Result<Option<f64>, Stop> {
    if flags.value(name).is_none() {
        return Ok(None);
    }
    let number = flags.number(name, 0)?;
    if !(0..=MOST).contains(&number) {
        return Err(Stop::Misuse(format!("--{name}: {number} is not from 0 to {MOST}")));
    }
    Ok(Some(number as f64))
}

fn seconds(flags: &Flags<'_>, name: &str, default: &str) -> Result<f64, Stop> {
    let text = flags.value(name).unwrap_or(default);
    let ms = parse_duration_ms(text).map_err(|error| Stop::Misuse(format!("--{name}: {error}")))?;
    if ms <= 0 { Err(Stop::Misuse(format!("--{name}: must be longer than 0"))) } else { Ok(ms as f64 / 1000.0) }
}

/// `--churn=5000` or `--churn=20%`: how many series begin in a day, or which part of them.
fn churn(flags: &Flags<'_>, series: f64) -> Result<f64, Stop> {
    let Some(part) = flags.value("churn").and_then(|text| text.strip_suffix('%')) else {
        return Ok(count(flags, "churn")?.unwrap_or(0.0));
    };
    let percent = part.parse::<f64>().ok().filter(|percent| (0.0..=1e6).contains(percent));
    let percent = percent.ok_or_else(|| Stop::Misuse(format!("--churn: \"{part}%\" is no percentage")))?;
    Ok(series * percent / 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing::run;

    #[test]
    fn a_table_says_what_is_needed() {
        let args = "size --targets=150 --series-per-target=1000 --interval=30s --retention=15d --churn=10% --rules=400";
        let ran = run(&args.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        let line = |what: &str| ran.out.lines().find(|line| line.starts_with(what)).unwrap_or_default();
        assert!(line("samples a second").contains("5000"), "{}", ran.out);
        assert!(line("memory limit").contains("256Mi"), "{}", ran.out);
        assert!(line("disk, after 15d").contains("index"), "{}", ran.out);
        assert!(line("volume").contains("Gi"), "{}", ran.out);
    }

    #[test]
    fn json_has_the_same_numbers_whichever_way_they_are_given() {
        let asked = |args: &[&str]| {
            let ran = run(&[&["size", "--format=json"], args].concat());
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
            serde_json::from_str::<Value>(&ran.out).unwrap()
        };
        let by_target = asked(&["--targets=100", "--series-per-target=200", "--churn=5%"]);
        assert_eq!(by_target, asked(&["--targets", "100", "--series", "20000", "--churn=1000", "--interval=30s"]));
        assert_eq!(asked(&["--series=20000"]), asked(&["--targets=20"]), "a thousand series a target");
        let twice = asked(&["--targets=100", "--series-per-target=200", "--churn=5%", "--retention=30d"]);
        let disk = |value: &Value| value["disk"]["expectedBytes"].as_f64().unwrap();
        assert!(disk(&twice) > 1.5 * disk(&by_target) && twice["memory"] == by_target["memory"]);
    }

    #[test]
    fn what_cannot_be_computed_is_told() {
        for (args, part) in [
            (&["size"][..], "'--targets' or '--series' not provided"),
            (&["size", "--series=1", "--series-per-target=2"], "give one"),
            (&["size", "--series=-1"], "--series: -1 is not from 0"),
            (&["size", "--series=many"], "--series: \"many\" is no whole number"),
            (&["size", "--series=1", "--interval=0"], "--interval: must be longer than 0"),
            (&["size", "--series=1", "--interval=soon"], "--interval: "),
            (&["size", "--series=1", "--churn=x%"], "--churn: \"x%\" is no percentage"),
            (&["size", "--series=1", "more"], "unexpected more"),
            (&["size", "--series=1", "--format=xml"], "table,json"),
        ] {
            let ran = run(args);
            assert!(ran.code == 1 && ran.err.contains(part), "{args:?}: {}", ran.err);
        }
    }
}
