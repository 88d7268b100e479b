//! The log of failed scrapes (`scrape_failure_log_file`): a line of JSON for each.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use model::Timestamp;
use parking_lot::Mutex;

/// One file, appended to.
#[derive(Debug)]
pub(crate) struct FailureLog {
    path: PathBuf,
    /// `None` while it cannot be written; the next reload tries again.
    file: Mutex<Option<File>>,
}

impl FailureLog {
    fn open(&self) {
        let opened = OpenOptions::new().append(true).create(true).open(&self.path);
        if let Err(error) = &opened {
            tracing::error!(path = %self.path.display(), %error, "cannot open the log of failed scrapes");
        }
        *self.file.lock() = opened.ok();
    }

    /// One line, in one write.
    pub(crate) fn write(&self, now: Timestamp, (job, target): (&str, &str), error: &str) {
        let time = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
        // Written by hand to keep the order of upstream's fields; JSON escaping is left to serde_json.
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let (message, job, target) = (text(error), text(job), text(target));
        let line = format!(
            "{{\"time\":\"{time:.3}\",\"level\":\"ERROR\",\"msg\":{message},\"job_name\":{job},\"target\":{target}}}\n"
        );
        let mut file = self.file.lock();
        if let Some(open) = file.as_mut()
            && let Err(error) = open.write_all(line.as_bytes())
        {
            tracing::error!(path = %self.path.display(), %error, "cannot write the log of failed scrapes");
            // Gives up until the next reload instead of logging an error for every failed scrape.
            *file = None;
        }
    }
}

/// The files of all jobs: those that name the same one share it, and one that no job names is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailureLogs(Arc<Mutex<HashMap<PathBuf, Weak<FailureLog>>>>);

impl FailureLogs {
    /// The log in that file, opened if it is not.
    pub(crate) fn get(&self, path: &Path) -> Arc<FailureLog> {
        let mut logs = self.0.lock();
        if let Some(log) = logs.get(path).and_then(Weak::upgrade) {
            return log;
        }
        let log = Arc::new(FailureLog { path: path.to_owned(), file: Mutex::default() });
        // Under the lock of the map: two jobs that name one file must not open it twice.
        log.open();
        logs.insert(path.to_owned(), Arc::downgrade(&log));
        log
    }

    /// Reopens all files, as after a rotation.
    pub(crate) fn reopen(&self) {
        let mut logs = self.0.lock();
        logs.retain(|_, log| log.strong_count() > 0);
        logs.values().filter_map(Weak::upgrade).for_each(|log| log.open());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_files_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failures.json");
        let logs = FailureLogs::default();
        let log = logs.get(&path);
        log.write(Timestamp(1_700_000_000_123), ("a", "http://b/metrics"), "Get \"http://b\": refused");
        logs.get(&path).write(Timestamp::EPOCH, ("c", "d"), "e");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                r#"{"time":"2023-11-14T22:13:20.123Z","level":"ERROR","msg":"Get \"http://b\": refused","job_name":"a","target":"http://b/metrics"}"#,
                r#"{"time":"1970-01-01T00:00:00.000Z","level":"ERROR","msg":"e","job_name":"c","target":"d"}"#,
            ]
        );
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        logs.reopen();
        log.write(Timestamp::EPOCH, ("a", "b"), "later");
        assert!(std::fs::read_to_string(&path).unwrap().contains("later"));
        drop(log);
        logs.reopen();
        assert!(logs.0.lock().is_empty(), "nobody writes there any more");
    }

    /// scrape-103
    #[test]
    fn a_file_that_cannot_be_opened_costs_nothing_but_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/failures.json");
        let logs = FailureLogs::default();
        let log = logs.get(&path);
        log.write(Timestamp::EPOCH, ("a", "b"), "lost");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        logs.reopen();
        log.write(Timestamp::EPOCH, ("a", "b"), "kept");
        assert!(!std::fs::read_to_string(&path).unwrap().contains("lost"));
    }
}
