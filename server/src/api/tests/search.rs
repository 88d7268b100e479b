//! `/api/v1/search/…`: what is found, in which lines, and what is refused in which words.

use serde_json::{Value, json};

use super::{app_with, ask, load};

const DATA: &str = "http_requests_total{job=\"api\",Code=\"200\"} 1 2 3\n\
                    http_errors_total{job=\"api\"} 1 2 3\n\
                    go_threads{job=\"web\"} 1 2 3\n\
                    node_http_total{job=\"web\"} 1 2 3";

async fn answers(flags: &[&str], asked: &[(&str, Value, u16, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), flags);
    load(&app, DATA);
    for (path, params, status, expected) in asked {
        let mut all = params.as_array().unwrap().clone();
        all.extend([json!(["start", "1700000000"]), json!(["end", "1700000120"])]);
        let (got, body) = ask(&app, &json!({"path": format!("/api/v1/search/{path}"), "params": all})).await;
        assert_eq!((got, &*body), (*status, *expected), "{path} {params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_searched_for_is_found_in_lines() {
    let end = "{\"status\":\"success\",\"has_more\":false}\n";
    let more = "{\"status\":\"success\",\"has_more\":true}\n";
    let names = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}")).collect();
        format!("{{\"results\":[{}]}}\n", names.join(","))
    };
    let all = names(&["go_threads", "http_errors_total", "http_requests_total", "node_http_total"]) + end;
    let down = names(&["node_http_total", "http_requests_total"]) + &names(&["http_errors_total"]) + more;
    let best =
        "{\"results\":[{\"name\":\"http_errors_total\",\"score\":1},{\"name\":\"http_requests_total\",\"score\":1},\
                {\"name\":\"node_http_total\",\"score\":0.9657}]}\n"
            .to_owned()
            + end;
    let of_web = names(&["go_threads", "node_http_total"]) + end;
    let label_names = names(&["Code", "__name__", "job"]) + end;
    let of_code = names(&["Code"]) + end;
    let values = "{\"results\":[{\"value\":\"api\"},{\"value\":\"web\"}]}\n".to_owned() + end;
    let nothing = names(&[]) + end;
    answers(
        &["--enable-feature=search-api"],
        &[
            ("metric_names", json!([]), 200, &all),
            (
                "metric_names",
                json!([["sort_by", "alpha"], ["sort_dir", "dsc"], ["limit", "3"], ["batch_size", "2"]]),
                200,
                &down,
            ),
            (
                "metric_names",
                json!([
                    ["search[]", "http"],
                    ["sort_by", "score"],
                    ["include_score", "true"],
                    ["include_metadata", "1"]
                ]),
                200,
                &best,
            ),
            ("metric_names", json!([["match[]", "{job=\"web\"}"], ["match[]", "go_threads"]]), 200, &of_web),
            // No batch is larger than the answer.
            ("metric_names", json!([["limit", "4"], ["batch_size", "9223372036854775807"]]), 200, &all),
            ("metric_names", json!([["search[]", "HTTP"]]), 200, &nothing),
            ("label_names", json!([]), 200, &label_names),
            ("label_names", json!([["search[]", "cODE"], ["case_sensitive", "false"]]), 200, &of_code),
            ("label_values", json!([["label", "job"]]), 200, &values),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let refused = |text: &str| {
        let error = serde_json::to_string(text).unwrap();
        format!("{{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":{error}}}")
    };
    let cases = [
        (json!([["sort_dir", "asc"]]), "sort_dir is only valid when sort_by is set"),
        (json!([["sort_by", "score"], ["sort_dir", "x"]]), "sort_dir is not supported for sort_by=score"),
        (json!([["sort_by", "alpha"], ["sort_dir", "x"]]), "invalid sort_dir \"x\": must be \"asc\" or \"dsc\""),
        (json!([["sort_by", "score"]]), "sort_by=score requires search[] to be set"),
        (json!([["sort_by", "x"]]), "invalid sort_by \"x\" for metric_names: must be \"alpha\" or \"score\""),
        (json!([["limit", "0"]]), "invalid limit \"0\": must be a positive integer"),
        (json!([["limit", "8"]]), "limit 8 exceeds the configured maximum (7, see --web.search.max-limit)"),
        (json!([["batch_size", "-1"]]), "invalid batch_size \"-1\": must be a positive integer"),
        (json!([["fuzz_threshold", "101"]]), "invalid fuzz_threshold \"101\": must be 0-100"),
        (json!([["fuzz_alg", "x"]]), "unsupported fuzz_alg \"x\": must be one of [subsequence jarowinkler]"),
        (json!([["case_sensitive", "x"]]), "invalid case_sensitive \"x\": must be boolean"),
        (json!([["include_metadata", "x"]]), "invalid include_metadata \"x\": must be boolean"),
        (json!([["match[]", "{job=~\".*\"}"]]), "match[] must contain at least one non-empty matcher"),
        (json!([["start", "x"]]), "invalid time value for 'start': cannot parse \"x\" to a valid timestamp"),
        (json!([["end", "1"]]), "end timestamp must not be before start timestamp"),
    ];
    let texts: Vec<String> = cases.iter().map(|(_, text)| refused(text)).collect();
    let mut asked: Vec<(&str, Value, u16, &str)> =
        cases.iter().zip(&texts).map(|((params, _), text)| ("metric_names", params.clone(), 400, &**text)).collect();
    let (no_label, terms) = (refused("missing required parameter \"label\""), vec![json!(["search[]", "x"]); 33]);
    let too_many = refused("too many search[] terms: got 33, maximum is 32");
    asked.push(("label_values", json!([]), 400, &no_label));
    asked.push(("label_names", json!(terms), 400, &too_many));
    answers(&["--enable-feature=search-api", "--web.search.max-limit=7"], &asked).await;

    let off = "{\"status\":\"error\",\"errorType\":\"unavailable\",\"error\":\"search API disabled\"}";
    answers(&[], &[("metric_names", json!([]), 500, off)]).await;
}
