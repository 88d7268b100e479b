//! A target that says what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What the target does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The text format, as it should be.
    Metrics(String),
    /// Exactly these bytes, head and all; then the connection is closed.
    Raw(Vec<u8>),
    /// A head, then this again and again until the other side gives up.
    Endless(Vec<u8>),
    /// Nothing, until the other side gives up.
    Silence,
}

/// A server on a free loopback port; ends when dropped.
#[derive(Debug)]
pub struct Exporter {
    /// Where it answers, `127.0.0.1:port`.
    pub address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts it; `answer` is asked with the path of each request.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(move |head| answer(head.split_whitespace().nth(1).unwrap_or("/")))
    }

    /// The same; `answer` is asked with the head of each request.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start_with(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer)
    }

    /// The same at an address; ends when dropped.
    ///
    /// # Panics
    /// When it cannot listen there.
    #[must_use]
    pub fn start_at(address: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), answer) = (stream, Arc::clone(&answer)) else { continue };
                // Ends with its connection.
                std::thread::spawn(move || serve(stream, answer.as_ref()));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        TcpStream::connect(&self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Answer) {
    loop {
        let Some(head) = read_head(&mut stream) else { return };
        // A connection that is closed before the body was read is reset, and the answer may be lost.
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if stream.read_exact(&mut vec![0; length.unwrap_or(0)]).is_err() {
            return;
        }
        match answer(&head) {
            Answer::Metrics(body) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
                    return;
                }
            }
            Answer::Raw(bytes) => {
                stream.write_all(&bytes).ok();
                return;
            }
            Answer::Silence => {
                while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
                return;
            }
            Answer::Endless(chunk) => {
                let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\r\n";
                let mut sent = stream.write_all(head);
                while sent.is_ok() {
                    sent = stream.write_all(&chunk);
                }
                return;
            }
        }
    }
}

/// The head of a request; `None` when the other side has gone.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
