//! What targets are asked, and which answers are none.

use super::*;

const JOB: &str = "job_name: j, scrape_interval: 10s, scrape_timeout: 5s";

/// The error after one scrape of a job with these lines.
async fn error(more: &str, answer: Option<Vec<u8>>) -> String {
    let mut world = World::new();
    world.serve("t", move |_| answer.clone());
    world.apply(&format!("{{{JOB}, {more}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    world.seconds(5.0).await;
    world.error("j").await
}

#[tokio::test(start_paused = true)]
async fn a_request_says_what_upstream_says() {
    // scrape-060, -061, -065, -072, -074, and -075 as upstream does it where no tracing is configured
    for (more, accepts, says) in [
        ("honor_labels: false", "gzip", "x-prometheus-scrape-timeout-seconds: 5\r\n"),
        ("enable_compression: false", "identity", "accept: application/openmetrics-text;version=1.0.0;"),
        ("basic_auth: {username: u, password: p}", "gzip", "authorization: basic dtpw\r\n"),
        ("params: {a: [b]}, metrics_path: /x", "gzip", "get /x?a=b http/1.1\r\n"),
    ] {
        let mut world = World::new();
        world.serve("t", |_| page("m 1\n"));
        world.apply(&format!("{{{JOB}, {more}}}")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 2).await;
        for head in &world.asked()["t"] {
            let head = head.to_lowercase();
            assert!(head.contains(&format!("accept-encoding: {accepts}\r\n")) && head.contains(says), "{head}");
            assert!(!head.contains("traceparent"), "nobody would know of the trace: {head}");
            assert!(head.contains("user-agent: weft/test\r\n") && head.contains("host: t\r\n"), "{head}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_of_targets_with_one_address_stay_apart() {
    // scrape-073
    let mut world = World::new();
    world.serve("a", |_| page("m 1\n"));
    world.serve("b", |_| page("m 2\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    let at = |name: &str| {
        let mut labels = model::LabelsBuilder::new(&world.labels(name, &[("name", name)]));
        labels.set("__address__", "shared:9100");
        labels.labels()
    };
    world.discover(&[("j", &[at("a"), at("b")])]).await;
    world.scraped("a", 2).await;
    world.scraped("b", 2).await;
    for line in world.stored() {
        assert_eq!(line.contains("name=\"a\""), line.ends_with(" 1"), "{line}");
    }
    assert!(world.targets("j").await.iter().all(|active| active.target.url == "http://shared:9100/metrics"));
}

#[tokio::test(start_paused = true)]
async fn only_the_answer_200_is_read_and_others_are_explained() {
    // scrape-066
    let forbidden = "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=metrics)";
    let api = r#"{"kind":"Status","message":"nodes \"a\" is forbidden","code":403}"#;
    for (status, kind, body, expected) in [
        ("404 Not Found", "text/html", "<html>", "404 Not Found"),
        ("500 Database gone", "text/html", "<html>", "500 Database gone"),
        ("500", "text/html", "<html>", "500"),
        ("204 No Content", "text/plain", "", "204 No Content"),
        ("599 Own", "text/plain", "\n  why \nmore", "599 Own: why"),
        ("403 Forbidden", "text/plain; charset=utf-8", forbidden, &format!("403 Forbidden: {forbidden}")),
        ("403 Forbidden", "application/json", api, "403 Forbidden: nodes \"a\" is forbidden"),
        (
            "400 Bad Request",
            "text/plain",
            "Client sent an HTTP request to an HTTPS server.\n",
            "400 Bad Request: the port speaks TLS; set scheme: https",
        ),
    ] {
        let answer = answer(status, &format!("content-type: {kind}\r\n"), body.as_bytes());
        let expected = format!("server returned HTTP status {expected}");
        assert_eq!(error("honor_labels: false", answer).await, expected);
    }
    let packed = gzip(b"no such page\n");
    for packed in [&packed[..], &packed[..packed.len() - 5]] {
        let answer = answer("404 Not Found", "content-type: text/plain\r\ncontent-encoding: gzip\r\n", packed);
        let expected = "server returned HTTP status 404 Not Found: no such page";
        assert_eq!(error("honor_labels: false", answer).await, expected);
    }
    let late = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n".to_vec();
    let expected = "server returned HTTP status 503 Service Unavailable";
    assert_eq!(error("honor_labels: false", Some(late)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_known_type_names_the_fallback() {
    // scrape-068, -070
    let fix = "(set fallback_scrape_protocol: PrometheusText0.0.4 in the job if the body is in the text format)";
    let blank =
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target";
    let html = "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for target";
    for (kind, expected) in [("", blank), ("content-type: text/html\r\n", html)] {
        let answer = answer("200 OK", kind, b"m 1\n");
        assert_eq!(error("honor_labels: false", answer.clone()).await, format!("{expected} {fix}"));
        assert_eq!(error("fallback_scrape_protocol: PrometheusText0.0.4", answer).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_covers_everything() {
    // scrape-071: no answer, and half of one
    let half = [&page("m 1\n").unwrap()[..], b""].concat();
    let half = half[..half.len() - 2].to_vec();
    for answer in [None, Some(half)] {
        let mut world = World::new();
        world.serve("t", move |_| answer.clone());
        world.apply(&format!("{{{JOB}}}")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 1).await;
        assert!(world.store.take_all().is_empty());
        world.seconds(4.6).await;
        let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
        assert_eq!(World::reported(&lines, "up"), ["0"]);
        assert_eq!(World::reported(&lines, "scrape_duration_seconds"), ["5"]);
        let expected = "Get \"http://t/metrics\": context deadline exceeded (scrape timeout 5s)";
        assert_eq!(world.error("j").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_text_and_bodies_that_are_not_what_they_say_fail() {
    // scrape-021, -065
    assert!(error("honor_labels: false", page_of(b"a{l=\"\xff\"} 1\n")).await.contains("not valid UTF-8"));
    let gzip = "content-type: text/plain\r\ncontent-encoding: gzip\r\n";
    let error_of = error("honor_labels: false", answer("200 OK", gzip, b"m 1\n")).await;
    assert!(error_of.starts_with("cannot decompress the response: "), "{error_of}");
    let packed = super::gzip(&b"m 1\n".repeat(5000));
    let mut wrong = packed.clone();
    wrong[packed.len() - 8] ^= 1;
    for (packed, expected) in [
        (&packed[..packed.len() - 9], "unexpected EOF: the gzip stream ends early"),
        (&packed[..packed.len() - 1], "unexpected EOF: the gzip stream ends early"),
        (&packed[..5], "unexpected EOF: the gzip stream ends early"),
        (&wrong[..], "corrupt gzip stream does not have a matching checksum"),
    ] {
        let error_of = error("honor_labels: false", answer("200 OK", gzip, packed)).await;
        assert_eq!(error_of, format!("cannot decompress the response: {expected}"));
    }
    let zstd = answer("200 OK", "content-type: text/plain\r\ncontent-encoding: zstd\r\n", b"\x28\xb5\x2f\xfd");
    let error_of = error("honor_labels: false", zstd).await;
    assert!(error_of.starts_with("received a zstd-compressed response, but the request asked for gzip"), "{error_of}");
    // Another coding is not undone: what remains is no text.
    let other = "content-type: text/plain\r\ncontent-encoding: br\r\n";
    assert!(error("honor_labels: false", answer("200 OK", other, b"\x01\x02")).await.starts_with("line 1: "));
}

fn page_of(body: &[u8]) -> Option<Vec<u8>> {
    answer("200 OK", "content-type: text/plain\r\n", body)
}
