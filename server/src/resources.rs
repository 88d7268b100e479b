//! What the container may use, followed while the server runs: Kubernetes changes the memory and the CPU time of a pod in place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::app::App;
use crate::container::Container;
use crate::settings::{body_memory, query_memory_bytes};

/// How often it is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resources {
    memory_bytes: u64,
    /// By the quota of the control group.
    cores: usize,
}

impl Resources {
    fn of(container: &Container) -> Self {
        Self { memory_bytes: container.limit().unwrap_or(u64::MAX), cores: cores() }
    }

    fn apply(self, app: &App) {
        let engine = app.engine();
        let options = engine.options();
        let (all, each) = query_memory_bytes(&app.flags, self.memory_bytes);
        options.memory.resize(all, each);
        if let Some(threads) = &options.threads_now {
            threads.store(self.cores, Ordering::Relaxed);
        }
        app.scraper.set_body_memory(body_memory(self.memory_bytes));
    }
}

/// How many threads may run at once.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Gives queries and scrapes their part of what there is, whenever that has changed.
pub(crate) async fn follow(app: Arc<App>, container: Container, every: Duration) {
    let mut known = None;
    loop {
        tokio::time::sleep(every).await;
        let now = Resources::of(&container);
        if known == Some(now) {
            continue;
        }
        now.apply(&app);
        if let Some(Resources { memory_bytes, cores }) = known {
            let (memory_before, cores_before) = (memory_bytes, cores);
            let Resources { memory_bytes, cores } = now;
            tracing::info!(memory_bytes, memory_before, cores, cores_before, "what the container may use has changed");
        }
        known = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::mpsc;

    use super::*;
    use crate::bootstrap;
    use crate::default_config::yaml;
    use crate::flags::Flags;

    #[tokio::test]
    async fn a_limit_that_changes_is_followed() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let args = ["weft".to_owned(), format!("--storage.tsdb.path={}", folder.path().join("data").display())];
        let config = config::Config::parse(&yaml(":9090", "/", false), "p.yml".as_ref(), &|_| None).unwrap();
        let (reloads, _asked) = mpsc::channel(1);
        let app = bootstrap::build(Flags::parse(args).unwrap(), &config, reloads).unwrap();
        let limit = |bytes: u64| fs::write(folder.path().join("memory.max"), bytes.to_string()).unwrap();
        limit(1 << 30);
        let container = Container::new(folder.path(), "0::/\n", "/nonesuch".as_ref());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(follow(Arc::clone(&app), container, Duration::from_millis(1)));
        for bytes in [1 << 30, 4 << 30, 256 << 20] {
            limit(bytes);
            while app.engine().options().memory.limits() != (bytes as usize / 2, bytes as usize / 4) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let threads = app.engine().options().threads_now.as_ref().map(|threads| threads.load(Ordering::Relaxed));
        assert_eq!(threads, Some(cores()));
        tasks.shutdown().await;
    }
}
