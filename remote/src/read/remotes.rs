//! Remotes by configuration: begun, changed and ended.

use std::io;
use std::sync::Arc;

use config::RemoteReadConfig;
use http_client::Resolver;
use model::{Labels, Querier};
use parking_lot::{Mutex, RwLock};
use prometheus::Registry;
use tokio::runtime::{Builder, Handle, Runtime};
use xxhash_rust::xxh3::xxh3_64;

use super::client::Client;
use super::metrics::Metrics;
use super::querier::RemoteQuerier;
use super::remote::{Added, LocalStart, Remote};

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadConfigError {
    /// Two sections are the same.
    #[error("duplicate remote read configs are not allowed, found duplicate for URL: {url}")]
    Duplicate {
        /// Of both.
        url: String,
    },
    /// A section cannot be served.
    #[error("cannot read from {url}: {reason}")]
    Unserved {
        /// Of the section.
        url: String,
        /// Why.
        reason: String,
    },
    /// The thread that makes requests cannot be started.
    #[error("cannot start a thread for remote read")]
    Thread(#[from] io::Error),
}

/// Another replica, which scrapes the same targets as this server.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How it is asked.
    pub config: RemoteReadConfig,
    /// Queries fill gaps with what it has.
    pub is_queried: bool,
    /// What this server missed is fetched from it.
    pub is_source: bool,
}

/// What remotes are given.
#[derive(Clone, Debug)]
pub struct Options {
    /// The header `User-Agent`.
    pub user_agent: String,
    /// Where host names are looked up.
    pub resolver: Resolver,
    /// From when on remotes without `read_recent` are not asked.
    pub local_start: LocalStart,
    /// Other replicas, whatever the configuration says.
    pub peers: Vec<Peer>,
    /// Labels that tell peers apart.
    pub replica_labels: Vec<String>,
}

/// All remotes.
#[derive(Debug)]
pub struct Remotes {
    options: Options,
    metrics: Arc<Metrics>,
    /// Those of the configuration, and behind them one for each peer.
    remotes: RwLock<Vec<Arc<Remote>>>,
    /// Makes the requests, once there is somebody to ask. It is its own: queries wait on threads of the server's.
    runtime: Mutex<Option<Runtime>>,
}

impl Drop for Remotes {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get_mut().take() {
            // Not waited for: this may be a thread of another runtime, where that is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl Remotes {
    /// One without remotes.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(options: Options, registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self { options, metrics: Metrics::new(registry)?, remotes: RwLock::default(), runtime: Mutex::default() })
    }

    /// Checks whether sections can be served.
    ///
    /// # Errors
    /// When one cannot.
    pub fn check(&self, configs: &[RemoteReadConfig]) -> Result<(), ReadConfigError> {
        for (i, config) in configs.iter().enumerate() {
            if configs[..i].contains(config) {
                return Err(ReadConfigError::Duplicate { url: shown(&config.url) });
            }
        }
        let peers = self.options.peers.iter().map(|peer| &peer.config);
        configs.iter().chain(peers).try_for_each(|config| self.client(config).map(drop))
    }

    /// Reads from these servers from now on. Those that stay the same keep their connections.
    ///
    /// # Errors
    /// As [`Remotes::check`]; nothing changes then.
    pub fn apply(&self, configs: &[RemoteReadConfig], external: &Labels) -> Result<(), ReadConfigError> {
        let mut wanted: Vec<(&RemoteReadConfig, Added)> =
            configs.iter().map(|one| (one, added(one, external))).collect();
        let mut names: Vec<String> = external.iter().map(|(name, _)| name.to_owned()).collect();
        names.extend(self.options.replica_labels.iter().filter(|name| external.get(name).is_none()).cloned());
        wanted.extend(self.options.peers.iter().map(|peer| (&peer.config, Added::Any(names.clone()))));
        let before = self.remotes.read().clone();
        if wanted.is_empty() {
            self.remotes.write().clear();
            return Ok(());
        }
        let runtime = self.runtime()?;
        let remotes = wanted.into_iter().map(|(config, added)| {
            let same = before.iter().find(|one| one.config == *config && one.added == added);
            match same {
                Some(same) => Ok(Arc::clone(same)),
                None => self.remote((config, added), &runtime),
            }
        });
        let remotes = remotes.collect::<Result<Vec<_>, _>>()?;
        *self.remotes.write() = remotes;
        Ok(())
    }

    /// The remotes of the configuration as stores, for one request: what they say of listings is of it alone.
    #[must_use]
    pub fn queriers(&self) -> Vec<Arc<dyn Querier>> {
        let remotes = self.remotes.read();
        remotes[..self.sections(&remotes)].iter().map(querier).collect()
    }

    /// The same of the replicas that queries ask.
    #[must_use]
    pub fn replicas(&self) -> Vec<Arc<dyn Querier>> {
        self.peers(|peer| peer.is_queried)
    }

    /// The same of the replicas that what is missing is fetched from.
    #[must_use]
    pub fn sources(&self) -> Vec<Arc<dyn Querier>> {
        self.peers(|peer| peer.is_source)
    }

    fn peers(&self, is_wanted: impl Fn(&Peer) -> bool) -> Vec<Arc<dyn Querier>> {
        let remotes = self.remotes.read();
        let peers = remotes[self.sections(&remotes)..].iter().zip(&self.options.peers);
        peers.filter(|(_, peer)| is_wanted(peer)).map(|(remote, _)| querier(remote)).collect()
    }

    /// How many of them are of the configuration. Before the first one there are no peers either.
    fn sections(&self, remotes: &[Arc<Remote>]) -> usize {
        remotes.len().saturating_sub(self.options.peers.len())
    }

    fn remote(
        &self,
        (config, added): (&RemoteReadConfig, Added),
        runtime: &Handle,
    ) -> Result<Arc<Remote>, ReadConfigError> {
        let (name, url) = (name(config), shown(&config.url));
        Ok(Arc::new(Remote {
            metrics: self.metrics.of(&name, &url),
            name,
            config: config.clone(),
            added,
            client: Arc::new(self.client(config)?),
            runtime: runtime.clone(),
            local_start: self.options.local_start.clone(),
        }))
    }

    fn client(&self, config: &RemoteReadConfig) -> Result<Client, ReadConfigError> {
        let of_requests = (&*self.options.user_agent, &self.options.resolver);
        Client::new(config, of_requests).map_err(|reason| ReadConfigError::Unserved { url: shown(&config.url), reason })
    }

    /// One thread is enough: it only moves bytes.
    fn runtime(&self) -> io::Result<Handle> {
        let mut runtime = self.runtime.lock();
        let running = match runtime.take() {
            Some(running) => running,
            None => Builder::new_multi_thread().worker_threads(1).thread_name("remote-read").enable_all().build()?,
        };
        Ok(runtime.insert(running).handle().clone())
    }
}

fn querier(remote: &Arc<Remote>) -> Arc<dyn Querier> {
    Arc::new(RemoteQuerier::new(Arc::clone(remote)))
}

/// Labels of the other server that series have not here.
fn added(config: &RemoteReadConfig, external: &Labels) -> Added {
    if !config.filter_external_labels {
        return Added::Selected(Vec::new());
    }
    Added::Selected(external.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Of the configuration; else six digits that other settings change, as upstream has it.
fn name(config: &RemoteReadConfig) -> String {
    if !config.name.is_empty() {
        return config.name.clone();
    }
    let digits = format!("{:016x}", xxh3_64(format!("{config:?}").as_bytes()));
    digits[..6].to_owned()
}

/// A URL without its password.
fn shown(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return url.to_owned() };
    if url.password().is_some() {
        // It has a host, or there would be no password.
        url.set_password(Some("xxxxx")).ok();
    }
    url.to_string()
}
