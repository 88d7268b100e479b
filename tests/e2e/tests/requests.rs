//! Requests as clients really send them: `curl -g`, URLs of a megabyte, thousands of headers, forms in parts. The answers
//! are those of Prometheus 3.16.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use kit::{PATIENCE, Weft};

const NOTHING: &str = "scrape_configs: []\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const PARTS: &str = "Content-Type: multipart/form-data; boundary=xx\r\n";

/// The status and the body of each answer on one connection.
fn exchange(weft: &Weft, sent: &[u8], answers: usize) -> Vec<(u16, String)> {
    let mut stream = TcpStream::connect(&weft.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may refuse a request before it has all of it.
    stream.write_all(sent).ok();
    (0..answers).map(|_| answer(&mut stream)).collect()
}

fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: w\r\n{headers}\r\n")
}

fn post(target: &str, headers: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: w\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn part(name: &str, value: &str) -> String {
    format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

#[test]
fn what_gos_server_takes() {
    let weft = Weft::start(NOTHING, &["--web.enable-admin-api"]);
    let long = |bytes: usize| format!("/api/v1/query?x={}&query=7", "a".repeat(bytes));
    let headers = |n: usize| (0..n).map(|i| format!("X-H{i}: 1\r\n")).collect::<String>();
    let form = |query: &str| part("query", query) + "--xx--\r\n";
    let both = part("match[]", "x") + &form("x");
    for (request, status, said) in [
        (get("/api/v1/query?query=up{job=\"j\"}", ""), 200, "\"vector\""),
        (get("/api/v1/query?query=up<2", ""), 200, "\"vector\""),
        (get("/api/v1/query?query=\"é世\"", ""), 200, "\"é世\""),
        (get("/api/v1/query?query=7#x", ""), 200, "\"7\""),
        (get("http://w/api/v1/query?query=up{a=~\"b|c\"}", ""), 200, "\"vector\""),
        (get("/api/v1/query?query=1%zz", ""), 400, "no expression found in input"),
        (get("/api/v1/query?query=1&x=%zz", ""), 200, "\"1\""),
        (get("/api/v1/series?match[]=up&x=%zz", ""), 400, "error parsing form values: invalid URL escape"),
        (get("/api/v1/series?match[]=up;x=1", ""), 400, "invalid semicolon separator in query"),
        (post("/api/v1/admin/tsdb/delete_series?match[]={job=\"none\"}", FORM, ""), 204, ""),
        (get(&long(66_000), ""), 200, "\"7\""),
        (get(&long(1_040_000), ""), 200, "\"7\""),
        (get("/api/v1/query?query=1", &headers(99)), 200, "\"1\""),
        (get("/api/v1/query?query=1", &headers(20_000)), 200, "\"1\""),
        (get("/api/v1/query?query=1", &format!("Cookie: {}\r\n", "x".repeat(1_000_000))), 200, "\"1\""),
        (post("/api/v1/query", PARTS, &form("1+1")), 200, "\"2\""),
        (post("/api/v1/query?query=7", PARTS, &form("8")), 200, "\"7\""),
        (post("/api/v1/query_range?start=0&end=1&step=1", PARTS, &form("1")), 200, "\"matrix\""),
        (post("/api/v1/query_exemplars", PARTS, &form("up")), 200, "[]"),
        (post("/api/v1/format_query", PARTS, &form("1+1")), 200, "1 + 1"),
        (post("/api/v1/query", PARTS, &part("query", "1")), 400, "no expression found in input"),
        // What Prometheus reads forms of these for are not forms in parts.
        (post("/api/v1/series", PARTS, &both), 400, "no match[] parameter provided"),
        (post("/api/v1/admin/tsdb/delete_series", PARTS, &both), 400, "no match[] parameter provided"),
        (post("/api/v1/query", "Content-Type: Application/X-WWW-Form-URLEncoded; a=b\r\n", "query=1"), 200, "\"1\""),
        (
            post("/api/v1/query", "Content-Type: application/x-www-form-urlencodedx\r\n", "query=1"),
            400,
            "no expression",
        ),
    ] {
        // What comes next on the connection is read as it should be.
        let next = get("/api/v1/query?query={a=\"b\"}", "");
        let answers = exchange(&weft, (request.clone() + &next).as_bytes(), 2);
        let (got, body) = &answers[0];
        assert!(*got == status && body.contains(said), "{request:.90}: {got} {body:.300}");
        assert!(answers[1].0 == 200 && answers[1].1.contains("\"vector\""), "{request:.90}: {:?}", answers[1]);
    }
}

#[test]
fn what_is_refused_is_told() {
    let weft = Weft::start(NOTHING, &[]);
    let long = get(&format!("/api/v1/query?query=1&x={}", "a".repeat(1_100_000)), "");
    let (status, body) = exchange(&weft, long.as_bytes(), 1).remove(0);
    assert_eq!((status, &*body), (431, "431 Request Header Fields Too Large"));
    for refused in [get("/api/v1/query?query=1\x01", ""), get("/api/v1/query?query=1 + 1", "")] {
        assert_eq!(exchange(&weft, refused.as_bytes(), 1)[0].0, 400, "{refused}");
    }
}
