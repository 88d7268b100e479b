//! `--web.config.file` in force: read at the start, and again when it or a file that it names has changed.
//!
//! Invariant: a file that was asked for and cannot be used keeps the server from starting, or what was in force stays; it
//! never serves with less protection than the last good file asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use config::{RateLimitConfig, WebConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use rustls::ServerConfig;

use super::password::Passwords;
use super::tls;
use super::tokens::Tokens;

/// How often it is looked whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The configuration of the web server.
#[derive(Debug)]
pub(crate) struct Web {
    /// Empty: none was asked for.
    path: PathBuf,
    state: Mutex<State>,
    pub(crate) passwords: Passwords,
    /// Where requests show tokens of the cluster.
    pub(crate) tokens: Option<Arc<Tokens>>,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    stamps: Vec<Stamp>,
    looked: Instant,
    tokens: f64,
    filled: Instant,
}

/// What one reading of the file gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) config: WebConfig,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Of every response.
    pub(crate) headers: HeaderMap,
}

/// What a file was when it was read.
type Stamp = Option<(Option<SystemTime>, u64)>;

impl Web {
    /// Reads the file, if one was asked for.
    ///
    /// # Errors
    /// When it, or a file that it names, cannot be read or used.
    pub(crate) fn open(path: &str) -> Result<Self> {
        let path = PathBuf::from(path);
        let (loaded, stamps) = if path.as_os_str().is_empty() {
            (Loaded::default(), Vec::new())
        } else {
            load(&path).with_context(|| format!("--web.config.file={:?}", path.display()))?
        };
        let now = Instant::now();
        let tokens = burst(&loaded.config);
        let state = State { loaded: Arc::new(loaded), stamps, looked: now, tokens, filled: now };
        Ok(Self { path, state: Mutex::new(state), passwords: Passwords::new()?, tokens: None })
    }

    /// The same with tokens that the API server of the cluster knows.
    pub(crate) fn with_tokens(self, tokens: Option<Tokens>) -> Self {
        Self { tokens: tokens.map(Arc::new), ..self }
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What is in force; read again first if a file has changed.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        let mut state = self.state();
        // Asked for each connection; the files are looked at once a second at most.
        if !self.path.as_os_str().is_empty() && state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            let stamps = stamps(&self.path, &state.loaded.config);
            if stamps != state.stamps {
                self.read_again(&mut state, stamps);
            }
        }
        Arc::clone(&state.loaded)
    }

    fn read_again(&self, state: &mut State, changed: Vec<Stamp>) {
        let had_tls = state.loaded.tls.is_some();
        let read = load(&self.path).and_then(|(loaded, stamps)| {
            // Clients are told `http` or `https` at the start, and half of them would fail either way.
            if loaded.tls.is_some() != had_tls {
                bail!("TLS cannot be switched on or off while the server runs; restart it");
            }
            Ok((loaded, stamps))
        });
        match read {
            Ok((loaded, stamps)) => {
                tracing::info!(file = %self.path.display(), "Completed loading of the web configuration file");
                state.tokens = burst(&loaded.config);
                (state.loaded, state.stamps) = (Arc::new(loaded), stamps);
            }
            Err(error) => {
                let (file, err) = (self.path.display(), format!("{error:#}"));
                tracing::error!(%file, err, "cannot reload the web configuration file; the old one stays in force");
                // Not tried again before something changes once more.
                state.stamps = changed;
            }
        }
    }

    /// May one more request come now, as `rate_limit` has it?
    pub(crate) fn takes_request(&self) -> bool {
        let mut state = self.state();
        let RateLimitConfig { interval_ms, burst } = state.loaded.config.rate_limit;
        if interval_ms <= 0 {
            return true;
        }
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let (interval_ms, burst) = (interval_ms as f64, burst as f64);
        // A token bucket, as Go's `rate.Limiter`: one token each interval, at most `burst` of them.
        let earned = now.duration_since(state.filled).as_secs_f64() * 1000.0 / interval_ms;
        state.tokens = (state.tokens + earned).min(burst);
        state.filled = now;
        let takes = state.tokens >= 1.0;
        if takes {
            state.tokens -= 1.0;
        }
        takes
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn burst(config: &WebConfig) -> f64 {
    config.rate_limit.burst as f64
}

fn load(path: &Path) -> Result<(Loaded, Vec<Stamp>)> {
    let config = WebConfig::load(path)?;
    // Taken before the files are read: a change while they are is seen afterwards.
    let stamps = stamps(path, &config);
    let tls = config.tls.as_ref().map(|tls| tls::server_config(tls, config.http_server.http2)).transpose()?;
    let headers = headers(&config)?;
    Ok((Loaded { config, tls, headers }, stamps))
}

fn headers(config: &WebConfig) -> Result<HeaderMap> {
    let header = |(name, value): (&String, &String)| {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        parsed.with_context(|| format!("http_server_config.headers: {name}: {value:?} is no value of a header"))
    };
    config.http_server.headers.iter().map(header).collect()
}

fn stamps(path: &Path, config: &WebConfig) -> Vec<Stamp> {
    let stamp = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.modified().ok(), meta.len()));
    std::iter::once(path).chain(config.tls.iter().flat_map(tls::files)).map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_over_and_a_fault_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        assert!(Web::open(&path.display().to_string()).is_err(), "a file that is not there");
        write("");
        let web = Web::open(&path.display().to_string()).unwrap();
        let looks_again = || {
            web.state().looked -= LOOK_EVERY;
            web.current().config.clone()
        };
        assert_eq!(looks_again(), WebConfig::default());
        let user = "ann: $2b$04$abcdefghijklmnopqrstuuSEEFmXzVcFuvW4DCbKKJNMS7zSm3Vdu";
        write(&format!("basic_auth_users: {{{user}}}"));
        assert_eq!(looks_again().users.len(), 1);
        for fault in ["basic_auth_users: {ann: b}", "tls_server_config: {cert_file: a, key_file: b}", "["] {
            write(fault);
            assert_eq!(looks_again().users.len(), 1, "{fault}");
        }
        write("rate_limit: {interval: 1h, burst: 2}");
        let limit = looks_again().rate_limit;
        assert_eq!((limit.interval_ms, limit.burst), (3_600_000, 2));
        assert_eq!([web.takes_request(), web.takes_request(), web.takes_request()], [true, true, false]);
    }
}
