//! A fake Kubernetes API server: lists and watches, in a thread of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// An API server that lists what it is given, keeps every watch open, and refuses paths that it does not know.
#[derive(Debug)]
pub struct KubeApi {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    /// Lists by path.
    lists: BTreeMap<String, String>,
    /// Events for the watches of a path; each is sent once.
    events: BTreeMap<String, Vec<String>>,
    /// The queries with which each path was listed.
    queries: BTreeMap<String, Vec<String>>,
    is_over: bool,
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

    /// Sets the list of a path: objects in JSON.
    pub fn set(&self, path: &str, items: &[String]) {
        let list = format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":[{}]}}"#,
            items.join(",")
        );
        self.state.0.lock().unwrap().lists.insert(path.to_owned(), list);
    }

    /// Sends an event to the watch of a path: `ADDED`, `MODIFIED` or `DELETED`.
    pub fn event(&self, path: &str, kind: &str, object: &str) {
        let event = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.state.0.lock().unwrap().events.entry(path.to_owned()).or_default().push(event);
        self.state.1.notify_all();
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
        self.state.0.lock().unwrap().is_over = true;
        self.state.1.notify_all();
        drop(TcpStream::connect(self.addr));
    }
}

fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut state = shared.0.lock().unwrap();
        if !query.contains("watch=true") {
            state.queries.entry(path.to_owned()).or_default().push(query.to_owned());
            let (status, body) = match state.lists.get(path) {
                Some(list) => ("200 OK", list.clone()),
                None => (
                    "403 Forbidden",
                    r#"{"kind":"Status","status":"Failure","message":"no such right","reason":"Forbidden","code":403}"#
                        .to_owned(),
                ),
            };
            drop(state);
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )?;
            continue;
        }
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            for event in state.events.remove(path).unwrap_or_default() {
                write!(stream, "{:x}\r\n{event}\r\n", event.len())?;
            }
            if state.is_over {
                return Ok(());
            }
            state = shared.1.wait(state).unwrap();
        }
    }
}
