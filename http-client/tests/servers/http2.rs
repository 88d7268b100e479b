//! Which version of HTTP is spoken, by a server that would speak both.

use std::sync::Arc;

use config::{HttpClientConfig, TlsConfig};
use http::Response;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::kit::{Authority, client, get};

/// Serves one connection and says what was asked: version and authority.
async fn serve(listener: &TcpListener, tls: Arc<ServerConfig>) {
    let (stream, _) = listener.accept().await.unwrap();
    let stream = TlsAcceptor::from(tls).accept(stream).await.unwrap();
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request: http::Request<Incoming>| async move {
        let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
        let authority = request.uri().authority().map(ToString::to_string).or(host);
        let text = format!("{:?} {}", request.version(), authority.unwrap_or_default());
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let io = TokioIo::new(stream);
    if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await.unwrap();
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.unwrap();
    }
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_enabled() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["127.0.0.1", "named.example"]);
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = Arc::new(tls);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let url = Url::parse(&format!("https://{addr}/metrics")).unwrap();
    for (enable_http2, name, expected) in
        [(true, None, "HTTP/2.0"), (false, None, "HTTP/1.1"), (true, Some("named.example"), "HTTP/1.1")]
    {
        let trust =
            TlsConfig { ca: Some(authority.pem()), server_name: name.map(str::to_owned), ..TlsConfig::default() };
        let config = HttpClientConfig { tls: Some(trust), enable_http2, ..HttpClientConfig::default() };
        let asked = async {
            let client = client(&config);
            get(&client, &url).await
        };
        let (body, ()) = tokio::join!(asked, serve(&listener, Arc::clone(&tls)));
        assert_eq!(body.unwrap(), format!("{expected} {addr}"), "{name:?}");
    }
}
