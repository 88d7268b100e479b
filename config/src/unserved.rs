//! Sections that are understood and shown, and that nothing serves yet: a table of their fields does for reading,
//! defaults and printing. A section moves to types of its own when something serves it.

use model::duration::format_duration_ms;
use model::{NameValidation, float};

use crate::decode::Fields;
use crate::node::{Kind, Node};
use crate::yaml::Yaml;
use crate::{Error, SECRET_SHOWN, http_read, relabel_read, sd_read};

type Pairs = Vec<(String, Yaml)>;

/// What a field takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    Text,
    Bool,
    Int,
    Float,
    Duration,
    Texts,
    TextMap,
    /// Relabelling rules; what is said of an empty one.
    Rules(&'static str),
    Object(&'static [Field]),
    /// `tls_config`
    Tls,
    /// The HTTP client fields; whether HTTP/2 is on by default.
    Http(bool),
    /// The discoveries.
    Sd,
    /// Anything; single values whose key sounds secret are hidden.
    Anything,
}

/// A field: its name, what it takes, and the default that is printed when nothing is given.
pub(crate) type Field = (&'static str, Takes, Option<&'static str>);

const fn field(name: &'static str, takes: Takes) -> Field {
    (name, takes, None)
}

pub(crate) const ALERTMANAGER: &[Field] = &[
    ("", Takes::Http(true), None),
    ("scheme", Takes::Text, Some("http")),
    field("path_prefix", Takes::Text),
    ("timeout", Takes::Duration, Some("10s")),
    ("api_version", Takes::Text, Some("v2")),
    field("relabel_configs", Takes::Rules("empty or null Alertmanager target relabeling rule")),
    field("alert_relabel_configs", Takes::Rules("empty or null Alertmanager alert relabeling rule")),
    ("", Takes::Sd, None),
];

pub(crate) const REMOTE_WRITE: &[Field] = &[
    field("url", Takes::Text),
    ("remote_timeout", Takes::Duration, Some("30s")),
    field("headers", Takes::TextMap),
    field("write_relabel_configs", Takes::Rules("empty or null relabeling rule in remote write config")),
    field("name", Takes::Text),
    field("send_exemplars", Takes::Bool),
    field("send_native_histograms", Takes::Bool),
    field("round_robin_dns", Takes::Bool),
    ("protobuf_message", Takes::Text, Some("prometheus.WriteRequest")),
    ("", Takes::Http(false), None),
    ("queue_config", Takes::Object(QUEUE), Some("")),
    ("metadata_config", Takes::Object(METADATA), Some("")),
    field("sigv4", Takes::Anything),
    field("azuread", Takes::Anything),
    field("google_iam", Takes::Anything),
];

const QUEUE: &[Field] = &[
    ("capacity", Takes::Int, Some("10000")),
    ("max_shards", Takes::Int, Some("50")),
    ("min_shards", Takes::Int, Some("1")),
    ("max_samples_per_send", Takes::Int, Some("2000")),
    ("batch_send_deadline", Takes::Duration, Some("5s")),
    ("min_backoff", Takes::Duration, Some("30ms")),
    ("max_backoff", Takes::Duration, Some("5s")),
    field("retry_on_http_429", Takes::Bool),
    field("sample_age_limit", Takes::Duration),
];

const METADATA: &[Field] = &[
    ("send", Takes::Bool, Some("true")),
    ("send_interval", Takes::Duration, Some("1m")),
    ("max_samples_per_send", Takes::Int, Some("2000")),
];

pub(crate) const REMOTE_READ: &[Field] = &[
    field("url", Takes::Text),
    ("remote_timeout", Takes::Duration, Some("1m")),
    ("chunked_read_limit", Takes::Int, Some("50000000")),
    field("headers", Takes::TextMap),
    field("read_recent", Takes::Bool),
    field("name", Takes::Text),
    ("", Takes::Http(true), None),
    field("required_matchers", Takes::TextMap),
    ("filter_external_labels", Takes::Bool, Some("true")),
];

pub(crate) const TRACING: &[Field] = &[
    ("client_type", Takes::Text, Some("grpc")),
    field("endpoint", Takes::Text),
    field("sampling_fraction", Takes::Float),
    field("insecure", Takes::Bool),
    ("", Takes::Tls, None),
    field("headers", Takes::TextMap),
    field("compression", Takes::Text),
    field("timeout", Takes::Duration),
];

pub(crate) const OTLP: &[Field] = &[
    field("promote_all_resource_attributes", Takes::Bool),
    field("promote_resource_attributes", Takes::Texts),
    field("ignore_resource_attributes", Takes::Texts),
    ("translation_strategy", Takes::Text, Some("UnderscoreEscapingWithSuffixes")),
    field("keep_identifying_resource_attributes", Takes::Bool),
    field("convert_histograms_to_nhcb", Takes::Bool),
    field("promote_scope_metadata", Takes::Bool),
    ("label_name_underscore_sanitization", Takes::Bool, Some("true")),
    ("label_name_preserve_multiple_underscores", Takes::Bool, Some("true")),
];

pub(crate) const RUNTIME: &[Field] = &[("gogc", Takes::Int, Some("75")), field("log_level", Takes::Text)];

const HTTP_SD: &[Field] =
    &[("", Takes::Http(true), None), ("refresh_interval", Takes::Duration, Some("1m")), field("url", Takes::Text)];

const DNS_SD: &[Field] = &[
    field("names", Takes::Texts),
    ("refresh_interval", Takes::Duration, Some("30s")),
    ("type", Takes::Text, Some("SRV")),
    ("port", Takes::Int, Some("0")),
];

/// The discoveries that nothing serves; those of clouds are taken as they are.
pub(crate) const SD_KINDS: [(&str, Option<&[Field]>); 30] = [
    ("aws_sd_configs", None),
    ("azure_sd_configs", None),
    ("consul_sd_configs", None),
    ("digitalocean_sd_configs", None),
    ("dns_sd_configs", Some(DNS_SD)),
    ("docker_sd_configs", None),
    ("dockerswarm_sd_configs", None),
    ("ec2_sd_configs", None),
    ("eureka_sd_configs", None),
    ("gce_sd_configs", None),
    ("hetzner_sd_configs", None),
    ("http_sd_configs", Some(HTTP_SD)),
    ("ionos_sd_configs", None),
    ("kuma_sd_configs", None),
    ("lightsail_sd_configs", None),
    ("linode_sd_configs", None),
    ("marathon_sd_configs", None),
    ("nerve_sd_configs", None),
    ("nomad_sd_configs", None),
    ("oci_sd_configs", None),
    ("openstack_sd_configs", None),
    ("outscale_sd_configs", None),
    ("ovhcloud_sd_configs", None),
    ("puppetdb_sd_configs", None),
    ("scaleway_sd_configs", None),
    ("serverset_sd_configs", None),
    ("stackit_sd_configs", None),
    ("triton_sd_configs", None),
    ("uyuni_sd_configs", None),
    ("vultr_sd_configs", None),
];

/// Reads one item of a discovery that nothing serves.
pub(crate) fn sd(kind: &str, fields: &mut Fields<'_>) -> Result<Yaml, Error> {
    let table = SD_KINDS.iter().find(|(name, _)| *name == kind).and_then(|(_, table)| *table);
    let Some(table) = table else {
        let pairs = fields.pairs();
        fields.allow_all();
        return Ok(Yaml::Map(pairs.iter().map(|(key, node)| (key.text.clone(), anything(&key.text, node))).collect()));
    };
    let shown = object(fields, table)?;
    match kind {
        "http_sd_configs" => check_http_sd(fields, &shown)?,
        _ => check_dns_sd(fields, &shown)?,
    }
    Ok(shown)
}

fn check_http_sd(fields: &Fields<'_>, shown: &Yaml) -> Result<(), Error> {
    let Some(url) = get(shown, "url") else { return Err(fields.refuse("url", "URL is missing")) };
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Err(fields.refuse("url", "URL scheme must be 'http' or 'https'"));
    };
    if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return Err(fields.refuse("url", "host is missing in URL"));
    }
    Ok(())
}

fn check_dns_sd(fields: &Fields<'_>, shown: &Yaml) -> Result<(), Error> {
    if !has(shown, "names") {
        return Err(fields.refuse("names", "DNS-SD config must contain at least one SRV record name"));
    }
    let kind = get(shown, "type").unwrap_or_default();
    match kind.to_uppercase().as_str() {
        "SRV" => Ok(()),
        "A" | "AAAA" | "MX" | "NS" if get(shown, "port") == Some("0") => {
            Err(fields.refuse("port", "a port is required in DNS-SD configs for all record types except SRV"))
        }
        "A" | "AAAA" | "MX" | "NS" => Ok(()),
        _ => Err(fields.refuse("type", format!("invalid DNS-SD records type {kind}"))),
    }
}

/// Reads the fields of a table, defaults filled in.
pub(crate) fn object(fields: &mut Fields<'_>, table: &[Field]) -> Result<Yaml, Error> {
    let mut out = Pairs::new();
    for (name, takes, default) in table {
        match takes {
            Takes::Http(http2) => http_read::show(&http_read::http(fields, *http2)?, &mut out),
            Takes::Tls => http_read::show_tls(http_read::tls(fields)?.as_ref(), &mut out),
            Takes::Sd => sd_read::show(&sd_read::all(fields)?, &mut out),
            Takes::Object(inner) => {
                let path = fields.at(name);
                let node = fields.node(name);
                if node.is_some() || default.is_some() {
                    let mut nested = Fields::new(fields.source, node, path)?;
                    out.push(((*name).to_owned(), object(&mut nested, inner)?));
                    nested.finish()?;
                }
            }
            // The zero of its type, which upstream does not print.
            _ if fields.is_null(name) => {}
            _ => {
                let given = value(fields, name, *takes)?;
                let zero = |yaml: &Yaml| match yaml {
                    Yaml::Text(text) => text.is_empty() || text == "0s" || text == "0B",
                    Yaml::Raw(text) => text == "0" || text == "false",
                    Yaml::List(list) => list.is_empty(),
                    Yaml::Map(map) => map.is_empty(),
                    Yaml::Flow(list) => list.is_empty(),
                };
                let kept = match (given, default) {
                    // On by default, and left out by upstream when off.
                    (Some(given), Some(_)) if zero(&given) && name.starts_with("label_name_") => None,
                    (Some(given), Some(_)) => Some(given),
                    (Some(given), None) => (!zero(&given)).then_some(given),
                    (None, Some(default)) => Some(match takes {
                        Takes::Text | Takes::Duration => Yaml::text(*default),
                        _ => Yaml::raw(default),
                    }),
                    (None, None) => None,
                };
                out.extend(kept.map(|yaml| ((*name).to_owned(), yaml)));
            }
        }
    }
    Ok(Yaml::Map(out))
}

fn value(fields: &mut Fields<'_>, name: &'static str, takes: Takes) -> Result<Option<Yaml>, Error> {
    if fields.node(name).is_none() {
        return Ok(None);
    }
    let yaml = match takes {
        Takes::Text => fields.text(name)?.map(|text| Yaml::text(http_read::without_password(&text))),
        Takes::Bool => fields.bool(name)?.map(Yaml::raw),
        Takes::Int => fields.int(name)?.map(Yaml::raw),
        Takes::Float => fields.float(name)?.map(|value| Yaml::Raw(float::format_g(value))),
        Takes::Duration => fields.duration_ms(name)?.map(|ms| Yaml::text(format_duration_ms(ms))),
        Takes::Texts => Some(Yaml::texts(fields.texts(name)?)),
        Takes::TextMap => {
            let map = fields.text_map(name)?;
            Some(Yaml::Map(map.into_iter().map(|(key, value)| (key, Yaml::Text(value))).collect()))
        }
        Takes::Rules(empty) => {
            Some(relabel_read::show(&relabel_read::rules(fields, name, NameValidation::Utf8, empty)?))
        }
        Takes::Anything => fields.node(name).map(|node| anything(name, node)),
        Takes::Object(_) | Takes::Tls | Takes::Http(_) | Takes::Sd => None,
    };
    Ok(yaml)
}

/// A value that no table describes. Better to hide too much than too little.
pub(crate) fn anything(key: &str, node: &Node) -> Yaml {
    let key_lower = key.to_ascii_lowercase();
    let sounds_secret =
        ["secret", "password", "token", "credential", "key", "auth"].iter().any(|s| key_lower.contains(s));
    match &*node.kind {
        Kind::Scalar { text, .. } if sounds_secret && !key_lower.ends_with("_file") && !text.is_empty() => {
            Yaml::text(SECRET_SHOWN)
        }
        Kind::Scalar { text, plain: true } => Yaml::Raw(text.clone()),
        Kind::Scalar { text, plain: false } => Yaml::text(text),
        Kind::List(items) => Yaml::List(items.iter().map(|item| anything(key, item)).collect()),
        Kind::Map(pairs) => {
            Yaml::Map(pairs.iter().map(|(key, node)| (key.text.clone(), anything(&key.text, node))).collect())
        }
    }
}

/// A single value of what was read.
pub(crate) fn get<'y>(yaml: &'y Yaml, name: &str) -> Option<&'y str> {
    let Yaml::Map(pairs) = yaml else { return None };
    pairs.iter().find(|(key, _)| key == name).and_then(|(_, value)| match value {
        Yaml::Text(text) | Yaml::Raw(text) => Some(text.as_str()),
        _ => None,
    })
}

/// A part of what was read.
pub(crate) fn part<'y>(yaml: &'y Yaml, name: &str) -> Option<&'y Yaml> {
    let Yaml::Map(pairs) = yaml else { return None };
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Was anything given?
pub(crate) fn has(yaml: &Yaml, name: &str) -> bool {
    matches!(yaml, Yaml::Map(pairs) if pairs.iter().any(|(key, _)| key == name))
}

/// Headers that a section may not set.
pub(crate) fn check_headers(fields: &mut Fields<'_>, authorization: &str) -> Result<(), Error> {
    const RESERVED: [&str; 10] = [
        "host",
        "content-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "x-prometheus-remote-write-version",
        "x-prometheus-remote-read-version",
    ];
    let names: Vec<String> = fields.text_map("headers")?.into_keys().collect();
    for name in names {
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" {
            return Err(fields.refuse("headers", authorization));
        }
        if RESERVED.contains(&lower.as_str()) {
            return Err(fields.refuse("headers", format!("{name} is a reserved header. It must not be changed")));
        }
    }
    Ok(())
}

/// A list of sections, `empty` being said of one that holds nothing.
pub(crate) fn each<'a>(fields: &mut Fields<'a>, name: &'static str, empty: &str) -> Result<Vec<Fields<'a>>, Error> {
    let source = fields.source;
    let mut each = Vec::new();
    for (item, path) in fields.items(name)? {
        if item.is_null() {
            return Err(source.error(item.pos, path, empty));
        }
        each.push(Fields::new(source, Some(item), path)?);
    }
    Ok(each)
}
