//! Resolves host names over DNS and `/etc/hosts`, on a thread of its own (decision 0020).
//!
//! The system's `getaddrinfo` blocks a thread while a DNS server is silent, and does not return the TTL. This resolver caches
//! responses for their TTL and limits concurrent lookups: [`AT_ONCE`] of names that resolved the last time, as many of new
//! names, and as many of names that failed or are slow. So names that do not resolve do not delay those that do. Like Go's own
//! resolver it reads `resolv.conf` and `hosts` and nothing else.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Resolve, Resolving};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

use crate::stamp::Stamp;

/// Concurrent lookups of each kind of names. Each needs a few sockets.
const AT_ONCE: usize = 64;
/// How long a lookup counts as quick, how long it may take, and how long it may take for a name that failed the last time.
const QUICK_FOR: Duration = Duration::from_millis(500);
const LOOKUP_MAX: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The most names whose last result is remembered.
const NAMES_KEPT: usize = 20_000;
/// How often the files are checked for changes.
const FILES_EVERY: Duration = Duration::from_secs(5);
/// The most cached responses; each name has one for two record types and each search domain.
const ANSWERS_KEPT: u64 = 16_384;
/// The longest that a response is cached, and a negative one.
const KEPT_MAX: Duration = Duration::from_secs(3600);
const DENIED_MAX: Duration = Duration::from_secs(30);
/// How long to wait for one of several servers.
const OF_SEVERAL_MAX: Duration = Duration::from_secs(3);

/// An asynchronous DNS resolver with a cache. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>, Option<Arc<AtomicUsize>>);

struct Inner {
    files: Files,
    /// Permits for names that resolved the last time, for new ones, and for others.
    answered: Semaphore,
    new: Semaphore,
    slow: Semaphore,
    /// Did the name resolve the last time?
    names: Mutex<HashMap<String, bool>>,
    thread: Mutex<Option<Thread>>,
    system: Mutex<Option<System>>,
}

/// Where the configuration is.
#[derive(Clone, Debug)]
struct Files {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    port: u16,
}

/// The thread of lookups; it ends when this is dropped.
struct Thread {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

/// The content of the files.
#[derive(Clone)]
struct System {
    resolver: TokioResolver,
    hosts: Arc<Hosts>,
    stamps: [Option<Stamp>; 2],
    looked_at: Instant,
}

/// A type of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Hosts that take mail.
    Mx,
    /// Name servers.
    Ns,
    /// Hosts and ports of a service.
    Srv,
}

/// A record. Hosts are full names, mostly with the dot that ends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsRecord {
    /// Of the types `A` and `AAAA`.
    Address(IpAddr),
    /// Of the types `MX` and `NS`.
    Host(String),
    /// Of the type `SRV`.
    Srv {
        /// The host.
        target: String,
        /// The port.
        port: u16,
    },
}

impl DnsRecord {
    /// A record of another type, such as the alias that leads to an address, is none.
    fn of(data: &RData) -> Option<Self> {
        match data {
            RData::A(address) => Some(Self::Address(IpAddr::V4(address.0))),
            RData::AAAA(address) => Some(Self::Address(IpAddr::V6(address.0))),
            RData::MX(mx) => Some(Self::Host(mx.exchange.to_string())),
            RData::NS(ns) => Some(Self::Host(ns.0.to_string())),
            RData::SRV(srv) => Some(Self::Srv { target: srv.target.to_string(), port: srv.port }),
            _ => None,
        }
    }
}

/// Why a lookup failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupError {
    host: String,
    reason: String,
    answered: bool,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dial tcp: lookup {}: {}", self.host, self.reason)
    }
}

impl std::error::Error for LookupError {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl Resolver {
    /// The resolver of the system: `/etc/resolv.conf` and `/etc/hosts`, read when first needed and again when they change.
    #[must_use]
    pub fn system() -> Self {
        Self::from_files("/etc/resolv.conf".into(), "/etc/hosts".into(), 53)
    }

    /// A resolver with other files, and another port of the servers.
    #[must_use]
    pub fn from_files(resolv_conf: PathBuf, hosts: PathBuf, port: u16) -> Self {
        let inner = Arc::new(Inner {
            files: Files { resolv_conf, hosts, port },
            answered: Semaphore::new(AT_ONCE),
            new: Semaphore::new(AT_ONCE),
            slow: Semaphore::new(AT_ONCE),
            names: Mutex::default(),
            thread: Mutex::default(),
            system: Mutex::default(),
        });
        Self(inner, None)
    }

    /// The same with the same cache, whose answers to reqwest begin with another address of a host each time: connections to it
    /// are spread over all of them.
    #[must_use]
    pub fn in_turn(&self) -> Self {
        Self(Arc::clone(&self.0), Some(Arc::default()))
    }

    /// The addresses of a host, IPv4 first; an address resolves to itself at once.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let failed = |reason: &str| LookupError { host: host.to_owned(), reason: reason.to_owned(), answered: false };
        let handle = self.0.handle().map_err(|error| failed(&format!("cannot start the resolver: {error}")))?;
        let was_answered = self.0.names.lock().get(host).copied();
        let asked = || Asked {
            of: self,
            host,
            task: handle.spawn(Arc::clone(&self.0).look_up(host.to_owned())),
            answered: false,
        };
        // The semaphores are never closed.
        // Names that failed the last time share permits of their own and a shorter wait, so that a zone that does not
        // answer delays nobody else.
        if was_answered == Some(false) {
            let _permit = self.0.slow.acquire().await;
            return asked().within(RETRY_MAX).await.unwrap_or_else(|| Err(failed("i/o timeout")));
        }
        let permits = if was_answered.is_some() { &self.0.answered } else { &self.0.new };
        let permit = permits.acquire().await;
        let mut asked = asked();
        if let Some(found) = asked.within(QUICK_FOR).await {
            return found;
        }
        // It is slow: its permit goes to a name that may be quick, and it goes on among the slow ones, if there is
        // room.
        drop(permit);
        let Ok(_permit) = self.0.slow.try_acquire() else {
            return Err(failed("i/o timeout; the DNS servers do not answer for many other names either"));
        };
        asked.within(LOOKUP_MAX - QUICK_FOR).await.unwrap_or_else(|| Err(failed("i/o timeout")))
    }

    /// The records of a name; none where the servers say that there are none, or no such name. A name without a final dot is looked
    /// for in the search domains, too.
    ///
    /// # Errors
    /// When no server says what there is.
    pub async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<DnsRecord>, LookupError> {
        let failed = |reason: String| LookupError { host: name.to_owned(), reason, answered: false };
        let handle = self.0.handle().map_err(|error| failed(format!("cannot start the resolver: {error}")))?;
        // The semaphores are never closed.
        let _permit = self.0.new.acquire().await;
        let mut task = JoinSet::new();
        task.spawn_on(Arc::clone(&self.0).look_up_records(name.to_owned(), kind), &handle);
        match timeout(LOOKUP_MAX, task.join_next()).await {
            Ok(Some(Ok(found))) => found.map_err(failed),
            // The lookup panicked.
            Ok(found) => Err(failed(format!("{found:?}"))),
            Err(_) => Err(failed("i/o timeout".to_owned())),
        }
    }

    /// The same for reqwest.
    pub(crate) fn resolving(&self, host: String) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let mut found = resolver.lookup(&host).await?;
            if let Some(turn) = &resolver.1 {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                // Servers answer in any order, and one that turns them itself must not undo this.
                found.sort_unstable();
                let first = turn % found.len().max(1);
                found.rotate_left(first);
            }
            // The URL's port replaces this one.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        self.resolving(name.as_str().to_owned())
    }
}

/// A lookup in progress; it ends when this is dropped. Its result is remembered.
struct Asked<'a> {
    of: &'a Resolver,
    host: &'a str,
    task: JoinHandle<Result<Vec<IpAddr>, LookupError>>,
    answered: bool,
}

impl Asked<'_> {
    /// The result, if there is one in time; must not be called again after it.
    async fn within(&mut self, wait: Duration) -> Option<Result<Vec<IpAddr>, LookupError>> {
        let found = timeout(wait, &mut self.task).await.ok()?;
        // The lookup panicked.
        let failed = |reason| LookupError { host: self.host.to_owned(), reason, answered: false };
        let found = found.unwrap_or_else(|error| Err(failed(error.to_string())));
        // NXDOMAIN is an answer: such a name is quick to resolve, if only to nothing.
        self.answered = found.as_ref().err().is_none_or(|error| error.answered);
        Some(found)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // The caller may have given up; nobody else waits for this lookup.
        self.task.abort();
        let mut names = self.of.0.names.lock();
        if names.len() >= NAMES_KEPT && !names.contains_key(self.host) {
            // Forgetting all is simple and rare; the names count as new again, which only changes their queue.
            names.clear();
        }
        names.insert(self.host.to_owned(), self.answered);
    }
}

impl Inner {
    fn handle(&self) -> std::io::Result<Handle> {
        let mut thread = self.thread.lock();
        if let Some(thread) = &*thread {
            return Ok(thread.handle.clone());
        }
        // Started with the first name that is no address: a server that scrapes addresses only has no such thread.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (running, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("dns".to_owned()).spawn(move || {
            // The sender is gone: the resolver was dropped.
            runtime.block_on(ended).ok();
        })?;
        *thread = Some(Thread { handle: handle.clone(), _running: running });
        Ok(handle)
    }

    /// Runs on the thread of the resolver.
    async fn look_up(self: Arc<Self>, host: String) -> Result<Vec<IpAddr>, LookupError> {
        let failed = |reason: String, answered| LookupError { host: host.clone(), reason, answered };
        let system = self.system().map_err(|error| failed(error.to_string(), true))?;
        // Underscores and the like are allowed; what is no name at all cannot resolve.
        let name = Name::from_ascii(&host).map_err(|_| failed("no such host".to_owned(), true))?;
        // `hosts` before DNS, the order of Go's resolver without `nsswitch.conf`.
        let of_hosts = system.of_hosts(&name);
        if !of_hosts.is_empty() {
            return Ok(of_hosts);
        }
        let found: Vec<IpAddr> = match system.resolver.lookup_ip(name).await {
            Ok(found) => found.iter().collect(),
            Err(error) => {
                let (reason, answered) = explain(&error);
                return Err(failed(reason, answered));
            }
        };
        if found.is_empty() { Err(failed("no such host".to_owned(), true)) } else { Ok(found) }
    }

    /// Runs on the thread of the resolver.
    async fn look_up_records(self: Arc<Self>, name: String, kind: RecordKind) -> Result<Vec<DnsRecord>, String> {
        let system = self.system().map_err(|error| error.to_string())?;
        let name = Name::from_ascii(&name).map_err(|error| error.to_string())?;
        let kind = match kind {
            RecordKind::A => RecordType::A,
            RecordKind::Aaaa => RecordType::AAAA,
            RecordKind::Mx => RecordType::MX,
            RecordKind::Ns => RecordType::NS,
            RecordKind::Srv => RecordType::SRV,
        };
        match system.resolver.lookup(name, kind).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| DnsRecord::of(&record.data)).collect()),
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(explain(&error).0),
        }
    }

    /// The current content of the files.
    fn system(&self) -> Result<System, NetError> {
        let mut known = self.system.lock();
        if let Some(system) = known.as_mut() {
            // As Go does: the files are looked at every five seconds, not for every lookup.
            if system.looked_at.elapsed() < FILES_EVERY {
                return Ok(system.clone());
            }
            system.looked_at = Instant::now();
            if system.stamps == self.files.stamps() {
                return Ok(system.clone());
            }
        }
        let system = self.files.read()?;
        *known = Some(system.clone());
        Ok(system)
    }
}

impl System {
    fn of_hosts(&self, name: &Name) -> Vec<IpAddr> {
        let of = |kind| self.hosts.lookup_static_host(&Query::query(name.to_lowercase(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of);
        found
            .flat_map(|found| found.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
            .collect()
    }
}

impl Files {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.resolv_conf), Stamp::of(&self.hosts)]
    }

    /// Missing files count as empty.
    fn read(&self) -> Result<System, NetError> {
        // Before reading: a change during it gives another stamp, and the files are read again.
        let (stamps, looked_at) = (self.stamps(), Instant::now());
        let mut hosts = Hosts::default();
        if let Ok(text) = std::fs::read(&self.hosts) {
            // The parser requires UTF-8 in comments, too.
            hosts.read_hosts_conf(String::from_utf8_lossy(&text).as_bytes())?;
        }
        let text = std::fs::read(&self.resolv_conf).unwrap_or_default();
        // The parser refuses a configuration without servers.
        let parsed = parse_resolv_conf(&text).or_else(|_| {
            let text = [text.as_slice(), b"\nnameserver 127.0.0.1\n"].concat();
            parse_resolv_conf(text)
        });
        let (config, mut options) = parsed.unwrap_or_else(|error| {
            tracing::warn!(file = %self.resolv_conf.display(), %error, "cannot read the DNS configuration; asking the server 127.0.0.1");
            let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
        });
        let (domain, search, mut servers) = config.into_parts();
        let several = servers.len() > 1;
        for server in &mut servers {
            // A server may know only some zones, so its NXDOMAIN does not end the lookup.
            server.trust_negative_responses = !several;
            server.connections.iter_mut().for_each(|connection| connection.port = self.port);
        }
        // `domain` is the older form of a search list of one.
        let search = if search.is_empty() { domain.into_iter().collect() } else { search };
        let config = ResolverConfig::from_parts(None, search, servers);
        if several {
            // A dead first server must leave time for the others within the timeout of a scrape.
            options.timeout = options.timeout.min(OF_SEVERAL_MAX);
        }
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = ANSWERS_KEPT;
        options.positive_max_ttl = Some(KEPT_MAX);
        options.negative_max_ttl = Some(DENIED_MAX);
        // `hosts` is searched here: hickory would query the servers for the IPv6 address of a name that has only IPv4 there.
        options.use_hosts_file = ResolveHosts::Never;
        // One server after the other, the fastest first.
        options.num_concurrent_reqs = 1;
        options.server_ordering_strategy = ServerOrderingStrategy::QueryStatistics;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Ok(System { resolver: builder.build()?, hosts: Arc::new(hosts), stamps, looked_at })
    }
}

/// Why a lookup failed, in Go's words, and whether that is the response of a server.
fn explain(error: &NetError) -> (String, bool) {
    match error {
        NetError::Timeout => ("i/o timeout".to_owned(), false),
        NetError::Dns(DnsError::NoRecordsFound(_) | DnsError::ResponseCode(ResponseCode::NXDomain)) => {
            ("no such host".to_owned(), true)
        }
        NetError::Dns(DnsError::ResponseCode(code)) => (format!("server misbehaving ({code})"), true),
        other => (other.to_string(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lookup_that_panics_has_failed() {
        let resolver = Resolver::system();
        let task = resolver.0.handle().unwrap().spawn(async { panic!("a test") });
        let mut asked = Asked { of: &resolver, host: "t.test", task, answered: true };
        let error = asked.within(LOOKUP_MAX).await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with("dial tcp: lookup t.test: task"), "{error}");
        drop(asked);
        assert_eq!(resolver.0.names.lock().get("t.test"), Some(&false));
    }
}
