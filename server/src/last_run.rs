//! How the process before this one ended: by itself, or not; which queries ran then; and whether the kernel killed it for want of
//! memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use model::Timestamp;
use prometheus::{GaugeVec, Opts, Registry};
use serde::{Deserialize, Serialize};

use crate::active_queries::{Unfinished, unfinished};
use crate::container::Container;

/// There as long as a process runs.
const NAME: &str = "running.json";

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There was none, or it shut down.
    Clean,
    /// It was killed, crashed, or the machine stopped.
    Unclean,
    /// The kernel killed a process of the control group for want of memory since it began.
    OutOfMemory,
}

impl End {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Clean, "clean"), (Self::Unclean, "unclean"), (Self::OutOfMemory, "out_of_memory")];
}

/// What a process writes down when it begins.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    /// Milliseconds since 1970.
    began: i64,
    /// Processes of the control group that the kernel had killed by then.
    oom_kills: Option<u64>,
}

/// The process before, as it left the data directory.
#[derive(Debug)]
pub(crate) struct LastRun {
    pub(crate) end: End,
    unfinished: Vec<Unfinished>,
}

/// The mark of this process; gone when it ends in order.
#[derive(Debug)]
pub(crate) struct Mark(PathBuf);

impl LastRun {
    /// Reads what the process before left. To be called before this one writes anything of its own.
    pub(crate) fn read(directory: &Path, container: &Container) -> Self {
        let Ok(text) = fs::read(directory.join(NAME)) else {
            return Self { end: End::Clean, unfinished: Vec::new() };
        };
        let before = serde_json::from_slice::<Marker>(&text).ok().and_then(|marker| marker.oom_kills);
        // A group that began anew with this process counts from 0 again, and says nothing.
        let was_killed = before.zip(container.oom_kills()).is_some_and(|(before, now)| now > before);
        let end = if was_killed { End::OutOfMemory } else { End::Unclean };
        Self { end, unfinished: unfinished(directory) }
    }

    /// Says it in the log and in a metric.
    pub(crate) fn tell(&self, registry: &Registry) -> Result<()> {
        let help = "1 for the way in which the process before this one ended: clean, unclean or out_of_memory.";
        let metric = GaugeVec::new(Opts::new("weft_last_run_end", help), &["end"])?;
        registry.register(Box::new(metric.clone()))?;
        for (end, name) in End::ALL {
            metric.with_label_values(&[name]).set(if end == self.end { 1.0 } else { 0.0 });
        }
        match self.end {
            End::Clean => {}
            End::Unclean => tracing::warn!("the process before this one did not shut down"),
            End::OutOfMemory => tracing::warn!(
                "the process before this one was killed by the kernel for want of memory: give the container more, or queries \
                 less (--query.max-memory)"
            ),
        }
        for Unfinished { query, timestamp_sec } in &self.unfinished {
            let began = crate::clock::rfc3339(Timestamp(timestamp_sec.saturating_mul(1000)));
            tracing::warn!(query, began, "This query did not finish in the last run");
        }
        Ok(())
    }
}

impl Mark {
    /// Marks the directory as that of a running process.
    pub(crate) fn set(directory: &Path, container: &Container) -> Self {
        let path = directory.join(NAME);
        let marker = Marker { began: Timestamp::now().0, oom_kills: container.oom_kills() };
        let written = serde_json::to_vec(&marker).map_err(Into::into).and_then(|text| fs::write(&path, text));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "the next process will not know how this one ended");
        }
        Self(path)
    }

    /// The process ends in order.
    pub(crate) fn remove(&self) {
        // Left there, the next process would take this end for a crash; nothing else depends on it.
        fs::remove_file(&self.0).ok();
    }
}

impl Drop for Mark {
    /// A start that fails is told by itself, and is no crash.
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container whose group has killed this many.
    fn container(root: &Path, kills: Option<u64>) -> Container {
        let events = root.join("memory.events");
        match kills {
            Some(kills) => fs::write(events, format!("low 0\noom 9\noom_kill {kills}\noom_group_kill 7\n")).unwrap(),
            None => drop(fs::remove_file(events)),
        }
        Container::new(root, "0::/\n", "/nonesuch".as_ref())
    }

    #[test]
    fn an_end_without_a_shutdown_is_told() {
        let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let read = |kills: Option<u64>| LastRun::read(folder.path(), &container(root.path(), kills)).end;
        assert_eq!(read(Some(3)), End::Clean);
        let mark = Mark::set(folder.path(), &container(root.path(), Some(3)));
        for (now, end) in
            [(Some(3), End::Unclean), (Some(4), End::OutOfMemory), (Some(0), End::Unclean), (None, End::Unclean)]
        {
            assert_eq!(read(now), end, "{now:?}");
        }
        drop(mark);
        assert_eq!(read(Some(9)), End::Clean);
        // A mark that nobody can read is still one.
        fs::write(folder.path().join(NAME), "{").unwrap();
        assert_eq!(read(Some(9)), End::Unclean);
    }

    #[test]
    fn the_metric_has_one_end() {
        let registry = Registry::new();
        let unfinished = vec![Unfinished { query: "up".to_owned(), timestamp_sec: i64::MAX }];
        LastRun { end: End::OutOfMemory, unfinished }.tell(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for (end, value) in [("clean", 0), ("unclean", 0), ("out_of_memory", 1)] {
            assert!(text.contains(&format!("weft_last_run_end{{end=\"{end}\"}} {value}")), "{text}");
        }
    }
}
