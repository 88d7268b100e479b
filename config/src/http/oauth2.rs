//! `oauth2`: how a client gets tokens from an OAuth 2.0 server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::{ProxyConfig, TlsConfig};
use crate::schema::{
    Anything, Codec, Fields, Inline, OmitDefault, Opaque, Path, SecretText, Shape, Text, TextMap, Texts, section,
};
use crate::yaml::{Kind, Tree, Yaml};
use crate::{Error, Secret};

/// The grant of RFC 7523; every other text means client credentials, as in Prometheus.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

section! {
    /// A token of an OAuth 2.0 server, by client credentials or by a JWT bearer assertion (RFC 7523).
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct OAuth2 as "oauth2" {
        /// The client's id.
        #[yaml(Text; required = "oauth2 client_id must be configured")]
        pub client_id: String,
        /// The client's secret.
        #[yaml(SecretText)]
        pub client_secret: Option<Secret>,
        /// A file that holds the client's secret.
        #[yaml(Path)]
        pub client_secret_file: Option<PathBuf>,
        /// The id by which the server knows the key that signs the assertion.
        #[yaml(Text)]
        pub client_certificate_key_id: String,
        /// The private key that signs the assertion, PEM.
        #[yaml(SecretText)]
        pub client_certificate_key: Option<Secret>,
        /// A file that holds that key.
        #[yaml(Path)]
        pub client_certificate_key_file: Option<PathBuf>,
        /// `urn:ietf:params:oauth:grant-type:jwt-bearer` for an assertion; anything else means client credentials.
        #[yaml(Text)]
        pub grant_type: String,
        /// How the assertion is signed: `RS256`, `RS384` or `RS512`.
        #[yaml(Text)]
        pub signature_algorithm: String,
        /// The issuer of the assertion, if it is not the client's id.
        #[yaml(Text)]
        pub iss: String,
        /// The audience of the assertion, if it is not the token server.
        #[yaml(Text)]
        pub audience: String,
        /// Further claims of the assertion; they override those that the client makes.
        #[yaml(ClaimsCodec)]
        pub claims: Claims,
        /// The scopes of the token.
        #[yaml(Texts)]
        pub scopes: Vec<String>,
        /// The URL that gives tokens.
        #[yaml(Text; required = "oauth2 token_url must be configured")]
        pub token_url: String,
        /// Further parameters of the request for a token.
        #[yaml(TextMap)]
        pub endpoint_params: BTreeMap<String, String>,
        /// TLS of the connection to the token server.
        #[yaml(OmitDefault<TlsConfig>, name = "tls_config")]
        pub tls: Option<TlsConfig>,
        /// The proxy towards the token server.
        #[yaml(Inline<ProxyConfig>)]
        pub proxy: ProxyConfig,
    }
    check = check_oauth2;
}

impl OAuth2 {
    /// Is the token asked for by a JWT bearer assertion, instead of client credentials?
    #[must_use]
    pub fn is_jwt_bearer(&self) -> bool {
        self.grant_type == JWT_BEARER
    }
}

fn check_oauth2(oauth2: &mut OAuth2, f: &mut Fields<'_>) -> Result<(), Error> {
    // The fields of the other grant are ignored and not checked, as with upstream.
    if !oauth2.is_jwt_bearer() {
        if oauth2.client_secret.is_some() && oauth2.client_secret_file.is_some() {
            let message = "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials";
            return Err(f.refuse("client_secret_file", message));
        }
        return Ok(());
    }
    if oauth2.client_certificate_key.is_some() && oauth2.client_certificate_key_file.is_some() {
        let message = format!(
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must \
             be configured using grant-type={JWT_BEARER}"
        );
        return Err(f.refuse("client_certificate_key_file", message));
    }
    if !["", "RS256", "RS384", "RS512"].contains(&oauth2.signature_algorithm.as_str()) {
        return Err(f.refuse("signature_algorithm", "valid signature algorithms are RS256, RS384 and RS512"));
    }
    Ok(())
}

/// Claims of an assertion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claims {
    /// As they are sent.
    pub values: Map<String, Value>,
    /// As they are printed.
    printed: Option<Opaque>,
}

/// Reads claims: any values below names.
enum ClaimsCodec {}

impl Codec<Claims> for ClaimsCodec {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Claims>, Error> {
        let values = match f.value(name).map(json) {
            None => return Ok(None),
            Some(Value::Object(values)) => values,
            Some(_) => return Err(f.refuse(name, "claims are a mapping of names to values")),
        };
        // Read twice: what is sent has JSON types, what is printed is the YAML as written, secrets hidden.
        Ok(Some(Claims { values, printed: Anything::decode(f, name, ())?.flatten() }))
    }

    fn is_zero(claims: &Claims) -> bool {
        claims.printed.is_none()
    }

    fn encode(claims: &Claims) -> Yaml {
        Anything::encode(&claims.printed)
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(Shape::Scalar("any")))
    }
}

/// A YAML value as JSON.
fn json(tree: &Tree) -> Value {
    match &*tree.kind {
        Kind::Scalar { text, plain } => match text.to_ascii_lowercase().as_str() {
            // A quoted scalar is a string whatever it looks like.
            _ if !plain => Value::from(text.clone()),
            "" | "~" | "null" => Value::Null,
            "true" | "yes" | "on" => Value::from(true),
            "false" | "no" | "off" => Value::from(false),
            // JSON has no infinities or hexadecimal numbers; what does not parse as a JSON number stays text.
            _ => text.parse().map(Value::Number).unwrap_or_else(|_| Value::from(text.clone())),
        },
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(pairs) => pairs.iter().map(|(key, value)| (key.text.clone(), json(value))).collect(),
    }
}
