//! The HTTP server below the routes: accepts connections, speaks TLS, bounds what clients may hold, ends.
//!
//! A request passes, in this order: its deadline, a place (some need none), the rate limit, the password, the routes.

mod attempts;
mod body;
mod client_certificates;
pub(crate) mod connections;
mod head;
mod password;
mod pem;
mod stream;
pub(crate) mod tls;
mod tokens;
mod web;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use http::{Request, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use parking_lot::RwLock;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) use connections::Limits;
pub(crate) use head::LongQuery;
pub(crate) use tokens::{Tenant, Tokens};
pub(crate) use web::Web;

use crate::listen::{Client, Connection};
use connections::{Activity, Connections, Open};
use head::{Aside, Heads};
use password::{Shown, Verdict};
use stream::Stream;
use tokens::{Access, Refusal};
use web::Loaded;

/// How often connections are looked over: while the server runs, and while it ends.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY_STOPPING: Duration = Duration::from_millis(50);
/// How long nothing is accepted after the system refused a connection, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The headers of a request over HTTP/2, its URL among them. There the library bounds URLs to 64 KiB.
const HTTP2_HEAD_MAX: u32 = 128 << 10;

/// Paths, below the route prefix, that are answered however busy the server is: health checks, and what bounds its listeners by
/// itself, who would otherwise keep places for hours.
const WITHOUT_PLACE: [&str; 3] = ["/-/healthy", "/-/ready", "/api/v1/notifications/live"];

/// Paths, below the route prefix, that need no token.
const HEALTH: [&str; 2] = ["/-/healthy", "/-/ready"];

/// The other end of a connection.
#[derive(Debug)]
struct Peer {
    client: Client,
    shown: Shown,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    /// Another one as long as the server starts.
    router: RwLock<Router>,
    connections: Arc<Connections>,
    web: Arc<Web>,
    /// Without the slash at its end.
    prefix: String,
    stop: CancellationToken,
}

/// The server on its listening sockets.
#[derive(Debug)]
pub(crate) struct HttpServer {
    shared: Arc<Shared>,
    listeners: JoinSet<()>,
}

impl HttpServer {
    /// Serves the routes until `stop` is cancelled.
    pub(crate) fn new(router: Router, prefix: &str, limits: Limits, web: Arc<Web>, stop: CancellationToken) -> Self {
        let connections = Arc::new(Connections::new(limits));
        let prefix = prefix.trim_end_matches('/').to_owned();
        let router = RwLock::new(router);
        let shared = Arc::new(Shared { router, connections, web, prefix, stop });
        let mut listeners = JoinSet::new();
        listeners.spawn(sweep(Arc::clone(&shared)));
        Self { shared, listeners }
    }

    /// Answers by other routes from now on.
    pub(crate) fn route_by(&self, router: Router) {
        *self.shared.router.write() = router;
    }

    /// Accepts connections of one more socket.
    pub(crate) fn listen(&mut self, listener: TcpListener) {
        self.listeners.spawn(accept(Arc::clone(&self.shared), listener));
    }

    /// Once `stop` is cancelled: waits until answers that are under way are delivered, at most for `patience`. Requests that
    /// have not arrived whole end at once, clients that take nothing after a second. Says whether all ended by themselves.
    pub(crate) async fn end(mut self, patience: Duration) -> bool {
        let ended = tokio::time::timeout(patience, async { while self.listeners.join_next().await.is_some() {} }).await;
        self.listeners.shutdown().await;
        ended.is_ok()
    }
}

/// Closes connections that are idle or stalled for too long.
async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = tokio::time::sleep(SWEEP_EVERY) => shared.connections.sweep(false),
        };
    }
    while shared.connections.sweep(true) > 0 {
        tokio::time::sleep(SWEEP_EVERY_STOPPING).await;
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            // Taken out as they end; the set would keep every connection there was.
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    // Without a place, dropping the stream closes it.
                    if let Some(open) = shared.connections.admit() {
                        tasks.spawn(serve(Arc::clone(&shared), stream, address, open));
                    }
                }
                Err(error) => {
                    // Without file descriptors `accept` fails again at once: unless it pauses, this loop takes a core.
                    tracing::warn!(%error, "cannot accept a connection; closing one that is idle");
                    shared.connections.shed();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    // Before the wait: who connects now is refused at once, and is not left in the backlog.
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// One connection, from its first byte until either side or [`Connections`] closes it.
async fn serve(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr, open: Open) {
    let activity = Arc::clone(&open.activity);
    let connection = Connection::new(stream, Arc::clone(&activity));
    let client = connection.client(address);
    let work = async {
        let stream = match shared.web.current().tls.clone() {
            None => Stream::Plain(connection),
            Some(config) => match handshake(connection, config).await {
                Some(stream) => Stream::Tls(Box::new(stream)),
                None => return,
            },
        };
        speak(&shared, stream, client, &open.activity).await;
    };
    tokio::select! {
        () = activity.closed() => {}
        () = work => {}
    }
}

/// The TLS handshake. Plain HTTP is answered as Go does.
async fn handshake(
    mut connection: Connection,
    config: Arc<rustls::ServerConfig>,
) -> Option<tokio_rustls::server::TlsStream<Connection>> {
    let mut first = [0];
    // A TLS handshake begins with 0x16, a method of HTTP with a capital letter.
    if connection.peek(&mut first).await.ok()? > 0 && first[0].is_ascii_uppercase() {
        let answer = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        connection.write_all(answer).await.ok();
        connection.shutdown().await.ok();
        return None;
    }
    match TlsAcceptor::from(config).accept(connection).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "TLS handshake error");
            None
        }
    }
}

/// HTTP over an open stream.
async fn speak(shared: &Arc<Shared>, stream: Stream, client: Client, activity: &Arc<Activity>) {
    let aside = Arc::new(Aside::new(shared.connections.long_queries()));
    let peer = Arc::new(Peer { client, shown: Shown::default() });
    let each = (Arc::clone(shared), peer, Arc::clone(activity), Arc::clone(&aside));
    let service = tower::service_fn(move |mut request: Request<_>| {
        let (shared, peer, activity, aside) = each.clone();
        if let Some(long) = aside.take(request.uri().query()) {
            request.extensions_mut().insert(Arc::new(long));
        }
        async move { Ok::<_, std::convert::Infallible>(answer(&shared, &peer, &activity, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().max_header_list_size(HTTP2_HEAD_MAX);
    let stream = TokioIo::new(Heads::new(stream, aside));
    let mut http = pin!(builder.serve_connection(stream, TowerToHyperService::new(service)));
    let mut stopping = pin!(shared.stop.cancelled());
    let mut asked = false;
    loop {
        tokio::select! {
            done = http.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(error = %model::with_causes(&*error), "a connection ended early");
                }
                return;
            }
            // Not polled after it is done; HTTP goes on until its answers are delivered.
            () = stopping.as_mut(), if !asked => {
                asked = true;
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

/// One request.
async fn answer<B>(shared: &Arc<Shared>, peer: &Peer, activity: &Arc<Activity>, request: Request<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let busy = activity.begin();
    let (parts, body) = request.into_parts();
    // The deadline begins here, and runs while the request waits for a place.
    let mut request = Request::from_parts(parts, body::arriving(body, shared.connections.read_timeout(), &shared.stop));
    request.extensions_mut().insert(ConnectInfo(peer.client.clone()));
    let path = request.uri().path();
    let is_free = path.strip_prefix(&shared.prefix).is_some_and(|path| WITHOUT_PLACE.contains(&path));
    let place = if is_free { None } else { shared.connections.place().await };
    if place.is_none() && !is_free {
        let wait = [(header::RETRY_AFTER, "1"), (header::CONNECTION, "close")];
        let text = "too many requests at once (--web.max-connections), and as many wait already\n";
        return (StatusCode::SERVICE_UNAVAILABLE, wait, text).into_response();
    }
    let loaded = shared.web.current();
    let refused = request.extensions().get::<Arc<LongQuery>>().and_then(|long| long.bytes().err());
    let mut response = if let Some((status, text)) = refused {
        (status, [(header::CONNECTION, "close")], text).into_response()
    } else if !shared.web.takes_request() {
        (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n").into_response()
    } else {
        match admit(shared, &loaded, peer, &mut request).await {
            Ok(()) => route(shared, request).await,
            Err(refusal) => refusal,
        }
    };
    // Refusals carry them, too: they are about the server, not about a route.
    response.headers_mut().extend(loaded.headers.clone());
    // The place is free when the client has taken the answer: until then its text is held.
    response.map(|body| Body::new(body::Leaving::new(body, (busy, place))))
}

/// Is a request served, by the token or the password that it shows? Otherwise the answer.
async fn admit(shared: &Shared, loaded: &Loaded, peer: &Peer, request: &mut Request<Body>) -> Result<(), Response> {
    let has_users = !loaded.config.users.is_empty();
    let path = request.uri().path();
    let path = path.strip_prefix(&shared.prefix).unwrap_or(path);
    // Probes of the kubelet show no token.
    if let Some(tokens) = shared.web.tokens.as_ref().filter(|_| !HEALTH.contains(&path)) {
        match tokens.admit(request.method(), path, request.headers()).await {
            Ok(Access::All) => return Ok(()),
            Ok(Access::Tenant(tenant)) => {
                request.extensions_mut().insert(tenant);
                return Ok(());
            }
            // It may show a password.
            Err(Refusal::Unauthorized) if has_users => {}
            Err(refusal) => return Err(refusal.into_response()),
        }
    }
    if !has_users {
        return Ok(());
    }
    let shown = (peer.client.address, &peer.shown);
    match shared.web.passwords.admits(&loaded.config, request.headers(), shown, Instant::now()).await {
        Ok(Verdict::Right) => Ok(()),
        Ok(Verdict::Wrong) => {
            let basic = [(header::WWW_AUTHENTICATE, "Basic")];
            Err((StatusCode::UNAUTHORIZED, basic, "Unauthorized\n").into_response())
        }
        Ok(Verdict::TooMany(wait)) => {
            // Rounded up: who comes back by then is not too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let text = format!("too many wrong passwords from this address; try again in {seconds} s\n");
            Err((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], text).into_response())
        }
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()),
    }
}

async fn route(shared: &Shared, request: Request<Body>) -> Response {
    use tower::ServiceExt as _;
    let router = shared.router.read().clone();
    router.oneshot(request).await.unwrap_or_else(|never| match never {})
}
