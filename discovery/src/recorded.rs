//! Recorded answers of services, served on the loopback interface, for tests.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use config::SdConfig;
use model::TargetGroup;
use parking_lot::Mutex;

use crate::discoverer::{Context, Surroundings};
use crate::metrics::Metrics;

/// A request: `GET /path?query`, its head and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The headers of an answer, with `\r\n` behind each, and its body; the status is 404 if there is none.
pub(crate) type Said = Option<(String, String)>;

/// A server; ends when dropped.
pub(crate) struct Recorded {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    socket: Option<PathBuf>,
    thread: Option<JoinHandle<()>>,
}

impl Recorded {
    /// Answers requests that begin alike, as JSON.
    pub(crate) fn start(answers: &[(&str, &str)]) -> Self {
        Self::start_with(from(answers))
    }

    pub(crate) fn start_with(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accept = move || listener.accept().ok().map(|(stream, _)| stream);
        Self::serve(url, None, accept, answer)
    }

    /// The same behind a Unix socket.
    pub(crate) fn at_socket(path: &Path, answers: &[(&str, &str)]) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let accept = move || listener.accept().ok().map(|(stream, _)| stream);
        Self::serve(format!("unix://{}", path.display()), Some(path.to_owned()), accept, from(answers))
    }

    fn serve<S: Read + Write + Send + 'static>(
        url: String,
        socket: Option<PathBuf>,
        accept: impl Fn() -> Option<S> + Send + 'static,
        answer: impl Fn(&Asked) -> Said + Send + Sync + 'static,
    ) -> Self {
        let (asked, stop) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(AtomicBool::new(false)));
        let (heard, stopped, answer) = (Arc::clone(&asked), Arc::clone(&stop), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            while let Some(mut stream) = accept() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (heard, answer, stopped) = (Arc::clone(&heard), Arc::clone(&answer), Arc::clone(&stopped));
                // Ends with its connection.
                std::thread::spawn(move || {
                    while let Some(asked) = read(&mut stream).filter(|_| !stopped.load(Ordering::Relaxed)) {
                        heard.lock().push(asked.clone());
                        let (status, headers, body) = match answer(&asked) {
                            Some((headers, body)) => ("200 OK", headers, body),
                            None => ("404 Not Found", String::new(), "not recorded".to_owned()),
                        };
                        let length = body.len();
                        let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
                        if stream.write_all(text.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, asked, stop, socket, thread: Some(thread) }
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// Their lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        match &self.socket {
            Some(path) => drop(UnixStream::connect(path)),
            None => drop(std::net::TcpStream::connect(self.url.trim_start_matches("http://"))),
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn from(answers: &[(&str, &str)]) -> impl Fn(&Asked) -> Said + Send + Sync + 'static {
    let answers: Vec<(String, String)> =
        answers.iter().map(|(line, body)| ((*line).to_owned(), (*body).to_owned())).collect();
    move |asked| {
        let found = answers.iter().find(|(line, _)| *line == asked.line);
        found.map(|(_, body)| ("Content-Type: application/json\r\n".to_owned(), body.clone()))
    }
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let head = kit::read_head(stream)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).ok()?;
    let line = head.split(" HTTP/").next().unwrap_or_default().to_owned();
    Some(Asked { line, head, body: String::from_utf8(body).unwrap() })
}

/// What discoveries share.
pub(crate) fn context() -> Context {
    let registry = prometheus::Registry::new();
    let watches = kube_watch::Watches::new(&registry).unwrap();
    let metrics = Metrics::new(&registry).unwrap();
    let kubernetes = Surroundings { watches, own_namespace: None, kubelet_service: None, pod_labels: Arc::default() };
    Context { metrics, kubernetes, http: ("Weft/test".to_owned(), http_client::Resolver::system()) }
}

/// The one discovery of a job: `http_sd_configs: [{url: 'http://a'}]`.
pub(crate) fn sd(fields: &str) -> SdConfig {
    let text = format!("scrape_configs: [{{job_name: a, {fields}}}]");
    let config = config::Config::parse(&text, Path::new("p.yml"), &|_| None).unwrap();
    config.scrape_configs[0].sd[0].clone()
}

/// Each target of a group with all its labels, sorted.
pub(crate) fn shown(group: &TargetGroup) -> Vec<String> {
    let mut all: Vec<String> = group.targets.iter().map(|target| target.joined(&group.labels).to_string()).collect();
    all.sort();
    all
}
