//! The limits of a scrape, which `global` and a job have in common.

use crate::schema::{Count, Keyword, Nonzero, Number, Size, Word, section};

section! {
    /// Limits of a scrape. If one is exceeded the scrape fails, unless its description says otherwise; 0 is no limit.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct ScrapeLimits as "scrape_limits" in (inherited: &'c ScrapeLimits) {
        /// Bytes of an uncompressed response.
        #[yaml(Nonzero<Size>, name = "body_size_limit", inherited = inherited.body_size_bytes => "in a job that of `global`")]
        pub body_size_bytes: u64,
        /// Samples after relabelling.
        #[yaml(Nonzero<Count>, name = "sample_limit", inherited = inherited.samples => "in a job that of `global`")]
        pub samples: u64,
        /// Series that a target may begin in a day of UTC. Further ones are left out, and the scrape does not fail.
        #[yaml(Nonzero<Count>, name = "series_limit", inherited = inherited.series => "in a job that of `global`"; ours)]
        pub series: u64,
        /// Lines of a response, comments included; 0 is as many as the largest response can reasonably have.
        #[yaml(Nonzero<Count>, name = "entry_limit", inherited = inherited.entries => "in a job that of `global`"; ours)]
        pub entries: u64,
        /// Targets of the job.
        #[yaml(Nonzero<Count>, name = "target_limit", inherited = inherited.targets => "in a job that of `global`")]
        pub targets: u64,
        /// Labels of a series.
        #[yaml(Nonzero<Count>, name = "label_limit", inherited = inherited.labels => "in a job that of `global`")]
        pub labels: u64,
        /// Bytes of a label's name.
        #[yaml(
            Nonzero<Count>,
            name = "label_name_length_limit",
            inherited = inherited.label_name_length => "in a job that of `global`"
        )]
        pub label_name_length: u64,
        /// Bytes of a label's value.
        #[yaml(
            Nonzero<Count>,
            name = "label_value_length_limit",
            inherited = inherited.label_value_length => "in a job that of `global`"
        )]
        pub label_value_length: u64,
        /// Buckets of a native histogram.
        #[yaml(
            Nonzero<Count>,
            name = "native_histogram_bucket_limit",
            inherited = inherited.native_histogram_buckets => "in a job that of `global`"
        )]
        pub native_histogram_buckets: u64,
        /// The least growth from one bucket of a native histogram to the next; its resolution is reduced until it fits.
        #[yaml(Number, inherited = inherited.native_histogram_min_bucket_factor => "in a job that of `global`")]
        pub native_histogram_min_bucket_factor: f64,
        /// What happens to a scrape that has more samples than `sample_limit`: `hard` lets it fail; `soft` keeps the series
        /// that are known and leaves new ones out until there is room.
        #[yaml(Word<LimitMode>, name = "limit_mode", inherited = inherited.mode => "in a job that of `global`"; ours)]
        pub mode: LimitMode,
        /// Dropped targets that the API shows; not a limit of scrapes.
        #[yaml(Nonzero<Count>, inherited = inherited.keep_dropped_targets => "in a job that of `global`")]
        pub keep_dropped_targets: u64,
    }
}

/// What happens to a scrape that has more samples than `sample_limit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LimitMode {
    /// It fails, and all series of the target end.
    #[default]
    Hard,
    /// Known series are stored, new ones are left out until there is room.
    Soft,
}

impl LimitMode {
    /// The spelling in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Keyword for LimitMode {
    const WORDS: &'static [(&'static str, Self)] = &[("hard", Self::Hard), ("soft", Self::Soft)];

    fn unknown(word: &str) -> String {
        format!("unknown limit_mode {word:?}; it is hard or soft")
    }
}
