//! Service discoveries: the table of kinds, and each kind's section.

mod dns;
mod file;
mod http;
mod kubernetes;
mod static_config;
mod unserved;

pub use dns::DnsSdConfig;
pub use file::FileSdConfig;
pub use http::HttpSdConfig;
pub use kubernetes::{AttachMetadata, KubernetesNamespaces, KubernetesRole, KubernetesSdConfig, KubernetesSelector};
pub use static_config::StaticConfig;
pub use unserved::UnservedSd;

pub(crate) use file::stars_in_last_part;

use model::RelabelRule;

use crate::Error;
use crate::schema::{Codec, FieldDoc, Fields, Flags, Opaque, Pairs, Section, Shape};
use crate::yaml::Yaml;

/// One service discovery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SdConfig {
    /// Targets that are listed in the configuration itself: one entry of `static_configs`.
    Static(StaticConfig),
    /// Targets from files that something else writes.
    File(FileSdConfig),
    /// Targets from a Kubernetes API server.
    Kubernetes(Box<KubernetesSdConfig>),
    /// Targets from DNS records.
    Dns(DnsSdConfig),
    /// Targets from an HTTP endpoint.
    Http(Box<HttpSdConfig>),
    /// Another discovery that is not served yet.
    Unserved(UnservedSd),
}

impl SdConfig {
    /// The name of the field: `static_configs`, `kubernetes_sd_configs`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Static(_) => "static_configs",
            Self::File(_) => "file_sd_configs",
            Self::Kubernetes(_) => "kubernetes_sd_configs",
            Self::Dns(_) => "dns_sd_configs",
            Self::Http(_) => "http_sd_configs",
            Self::Unserved(sd) => sd.kind,
        }
    }

    /// The mechanisms of discovery that a configuration may name, such as `kubernetes`, and whether each finds targets here.
    pub fn mechanisms() -> impl Iterator<Item = (&'static str, bool)> {
        let described = KINDS.iter().map(|kind| (kind.field, kind.served));
        let all = described.chain(unserved::KINDS.iter().map(|field| (*field, false)));
        all.map(|(field, served)| (field.trim_end_matches("_configs").trim_end_matches("_sd"), served))
    }

    /// Does anything find targets for this discovery?
    #[must_use]
    pub fn is_served(&self) -> bool {
        !matches!(self, Self::Unserved(_))
    }

    fn to_map(&self) -> Yaml {
        match self {
            Self::Static(config) => config.to_map(),
            Self::File(config) => config.to_map(),
            Self::Kubernetes(config) => config.to_map(),
            Self::Dns(config) => config.to_map(),
            Self::Http(config) => config.to_map(),
            Self::Unserved(config) => config.settings.yaml().clone(),
        }
    }
}

/// Refuses a URL in place of an address, unless rules may turn it into one. `path` is the field for the rest of the URL.
pub(crate) fn check_static_targets(
    (sd, rules): (&[SdConfig], &[RelabelRule]),
    f: &Fields<'_>,
    path: &str,
) -> Result<(), Error> {
    // Rules may take the address apart, as the configuration of blackbox exporter does with URLs.
    if !rules.is_empty() {
        return Ok(());
    }
    let groups = sd.iter().filter_map(|sd| match sd {
        SdConfig::Static(group) => Some(group),
        _ => None,
    });
    match groups.flat_map(|group| &group.targets).find(|target| target.contains('/')) {
        Some(target) => {
            let message =
                format!("{target:?} is not a valid hostname; write host:port, and the rest into scheme and {path}");
            Err(f.refuse("static_configs", message))
        }
        None => Ok(()),
    }
}

/// A kind of discovery.
struct Kind {
    field: &'static str,
    doc: &'static str,
    /// Reads one item of the list; its index is given.
    decode: fn(&mut Fields<'_>, usize) -> Result<SdConfig, Error>,
    shape: fn() -> Shape,
    served: bool,
}

/// The kinds whose settings are described. To add one: a file with its section, a variant of [`SdConfig`], a row here.
const KINDS: [Kind; 5] = [
    Kind {
        field: "dns_sd_configs",
        doc: "Targets from DNS records.",
        decode: |f, _| DnsSdConfig::decode(f, ()).map(SdConfig::Dns),
        shape: || Shape::Section(DnsSdConfig::describe()),
        served: true,
    },
    Kind {
        field: "file_sd_configs",
        doc: "Targets from files, which are read again when they change.",
        decode: |f, _| FileSdConfig::decode(f, ()).map(SdConfig::File),
        shape: || Shape::Section(FileSdConfig::describe()),
        served: true,
    },
    Kind {
        field: "http_sd_configs",
        doc: "Targets from an HTTP endpoint.",
        decode: |f, _| HttpSdConfig::decode(f, ()).map(|config| SdConfig::Http(Box::new(config))),
        shape: || Shape::Section(HttpSdConfig::describe()),
        served: true,
    },
    Kind {
        field: "kubernetes_sd_configs",
        doc: "Targets from the objects of a Kubernetes API server.",
        decode: |f, _| KubernetesSdConfig::decode(f, ()).map(|config| SdConfig::Kubernetes(Box::new(config))),
        shape: || Shape::Section(KubernetesSdConfig::describe()),
        served: true,
    },
    Kind {
        field: "static_configs",
        doc: "Targets that are listed here.",
        decode: |f, i| {
            let config = StaticConfig::decode(f, ())?;
            // Upstream names a static group by its index; errors and the API show that.
            Ok(SdConfig::Static(StaticConfig { source: i.to_string(), ..config }))
        },
        shape: || Shape::Section(StaticConfig::describe()),
        served: true,
    },
];

/// Every `*_sd_configs` and `static_configs` of a section.
pub(crate) enum Discoveries {}

impl Codec<Vec<SdConfig>> for Discoveries {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, _name: &'static str, (): ()) -> Result<Option<Vec<SdConfig>>, Error> {
        let mut found = Vec::new();
        for kind in &KINDS {
            read(f, kind.field, &mut found, kind.decode)?;
        }
        for field in unserved::KINDS {
            read(f, field, &mut found, |f, _| {
                Ok(SdConfig::Unserved(UnservedSd { kind: field, settings: Opaque::of(f) }))
            })?;
        }
        // The order of printing: by name, and `static_configs` last.
        found.sort_by_key(|sd| (matches!(sd, SdConfig::Static(_)), sd.field()));
        Ok(Some(found))
    }

    fn is_zero(sd: &Vec<SdConfig>) -> bool {
        sd.is_empty()
    }

    fn encode(sd: &Vec<SdConfig>) -> Yaml {
        Yaml::List(sd.iter().map(SdConfig::to_map).collect())
    }

    fn shape() -> Shape {
        let described = KINDS.iter().map(|kind| {
            let flags = if kind.served { Flags::NONE } else { Flags::NONE.unserved("it finds no targets yet") };
            doc(kind.field, kind.doc, (kind.shape)(), flags)
        });
        let others = unserved::KINDS.iter().map(|field| {
            let flags = Flags::NONE.unserved("it finds no targets yet");
            doc(field, "Accepted without a check of its settings.", Shape::Scalar("any"), flags)
        });
        let mut all: Vec<FieldDoc> = described.chain(others).collect();
        // In the order of printing.
        all.sort_by_key(|field| (field.name == "static_configs", field.name));
        Shape::Kinds(all)
    }

    fn put(sd: &Vec<SdConfig>, _name: &'static str, _always: bool, out: &mut Pairs) {
        // Discoveries of one kind are neighbours after the sort, and share one field.
        for one in sd.chunk_by(|a, b| a.field() == b.field()) {
            out.push((one[0].field().into(), Yaml::List(one.iter().map(SdConfig::to_map).collect())));
        }
    }
}

fn doc(name: &'static str, doc: &'static str, shape: Shape, flags: Flags) -> FieldDoc {
    FieldDoc { name, doc, shape: Shape::list(shape), default: None, inherited: None, flags }
}

/// Reads the list of one kind.
fn read(
    f: &mut Fields<'_>,
    field: &'static str,
    found: &mut Vec<SdConfig>,
    decode: impl Fn(&mut Fields<'_>, usize) -> Result<SdConfig, Error>,
) -> Result<(), Error> {
    let source = f.source;
    for (i, (item, path)) in f.items(field)?.into_iter().enumerate() {
        // `readConfigs` of `discovery/registry.go`, which names the list in the same words.
        if item.is_null() {
            return Err(source.error(item.pos, path, format!("empty or null section in {field}")));
        }
        let mut inner = Fields::new(source, Some(item), path)?;
        found.push(decode(&mut inner, i)?);
    }
    Ok(())
}
