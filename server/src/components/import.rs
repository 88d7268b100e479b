//! What a Prometheus has left in a directory, taken over while the server scrapes and answers.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use blocks::{DataDirectory, NOTES, Progress};
use config::Config;
use futures::future::{self, BoxFuture};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::component::{Change, Component};

/// The value of the flag that takes nothing over.
const NOTHING: &str = "none";
/// How often it is logged how far it is.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Imports from `--storage.import-from`, or from the data directory itself where Prometheus has written into it: there it was before
/// its image was changed.
pub(super) struct Import {
    app: Arc<App>,
    metrics: Metrics,
    /// Waited for before the store closes.
    work: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone, Debug)]
struct Metrics {
    running: IntGauge,
    read: IntGauge,
    expected: IntGauge,
    faults: IntCounter,
}

impl Import {
    pub(super) fn new(app: Arc<App>) -> Result<Self> {
        let metrics = Metrics::new(&app.registry)?;
        Ok(Self { app, metrics, work: Mutex::new(None) })
    }
}

impl Metrics {
    fn new(registry: &Registry) -> Result<Self> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let faults = IntCounter::new(
            "weft_import_faults_total",
            "Blocks, series, chunks and records that could not be imported.",
        )?;
        registry.register(Box::new(faults.clone()))?;
        Ok(Self {
            running: gauge("weft_import_running", "1 while the data of a Prometheus is imported.")?,
            read: gauge("weft_import_read_samples", "Samples of blocks that the import has read, about.")?,
            expected: gauge("weft_import_expected_samples", "Samples of all blocks that are imported.")?,
            faults,
        })
    }
}

impl Component for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    fn prepare(&self, _: &Arc<Config>) -> Result<Change> {
        Ok(Box::pin(future::ready(Ok(()))))
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (app, metrics, handle) = (Arc::clone(&self.app), self.metrics.clone(), Handle::current());
            *self.work.lock() = Some(tokio::task::spawn_blocking(move || import(&app, &metrics, &handle)));
            future::pending().await
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // It ends with the batch that it is at.
            let work = self.work.lock().take();
            if let Some(work) = work {
                work.await?;
            }
            Ok(())
        })
    }
}

/// Where it is imported from, and whether a flag says so.
fn source(flag: &str, own: &str) -> Option<(PathBuf, bool)> {
    match flag {
        NOTHING => None,
        "" => Some((PathBuf::from(own), false)),
        from => Some((PathBuf::from(from), true)),
    }
}

fn import(app: &App, metrics: &Metrics, handle: &Handle) {
    let Some((from, is_asked_for)) = source(&app.flags.storage_import_from, &app.flags.storage_tsdb_path) else {
        return;
    };
    let directory = match DataDirectory::open(&from) {
        Ok(directory) => directory,
        Err(error) => {
            if is_asked_for {
                tracing::error!(from = %from.display(), error = model::with_causes(&error), "nothing is imported");
            }
            return;
        }
    };
    let blocks = directory.blocks().count();
    tracing::info!(from = %from.display(), blocks, "importing what Prometheus has stored");
    metrics.running.set(1);
    let (mut logged, mut begun) = (Instant::now(), Instant::now());
    let mut watch = |progress: &Progress| {
        metrics.read.set(progress.samples.cast_signed());
        metrics.expected.set(progress.samples_total.cast_signed());
        if logged.elapsed() >= LOG_EVERY {
            logged = Instant::now();
            let Progress { samples, samples_total, part } = progress;
            tracing::info!(samples, of = samples_total, at = part, "importing");
        }
        // Half of the time is the server's alone.
        let rest = tokio::time::timeout(begun.elapsed(), app.stop.cancelled());
        let is_stopped = handle.block_on(async { rest.await.is_ok() });
        begun = Instant::now();
        if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let notes = Path::new(&app.flags.storage_tsdb_path).join(NOTES);
    match blocks::Import::run(&directory, &*app.db, &notes, &mut watch) {
        Ok(report) => {
            metrics.faults.inc_by(report.n_faults);
            for fault in &report.faults {
                tracing::warn!(fault, "something was not imported");
            }
            if report.is_complete {
                tracing::info!("{report}; {} is not needed any more", from.display());
            } else {
                tracing::info!("{report}; the next start goes on");
            }
        }
        Err(error) => {
            metrics.faults.inc();
            tracing::error!(from = %from.display(), error = model::with_causes(&error), "the import failed; the next start goes on");
        }
    }
    metrics.running.set(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_looked_into_unless_another_is_named() {
        assert_eq!(source("", "data/"), Some((PathBuf::from("data/"), false)));
        assert_eq!(source("/old", "data/"), Some((PathBuf::from("/old"), true)));
        assert_eq!(source("none", "data/"), None);
    }
}
