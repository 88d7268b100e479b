//! Remotes by configuration: begun, changed and ended.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::RemoteWriteConfig;
use http_client::Resolver;
use model::{Labels, Querier, Timestamp};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::cursor::Cursor;
use super::encode::{Encoder, Protocol};
use super::metrics::Metrics;
use super::remote::{Clock, Remote, Shared, SharedQuerier};
use super::series::SeriesCache;
use super::shards::Shards;
use super::status::Progress;
use super::transport::{HttpTransport, Transport};
use super::{Commits, ExemplarSource, MetadataSource, RemoteStatus, limits};

/// Below the data directory.
const FOLDER: &str = "remote_write";
/// How long a remote whose settings change may take for the requests that are on their way.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two sections are the same.
    #[error("duplicate remote write configs are not allowed, found duplicate for URL: {url}")]
    Duplicate {
        /// Of both.
        url: String,
    },
    /// A section cannot be served.
    #[error("cannot send to {url}: {reason}")]
    Unserved {
        /// Of the section.
        url: String,
        /// Why.
        reason: String,
    },
    /// A file of a remote cannot be read or written.
    #[error("cannot keep the state of remote write in {path}")]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The metrics are registered already.
    #[error("cannot register the metrics of remote write")]
    Metrics(#[from] prometheus::Error),
}

/// What remotes are given.
#[derive(Clone)]
pub struct Options {
    /// The data directory.
    pub directory: PathBuf,
    /// What is sent.
    pub querier: Arc<dyn Querier>,
    /// Told of every commit to it.
    pub commits: Arc<Commits>,
    /// Its exemplars.
    pub exemplars: Arc<dyn ExemplarSource>,
    /// What is known of metrics.
    pub metadata: Arc<dyn MetadataSource>,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// Where host names are looked up.
    pub resolver: Resolver,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// All remotes.
#[derive(Debug)]
pub struct Manager {
    options: Options,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    running: tokio::sync::Mutex<Vec<Running>>,
    /// What is shown, also while remotes change.
    shown: Mutex<Vec<(String, String, Arc<Progress>)>>,
}

/// A remote at work.
#[derive(Debug)]
struct Running {
    key: String,
    config: RemoteWriteConfig,
    external: Labels,
    name: String,
    progress: Arc<Progress>,
    stop: CancellationToken,
    drain: CancellationToken,
    task: JoinSet<()>,
}

impl Running {
    /// Ends it: requests that are on their way may come to an end.
    async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(patience, self.task.join_next()).await.is_err() {
            self.task.shutdown().await;
        }
    }
}

impl Manager {
    /// One without remotes.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(options: Options, registry: &prometheus::Registry) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            commits: Arc::clone(&options.commits),
            querier: SharedQuerier(Arc::clone(&options.querier)),
            exemplars: Arc::clone(&options.exemplars),
            metadata: Arc::clone(&options.metadata),
            clock: Clock(Arc::clone(&options.clock)),
        });
        let metrics = Metrics::new(registry, &options.commits)?;
        Ok(Self { options, shared, metrics, running: tokio::sync::Mutex::default(), shown: Mutex::default() })
    }

    /// Checks whether sections can be served.
    ///
    /// # Errors
    /// When one cannot.
    pub fn check(&self, configs: &[RemoteWriteConfig]) -> Result<(), Error> {
        for (i, config) in configs.iter().enumerate() {
            if configs[..i].contains(config) {
                return Err(Error::Duplicate { url: config.url.clone() });
            }
            self.transport(config)?;
        }
        Ok(())
    }

    /// Sends as these sections say from now on. What stays the same goes on undisturbed, and what changes goes on where it was. A
    /// remote that is new begins now.
    ///
    /// # Errors
    /// When a section cannot be served, or its state cannot be kept.
    pub async fn apply(&self, configs: &[RemoteWriteConfig], external: &Labels) -> Result<(), Error> {
        self.check(configs)?;
        let mut running = self.running.lock().await;
        let (mut next, mut before) = (Vec::new(), std::mem::take(&mut *running));
        let known: HashSet<String> = before.iter().map(|one| one.key.clone()).collect();
        let mut result = Ok(());
        let keys = keys(configs);
        // First those that end: one that changes must not be at work twice.
        let mut kept = Vec::new();
        for one in before.drain(..) {
            let same = |(key, config): (&String, &RemoteWriteConfig)| {
                *key == one.key && *config == one.config && *external == one.external
            };
            if keys.iter().zip(configs).any(same) {
                kept.push(one);
            } else {
                one.stop(STOP_PATIENCE).await;
            }
        }
        for (key, config) in keys.iter().zip(configs) {
            match kept.iter().position(|one| one.key == *key) {
                Some(i) => next.push(kept.swap_remove(i)),
                None => match self.start(key, config, external) {
                    Ok(one) => next.push(one),
                    Err(error) => result = result.and(Err(error)),
                },
            }
        }
        *self.shown.lock() =
            next.iter().map(|one| (one.name.clone(), one.config.url.clone(), Arc::clone(&one.progress))).collect();
        *running = next;
        // Not those that were at work until now: this configuration may still be taken back.
        self.remove_others(keys.into_iter().chain(known).collect());
        result
    }

    /// Sends what is there, for so long at most, and ends. What is not acknowledged then is sent after the next start.
    pub async fn shutdown(&self, deadline: Duration) {
        let mut running = std::mem::take(&mut *self.running.lock().await);
        running.iter().for_each(|one| one.drain.cancel());
        let all = async {
            for one in &mut running {
                while one.task.join_next().await.is_some() {}
            }
        };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!(after = ?deadline, "not all samples could be sent (--storage.remote.flush-deadline); the rest is sent after the next start");
        }
        for one in running {
            one.stop(Duration::ZERO).await;
        }
    }

    /// How each remote does.
    #[must_use]
    pub fn status(&self) -> Vec<RemoteStatus> {
        let newest = self.options.commits.highest();
        let now = self.shared.clock.now();
        // A sample of the future is not due.
        let newest = newest.map_or(now, |newest| newest.min(now));
        self.shown.lock().iter().map(|(name, url, progress)| progress.status((name, url), newest)).collect()
    }

    fn start(&self, key: &str, config: &RemoteWriteConfig, external: &Labels) -> Result<Running, Error> {
        self.start_on(key, config, external, self.transport(config)?)
    }

    /// Starts one that sends by other means than HTTP.
    #[cfg(test)]
    pub(super) fn start_with(&self, config: &RemoteWriteConfig, transport: Arc<dyn Transport>) -> Result<(), Error> {
        let [key] = <[String; 1]>::try_from(keys(std::slice::from_ref(config))).unwrap_or_default();
        let one = self.start_on(&key, config, &Labels::empty(), transport)?;
        self.shown.lock().push((one.name.clone(), one.config.url.clone(), Arc::clone(&one.progress)));
        self.running.try_lock().map(|mut running| running.push(one)).ok();
        Ok(())
    }

    fn start_on(
        &self,
        key: &str,
        config: &RemoteWriteConfig,
        external: &Labels,
        transport: Arc<dyn Transport>,
    ) -> Result<Running, Error> {
        let directory = self.options.directory.join(FOLDER).join(key);
        let failed = |source| Error::State { path: directory.clone(), source };
        fs::create_dir_all(&directory).map_err(failed)?;
        let cursor = self.cursor(&directory, &config.url).map_err(failed)?;
        self.options.commits.follow(key, &directory, cursor.cut()).map_err(failed)?;
        let name = if config.name.is_empty() { key[..6].to_owned() } else { config.name.clone() };
        let (queue, protocol) = (&config.queue_config, Protocol::of(&config.protobuf_message));
        let (stop, drain, progress) = (CancellationToken::new(), CancellationToken::new(), Arc::<Progress>::default());
        let cache = SeriesCache::new(external, &config.write_relabel_configs, limits::SERIES_BYTES);
        let remote = Remote {
            key: key.to_owned(),
            name: name.clone(),
            config: config.clone(),
            protocol,
            directory,
            shared: Arc::clone(&self.shared),
            transport,
            metrics: self.metrics.of((&name, &config.url), protocol, queue),
            progress: Arc::clone(&progress),
            cache: Arc::new(Mutex::new(cache)),
            encoder: Mutex::new(Encoder::default()),
            shards: Mutex::new(Shards::new(queue.min_shards, queue.max_shards)),
            said: Mutex::new(None),
            stop: stop.clone(),
            drain: drain.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(remote.run(cursor));
        let (key, config, external) = (key.to_owned(), config.clone(), external.clone());
        Ok(Running { key, config, external, name, progress, stop, drain, task })
    }

    /// The cursor of a remote; of one that is new it is at the present, and is written down.
    fn cursor(&self, directory: &Path, url: &str) -> io::Result<Cursor> {
        match Cursor::load(directory) {
            Ok(Some(cursor)) => return Ok(cursor),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let path = directory.display();
                tracing::error!(%path, url, %error, "cannot tell how far a remote got; it goes on from now, and samples that were pending are not sent");
            }
            Err(error) => return Err(error),
        }
        let exemplars = self.options.exemplars.exemplars_since(u64::MAX, 0).map(|(next, _)| next);
        let cursor = Cursor::at(self.shared.clock.now(), exemplars.map_err(io::Error::other)?);
        cursor.store(directory, url, true)?;
        Ok(cursor)
    }

    fn transport(&self, config: &RemoteWriteConfig) -> Result<Arc<dyn Transport>, Error> {
        let unserved = |reason| Error::Unserved { url: config.url.clone(), reason };
        let Options { user_agent, resolver, .. } = &self.options;
        HttpTransport::new(config, user_agent, resolver)
            .map(|one| Arc::new(one) as Arc<dyn Transport>)
            .map_err(unserved)
    }

    /// Removes the state of remotes that are in no configuration.
    fn remove_others(&self, keys: HashSet<String>) {
        let Ok(folders) = fs::read_dir(self.options.directory.join(FOLDER)) else { return };
        for folder in folders.flatten() {
            let key = folder.file_name().to_string_lossy().into_owned();
            if keys.contains(&key) {
                continue;
            }
            if let Err(error) = self.options.commits.forget(&key, &folder.path()) {
                tracing::warn!(path = %folder.path().display(), %error, "cannot remove the state of a remote that is gone");
            }
        }
    }
}

/// What each remote is known by, from one start to the next: by its name and its URL, and where these are the same, by its place
/// among them.
fn keys(configs: &[RemoteWriteConfig]) -> Vec<String> {
    let same = |a: &RemoteWriteConfig, b: &RemoteWriteConfig| a.name == b.name && a.url == b.url;
    let key = |(i, config): (usize, &RemoteWriteConfig)| {
        let place = configs[..i].iter().filter(|before| same(before, config)).count();
        format!("{:016x}", xxh3_64(format!("{}\0{}\0{place}", config.name, config.url).as_bytes()))
    };
    configs.iter().enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::world::{Store, manager};
    use super::*;

    fn configs(sections: &str) -> Vec<RemoteWriteConfig> {
        let text = format!("remote_write: [{sections}]");
        config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap().remote_write
    }

    #[test]
    fn a_remote_is_known_by_its_name_and_url() {
        let of = |sections| keys(&configs(sections));
        let [a, b] = <[String; 2]>::try_from(of("{url: 'http://a/'}, {url: 'http://b/'}")).unwrap();
        assert_ne!(a, b);
        assert_eq!(of("{url: 'http://b/', remote_timeout: 7s}, {url: 'http://a/'}"), [b.clone(), a.clone()]);
        let same = of("{url: 'http://a/'}, {url: 'http://a/', remote_timeout: 7s}, {url: 'http://a/', name: n}");
        assert!(same[0] == a && same[1] != a && same[2] != a && same[1] != same[2]);
    }

    #[tokio::test]
    async fn what_stays_the_same_goes_on_and_what_changes_goes_on_where_it_was() {
        let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Store>::default());
        let manager = manager(folder.path(), &store, tokio::time::Instant::now());
        let twice = configs("{url: 'http://127.0.0.1:1/'}, {url: 'http://127.0.0.1:1/'}");
        let error = manager.check(&twice).unwrap_err().to_string();
        assert_eq!(
            error,
            "duplicate remote write configs are not allowed, found duplicate for URL: http://127.0.0.1:1/"
        );
        let progress = || manager.shown.lock().iter().map(|(.., one)| Arc::clone(one)).collect::<Vec<_>>();
        let cursors = || {
            let folders = fs::read_dir(folder.path().join(FOLDER)).unwrap().flatten();
            let cursor = |path: PathBuf| (path.clone(), Cursor::load(&path).unwrap().unwrap().sent_until);
            let mut cursors: Vec<_> = folders.map(|folder| cursor(folder.path())).collect();
            cursors.sort();
            cursors
        };
        let external = Labels::empty();
        let both = configs("{url: 'http://127.0.0.1:1/a'}, {url: 'http://127.0.0.1:1/b', name: b}");
        manager.apply(&both, &external).await.unwrap();
        let (before, began) = (progress(), cursors());
        assert_eq!((before.len(), began.len(), manager.status()[1].name.as_str()), (2, 2, "b"));
        let changed =
            configs("{url: 'http://127.0.0.1:1/a', remote_timeout: 7s}, {url: 'http://127.0.0.1:1/b', name: b}");
        manager.apply(&changed, &external).await.unwrap();
        let after = progress();
        assert!(!Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[1]));
        assert_eq!(cursors().len(), 2);
        // Other labels change what is sent, everywhere.
        manager.apply(&changed, &Labels::from_pairs([("cluster", "c")])).await.unwrap();
        assert!(progress().iter().zip(&after).all(|(new, old)| !Arc::ptr_eq(new, old)));
        // The state of one that is gone stays until the configuration without it was not taken back.
        manager.apply(&changed[..1], &external).await.unwrap();
        assert_eq!((progress().len(), cursors().len()), (1, 2));
        manager.apply(&changed[..1], &external).await.unwrap();
        assert_eq!(cursors().len(), 1);
        manager.shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn a_damaged_cursor_keeps_nothing_from_starting() {
        let (folder, store) = (tempfile::tempdir().unwrap(), Arc::<Store>::default());
        let one = configs("{url: 'http://127.0.0.1:1/'}");
        let directory = folder.path().join(FOLDER).join(&keys(&one)[0]);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("cursor"), "nonsense").unwrap();
        let manager = manager(folder.path(), &store, tokio::time::Instant::now());
        manager.apply(&one, &Labels::empty()).await.unwrap();
        assert!(Cursor::load(&directory).unwrap().is_some());
    }
}
