//! Watches of an API server that answers wrongly, late or never.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::{Authorization, HttpClientConfig};
use kube_watch::{ApiServer, Changes, Limits, Meta, Scope, Watch, Watches, resource, trimmed};
use prometheus::Registry;

trimmed!(
    /// A kind with a field that can be of a wrong type.
    Thing { metadata: Meta, size: u32 }
);
resource!(Thing, "", "v1", "things", namespaced);

const EVERYWHERE: &str = "/api/v1/things";
const OF_OWN: &str = "/api/v1/namespaces/own/things";

/// What a request is answered with.
#[derive(Clone)]
enum Answer {
    /// The whole response.
    Response(String),
    /// A head, and then these pieces, and then nothing while the connection stays open.
    Open(Vec<String>),
    /// The same, and then the connection breaks.
    Broken(Vec<String>),
    /// One piece again and again.
    Endless(String),
    /// Nothing, while the connection stays open.
    Silence,
}

/// Answers lists and watches of a path by scripts. The last answer of a script is repeated.
#[derive(Default)]
struct Script {
    lists: VecDeque<Answer>,
    watches: VecDeque<Answer>,
    /// Path and query of each request, and its `Authorization` header.
    asked: Vec<(String, String)>,
}

#[derive(Clone)]
struct Server {
    addr: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Server {
    fn start(lists: Vec<Answer>, watches: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let script = Script { lists: lists.into(), watches: watches.into(), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let shared = Arc::clone(&script);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { addr, script }
    }

    fn asked(&self, part: &str) -> usize {
        self.script.lock().unwrap().asked.iter().filter(|(target, _)| target.contains(part)).count()
    }

    /// What comes from now on.
    fn then(&self, lists: Vec<Answer>, watches: Vec<Answer>) {
        let mut script = self.script.lock().unwrap();
        script.lists = lists.into();
        script.watches = watches.into();
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line)? > 2 {
            head.push_str(&line);
            line.clear();
        }
        if head.is_empty() {
            return Ok(());
        }
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default().to_owned();
        let answer = {
            let mut script = script.lock().unwrap();
            let is_watch = target.contains("watch=true");
            script.asked.push((target, token));
            let queue = if is_watch { &mut script.watches } else { &mut script.lists };
            if queue.len() > 1 { queue.pop_front().unwrap() } else { queue[0].clone() }
        };
        let open = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        match answer {
            Answer::Response(text) => stream.write_all(text.as_bytes())?,
            Answer::Open(pieces) => {
                write!(stream, "{open}{}", pieces.iter().map(|text| chunk(text)).collect::<String>())?;
                reader.read_to_end(&mut Vec::new())?;
            }
            Answer::Broken(pieces) => {
                return write!(stream, "{open}{}", pieces.iter().map(|text| chunk(text)).collect::<String>());
            }
            Answer::Endless(text) => {
                write!(stream, "{open}")?;
                loop {
                    write!(stream, "{}", chunk(&text))?;
                }
            }
            Answer::Silence => drop(reader.read_to_end(&mut Vec::new())?),
        }
    }
}

fn response(status: &str, more: &str, body: &str) -> Answer {
    Answer::Response(format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\n\r\n{body}", body.len()))
}

fn refusal(code: u16, message: &str) -> Answer {
    let body = format!(r#"{{"kind":"Status","status":"Failure","message":"{message}","code":{code}}}"#);
    response(&format!("{code} No"), "", &body)
}

fn thing(name: &str, size: &str, version: u32) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("d", name));
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"{version}"}},"size":{size}}}"#
    )
}

fn list_of(version: u32, next: &str, items: &[String]) -> Answer {
    let items = items.join(",");
    response(
        "200 OK",
        "",
        &format!(r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{items}]}}"#),
    )
}

fn list(version: u32, names: &[&str]) -> Answer {
    let items: Vec<String> = names.iter().map(|name| thing(name, "1", version)).collect();
    list_of(version, "", &items)
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn added(name: &str, version: u32) -> String {
    event("ADDED", &thing(name, "1", version))
}

/// A watch that tells this and stays open.
fn open(events: &[String]) -> Answer {
    Answer::Open(events.to_vec())
}

/// Nothing is reported as late but what never comes; pauses are as good as none.
fn patient() -> Limits {
    let long = Duration::from_secs(60);
    Limits { answer: long, list: long, watch: long, settle: long, pause: Duration::from_millis(1), ..Limits::default() }
}

struct Watched {
    watch: Watch<Thing>,
    changes: Arc<Changes<u8>>,
    _registry: Registry,
}

fn watched(server: &Server, limits: Limits, scope: Scope, http: HttpClientConfig) -> Watched {
    // kube needs the process' default provider of TLS, even for plain HTTP.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let registry = Registry::new();
    let watches = Watches::with_limits(&registry, limits).unwrap();
    let api_server = ApiServer { api_server: Some(format!("http://{}", server.addr)), http, ..ApiServer::default() };
    let (watch, changes) = (watches.watch(&api_server, scope), Arc::new(Changes::default()));
    watch.notify(&changes, 0);
    Watched { watch, changes, _registry: registry }
}

impl Watched {
    /// With patient limits, everywhere.
    fn of(server: &Server) -> Self {
        watched(server, patient(), Scope::default(), HttpClientConfig::default())
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let found = async {
            // Changes since the last wait end the first one.
            while !is_so(self) {
                self.changes.wait().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(ended.is_ok(), "never: {what}; {:?} {:?}", self.names(), self.watch.failure());
    }

    fn names(&self) -> Vec<String> {
        self.watch.all().iter().map(|thing| kube_watch::name(&thing.metadata).to_owned()).collect()
    }

    async fn until_known(&self, names: &[&str]) {
        self.until(&format!("{names:?}"), |it| it.names() == names).await;
    }

    async fn until_error(&self, part: &str) {
        self.until(part, |it| it.watch.error().is_some_and(|error| error.contains(part))).await;
    }

    async fn until_well(&self) {
        self.until("no error", |it| it.watch.failure().is_none()).await;
    }
}

#[tokio::test]
async fn a_version_that_is_too_old_means_a_new_list() {
    let gone = event("ERROR", r#"{"kind":"Status","code":410,"message":"too old"}"#);
    let lists = vec![list(1, &["a", "b"]), list(5, &["b", "c"])];
    // Refused at once, and in the midst of a watch.
    for watch in [refusal(410, "too old"), Answer::Open(vec![gone])] {
        let server = Server::start(lists.clone(), vec![watch, open(&[added("d", 6)])]);
        let watched = Watched::of(&server);
        watched.until_known(&["b", "c", "d"]).await;
        watched.until_well().await;
        assert_eq!((server.asked("limit="), server.asked("resourceVersion=5")), (2, 1));
    }
    // The pages of a list, too: it begins anew.
    let lists = vec![list_of(1, "next", &[thing("a", "1", 1)]), refusal(410, "token expired"), list(5, &["b"])];
    let server = Server::start(lists, vec![open(&[])]);
    let watched = Watched::of(&server);
    watched.until_known(&["b"]).await;
    assert_eq!(server.asked("continue=next"), 1);
}

#[tokio::test]
async fn garbage_takes_nothing_away() {
    for (garbage, said) in [
        (response("200 OK", "", "<html>"), "cannot list: the server sent the list that cannot be read"),
        (response("200 OK", "", r#"{"metadata":{},"items":[]}"#), "no resourceVersion"),
        (
            response("200 OK", "", r#"{"metadata":{"resourceVersion":"1"},"items":[5]}"#),
            "an object that cannot be read",
        ),
        (response("502 Bad Gateway", "", "<html>"), "<html> (HTTP 502)"),
        (refusal(500, "etcd is gone"), "etcd is gone (HTTP 500)"),
        (Answer::Broken(vec!["{\"items\":[".to_owned()]), "cannot list"),
    ] {
        let server = Server::start(vec![list(1, &["a"]), garbage], vec![refusal(410, "too old"), open(&[])]);
        let watched = Watched::of(&server);
        watched.until_error(said).await;
        assert_eq!(watched.names(), ["a"]);
        assert!(watched.watch.failure().unwrap().stale_since.is_some());
        server.then(vec![list(9, &["a", "b"])], vec![open(&[added("c", 10)])]);
        watched.until_known(&["a", "b", "c"]).await;
        watched.until_well().await;
    }
    // Among events: what else was in it is unknown, so everything is listed.
    for garbage in ["garbage\n".to_owned(), event("ADDED", "{}"), event("DANCED", &thing("x", "1", 3))] {
        let server =
            Server::start(vec![list(1, &["a"]), list(5, &["b"])], vec![open(&[added("x", 2), garbage]), open(&[])]);
        let watched = Watched::of(&server);
        watched.until_known(&["b"]).await;
    }
}

#[tokio::test]
async fn one_bad_object_keeps_no_other_from_being_known() {
    let (good, bad) = (thing("a", "1", 1), thing("bad", "\"big\"", 1));
    let events = open(&[added("b", 2), event("MODIFIED", &thing("a", "-1", 3)), added("c", 4)]);
    let server = Server::start(vec![list_of(1, "", &[bad, good])], vec![events, open(&[])]);
    let watched = Watched::of(&server);
    watched.until_known(&["a", "b", "c"]).await;
    let failure = watched.watch.failure().unwrap();
    let message =
        "cannot read some things, which stay as they were known: d/a: invalid value: integer `-1`, expected u32";
    assert!(
        failure.message.starts_with(message) && failure.message.contains(", d/bad: invalid type: string …"),
        "{failure:?}"
    );
    assert_eq!((failure.stale_since, failure.status), (None, None), "all others are up to date");
    assert_eq!((server.asked("limit="), watched.watch.all()[0].size), (1, 1));
}

#[tokio::test]
async fn a_bad_object_is_no_longer_spoken_of_when_it_is_mended_or_gone() {
    let bad = ["p", "q", "r"].map(|name| thing(name, "[]", 1));
    let gone = event("DELETED", &thing("q", "[]", 3));
    let events = open(&[event("MODIFIED", &thing("p", "2", 2)), gone, event("BOOKMARK", &thing("", "0", 9))]);
    let server = Server::start(vec![list_of(1, "", &bad)], vec![events]);
    let watched = Watched::of(&server);
    watched
        .until("only r is bad", |it| it.watch.error().is_some_and(|e| e.contains("d/r") && !e.contains("d/p")))
        .await;
    watched.until("q is gone", |it| !it.watch.error().unwrap().contains("d/q")).await;
    assert_eq!(watched.names(), ["p"]);
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_ended() {
    let cut = r#"{"type":"ADDED","object":{"metadata":{"na"#.to_owned();
    let version = r#"{"metadata":{"resourceVersion":"7"}}"#;
    let watches = vec![
        // A restart of the server, in the midst of an event, and while it is not ready again.
        Answer::Broken(vec![added("b", 2), "\n".to_owned(), cut]),
        refusal(503, "starting"),
        response("429 Too Many Requests", "", "busy"),
        // In pieces, and with a version that no object has.
        open(&[added("c", 3)[..20].to_owned(), added("c", 3)[20..].to_owned(), event("BOOKMARK", version)]),
    ];
    let server = Server::start(vec![list(1, &["a"])], watches);
    let watched = Watched::of(&server);
    watched.until_known(&["a", "b", "c"]).await;
    watched.until_well().await;
    assert_eq!((server.asked("limit="), server.asked("resourceVersion=2")), (1, 3));
}

#[tokio::test]
async fn a_server_that_lists_and_refuses_to_watch_is_listed() {
    let lists = vec![list(1, &["a"]), list(2, &["b"]), list(3, &["c"])];
    let server = Server::start(lists, vec![refusal(503, "no watches today")]);
    let watched = Watched::of(&server);
    watched.until_known(&["c"]).await;
    assert!(watched.watch.error().unwrap().contains("no watches today"), "a list does not mend that");
    // One that ends every watch at once.
    let server = Server::start(vec![list(1, &["a"])], vec![Answer::Broken(Vec::new())]);
    let watched = Watched::of(&server);
    watched.until_error("the server ends every watch at once").await;
}

#[tokio::test]
async fn a_busy_server_is_given_the_time_it_asks_for() {
    let busy = response("429 Too Many Requests", "retry-after: 1\r\n", "Too many requests");
    let server = Server::start(vec![busy, list(1, &["a"])], vec![open(&[])]);
    let began = tokio::time::Instant::now();
    let watched = Watched::of(&server);
    watched.until_error("Too many requests (HTTP 429)").await;
    assert_eq!(server.asked("limit="), 1);
    watched.until_known(&["a"]).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "it asked again too early");
}

/// What is late is asked for again, so that a slow machine only takes longer.
fn impatient() -> Limits {
    let short = Duration::from_millis(50);
    Limits { answer: short, list: Duration::from_millis(200), ..patient() }
}

#[tokio::test]
async fn lists_that_are_late_or_never_end_are_reported_and_tried_again() {
    let spaces = Answer::Endless(" ".repeat(100));
    let pages = list_of(1, "again", &[thing("x", "1", 1)]);
    for (answer, said) in [
        (Answer::Silence, "cannot list: no answer within 50ms"),
        (open(&["{".to_owned()]), "cannot list: no answer within 50ms"),
        (spaces, "cannot list: the list did not end within 200ms"),
        (pages, "cannot list: the list did not end within 200ms"),
    ] {
        let server = Server::start(vec![list(1, &["a"])], vec![refusal(410, "too old")]);
        let watched = watched(&server, impatient(), Scope::default(), HttpClientConfig::default());
        watched.until_known(&["a"]).await;
        server.then(vec![answer], vec![refusal(410, "too old")]);
        watched.until_error(said).await;
        assert_eq!(watched.names(), ["a"], "what was known stays, and half a list is none");
        server.then(vec![list(2, &["b"])], vec![open(&[added("c", 3)])]);
        watched.until_known(&["b", "c"]).await;
    }
}

#[tokio::test]
async fn a_silent_watch_is_resumed() {
    // One that is not answered, and one that tells nothing any more. Each is given up after twice the time of a watch.
    let watches = vec![Answer::Silence, open(&[added("b", 2)]), open(&[added("c", 3)])];
    let server = Server::start(vec![list(1, &["a"])], watches);
    let limits = Limits { watch: Duration::from_millis(500), settle: Duration::from_millis(10), ..patient() };
    let watched = watched(&server, limits, Scope::default(), HttpClientConfig::default());
    watched.until_error("no answer within 1s").await;
    watched.until_known(&["a", "b", "c"]).await;
    watched.until_well().await;
    assert_eq!((server.asked("limit="), server.asked("resourceVersion=1")), (1, 2));
}

#[tokio::test]
async fn an_expired_token_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let authorization = Authorization { credentials_file: Some(file.clone()), ..Authorization::default() };
    let http = HttpClientConfig { authorization: Some(authorization), ..HttpClientConfig::default() };
    let server = Server::start(vec![list(1, &["a"])], vec![refusal(401, "Unauthorized")]);
    let watched = watched(&server, patient(), Scope::default(), http);
    watched.until_error("Unauthorized (HTTP 401)").await;
    assert_eq!(watched.names(), ["a"]);
    std::fs::write(&file, "new").unwrap();
    server.then(vec![list(2, &["b"])], vec![open(&[added("c", 3)])]);
    watched.until_known(&["b", "c"]).await;
    let tokens: Vec<String> = server.script.lock().unwrap().asked.iter().map(|(_, token)| token.clone()).collect();
    assert_eq!((tokens[0].as_str(), tokens.last().unwrap().as_str()), ("Bearer old", "Bearer new"));
}

#[tokio::test]
async fn what_may_not_be_seen_everywhere_is_looked_for_in_the_own_namespace() {
    let server = kit::KubeApi::start();
    let item = |name: &str, version: u32| thing(&format!("own/{name}"), "1", version);
    server.set(OF_OWN, &[item("a", 1)]);
    let addr = Server { addr: server.addr, script: Arc::default() };
    let scope = || Scope { fallback_namespace: Some("own".to_owned()), ..Scope::default() };
    let watched = watched(&addr, patient(), scope(), HttpClientConfig::default());
    watched.until_known(&["a"]).await;
    let failure = watched.watch.failure().unwrap();
    let hint = "give its service account the right in a Role or ClusterRole; until it is given, only namespace own is looked in";
    assert_eq!(failure.message, format!("cannot watch things: cannot list: no such right (HTTP 403); {hint}"));
    assert_eq!((failure.status, failure.stale_since), (Some(403), None));
    server.event(OF_OWN, "ADDED", &item("b", 2));
    watched.until_known(&["a", "b"]).await;
    // Given the right it goes back.
    server.set(EVERYWHERE, &[item("b", 1), thing("other/c", "1", 1)]);
    watched.until_known(&["c", "b"]).await;
    watched.until_well().await;
    server.event(EVERYWHERE, "ADDED", &thing("other/d", "1", 2));
    watched.until_known(&["c", "d", "b"]).await;
    // Taken again: other namespaces stay as they were, and the failure says since when.
    server.set(OF_OWN, &[item("e", 3)]);
    server.refuse(EVERYWHERE, 403);
    watched.until_known(&["c", "d", "e"]).await;
    let failure = watched.watch.failure().unwrap();
    assert!(
        failure.stale_since.is_some() && failure.message.ends_with(", and others stay as they were"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn both_refusals_are_reported_and_without_a_namespace_of_its_own_there_is_one() {
    let server = Server::start(vec![refusal(403, "no")], vec![open(&[])]);
    let scope = Scope { fallback_namespace: Some("own".to_owned()), ..Scope::default() };
    let both = watched(&server, patient(), scope, HttpClientConfig::default());
    both.until("settled", |it| it.watch.is_settled()).await;
    let error = both.watch.error().unwrap();
    assert!(
        error.contains("only namespace own is looked in; cannot watch things in namespace own: cannot list: no"),
        "{error}"
    );
    let one = Watched::of(&server);
    one.until_error("cannot watch things: cannot list: no (HTTP 403)").await;
    assert!(one.watch.is_settled() && !one.watch.error().unwrap().contains("namespace"));
    // A kind that the server does not know is no refusal.
    let server = Server::start(vec![refusal(404, "no such kind")], vec![open(&[])]);
    let scope = Scope { fallback_namespace: Some("own".to_owned()), ..Scope::default() };
    let unknown = watched(&server, patient(), scope, HttpClientConfig::default());
    unknown.until_error("HTTP 404").await;
    assert_eq!(server.asked(OF_OWN), 0);
}
