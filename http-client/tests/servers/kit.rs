//! Real servers on the loopback interface, with certificates made for the occasion.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use config::{HttpClientConfig, TlsConfig};
use http::HeaderMap;
use http_client::{Connection, HttpClient, Resolver};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

/// An authority and what it issues.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, and its key.
    pub(crate) fn issue(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        (CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap(), key)
    }
}

/// What a server saw of a request: the name of the handshake, and the head's lines in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) sni: Option<String>,
    pub(crate) head: Vec<String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.iter().find(|line| line.to_lowercase().starts_with(&prefix)).map(|line| &line[prefix.len()..])
    }
}

/// Answers one request on each connection and closes it; ends when its listener's address gets an empty connection.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: mpsc::Receiver<Seen>,
    thread: Option<JoinHandle<()>>,
    scheme: &'static str,
}

impl Server {
    pub(crate) fn plain(answer: impl Into<String>) -> Self {
        Self::plain_at("127.0.0.1", answer)
    }

    /// At another address of the loopback network: another host.
    pub(crate) fn plain_at(address: &str, answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::start(address, None, move |_| answer.clone())
    }

    /// Answers by what it is asked.
    pub(crate) fn answering(answer: impl Fn(&Seen) -> String + Send + 'static) -> Self {
        Self::start("127.0.0.1", None, answer)
    }

    pub(crate) fn tls(authority: &Authority, names: &[&str], clients: Option<&Authority>) -> Self {
        let (certificate, key) = authority.issue(names);
        Self::with(&certificate, &key, clients)
    }

    pub(crate) fn with(certificate: &rcgen::Certificate, key: &KeyPair, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        // Whatever the certificate says: rustls itself looks into it.
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        Self::secured(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))))
    }

    /// That speaks these versions only.
    pub(crate) fn speaking(authority: &Authority, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let (certificate, key) = authority.issue(&["127.0.0.1"]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        Self::secured(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
    }

    pub(crate) fn tls_answering(authority: &Authority, answer: String) -> Self {
        let (certificate, key) = authority.issue(&["127.0.0.1"]);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::start("127.0.0.1", Some(Arc::new(config)), move |_| answer.clone())
    }

    fn secured(config: ServerConfig) -> Self {
        Self::start("127.0.0.1", Some(Arc::new(config)), |_| OK.to_owned())
    }

    fn start(address: &str, tls: Option<Arc<ServerConfig>>, answer: impl Fn(&Seen) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut first = [0];
                if stream.peek(&mut first).unwrap_or(0) == 0 {
                    return;
                }
                match &tls {
                    // Told before it is answered: who asked may look at once.
                    None => drop(serve(stream, &answer, |seen| drop(sender.send(seen.clone())))),
                    Some(tls) => {
                        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                        let mut stream = StreamOwned::new(connection, stream);
                        let seen = serve(&mut stream, &answer, |_| {});
                        let sni = stream.conn.server_name().map(str::to_owned);
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                        drop(seen.map(|seen| sender.send(Seen { sni, ..seen })));
                    }
                }
            }
        });
        Self { addr, seen, thread: Some(thread), scheme }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("{}://{}/metrics", self.scheme, self.addr)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: impl Read + Write,
    answer: &dyn Fn(&Seen) -> String,
    tell: impl FnOnce(&Seen),
) -> std::io::Result<Seen> {
    let mut seen = Seen { sni: None, head: Vec::new(), body: String::new() };
    let mut reader = BufReader::new(&mut stream);
    if reader.fill_buf()?.first() == Some(&HANDSHAKE) {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").and(Err(std::io::ErrorKind::InvalidData.into()));
    }
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => seen.head.push(line.to_owned()),
        }
    }
    if let Some(length) = seen.header("content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body)?;
        seen.body = String::from_utf8(body).unwrap();
    }
    tell(&seen);
    stream.write_all(answer(&seen).as_bytes())?;
    stream.flush()?;
    Ok(seen)
}

pub(crate) fn config(tls: TlsConfig) -> HttpClientConfig {
    HttpClientConfig { tls: Some(tls), ..HttpClientConfig::default() }
}

pub(crate) fn client(config: &HttpClientConfig) -> HttpClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpClient::new(config, "Weft/test", &Resolver::system()).unwrap()
}

/// The first byte of a client that speaks TLS.
const HANDSHAKE: u8 = 0x16;
/// Everything fine: `ok`.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// The body, or why there is none.
pub(crate) async fn get(client: &HttpClient, url: &Url) -> Result<String, String> {
    let mut connection = Connection::default();
    let response = client.get(&mut connection, url, &HeaderMap::new()).await;
    let mut response = response.map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    while response.read(&mut body).await.map_err(|error| error.to_string())? {}
    Ok(String::from_utf8(body).unwrap())
}
