//! A client for one request at a time over loopback: its own cost must not blur what it measures.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// No request of a benchmark waits longer for a byte.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer, and how long it took from connecting to the last byte.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, without framing.
    pub body: Vec<u8>,
    /// The time it took.
    pub took: Duration,
}

/// A server on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    port: u16,
}

impl Http {
    /// The server on this port.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self { port }
    }

    /// A GET, whatever its status.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, "")
    }

    /// A GET with further lines of its head, each with its end.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn get_with(&self, path: &str, lines: &str) -> Result<Answer> {
        self.request("GET", path, lines)
    }

    /// A POST without a body, whatever its status.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn post(&self, path: &str) -> Result<Answer> {
        self.request("POST", path, "Content-Length: 0\r\n")
    }

    /// A connection that stays open.
    ///
    /// # Errors
    /// When the server does not listen.
    pub fn connect(&self) -> Result<Connection> {
        Ok(Connection { stream: self.open()?.0, bytes: Vec::with_capacity(64 << 10) })
    }

    fn open(&self) -> Result<(TcpStream, SocketAddr)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }

    fn request(&self, method: &str, path: &str, lines: &str) -> Result<Answer> {
        let begin = Instant::now();
        let (mut stream, address) = self.open()?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{lines}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut bytes = Vec::with_capacity(64 << 10);
        stream.read_to_end(&mut bytes).with_context(|| format!("no answer from {address} to {path}"))?;
        let took = begin.elapsed();
        let (status, body) = parse(bytes).with_context(|| format!("{address}{path}"))?;
        Ok(Answer { status, body, took })
    }

    /// The text of a page.
    ///
    /// # Errors
    /// When there is none.
    pub fn text(&self, path: &str) -> Result<String> {
        let answer = self.get(path)?;
        if answer.status != 200 {
            bail!("{path}: status {}", answer.status);
        }
        Ok(String::from_utf8(answer.body)?)
    }

    /// A page of JSON.
    ///
    /// # Errors
    /// When there is none.
    pub fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(&self.get(path)?.body).with_context(|| format!("{path} is no JSON"))
    }

    /// The one number that an instant query gives at a time; `None` when it gives no series or an error.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn number(&self, query: &str, at: Timestamp) -> Result<Option<f64>> {
        let value = self.json(&instant(query, at))?;
        Ok(value["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()))
    }

    /// The sum of the server's own metrics of a name, of those lines that hold `part`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn metric(&self, name: &str, part: &str) -> Result<Option<f64>> {
        let text = self.text("/metrics")?;
        let mine = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(part)
        });
        Ok(mine.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).reduce(|a, b| a + b))
    }
}

/// A connection for one request after another.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Connection {
    /// A GET; returns the status and the length of the body with its framing.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn get(&mut self, path: &str) -> Result<(u16, usize)> {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        self.bytes.clear();
        let end = loop {
            self.more()?;
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.bytes[..end]).to_lowercase();
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer without a status")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        // No JSON has a line break like that of the last chunk.
        while length.map_or(!self.bytes.ends_with(b"\r\n0\r\n\r\n"), |length| self.bytes.len() < end + length) {
            self.more()?;
        }
        Ok((status, self.bytes.len() - end))
    }

    fn more(&mut self) -> Result<()> {
        let had = self.bytes.len();
        self.bytes.resize(had + (64 << 10), 0);
        let read = self.stream.read(&mut self.bytes[had..])?;
        self.bytes.truncate(had + read);
        if read == 0 { bail!("an answer cut short") } else { Ok(()) }
    }
}

/// The path of an instant query. `nocache` is VictoriaMetrics' word for: answer for this very time.
#[must_use]
pub fn instant(query: &str, at: Timestamp) -> String {
    format!("/api/v1/query?nocache=1&time={}&query={}", seconds(at), escape(query))
}

/// A time as the API takes it.
#[must_use]
pub fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.0 / 1_000, at.0 % 1_000)
}

/// Text as part of a query string.
#[must_use]
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn parse(bytes: Vec<u8>) -> Result<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without a head")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer without a status")?;
    let body = bytes[end + 4..].to_vec();
    let chunked = head.lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    Ok((status, if chunked { unchunk(&body)? } else { body }))
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("a chunk without a size")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16).context("a chunk without a size")?;
        if size == 0 {
            return Ok(body);
        }
        let from = end + 2;
        body.extend_from_slice(rest.get(from..from + size).context("an answer cut short")?);
        rest = rest.get(from + size + 2..).context("an answer cut short")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_a_cut_answer_is_refused() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(whole.to_vec()).unwrap(), (200, b"abcde".to_vec()));
        assert!(parse(whole[..whole.len() - 8].to_vec()).is_err());
    }
}
