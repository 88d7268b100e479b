//! The `storage` section: retention and limits of stored samples and exemplars.

use crate::Error;
use crate::schema::{
    Codec, Duration, Fields, Int, ListOf, Nested, Number, Optional, Pairs, Shape, Size, Text, Unread, section,
};
use crate::yaml::Yaml;

section! {
    /// Retention and limits of stored samples and exemplars. A field set here overrides its command-line flag.
    #[derive(Clone, Debug, PartialEq)]
    pub struct StorageConfig as "storage" {
        /// Samples.
        #[yaml(Nested<TsdbConfig>)]
        pub tsdb: TsdbConfig,
        /// Exemplars.
        #[yaml(Optional<ExemplarsConfig>)]
        pub exemplars: Option<ExemplarsConfig>,
    }
}

section! {
    /// Retention and limits of samples.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TsdbConfig as "tsdb" {
        /// How far a sample may lie behind the newest one of its series.
        #[yaml(OutOfOrderWindow, name = "out_of_order_time_window")]
        pub out_of_order_time_window_ms: i64,
        /// The part of stale series at which Prometheus compacts its head block early.
        #[yaml(Number; unserved = "has no effect: there is no head block")]
        pub stale_series_compaction_threshold: f64,
        /// How Prometheus encodes its chunks.
        #[yaml(Nested<ChunkEncodingConfig>; unserved = "has no effect: samples are stored in a format of our own")]
        pub chunk_encoding: ChunkEncodingConfig,
        /// Retention limits, by time and size.
        #[yaml(Nested<RetentionConfig>; always)]
        pub retention: RetentionConfig,
        /// Series that are kept for a shorter time than the others.
        #[yaml(ListOf<RetentionRuleConfig>, with = ((), "empty or null retention rule"); ours)]
        pub retention_rules: Vec<RetentionRuleConfig>,
    }
}

section! {
    /// How Prometheus encodes its chunks.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ChunkEncodingConfig as "chunk_encoding" {
        /// Chunks of floats: `xor` or `xor2`.
        #[yaml(Text)]
        pub floats: String,
    }
    check = check_chunk_encoding;
}

fn check_chunk_encoding(encoding: &mut ChunkEncodingConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    // Refused although it has no effect, for what Prometheus refuses it for.
    match encoding.floats.as_str() {
        "" | "xor" | "xor2" => Ok(()),
        other => {
            let message = format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, got {other:?}"
            );
            Err(f.refuse("floats", message))
        }
    }
}

section! {
    /// Retention limits. If any of these is set, the command-line flags of retention have no effect; 0 is no limit.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RetentionConfig as "retention" {
        /// How long samples are kept.
        #[yaml(Duration, name = "time")]
        pub time_ms: Option<i64>,
        /// How many bytes are kept.
        #[yaml(Size, name = "size")]
        pub size_bytes: Option<u64>,
        /// How much of the disk may be used, in percent.
        #[yaml(Number; unserved = "not served yet, so nothing limits what is kept; set time or size")]
        pub percentage: Option<f64>,
    }
    check = check_retention;
}

fn check_retention(retention: &mut RetentionConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    // NaN lies in no range and is refused. Upstream's two comparisons let it through, and where it is read later, it is no limit.
    if retention.percentage.is_some_and(|percentage| !(0.0..=100.0).contains(&percentage)) {
        return Err(f.refuse("percentage", "'storage.tsdb.retention.percentage' must be in the range [0, 100]"));
    }
    Ok(())
}

section! {
    /// Series that are kept for a shorter time than the others.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RetentionRuleConfig as "retention_rule" {
        /// A series selector; the query engine parses it.
        #[yaml(
            Text,
            name = "match";
            required = "a retention rule needs 'match', a series selector such as '{__name__=~\"debug_.*\"}'"
        )]
        pub selector: String,
        /// How long these series are kept.
        #[yaml(Duration, name = "time")]
        pub time_ms: i64,
        /// Where the rule stands, for messages: `prometheus.yml:7:14: storage.tsdb.retention_rules[0].match`.
        #[yaml(Unread)]
        pub place: String,
    }
    check = check_retention_rule;
}

fn check_retention_rule(rule: &mut RetentionRuleConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if rule.time_ms <= 0 {
        return Err(f.refuse("time", "a retention rule needs 'time', a duration longer than 0 such as 2d"));
    }
    // The selector is parsed by the query engine later; an error there should name this place in the file.
    rule.place = f.refuse("match", "").to_string().trim_end_matches([':', ' ']).to_owned();
    Ok(())
}

section! {
    /// The storage of exemplars; needs `--enable-feature=exemplar-storage`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ExemplarsConfig as "exemplars" {
        /// How many exemplars are kept.
        #[yaml(Int, default = 100_000)]
        pub max_exemplars: i64,
    }
}

/// Prometheus prints the window twice, the first time in milliseconds under the name of its field in Go.
enum OutOfOrderWindow {}

impl Codec<i64> for OutOfOrderWindow {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<i64>, Error> {
        Duration::decode(f, name, ())
    }

    fn is_zero(window_ms: &i64) -> bool {
        *window_ms == 0
    }

    fn encode(window_ms: &i64) -> Yaml {
        Duration::encode(window_ms)
    }

    fn shape() -> Shape {
        <Duration as Codec<i64>>::shape()
    }

    fn put(window_ms: &i64, name: &'static str, _: bool, out: &mut Pairs) {
        // Upstream's struct has the field without a YAML tag; it is always printed, 0 included.
        out.push(("outofordertimewindow".into(), Yaml::raw(window_ms)));
        Duration::put(window_ms, name, false, out);
    }
}
