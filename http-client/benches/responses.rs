//! A scrape's request and response over a target's own connection, beside hyper's: CPU time of the client's thread.
//!
//! `cargo bench -p http-client`. The two take turns, so that what else the machine does hits both; the least of several rounds
//! counts. To be compared with what a whole scrape of the same page costs (`cargo xtask bench`, CPU a sample).
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark talks to a terminal")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use config::HttpClientConfig;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Empty};
use http_client::{Connection, HttpClient, Resolver};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use url::Url;

const REQUESTS: usize = 3_000;
const ROUNDS: usize = 7;

/// A server of one page, each connection on a thread of its own, that ends with the process.
fn serve(page: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n", page.len());
    let response = [head.into_bytes(), page].concat();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, response) = (stream.unwrap(), response.clone());
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    stream.write_all(&response).unwrap();
                }
            });
        }
    });
    address
}

/// CPU time of this thread, user and system, in nanoseconds (`proc(5)`, `schedstat`).
fn cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Nanoseconds of CPU for each request.
fn measured(mut request: impl FnMut()) -> u64 {
    let before = cpu_ns();
    (0..REQUESTS).for_each(|_| request());
    (cpu_ns() - before) / REQUESTS as u64
}

fn ours(runtime: &Runtime, address: SocketAddr, bytes: usize) -> impl FnMut() {
    let client = HttpClient::new(&HttpClientConfig::default(), "bench", &Resolver::system()).unwrap();
    let url = Url::parse(&format!("http://{address}/metrics")).unwrap();
    let (mut connection, mut body) = (Connection::default(), Vec::new());
    move || {
        body.clear();
        runtime.block_on(async {
            let mut response = client.get(&mut connection, &url, &HeaderMap::new()).await.unwrap();
            while response.read(&mut body).await.unwrap() {}
        });
        assert_eq!(body.len(), bytes);
    }
}

fn hypers(runtime: &Runtime, address: SocketAddr, bytes: usize) -> impl FnMut() {
    let mut sender = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "a benchmark has no manager of tasks")]
        drop(tokio::spawn(connection));
        sender
    });
    let mut body = Vec::new();
    move || {
        body.clear();
        runtime.block_on(async {
            let request =
                http::Request::get("/metrics").header("host", address.to_string()).header("user-agent", "bench");
            let mut response = sender.send_request(request.body(Empty::<&[u8]>::new()).unwrap()).await.unwrap();
            while let Some(frame) = response.frame().await {
                body.extend_from_slice(frame.unwrap().data_ref().unwrap());
            }
        });
        assert_eq!(body.len(), bytes);
    }
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    println!("{:>9} {:>12} {:>12} {:>12}", "samples", "ours, us", "hyper, us", "difference");
    for samples in [100, 1_000, 10_000] {
        let page: String = (0..samples)
            .map(|i| format!("http_requests_total{{code=\"200\",path=\"/api/v{i}\",method=\"GET\"}} {}\n", i * 37))
            .collect();
        let bytes = page.len();
        let address = serve(page.into_bytes());
        let (mut ours, mut hypers) = (ours(&runtime, address, bytes), hypers(&runtime, address, bytes));
        let (mut least, mut hypers_least) = (u64::MAX, u64::MAX);
        for _ in 0..ROUNDS {
            least = least.min(measured(&mut ours));
            hypers_least = hypers_least.min(measured(&mut hypers));
        }
        let us = |ns: u64| ns as f64 / 1_000.0;
        println!("{samples:>9} {:>12.1} {:>12.1} {:>12.1}", us(least), us(hypers_least), us(hypers_least) - us(least));
    }
}
