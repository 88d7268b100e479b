//! Query statistics for the parameter `stats` and for the query log.

use std::time::Duration;

use query::Stats;
use serde::Serialize;

use super::Params;
use super::format::serialize;

/// The statistics that the parameter `stats` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Sums,
    /// The samples of each step as well, where the feature `promql-per-step-stats` is on.
    Steps,
}

/// Reads the parameter. Any other value counts as `true` and gives a warning.
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

#[derive(Serialize)]
struct StatsJson {
    timings: Timings,
    samples: Samples,
}

/// Seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timings {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples {
    /// Time in seconds and samples of each step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    total_queryable_samples_per_step: Vec<(f64, u64)>,
    total_queryable_samples: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples_read_per_step: Vec<(f64, u64)>,
    samples_read: u64,
    series_touched: u64,
    peak_samples: usize,
}

/// `{"timings":{…},"samples":{…}}`; `queued` is how long the query waited for its turn.
pub(super) fn json(stats: &Stats, queued: Duration) -> String {
    // Upstream's `EvalTotalTime` spans the three inner timers.
    let evaluated = stats.preparation + stats.evaluation + stats.sorting;
    let per_step =
        |which: usize| stats.per_step.iter().map(|(ts, counts)| (ts.as_seconds(), counts[which])).collect::<Vec<_>>();
    let shown = StatsJson {
        timings: Timings {
            eval_total_time: evaluated.as_secs_f64(),
            result_sort_time: stats.sorting.as_secs_f64(),
            query_preparation_time: stats.preparation.as_secs_f64(),
            inner_eval_time: stats.evaluation.as_secs_f64(),
            exec_queue_time: queued.as_secs_f64(),
            exec_total_time: (queued + evaluated).as_secs_f64(),
        },
        samples: Samples {
            total_queryable_samples_per_step: per_step(0),
            total_queryable_samples: stats.total_samples,
            samples_read_per_step: per_step(1),
            samples_read: stats.samples_read,
            series_touched: stats.series,
            peak_samples: stats.peak_samples,
        },
    };
    let mut out = String::new();
    serialize(&mut out, &shown);
    out
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

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
        stats.per_step = vec![(Timestamp(1_500), [4, 4]), (Timestamp(3_000), [3, 1])];
        let samples = r#""totalQueryableSamplesPerStep":[[1.5,4],[3,3]],"totalQueryableSamples":7,"samplesReadPerStep":[[1.5,4],[3,1]],"samplesRead":5,"seriesTouched":0,"peakSamples":3}}"#;
        assert_eq!(json(&stats, queued), format!("{timings}{samples}"));
    }
}
