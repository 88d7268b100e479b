//! What a query cost, as the parameter `stats` and the query log show it.

use std::time::Duration;

use query::Stats;

use super::Params;
use super::format::{array, object, put};

/// What the parameter `stats` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Sums,
    /// The samples of each step as well, where the feature `promql-per-step-stats` is on.
    Steps,
}

/// Reads the parameter; what else it may say stands for `true`, and there is a warning to be given.
pub(super) fn wanted(params: &Params) -> (Wanted, Option<String>) {
    match params.get("stats") {
        "" => (Wanted::Nothing, None),
        "true" => (Wanted::Sums, None),
        "all" => (Wanted::Steps, None),
        other => {
            let warning = format!(
                "value {other:?} for parameter \"stats\" is deprecated and will be rejected in the next major release, \
                 use \"true\" or \"all\""
            );
            (Wanted::Sums, Some(warning))
        }
    }
}

/// `{"timings":{…},"samples":{…}}`; `queued` is how long the query waited for its turn.
pub(super) fn json(stats: &Stats, queued: Duration) -> String {
    let mut out = String::from("{\"timings\":");
    let evaluated = stats.preparation + stats.evaluation + stats.sorting;
    let timings = [
        ("evalTotalTime", evaluated),
        ("resultSortTime", stats.sorting),
        ("queryPreparationTime", stats.preparation),
        ("innerEvalTime", stats.evaluation),
        ("execQueueTime", queued),
        ("execTotalTime", queued + evaluated),
    ];
    object(&mut out, timings, |out, took| out.push_str(&seconds(took)));
    out.push_str(",\"samples\":{");
    per_step(&mut out, ("totalQueryableSamplesPerStep", 0), stats);
    put(&mut out, format_args!("\"totalQueryableSamples\":{},", stats.total_samples));
    per_step(&mut out, ("samplesReadPerStep", 1), stats);
    let Stats { samples_read, series, peak_samples, .. } = stats;
    put(
        &mut out,
        format_args!("\"samplesRead\":{samples_read},\"seriesTouched\":{series},\"peakSamples\":{peak_samples}}}}}"),
    );
    out
}

fn per_step(out: &mut String, (name, which): (&str, usize), stats: &Stats) {
    if stats.per_step.is_empty() {
        return;
    }
    put(out, format_args!("\"{name}\":"));
    array(out, &stats.per_step, |out, (ms, counts)| {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are far below 2^53")]
        put(out, format_args!("[{},{}]", *ms as f64 / 1000.0, counts[which]));
    });
    out.push(',');
}

/// As Go writes a float in JSON: an exponent below 1e-6.
fn seconds(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 && seconds < 1e-6 { format!("{seconds:e}") } else { seconds.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_upstream_shapes_it() {
        let mut stats = Stats::default();
        (stats.total_samples, stats.samples_read, stats.peak_samples) = (7, 5, 3);
        (stats.preparation, stats.evaluation) = (Duration::from_nanos(16_425), Duration::from_nanos(500));
        let timings = r#"{"timings":{"evalTotalTime":0.000016925,"resultSortTime":0,"queryPreparationTime":0.000016425,"innerEvalTime":5e-7,"execQueueTime":1.5,"execTotalTime":1.500016925},"samples":{"#;
        let queued = Duration::from_millis(1_500);
        let samples = r#""totalQueryableSamples":7,"samplesRead":5,"seriesTouched":0,"peakSamples":3}}"#;
        assert_eq!(json(&stats, queued), format!("{timings}{samples}"));
        stats.per_step = vec![(1_500, [4, 4]), (3_000, [3, 1])];
        let samples = r#""totalQueryableSamplesPerStep":[[1.5,4],[3,3]],"totalQueryableSamples":7,"samplesReadPerStep":[[1.5,4],[3,1]],"samplesRead":5,"seriesTouched":0,"peakSamples":3}}"#;
        assert_eq!(json(&stats, queued), format!("{timings}{samples}"));
    }
}
