//! Remote read: a Prometheus that reads from Weft answers as Weft does, and both send the same bytes.

use std::path::Path;

use kit::wire::Message as _;
use kit::{Http, Prometheus, Weft};

use super::{asked, same};

/// A Prometheus that has nothing of its own.
pub(super) fn read_by_another(weft: &Weft, program: &Path, until: &str) {
    let config = format!("remote_read: [{{url: 'http://{}/api/v1/read', read_recent: true}}]\n", weft.address);
    let reader = Prometheus::start(program, &config, &[]);
    for (query, least) in [
        ("{job=~\"one.*\"}[1m]", 30),
        ("{job=~\"two.*\", __name__=~\"native|seconds\"}[1m]", 3),
        ("rate({job=\"one_native\", __name__=\"native\"}[1m])", 2),
        ("histogram_quantile(0.9, {__name__=~\"native|seconds\"})", 5),
        ("count by (job) (up)", 6),
    ] {
        same(&weft.http, &reader.http, ("query", &[("query", query), ("time", until)]), least);
    }
    let start = (until.parse::<f64>().unwrap() - 30.0).to_string();
    let params = [("query", "sum(requests_total) by (job, code)"), ("start", &*start), ("end", until), ("step", "1")];
    same(&weft.http, &reader.http, ("query_range", &params), 4);
    assert_eq!(asked(&reader.http, "query", &[("query", "no_such_metric")]).unwrap().len(), 0);
}

/// Do two servers send the same for a selection, in both forms?
pub(super) fn read_alike(ours: &Http, theirs: &Http, labels: &[(&str, &str)]) -> Result<(), String> {
    for form in [0u64, 1] {
        let mut query: Vec<u8> = Vec::new();
        query.number(1, 0);
        query.number(2, 1 << 52);
        for (name, value) in labels {
            let mut matcher: Vec<u8> = Vec::new();
            matcher.part(2, name.as_bytes());
            matcher.part(3, value.as_bytes());
            query.part(3, &matcher);
        }
        let mut request: Vec<u8> = Vec::new();
        request.part(1, &query);
        request.number(2, form);
        let body = snap::raw::Encoder::new().compress_vec(&request).unwrap();
        let mut answers = Vec::new();
        for http in [ours, theirs] {
            let (status, headers, body) = http.post_bytes("/api/v1/read", &[], body.clone())?;
            let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let content = if form == 0 {
                snap::raw::Decoder::new().decompress_vec(&body).map_err(|e| e.to_string())?
            } else {
                body
            };
            answers.push((status, header("content-type"), header("content-encoding"), content));
        }
        if answers[0].3.len() < 60 || answers[0] != answers[1] {
            return Err(format!("form {form}: {answers:?}"));
        }
    }
    Ok(())
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let weft = Weft::start("scrape_configs: []\n", &["--storage.remote.read-sample-limit=1"]);
    let post = |body: &[u8]| {
        let body = snap::raw::Encoder::new().compress_vec(body).unwrap();
        let (status, _, body) = weft.http.post_bytes("/api/v1/read", &[], body).unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(
        post(b"\x10\x07").1,
        "server does not support any of the requested response types: [7]; supported: [SAMPLES STREAMED_XOR_CHUNKS]\n"
    );
    assert_eq!(post(b"\x0a\x02\x1a\x7f").0, 400);
    let (status, _, _) = weft.http.post_bytes("/api/v1/read", &[], b"no snappy".to_vec()).unwrap();
    assert_eq!(status, 400);
    assert_eq!(post(b"").0, 200);
}
