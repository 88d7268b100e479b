//! A fake Kubernetes API server: lists and watches, in a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

/// An API server that lists what it is given, keeps every watch open, and refuses paths that it does not know.
///
/// It is told what there is in one of two ways: path by path, with [`KubeApi::set`] and [`KubeApi::event`]; or as
/// collections, `/apis/GROUP/VERSION/PLURAL`, with [`KubeApi::put`] and [`KubeApi::remove`], which it also serves namespace
/// by namespace and filtered by name.
#[derive(Debug)]
pub struct KubeApi {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    /// Lists by path: the items.
    lists: BTreeMap<String, Vec<String>>,
    /// Objects by collection, and there by namespace and name.
    collections: BTreeMap<String, BTreeMap<(String, String), Value>>,
    /// What happened to a path or collection. Its length, plus one, is the resource version.
    events: BTreeMap<String, Vec<Happened>>,
    /// Paths that are answered with this status instead.
    refused: BTreeMap<String, u16>,
    /// Paths that are not answered yet.
    held: BTreeSet<String>,
    /// The queries with which each path was listed.
    queries: BTreeMap<String, Vec<String>>,
    is_over: bool,
}

/// One event of a watch.
#[derive(Clone, Debug)]
struct Happened {
    /// The object's namespace and name; `None` for an event that all watches of its path get.
    key: Option<(String, String)>,
    text: String,
}

impl KubeApi {
    /// Starts a server that knows no path.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.0.lock().unwrap().is_over {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = serve(stream, &shared);
                });
            }
        });
        Self { addr, state }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
        changed
    }

    /// Sets the list of a path: objects in JSON.
    pub fn set(&self, path: &str, items: &[String]) {
        self.change(|state| state.lists.insert(path.to_owned(), items.to_vec()));
    }

    /// Sends an event to the watches of a path: `ADDED`, `MODIFIED` or `DELETED`.
    pub fn event(&self, path: &str, kind: &str, object: &str) {
        let text = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.change(|state| state.events.entry(path.to_owned()).or_default().push(Happened { key: None, text }));
    }

    /// Serves a collection, which may be empty.
    pub fn serve(&self, collection: &str) {
        self.change(|state| {
            state.collections.entry(collection.to_owned()).or_default();
        });
    }

    /// Adds an object to a collection, or replaces it there, and tells the watches.
    pub fn put(&self, collection: &str, object: &Value) {
        self.change(|state| {
            let object = state.versioned(collection, object);
            let objects = state.collections.entry(collection.to_owned()).or_default();
            let kind = if objects.insert(key_of(&object), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
            state.tell(collection, kind, &object);
        });
    }

    /// The objects of a collection.
    #[must_use]
    pub fn objects(&self, collection: &str) -> Vec<Value> {
        let state = self.state.0.lock().unwrap();
        state.collections.get(collection).map(|objects| objects.values().cloned().collect()).unwrap_or_default()
    }

    /// Removes an object from a collection, and tells the watches.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove(&self, collection: &str, namespace: &str, name: &str) {
        self.change(|state| {
            let objects = state.collections.entry(collection.to_owned()).or_default();
            let object = objects.remove(&(namespace.to_owned(), name.to_owned())).unwrap();
            let object = state.versioned(collection, &object);
            state.tell(collection, "DELETED", &object);
        });
    }

    /// Answers a path with a status: 403 without the right, 404 for a kind without its definition. Its watches end.
    pub fn refuse(&self, path: &str, status: u16) {
        self.change(|state| state.refused.insert(path.to_owned(), status));
    }

    /// Answers a path again.
    pub fn allow(&self, path: &str) {
        self.change(|state| state.refused.remove(path));
    }

    /// Answers lists of a path only once it is released.
    pub fn hold(&self, path: &str) {
        self.change(|state| state.held.insert(path.to_owned()));
    }

    /// Answers what is held.
    pub fn release(&self, path: &str) {
        self.change(|state| state.held.remove(path));
    }

    /// The queries with which a path was listed, one for each time.
    #[must_use]
    pub fn queries(&self, path: &str) -> Vec<String> {
        self.state.0.lock().unwrap().queries.get(path).cloned().unwrap_or_default()
    }

    /// How often a path was listed.
    #[must_use]
    pub fn n_lists(&self, path: &str) -> usize {
        self.queries(path).len()
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.change(|state| state.is_over = true);
        drop(TcpStream::connect(self.addr));
    }
}

fn key_of(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

impl State {
    fn version(&self, source: &str) -> usize {
        self.events.get(source).map_or(0, Vec::len) + 1
    }

    /// The object as it is after the next event.
    fn versioned(&self, source: &str, object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = json!((self.version(source) + 1).to_string());
        object
    }

    fn tell(&mut self, collection: &str, kind: &str, object: &Value) {
        let text = format!("{}\n", json!({"type": kind, "object": object}));
        let happened = Happened { key: Some(key_of(object)), text };
        self.events.entry(collection.to_owned()).or_default().push(happened);
    }
}

/// What a request is about.
struct Asked {
    path: String,
    query: String,
    /// The path or collection that has it.
    source: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Asked {
    fn new(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut asked = Self {
            path: path.to_owned(),
            query: query.to_owned(),
            source: path.to_owned(),
            namespace: None,
            name: parameter(query, "fieldSelector")
                .and_then(|text| text.strip_prefix("metadata.name%3D"))
                .map(str::to_owned),
        };
        if let Some((group, rest)) = path.split_once("/namespaces/")
            && let Some((namespace, plural)) = rest.split_once('/')
        {
            asked.source = format!("{group}/{plural}");
            asked.namespace = Some(namespace.to_owned());
        }
        asked
    }

    /// The path as it was given, or else the collection that it is a part of.
    fn in_state(mut self, state: &State) -> Self {
        if state.lists.contains_key(&self.path) || state.events.contains_key(&self.path) {
            self.source.clone_from(&self.path);
        }
        self
    }

    fn is_about(&self, (namespace, name): &(String, String)) -> bool {
        self.namespace.as_ref().is_none_or(|one| one == namespace) && self.name.as_ref().is_none_or(|one| one == name)
    }

    /// The list, or the status without one.
    fn list(&self, state: &State) -> Result<String, u16> {
        if let Some(status) = state.refused.get(&self.path) {
            return Err(*status);
        }
        let items = match (state.lists.get(&self.path), state.collections.get(&self.source)) {
            (Some(items), _) => items.join(","),
            (None, Some(objects)) => {
                let listed = objects.iter().filter(|(key, _)| self.is_about(key));
                listed.map(|(_, object)| object.to_string()).collect::<Vec<_>>().join(",")
            }
            (None, None) => return Err(403),
        };
        let version = state.version(&self.source);
        Ok(format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#
        ))
    }

    /// Adds an object to a collection.
    fn create(&self, body: &[u8], state: &mut State) -> Result<String, u16> {
        if let Some(status) = state.refused.get(&self.path) {
            return Err(*status);
        }
        let object: Value = serde_json::from_slice(body).map_err(|_| 400_u16)?;
        let objects = state.collections.get_mut(&self.source).ok_or(404_u16)?;
        objects.insert(key_of(&object), object.clone());
        Ok(object.to_string())
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut state = shared.0.lock().unwrap();
        let asked = Asked::new(first.split(' ').nth(1).unwrap_or_default()).in_state(&state);
        let is_watch = asked.query.contains("watch=true");
        if !is_watch {
            state.queries.entry(asked.path.clone()).or_default().push(asked.query.clone());
            while state.held.contains(&asked.path) && !state.is_over {
                state = shared.1.wait(state).unwrap();
            }
        }
        let listed = if first.starts_with("POST ") { asked.create(&body, &mut state) } else { asked.list(&state) };
        if is_watch && listed.is_ok() {
            watch(&mut stream, &asked, shared, state)?;
            continue;
        }
        drop(state);
        let (status, body) = listed.map_or_else(refusal, |body| ("200 OK".to_owned(), body));
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}

/// What a real server says.
fn refusal(status: u16) -> (String, String) {
    let (reason, message) = match status {
        403 => ("Forbidden", "no such right"),
        404 => ("NotFound", "the server could not find the requested resource"),
        _ => ("InternalError", "something went wrong"),
    };
    let body = json!({"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": status});
    (format!("{status} {reason}"), body.to_string())
}

/// Sends what happens after the version that the watch begins at, until the path is refused.
fn watch(
    stream: &mut TcpStream,
    asked: &Asked,
    shared: &(Mutex<State>, Condvar),
    mut state: std::sync::MutexGuard<'_, State>,
) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let version = parameter(&asked.query, "resourceVersion").and_then(|text| text.parse::<usize>().ok());
    let mut sent = version.unwrap_or(1).saturating_sub(1);
    loop {
        let happened = state.events.get(&asked.source).map_or(&[][..], Vec::as_slice);
        for one in happened.get(sent..).unwrap_or_default() {
            if one.key.as_ref().is_none_or(|key| asked.is_about(key)) {
                write!(stream, "{:x}\r\n{}\r\n", one.text.len(), one.text)?;
            }
        }
        sent = sent.max(happened.len());
        if state.refused.contains_key(&asked.path) {
            return write!(stream, "0\r\n\r\n");
        }
        if state.is_over {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        state = shared.1.wait(state).unwrap();
    }
}
