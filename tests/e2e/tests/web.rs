//! The HTTP server against its clients: silent, slow, too many, without a password, in plain text.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use kit::{Http, PATIENCE, Pki, Weft, eventually};

const NOTHING: &str = "scrape_configs: []\n";
/// A form that never arrives whole.
const HALF: &str = "POST /api/v1/query HTTP/1.1\r\nHost: w\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                    Content-Length: 100\r\n\r\nquery=";
const HEALTHY: &str = "Prometheus Server is Healthy.\n";

fn connect(weft: &Weft, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&weft.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    stream
}

/// What comes until the server closes the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8_lossy(&said).into_owned(),
    }
}

/// Whether the server has written something.
fn was_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let answered = stream.peek(&mut [0]).is_ok_and(|read| read > 0);
    stream.set_nonblocking(false).unwrap();
    answered
}

#[test]
fn silent_clients_do_not_keep_health_checks_out() {
    let weft = Weft::start(NOTHING, &["--web.max-connections=20"]);
    let mut silent: Vec<TcpStream> = (0..600).map(|_| connect(&weft, "")).collect();
    // Connections that were used before may have been closed to make room.
    let http = Http::new(format!("http://{}", weft.address));
    assert_eq!(http.get("/-/healthy").unwrap(), (200, HEALTHY.to_owned()));
    assert_eq!(http.query("1").unwrap()[1], "1");
    assert_eq!(rest(&mut silent[0]), "", "the one that was silent longest was closed");
}

#[test]
fn requests_that_do_not_arrive_do_not_keep_health_checks_out() {
    let weft = Weft::start(NOTHING, &["--web.max-connections=4"]);
    let mut half: Vec<TcpStream> = (0..9).map(|_| connect(&weft, HALF)).collect();
    // Four have a place, four wait for one; the ninth is told to come back, whichever that is.
    let ninth = eventually("a request is refused", || half.iter().position(was_answered).ok_or("none yet".to_owned()));
    let said = rest(&mut half.swap_remove(ninth));
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("--web.max-connections"), "{said}");
    let (status, said) = weft.http.get("/api/v1/status/buildinfo").unwrap();
    assert!(status == 503 && said.contains("--web.max-connections"), "{status} {said}");
    assert_eq!(weft.http.get("/-/healthy").unwrap(), (200, HEALTHY.to_owned()));
    assert_eq!(weft.http.get("/-/ready").unwrap().0, 200);
    drop(half);
    eventually("places are free again", || match weft.http.get("/api/v1/status/buildinfo")? {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn what_does_not_arrive_in_time_is_closed() {
    let weft = Weft::start(NOTHING, &["--web.read-timeout=1s"]);
    let mut silent = connect(&weft, "");
    let mut half_a_head = connect(&weft, "GET /-/healthy HTTP/1.1\r\nHost:");
    let mut half_a_body = connect(&weft, HALF);
    let mut idle = connect(&weft, "GET /-/healthy HTTP/1.1\r\nHost: w\r\n\r\n");
    assert_eq!(rest(&mut silent), "");
    assert_eq!(rest(&mut half_a_head), "");
    let said = rest(&mut half_a_body);
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("--web.read-timeout"), "{said}");
    assert!(rest(&mut idle).ends_with(HEALTHY), "one answer, then nothing");
}

#[test]
fn the_end_does_not_wait_for_half_requests_and_stalled_readers() {
    let mut weft = Weft::start(NOTHING, &[]);
    let mut half_a_body = connect(&weft, HALF);
    let mut half_a_head = connect(&weft, "GET /-/healthy HTTP/1.1\r\nHost:");
    // Far more than the buffers of a connection hold, and never read: 10 000 steps for each of 100 constants.
    let query = (0..100).map(|i| format!("label_replace(vector(1),\"i\",\"{i}\",\"\",\"\")")).collect::<Vec<_>>();
    let query = format!("query={}&start=0&end=10000&step=1", query.join("%20or%20"));
    let head = "POST /api/v1/query_range HTTP/1.1\r\nHost: w\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let stalled = connect(&weft, &format!("{head}Content-Length: {}\r\n\r\n{query}", query.len()));
    let mut first = [0; 12];
    (&stalled).read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    weft.process.signal("TERM");
    assert!(weft.process.wait().success());
    let said = rest(&mut half_a_body);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
    assert_eq!(rest(&mut half_a_head), "");
    let log = weft.process.output();
    assert!(log.contains("See you next time!") && !log.contains("given up"), "{log}");
}

/// A folder with `prometheus.yml` and the web configuration, and the flag that names it.
fn with_web_config(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
    let path = folder.path().join("web.yml");
    fs::write(&path, text).unwrap();
    (folder, format!("--web.config.file={}", path.display()))
}

#[test]
fn what_cannot_be_served_keeps_it_from_starting() {
    for (text, part) in [
        ("basic_auth_users: {ann: secret}", "not a bcrypt hash"),
        ("tls_server_config: {cert_file: none.pem, key_file: none.key}", "none.pem"),
        ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: Any}", "invalid ClientAuth: Any"),
        ("basic_auth_user: {}", "did you mean basic_auth_users?"),
    ] {
        let (folder, flag) = with_web_config(text);
        let output = Weft::command(folder.path(), &[&flag]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part) && said.contains("web.yml"), "{text}: {said}");
    }
    let (folder, flag) = with_web_config("");
    fs::remove_file(folder.path().join("web.yml")).unwrap();
    let output = Weft::command(folder.path(), &[&flag]).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("web.yml"));
}

#[test]
fn an_empty_web_configuration_is_fine() {
    let (folder, flag) = with_web_config("");
    let weft = Weft::start_with(folder, &[&flag], &[]);
    assert!(!weft.process.output().contains("level=WARN"), "{}", weft.process.output());
}

/// bcrypt of "sesame" at its lowest cost.
const SESAME: &str = "$2b$04$pHRZFuZUCvXdT09m8OsdyeUgH6oCapWAuzkkcmQk1EUy35f6MzDMG";

/// Weft and where it listens; kit's own start asks over plain HTTP.
fn start_with_tls(folder: &tempfile::TempDir, flag: &str) -> (kit::Process, String) {
    let log = folder.path().join("weft.log");
    let mut process = kit::Process::start(&mut Weft::command(folder.path(), &[flag]), &log);
    let address = Weft::address_of(&mut process);
    (process, address)
}

/// What each mode of `client_auth_type` makes of a client without a certificate, one that a stranger signed, one that our
/// authority signed, and the last with another name.
#[test]
fn certificates_of_clients_in_every_mode() {
    let (ours, strange) = (Pki::new(), Pki::new());
    let (certificate, key) = ours.server(&["127.0.0.1"]);
    let shown = [
        None,
        Some(strange.named_client(&["scraper.example"])),
        Some(ours.named_client(&["other.example", "scraper.example"])),
        Some(ours.named_client(&["other.example"])),
    ];
    for (mode, sans, admitted) in [
        ("NoClientCert", false, [true, true, true, true]),
        ("RequestClientCert", false, [true, true, true, true]),
        ("RequireAnyClientCert", false, [false, true, true, true]),
        ("RequireClientCert", false, [false, true, true, true]),
        ("VerifyClientCertIfGiven", false, [true, false, true, true]),
        ("RequireAndVerifyClientCert", false, [false, false, true, true]),
        ("RequestClientCert", true, [true, true, true, false]),
        ("RequireAnyClientCert", true, [false, true, true, false]),
        ("VerifyClientCertIfGiven", true, [true, false, true, false]),
        ("RequireAndVerifyClientCert", true, [false, false, true, false]),
    ] {
        let verifies = mode.contains("Verify");
        let ca = if verifies { "client_ca_file: ca.crt, " } else { "" };
        let sans = if sans { ", client_allowed_sans: [10.0.0.1, scraper.example]" } else { "" };
        let (folder, flag) = with_web_config(&format!(
            "tls_server_config: {{cert_file: tls.crt, key_file: tls.key, {ca}client_auth_type: {mode}{sans}}}\n"
        ));
        for (name, text) in [("tls.crt", &certificate), ("tls.key", &key), ("ca.crt", &ours.ca())] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (_process, address) = start_with_tls(&folder, &flag);
        for (shown, admitted) in shown.iter().zip(admitted) {
            let identity = shown.as_ref().map(|(certificate, key)| format!("{certificate}{key}"));
            let http = Http::identified(format!("https://{address}"), &ours.ca(), identity.as_deref());
            let answer = http.get("/-/healthy");
            assert_eq!(answer.as_ref().is_ok_and(|(status, _)| *status == 200), admitted, "{mode}{sans}: {answer:?}");
        }
    }
}

#[test]
fn passwords_and_tls() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".into(), "127.0.0.1".into()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let (folder, flag) = with_web_config(&format!(
        "tls_server_config: {{cert_file: tls.crt, key_file: tls.key}}\nbasic_auth_users: {{ann: {SESAME}}}\n\
         http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"
    ));
    fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let (process, address) = start_with_tls(&folder, &flag);
    let http = Http::trusting(format!("https://{address}"), &certificate.pem(), "no password");
    for path in ["/api/v1/query?query=1", "/-/healthy", "/metrics", "/"] {
        assert_eq!(eventually("an answer", || http.get(path)), (401, "Unauthorized\n".to_owned()), "{path}");
    }
    let ann = Http::basic(format!("https://{address}"), &certificate.pem(), ("ann", "sesame"));
    // It listens before it is ready, and asks for passwords from the beginning.
    assert_eq!(eventually("weft is ready", || ann.query("1"))[1], "1");
    let (_, headers, _) = ann.page("/-/healthy", &Default::default()).unwrap();
    assert_eq!(headers["x-frame-options"], "deny");
    let wrong = Http::basic(format!("https://{address}"), &certificate.pem(), ("ann", "open"));
    assert_eq!(wrong.get("/-/healthy").unwrap().0, 401);
    let plain = Http::new(format!("http://{address}"));
    let (status, said) = plain.get("/-/healthy").unwrap();
    assert_eq!((status, &*said), (400, "Client sent an HTTP request to an HTTPS server.\n"));
    // A password that is changed holds from then on, for connections that are open too.
    fs::write(folder.path().join("web.yml"), "basic_auth_users: {ann: oops}").unwrap();
    eventually("the fault is told", || {
        ann.get("/-/healthy")?;
        if process.output().contains("the old one stays in force") { Ok(()) } else { Err("not yet".to_owned()) }
    });
    assert_eq!(ann.get("/-/healthy").unwrap().0, 200);
}
