//! Remote read from other servers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use config::{Config, HttpClientConfig, RemoteReadConfig};
use model::Timestamp;
use parking_lot::Mutex;
use prometheus::Registry;
use remote::read::{LocalStart, Options, Peer, Remotes};
use scraper::Resolver;
use url::Url;

use crate::app::App;
use crate::component::{Change, Component};
use crate::flags::Flags;

/// What is stored since this long after the oldest sample is taken for all there is: it takes a while until a server that was
/// started scrapes everything (upstream: twice `--storage.tsdb.min-block-duration`).
const MARGIN_MS: i64 = 4 * 3_600_000;
/// The oldest sample is looked up no more often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

pub(super) struct RemoteRead(pub(super) Arc<App>);

impl Component for RemoteRead {
    fn name(&self) -> &'static str {
        "remote read"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        self.0.remote_read.check(&new.remote_read)?;
        let (app, new) = (Arc::clone(&self.0), Arc::clone(new));
        Ok(Box::pin(async move { Ok(app.remote_read.apply(&new.remote_read, &new.global.external_labels)?) }))
    }
}

/// The servers that are read from, without any.
pub(crate) fn build_remote_read(
    flags: &Flags,
    db: &Arc<storage::Db>,
    (user_agent, resolver): (&str, &Resolver),
    registry: &Registry,
) -> Result<Remotes> {
    let options = Options {
        user_agent: user_agent.to_owned(),
        resolver: resolver.clone(),
        local_start: local_start(Arc::clone(db)),
        peers: peers(flags)?,
        replica_labels: vec![flags.query_replica_label.clone()],
    };
    Ok(Remotes::new(options, registry)?)
}

/// The replicas that flags name.
fn peers(flags: &Flags) -> Result<Vec<Peer>> {
    let queried: Vec<&str> = flags.query_peers.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
    let sources: Vec<&str> = flags.peer.0.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect();
    let mut urls: Vec<&str> = Vec::new();
    for url in queried.iter().chain(&sources) {
        if !urls.contains(url) {
            urls.push(url);
        }
    }
    let file = &flags.peer_http_config_file;
    let http = if file.is_empty() {
        None
    } else {
        Some(HttpClientConfig::load(Path::new(file)).with_context(|| format!("--peer.http-config-file: {file}"))?)
    };
    let peer = |url: &&str| {
        let mut config = RemoteReadConfig { url: read_url(url), read_recent: true, ..RemoteReadConfig::default() };
        // A password is for the request alone.
        let parsed = Url::parse(url).with_context(|| format!("--peer, --query.peers: {url:?} is no URL"))?;
        let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
        config.name = format!("peer {}{port}", parsed.host_str().unwrap_or_default());
        config.http = http.clone().unwrap_or(config.http);
        Ok(Peer { config, is_queried: queried.contains(url), is_source: sources.contains(url) })
    };
    urls.iter().map(peer).collect()
}

/// Where a server is read, by the URL that people know it by.
fn read_url(url: &str) -> String {
    const PATH: &str = "/api/v1/read";
    if url.ends_with(PATH) { url.to_owned() } else { format!("{}{PATH}", url.trim_end_matches('/')) }
}

/// From when on the store has everything.
fn local_start(db: Arc<storage::Db>) -> LocalStart {
    let last: Mutex<Option<(Instant, Option<Timestamp>)>> = Mutex::default();
    LocalStart(Arc::new(move || {
        let mut last = last.lock();
        if let Some((at, start)) = *last
            && at.elapsed() < LOOK_EVERY
        {
            return start;
        }
        let start = match db.start_time() {
            Ok(start) => start.map(|start| start.saturating_add(MARGIN_MS)),
            Err(error) => {
                // The query finds the same out, and says so; the servers are asked for everything meanwhile.
                tracing::debug!(error = model::with_causes(&error), "cannot tell how old the oldest sample is");
                None
            }
        };
        *last = Some((Instant::now(), start));
        start
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(args: &[&str]) -> Result<Vec<String>> {
        let flags = Flags::parse(std::iter::once("weft").chain(args.iter().copied()).map(str::to_owned)).unwrap();
        let shown = |peer: Peer| {
            let Peer { config, is_queried, is_source } = peer;
            assert!(config.read_recent);
            format!("{} {} {is_queried} {is_source}", config.name, config.url)
        };
        Ok(peers(&flags)?.into_iter().map(shown).collect())
    }

    #[test]
    fn a_replica_is_one_whichever_flags_name_it() {
        assert!(named(&[]).unwrap().is_empty());
        let args =
            ["--query.peers=http://a:9090, https://b/weft/", "--peer=http://a:9090", "--peer=http://c/api/v1/read"];
        let expected = [
            "peer a:9090 http://a:9090/api/v1/read true true",
            "peer b https://b/weft/api/v1/read true false",
            "peer c http://c/api/v1/read false true",
        ];
        assert_eq!(named(&args).unwrap(), expected);
        for (args, part) in [
            (["--peer=weft-1"], "is no URL"),
            (["--peer.http-config-file=/no/such"], "--peer.http-config-file: /no/such"),
        ] {
            let error = format!("{:#}", named(&args).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }
}
