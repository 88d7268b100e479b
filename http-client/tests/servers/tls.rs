//! Whom the client believes, and who it says it is.

use std::fs;

use config::{Secret, TlsConfig, TlsVersion};
use http_client::{Error, HttpClient, Resolver, readable_authorities};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::kit::{Authority, OK, Server, client, config, get};

#[tokio::test]
async fn the_authority_decides() {
    let (ours, other) = (Authority::named("ours"), Authority::new());
    let server = Server::tls(&ours, &["127.0.0.1"], None);
    let tls = |ca: String| config(TlsConfig { ca: Some(ca), ..TlsConfig::default() });
    assert_eq!(get(&client(&tls(ours.pem())), &server.url()).await.unwrap(), "ok");
    let refused = get(&client(&tls(other.pem())), &server.url()).await.unwrap_err();
    let expected = "tls: failed to verify certificate: x509: certificate signed by unknown authority \"CN=ours\", which \
                    is not in tls_config.ca; put its certificate into tls_config.ca_file, or set insecure_skip_verify: \
                    true to believe anybody";
    assert_eq!(refused, expected);
    let believe = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(get(&client(&config(believe)), &server.url()).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_bundle_of_authorities_is_used_as_far_as_it_can_be_read() {
    let authority = Authority::new();
    let server = Server::tls(&authority, &["127.0.0.1"], None);
    let (good, other) = (authority.pem(), Authority::named("other").pem());
    let no_base64 = pem("CERTIFICATE", b"x").replace("eA==", "not base64!");
    let no_certificate = pem("CERTIFICATE", b"certainly not DER");
    let another_kind = pem("PUBLIC KEY", b"x");
    let cut = &other[..other.len() / 2];
    for ca in [
        format!("{no_base64}{good}"),
        format!("{good}{no_certificate}{other}"),
        format!("# a comment\n{another_kind}{cut}\n{good}"),
        format!("{good}{cut}"),
    ] {
        let client = client(&config(TlsConfig { ca: Some(ca.clone()), ..TlsConfig::default() }));
        assert_eq!(get(&client, &server.url()).await.as_deref(), Ok("ok"), "{ca}");
        let readable = readable_authorities(ca.as_bytes()).unwrap();
        assert!(readable.starts_with(good.as_bytes()) && readable_authorities(&readable).is_none());
    }
    assert_eq!(readable_authorities(format!("# both\n{good}{other}").as_bytes()), None);
    assert_eq!(readable_authorities(no_certificate.as_bytes()), None);
    for (ca, expected) in [
        (another_kind, "it holds no PEM certificate"),
        (format!("{no_certificate}{no_base64}"), "it is no X.509 certificate"),
        (String::new(), "it holds no PEM certificate"),
    ] {
        let client = client(&config(TlsConfig { ca: Some(ca), ..TlsConfig::default() }));
        let error = get(&client, &server.url()).await.unwrap_err();
        assert!(error.starts_with("cannot use ca of the configuration: ") && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_believed_when_it_is_configured_and_in_date() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for (names, last_year, expected) in [
        ("127.0.0.1", 2999, None),
        (
            "other.example",
            2999,
            Some(
                "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs, only the names \
                 other.example; set tls_config.server_name: other.example",
            ),
        ),
        ("127.0.0.1", 2001, Some("x509: certificate has expired or is not yet valid")),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![names.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let server = Server::with(&certificate, &key, None);
        let tls = TlsConfig { ca: Some(certificate.pem()), ..TlsConfig::default() };
        let result = get(&client(&config(tls)), &server.url()).await;
        match expected {
            None => assert_eq!(result.unwrap(), "ok"),
            Some(part) => assert!(result.as_ref().unwrap_err().contains(part), "{result:?}"),
        }
    }
}

#[tokio::test]
async fn the_server_name_is_sent_and_checked_and_host_stays() {
    let authority = Authority::new();
    let server = Server::tls(&authority, &["metrics.example"], None);
    let tls = |name: Option<&str>| {
        config(TlsConfig { ca: Some(authority.pem()), server_name: name.map(str::to_owned), ..TlsConfig::default() })
    };
    assert_eq!(get(&client(&tls(Some("metrics.example"))), &server.url()).await.unwrap(), "ok");
    let seen = server.seen.recv().unwrap();
    assert_eq!(seen.sni.as_deref(), Some("metrics.example"));
    assert_eq!(seen.header("host"), Some(server.addr.to_string().as_str()), "{seen:?}");
    for (wrong, expected) in [
        (
            None,
            "doesn't contain any IP SANs, only the names metrics.example; set tls_config.server_name: metrics.example",
        ),
        (Some("other.example"), "not other.example; tls_config.server_name asks for that name"),
    ] {
        let refused = get(&client(&tls(wrong)), &server.url()).await.unwrap_err();
        assert!(refused.ends_with(expected), "{refused}");
    }
}

#[tokio::test]
async fn two_targets_under_one_server_name_stay_apart() {
    let authority = Authority::new();
    let servers = [Server::tls(&authority, &["same.example"], None), Server::tls(&authority, &["same.example"], None)];
    let tls =
        TlsConfig { ca: Some(authority.pem()), server_name: Some("same.example".to_owned()), ..TlsConfig::default() };
    let client = client(&config(tls));
    for server in &servers {
        assert_eq!(get(&client, &server.url()).await.unwrap(), "ok");
        assert_eq!(server.seen.recv().unwrap().header("host"), Some(server.addr.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::named("servers"), Authority::named("clients"));
    let server = Server::tls(&servers, &["127.0.0.1"], Some(&clients));
    let file = |name: &str| folder.path().join(name);
    let tls = TlsConfig {
        ca: Some(servers.pem()),
        cert_file: Some(file("cert.pem")),
        key_file: Some(file("key.pem")),
        ..TlsConfig::default()
    };
    let client = client(&config(tls));
    let write = |authority: &Authority| {
        let (certificate, key) = authority.issue(&["client"]);
        // A new file in the old one's place, as secrets are rotated: the inode changes whatever the clock says.
        for (name, text) in [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
            fs::write(file("new"), text).unwrap();
            fs::rename(file("new"), file(name)).unwrap();
        }
    };
    let missing = get(&client, &server.url()).await.unwrap_err();
    assert!(missing.contains("cert.pem") && missing.contains("cert_file"), "{missing}");
    write(&servers);
    let wrong = get(&client, &server.url()).await.unwrap_err();
    assert!(wrong.contains("remote error: tls: ") && wrong.contains("tls_config.cert_file"), "{wrong}");
    write(&clients);
    assert_eq!(get(&client, &server.url()).await.unwrap(), "ok");
}

/// A key in a PEM block of that name.
fn pem(name: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {name}-----\n{text}\n-----END {name}-----\n")
}

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}

#[tokio::test]
async fn a_clients_key_may_be_written_in_three_ways() {
    use rustls_pki_types::PrivatePkcs1KeyDer;
    use rustls_pki_types::pem::PemObject as _;

    let (servers, clients) = (Authority::new(), Authority::new());
    let server = Server::tls(&servers, &["127.0.0.1"], Some(&clients));
    let rsa_pem = include_str!("../data/rsa-pkcs1.pem");
    let rsa = PrivatePkcs1KeyDer::from_pem_slice(rsa_pem.as_bytes()).unwrap();
    let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let pkcs8 = element(0x30, &[&[2, 1, 0][..], &algorithm, &element(4, rsa.secret_pkcs1_der())].concat());
    let rsa = KeyPair::try_from(pkcs8.clone()).unwrap();
    let curve = KeyPair::generate().unwrap();
    // The curve's key is the octet string at the end of PKCS#8: version and algorithm are 24 bytes long, heads 3 and 2.
    let sec1 = curve.serialize_der()[29..].to_vec();
    for (key, text) in [
        (&rsa, rsa_pem.to_owned()),
        (&rsa, pem("PRIVATE KEY", &pkcs8)),
        (&curve, curve.serialize_pem()),
        (&curve, pem("EC PRIVATE KEY", &sec1)),
    ] {
        let certificate =
            CertificateParams::new(vec!["client".to_owned()]).unwrap().signed_by(key, &clients.0).unwrap();
        let tls = TlsConfig {
            ca: Some(servers.pem()),
            cert: Some(certificate.pem()),
            key: Some(Secret::new(text.clone())),
            ..TlsConfig::default()
        };
        assert_eq!(get(&client(&config(tls)), &server.url()).await.as_deref(), Ok("ok"), "{}", &text[..30]);
    }
    let broken = TlsConfig { cert: Some(clients.pem()), key: Some(Secret::new("x")), ..TlsConfig::default() };
    let error = get(&client(&config(broken)), &server.url()).await.unwrap_err();
    let expected = "cannot use key of the configuration: it holds no PEM private key (PKCS#1, PKCS#8 or SEC1)";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn an_authority_that_changed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let (old, new) = (Authority::new(), Authority::new());
    let servers = [Server::tls(&old, &["127.0.0.1"], None), Server::tls(&new, &["127.0.0.1"], None)];
    let client = client(&config(TlsConfig { ca_file: Some(path.clone()), ..TlsConfig::default() }));
    for (known, authority) in [&old, &new].into_iter().enumerate() {
        fs::write(folder.path().join("next"), authority.pem()).unwrap();
        fs::rename(folder.path().join("next"), &path).unwrap();
        for (at, server) in servers.iter().enumerate() {
            assert_eq!(get(&client, &server.url()).await.is_ok(), at == known, "server {at}, authority {known}");
        }
    }
}

#[tokio::test]
async fn versions_are_those_that_are_configured() {
    let authority = Authority::new();
    for (version, spoken) in
        [(&rustls::version::TLS12, TlsVersion::Tls12), (&rustls::version::TLS13, TlsVersion::Tls13)]
    {
        let server = Server::speaking(&authority, &[version]);
        for (min, max) in [
            (None, None),
            (Some(TlsVersion::Tls12), None),
            (Some(TlsVersion::Tls13), None),
            (None, Some(TlsVersion::Tls12)),
        ] {
            let tls =
                TlsConfig { ca: Some(authority.pem()), min_version: min, max_version: max, ..TlsConfig::default() };
            let result = get(&client(&config(tls)), &server.url()).await;
            let fits = min.is_none_or(|min| min <= spoken) && max.is_none_or(|max| spoken <= max);
            match result {
                Ok(body) => assert!(fits && body == "ok"),
                Err(error) => assert!(!fits && error.contains("tls_config.min_version"), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_port_that_speaks_the_other_protocol_is_told_apart() {
    let authority = Authority::new();
    let (plain, secured) = (Server::plain(OK), Server::tls(&authority, &["127.0.0.1"], None));
    let client = client(&config(TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() }));
    let other = |server: &Server, scheme: &str| {
        let mut url = server.url();
        url.set_scheme(scheme).unwrap();
        url
    };
    let error = get(&client, &other(&plain, "https")).await.unwrap_err();
    assert!(error.starts_with("http: server gave HTTP response to HTTPS client"), "{error}");
    assert!(error.contains("set scheme: http"), "{error}");
    let error = get(&client, &other(&secured, "http")).await.unwrap_err();
    assert!(error.starts_with("malformed HTTP response \"\\x15\\x03"), "{error}");
    assert!(error.ends_with("the port speaks TLS; set scheme: https"), "{error}");
}

#[test]
fn what_cannot_be_spoken_is_refused_at_once() {
    let old = TlsConfig { max_version: Some(TlsVersion::Tls11), ..TlsConfig::default() };
    assert!(matches!(HttpClient::new(&config(old), "x", &Resolver::system()), Err(Error::Tls(_))));
}

/// A certificate of an authority of the test, and a server that shows it.
fn shown(
    authority: &Authority,
    kind: &'static rcgen::SignatureAlgorithm,
    change: impl FnOnce(&mut CertificateParams),
) -> Server {
    let key = KeyPair::generate_for(kind).unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    change(&mut params);
    Server::with(&params.signed_by(&key, &authority.0).unwrap(), &key, None)
}

#[tokio::test]
async fn what_go_believes_is_believed() {
    use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P521_SHA512};

    let authority = Authority::new();
    let unknown = || {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    let names = |names: &[&str]| -> Vec<rcgen::SanType> {
        names.iter().map(|name| rcgen::SanType::DnsName((*name).try_into().unwrap())).collect()
    };
    for (server, name, checked) in [
        (shown(&authority, &PKCS_ECDSA_P521_SHA512, |_| {}), None, Ok("ok")),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
            }),
            None,
            Ok("ok"),
        ),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning, ExtendedKeyUsagePurpose::Any];
            }),
            None,
            Ok("ok"),
        ),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            None,
            Err("x509: certificate specifies an incompatible key usage"),
        ),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| params.subject_alt_names = names(&["*.lan"])),
            Some("node1.lan"),
            Ok("ok"),
        ),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| params.subject_alt_names = names(&["*.lan"])),
            None,
            Err("only the names *.lan; set tls_config.server_name to a name like *.lan"),
        ),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| params.subject_alt_names = names(&["127.0.0.1"])),
            None,
            Err("doesn't contain any IP SANs, only the names 127.0.0.1; it needs another subject alternative name"),
        ),
        (
            shown(&authority, &PKCS_ECDSA_P256_SHA256, |params| params.custom_extensions = vec![unknown()]),
            None,
            Err("x509: unhandled critical extension"),
        ),
    ] {
        let tls = TlsConfig { server_name: name.map(str::to_owned), ..TlsConfig::default() };
        let checks = TlsConfig { ca: Some(authority.pem()), ..tls.clone() };
        let got = get(&client(&config(checks)), &server.url()).await;
        match checked {
            Ok(body) => assert_eq!(got.as_deref(), Ok(body)),
            Err(why) => assert!(got.as_ref().is_err_and(|error| error.ends_with(why)), "{got:?}"),
        }
        let believes = TlsConfig { insecure_skip_verify: true, ..tls };
        assert_eq!(get(&client(&config(believes)), &server.url()).await.as_deref(), Ok("ok"), "{checked:?}");
    }
}

#[tokio::test]
async fn a_signature_of_another_key_is_refused_by_whoever_checks() {
    let (authority, imposter) = (Authority::named("same"), Authority::named("same"));
    let server = Server::tls(&imposter, &["127.0.0.1"], None);
    let tls = TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() };
    let error = get(&client(&config(tls)), &server.url()).await.unwrap_err();
    let expected = "certificate signed by unknown authority \"CN=same\" (possibly because of \"x509: the signature is wrong\" \
                    while trying to verify candidate authority certificate \"same\")";
    assert!(error.ends_with(expected), "{error}");
}
