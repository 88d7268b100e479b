//! What arrives and what is handed on, however it is cut into pieces.

use std::io::Cursor;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, BufReader};

use super::long::{INLINE_MAX, TARGET_MAX};
use super::rewrite::Rewriter;
use super::*;

fn aside(most: usize) -> Arc<Aside> {
    Arc::new(Aside::new(Arc::new(Room::new(most))))
}

/// What is handed on of the bytes, in pieces of this length.
fn rewritten(aside: &Arc<Aside>, bytes: &[u8], piece: usize) -> String {
    let mut rewriter = Rewriter::new(Arc::clone(aside));
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut instead = Vec::new();
        let as_it_is = rewriter.run(piece, &mut instead);
        out.extend_from_slice(&piece[..as_it_is]);
        out.extend_from_slice(&instead);
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[track_caller]
fn check(sent: &str, handed_on: &str) {
    for piece in [1, 2, 3, 7, 16, sent.len()] {
        let got = rewritten(&aside(1 << 20), sent.as_bytes(), piece);
        assert!(got == handed_on, "in pieces of {piece}: {got:.2000}\nexpected: {handed_on:.2000}");
    }
}

#[test]
fn what_may_not_stand_in_a_target_is_encoded() {
    let rest = " HTTP/1.1\r\nHost: x \"<{é}>\"\r\n\r\n";
    for (sent, handed_on) in [
        ("/api/v1/query?query=up{job=\"j\"}", "/api/v1/query?query=up%7Bjob=%22j%22%7D"),
        ("/q?a<b>c|d^e`f\\g#h", "/q?a%3Cb%3Ec%7Cd%5Ee%60f%5Cg%23h"),
        ("/é?世", "/%C3%A9?%E4%B8%96"),
        ("http://x/a?b={", "http://x/a?b=%7B"),
        ("/a%20b?c=%zz&d=[]", "/a%20b?c=%zz&d=[]"),
        ("/a?b?c=\"", "/a?b?c=%22"),
        // Go refuses control characters; so does the library, which sees them.
        ("/a?b\x01\"", "/a?b\x01\""),
    ] {
        check(&format!("GET {sent}{rest}"), &format!("GET {handed_on}{rest}"));
    }
}

#[test]
fn a_body_is_no_head() {
    let (get, clean) = ("GET /?{ HTTP/1.1\r\n\r\n", "GET /?%7B HTTP/1.1\r\n\r\n");
    let post = |headers: &str, body: &str| format!("POST /{{ HTTP/1.1\r\n{headers}\r\n{body}{get}");
    let seen = |headers: &str, rest: &str| format!("POST /%7B HTTP/1.1\r\n{headers}\r\n{rest}");
    for (headers, body, after) in [
        ("Content-Length: 21\r\n", "GET /?{ HTTP/1.1\r\n{}{", clean),
        ("content-length:0\r\n", "", clean),
        ("", "", clean),
        // Where the next request begins is not known; it passes as it is.
        ("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n", get),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "{}", get),
        ("Content-Length: 99999999999999999999\r\n", "{}", get),
        ("Content-Length: x\r\n", "{}", get),
    ] {
        check(&post(headers, body), &seen(headers, &format!("{body}{after}")));
    }
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{\"", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{\"");
    check("\x16\x03\x01{ {", "\x16\x03\x01{ %7B");
    check("GET\r\n/{\r\n", "GET\r\n/{\r\n");
    check(&format!("\r\n\r\n{get}{get}"), &format!("\r\n\r\n{clean}{clean}"));
}

#[test]
fn of_very_many_headers_those_stay_that_are_read() {
    let many: String = (0..2_000).map(|i| format!("X-H{i}: {i}\r\n")).collect();
    let few: String = (0..64).map(|i| format!("X-H{i}: {i}\r\n")).collect();
    let read = "Authorization: Basic x\r\nX-Prometheus-Use-Start-Timestamps: 1\r\nContent-Length: 2\r\n";
    let (get, clean) = ("GET /{ HTTP/1.1\r\n\r\n", "GET /%7B HTTP/1.1\r\n\r\n");
    check(
        &format!("POST / HTTP/1.1\r\n{many}{read}\r\n{{}}{get}"),
        &format!("POST / HTTP/1.1\r\n{few}{read}\r\n{{}}{clean}"),
    );
    let long = "x".repeat(200_000);
    let cut = "x".repeat((64 << 10) - "Cookie: ".len());
    check(
        &format!("GET / HTTP/1.1\r\nCookie: {long}\r\n{read}X: 1\r\n\r\n{{}}{get}"),
        &format!("GET / HTTP/1.1\r\nCookie: {cut}\r\n{read}\r\n{{}}{clean}"),
    );
}

#[test]
fn what_is_long_of_a_query_is_kept_aside() {
    let aside = aside(4 << 20);
    let query = format!("query=up{}&x=\"é\"", "&a=b".repeat(50_000));
    for piece in [1, 1_000, 1 << 20] {
        let sent = format!("GET /q?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let handed_on = rewritten(&aside, sent.as_bytes(), piece);
        let target = handed_on.split(' ').nth(1).unwrap();
        assert!(handed_on.ends_with(" HTTP/1.1\r\nHost: x\r\n\r\n") && target.len() < 65_000, "{handed_on:.50}");
        let seen = target.split_once('?').unwrap().1;
        let rest = aside.take(Some(seen)).unwrap();
        let whole = [LongQuery::before(seen).as_bytes(), rest.bytes().unwrap()].concat();
        assert_eq!(String::from_utf8(whole).unwrap(), query);
        assert!(aside.take(Some(seen)).is_none(), "it is taken once");
        drop(rest);
        assert_eq!(aside.room().used(), 0);
    }
    assert!(aside.take(Some(&"a".repeat(INLINE_MAX + 32))).is_none() && aside.take(None).is_none());
}

#[test]
fn what_is_kept_aside_has_bounds() {
    let head = |bytes: usize| format!("GET /q?{} HTTP/1.1\r\n\r\n", "a".repeat(bytes));
    let outcome = |aside: &Arc<Aside>, bytes: usize| {
        let handed_on = rewritten(aside, head(bytes).as_bytes(), 4_096);
        let seen = handed_on.split(' ').nth(1).unwrap().split_once('?').unwrap().1.to_owned();
        aside.take(Some(&seen)).unwrap().bytes().map(<[u8]>::len).map_err(|(status, _)| status.as_u16())
    };
    let large = aside(4 << 20);
    assert_eq!(outcome(&large, 1_040_000), Ok(1_040_000 - INLINE_MAX));
    assert_eq!(outcome(&large, TARGET_MAX + 1), Err(431));
    assert_eq!(outcome(&aside(100_000), 200_000), Err(503));
    assert_eq!(large.room().used(), 0);
}

#[tokio::test]
async fn a_stream_of_heads_ends_where_it_ends() {
    let sent = format!("GET /q?{} HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n", "{".repeat(100_000));
    for piece in [1, 7, 4_096, 1 << 20] {
        let aside = aside(1 << 20);
        let stream = BufReader::with_capacity(piece, Cursor::new(sent.clone().into_bytes()));
        let mut heads = Heads::new(stream, Arc::clone(&aside));
        let mut read = Vec::new();
        heads.read_to_end(&mut read).await.unwrap();
        let text = String::from_utf8(read).unwrap();
        assert!(text.ends_with("\r\n\r\nGET /%22 HTTP/1.1\r\n\r\n"), "{}", &text[text.len() - 60..]);
        let seen = text.split(' ').nth(1).unwrap().split_once('?').unwrap().1;
        let rest = aside.take(Some(seen)).unwrap();
        let inline = LongQuery::before(seen);
        assert_eq!(inline.len() / 3 + rest.bytes().unwrap().len(), 100_000);
    }
}

#[test]
fn pieces_make_no_difference_whatever_is_sent() {
    const WORDS: [&[u8]; 24] = [
        b"GET ",
        b"POST ",
        b"PRI ",
        b"/",
        b"?",
        b"a",
        b"{\"",
        b"\xff",
        b" ",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"Host: x",
        b"Content-Length: 3",
        b"content-length:",
        b"Transfer-Encoding: chunked",
        b"X-H: ",
        b":",
        b"9",
        b"\x00",
        b"\t",
        b"CONNECT ",
        b"=%zz&",
    ];
    // Of a generator with a fixed seed.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..1_000 {
        let words: Vec<&[u8]> = (0..random(40)).map(|_| WORDS[usize::try_from(random(24)).unwrap()]).collect();
        let mut sent = words.concat();
        if random(8) == 0 {
            sent.splice(0..0, format!("GET /?{} HTTP/1.1\r\n", "b{".repeat(20_000)).into_bytes());
        }
        let whole = rewritten(&aside(1 << 20), &sent, sent.len().max(1));
        let piece = usize::try_from(1 + random(50)).unwrap();
        // The random words that replace long queries differ.
        let comparable = |text: &str| {
            let long = text.split(' ').find(|part| part.len() > INLINE_MAX).map(LongQuery::before);
            long.map_or_else(|| text.to_owned(), |before| before.to_owned() + text.rsplit(' ').next().unwrap())
        };
        let pieces = rewritten(&aside(1 << 20), &sent, piece);
        assert_eq!(comparable(&pieces), comparable(&whole), "{:?}", String::from_utf8_lossy(&sent));
    }
}
