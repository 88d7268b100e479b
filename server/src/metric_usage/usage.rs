//! The counts of one process, and where they are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{Matcher, Regex, Timestamp};
use parking_lot::Mutex;

use super::counts::{Asked, Counts, Origin};
use super::file;

/// How often the counts are written, if there are new ones.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// What is counted in one process, and where it is kept.
#[derive(Debug)]
pub(crate) struct MetricUsage {
    counts: Mutex<Counts>,
    is_new: AtomicBool,
    path: PathBuf,
}

impl MetricUsage {
    /// Goes on with what earlier processes counted in this data directory.
    pub(crate) fn open(directory: &Path) -> Self {
        let path = directory.join(file::NAME);
        let mut counts = file::read(&path);
        if counts.since_ms == 0 {
            counts.since_ms = Timestamp::now().0;
        }
        Self { counts: Mutex::new(counts), is_new: AtomicBool::new(false), path }
    }

    /// A selection is read.
    pub(super) fn count(&self, matchers: &[Matcher], origin: Origin) {
        if self.counts.lock().add(matchers, origin) {
            self.is_new.store(true, Ordering::Relaxed);
        }
    }

    /// Since when it is counted.
    pub(crate) fn since(&self) -> Timestamp {
        Timestamp(self.counts.lock().since_ms)
    }

    /// How often each of these metrics was asked for, by its name or by an expression that its name matches.
    pub(crate) fn of<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<Asked> {
        let Counts { names: known, patterns, .. } = self.counts.lock().clone();
        // Those that were stored compile: a query had them.
        let patterns: Vec<(Regex, Asked)> =
            patterns.into_iter().filter_map(|(text, asked)| Some((Regex::in_anchors(&text).ok()?, asked))).collect();
        let of_name = |name: &str| {
            let mut asked = known.get(name).copied().unwrap_or_default();
            patterns.iter().filter(|(regex, _)| regex.is_match(name)).for_each(|(_, of)| asked.join(of));
            asked
        };
        names.map(of_name).collect()
    }

    /// Writes the counts if there are new ones. Blocks on the disk.
    pub(crate) fn write(&self) {
        // Before the copy: what is counted meanwhile is new again.
        if self.is_new.swap(false, Ordering::Relaxed) {
            let counts = self.counts.lock().clone();
            file::write(&self.path, &counts);
        }
    }

    /// Writes them now and then.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        loop {
            ticks.tick().await;
            let usage = Arc::clone(&self);
            tokio::task::spawn_blocking(move || usage.write()).await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use model::MatchOp;
    use model::labels::METRIC_NAME;

    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new(op, METRIC_NAME, value).unwrap()
    }

    #[test]
    fn names_and_expressions_are_counted_and_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let usage = MetricUsage::open(folder.path());
        let since = usage.since();
        usage.count(&[matcher(MatchOp::Equal, "a")], Origin::Api);
        usage.count(&[Matcher::equal("job", "x"), matcher(MatchOp::Regex, "a|b")], Origin::Rule);
        usage.count(&[matcher(MatchOp::Regex, "b.*")], Origin::Api);
        // These ask for nothing by its name.
        usage.count(&[Matcher::equal("job", "x")], Origin::Api);
        usage.count(&[matcher(MatchOp::Regex, ".*")], Origin::Api);
        usage.count(&[matcher(MatchOp::NotEqual, "a")], Origin::Api);
        let seen = |usage: &MetricUsage| -> Vec<(u64, u64)> {
            usage.of(["a", "b", "bc", "c"].into_iter()).iter().map(|asked| (asked.api, asked.rule)).collect()
        };
        assert_eq!(seen(&usage), [(1, 1), (1, 1), (1, 0), (0, 0)]);
        let of_a = usage.of(["a"].into_iter())[0];
        assert!(of_a.last_api_ms >= since.0 && of_a.last_rule_ms >= of_a.last_api_ms);
        usage.write();
        let next = MetricUsage::open(folder.path());
        assert_eq!((seen(&next), next.since()), (seen(&usage), since));
        // Nothing new: nothing is written.
        std::fs::remove_file(folder.path().join(file::NAME)).unwrap();
        next.write();
        assert!(!folder.path().join(file::NAME).exists());
    }
}
