//! Stands between targets and servers: both servers get the same pages, each in its own time.
//!
//! Until a case has pages its requests are refused, and then one more of each server: the time of a scrape is a little
//! before its request, and all that is recorded shall be older than the first scrape that gets it. After that the n-th
//! request of each server is answered with the n-th page, and further ones with the last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kit::{Answer, Exporter, eventually};

/// Pages of a case, the bad ones included.
pub const PAGES: usize = 8;
/// The target answers nothing but a status.
pub const REFUSED: usize = 3;
/// The body ends in the middle of something.
pub const BROKEN: usize = 5;

#[derive(Default)]
struct State {
    /// By case: whole answers.
    pages: BTreeMap<String, Vec<Vec<u8>>>,
    /// By server and case.
    asked: BTreeMap<(String, String), Asked>,
}

#[derive(Default)]
struct Asked {
    /// The distinct `Accept` headers.
    accepts: Vec<String>,
    /// It was refused once more.
    begins: bool,
    /// How many pages it got.
    pages: usize,
}

pub struct Recorder {
    exporter: Exporter,
    state: Arc<Mutex<State>>,
}

/// A whole answer. The connection ends with it.
pub fn answer(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n");
    let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    bytes
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(of, _)| of.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

impl Recorder {
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let exporter = Exporter::start_with(move |head| {
            let path = head.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/');
            let Some((server, case)) = path.split_once('/') else {
                return Answer::Raw(answer("404 Not Found", "text/plain", b""));
            };
            let State { pages, asked } = &mut *shared.lock().unwrap();
            let asked = asked.entry((server.to_owned(), case.to_owned())).or_default();
            let accept = header(head, "accept").to_owned();
            if !asked.accepts.contains(&accept) {
                asked.accepts.push(accept);
            }
            let pages = pages.get(case);
            let begins = std::mem::replace(&mut asked.begins, pages.is_some());
            let Some(pages) = pages.filter(|_| begins) else {
                return Answer::Raw(answer("503 Service Unavailable", "text/plain", b"not yet recorded"));
            };
            asked.pages += 1;
            Answer::Raw(pages[asked.pages.min(pages.len()) - 1].clone())
        });
        Self { exporter, state }
    }

    /// Where it answers.
    pub fn address(&self) -> &str {
        &self.exporter.address
    }

    /// What a server asks for in a case.
    pub fn accepted(&self, server: &str, case: &str) -> Vec<String> {
        eventually(&format!("{server} asks for {case}"), || {
            let state = self.state.lock().unwrap();
            let asked = state.asked.get(&(server.to_owned(), case.to_owned()));
            asked.map(|asked| asked.accepts.clone()).ok_or_else(|| "nothing yet".to_owned())
        })
    }

    /// From now on the case has these pages.
    pub fn serve(&self, case: &str, pages: Vec<Vec<u8>>) {
        assert_eq!(pages.len(), PAGES);
        self.state.lock().unwrap().pages.insert(case.to_owned(), pages);
    }

    /// Does the server ask beyond the last page, so that it has kept all of them?
    pub fn has_all(&self, server: &str, case: &str) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        let pages = state.asked[&(server.to_owned(), case.to_owned())].pages;
        if pages > PAGES { Ok(()) } else { Err(format!("{pages} pages")) }
    }
}
