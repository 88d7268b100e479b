//! The store: its settings, retention, and the time it goes by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use config::Config;
use futures::future::BoxFuture;
use model::Timestamp;
use model::duration::format_duration_ms;
use parking_lot::Mutex;

use crate::app::App;
use crate::component::{Change, Component};
use crate::settings::{Retention, exemplars_max, retention_rules};

/// How often data past the retention is looked for.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// How often the system's clock is read for steps.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Storage {
    app: Arc<App>,
    /// Until the component runs.
    clock: Mutex<Option<Clock>>,
}

impl Storage {
    /// Reads the clock for the first time, before anything is scraped or dropped.
    pub(super) fn new(app: Arc<App>) -> Result<Self> {
        let clock = Mutex::new(Some(Clock::start(&app)?));
        Ok(Self { app, clock })
    }
}

impl Component for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let (db, window_ms) = (Arc::clone(&self.app.db), new.storage.tsdb.out_of_order_time_window_ms);
        let (rules, exemplars) = (retention_rules(new)?, exemplars_max(&self.app.flags, new));
        Ok(Box::pin(async move {
            let settings = move || {
                // The one that can fail is first.
                db.set_exemplars_max(exemplars)?;
                db.set_retention_rules(rules);
                db.set_out_of_order_window(window_ms);
                Ok::<_, storage::Error>(())
            };
            Ok(tokio::task::spawn_blocking(settings).await??)
        }))
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let clock = self.clock.lock().take();
            let clock = async {
                if let Some(clock) = clock {
                    clock.run(&self.app).await;
                }
            };
            tokio::join!(clock, retention(&self.app));
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        let app = Arc::clone(&self.app);
        let close = move || {
            app.db.close()?;
            // Last of all: an end without this is none in order.
            app.mark.remove();
            Ok::<_, storage::Error>(())
        };
        Box::pin(async move { Ok(tokio::task::spawn_blocking(close).await.context("cannot close the database")??) })
    }
}

/// Tells the store what time it is, and people when the system's clock steps.
struct Clock {
    clock: storage::Clock,
    began: Instant,
}

impl Clock {
    /// With a first reading, before anything is scraped or dropped.
    fn start(app: &App) -> Result<Self> {
        // A time stored while the clock was ahead would read as a step back; told at the start, a step means downtime.
        let last = app.db.last_told()?.map(|last| last.min(Timestamp::now()));
        let mut clock = Self { clock: storage::Clock::new(last, 0), began: Instant::now() };
        let told = clock.read();
        if told.step_ms.is_some() {
            let last = crate::clock::rfc3339(last.unwrap_or_default());
            tracing::info!(
                last,
                "Weft was not running for a while; if the clock is right, retention follows within a day"
            );
        }
        app.db.set_now(told.now)?;
        Ok(clock)
    }

    fn read(&mut self) -> storage::Told {
        let monotonic_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.clock.read(Timestamp::now(), monotonic_ms)
    }

    async fn run(mut self, app: &App) {
        let mut ticks = tokio::time::interval(CLOCK_EVERY);
        loop {
            ticks.tick().await;
            let told = self.read();
            if let Some(step_ms) = told.step_ms {
                app.metrics.clock_steps.inc();
                // Two readings are never exactly a second apart.
                let (step, ahead) = (format_duration_ms((step_ms.abs() + 500) / 1000 * 1000), step_ms > 0);
                let then = if ahead {
                    "nothing is dropped for it until it has lasted as long, or a day"
                } else {
                    "samples go on to be stored, before those of the time in between"
                };
                tracing::warn!(step, ahead, "The system's clock has stepped; {then}");
            }
            let db = Arc::clone(&app.db);
            let work = move || {
                db.look_after();
                db.set_now(told.now)
            };
            if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
                tracing::debug!(err = %format!("{:#}", anyhow::Error::from(error)), "cannot tell the store the time");
            }
        }
    }
}

/// Drops what is past the retention.
async fn retention(app: &App) {
    let mut ticks = tokio::time::interval(RETENTION_EVERY);
    loop {
        ticks.tick().await;
        let (db, retention) = (Arc::clone(&app.db), Retention::in_force(&app.config()));
        let work = move || -> Result<(), storage::Error> {
            // Each time anew, as a reload may have changed it.
            db.set_retention(retention.time_ms);
            // The store's time and not the system's: a clock that steps ahead must not drop what is not old.
            if let Some(now) = db.now() {
                db.enforce_retention(now)?;
            }
            if retention.size_bytes > 0 {
                db.enforce_size(retention.size_bytes)?;
            }
            Ok(())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::error!(err = %format!("{:#}", anyhow::Error::from(error)), "cannot drop old data");
        }
    }
}
