//! Service discoveries: the table of kinds, and each kind's section.

mod aws;
mod azure;
mod codecs;
mod consul;
mod digitalocean;
mod dns;
mod docker;
mod eureka;
mod file;
mod gce;
mod hetzner;
mod http;
mod ionos;
mod kubernetes;
mod kuma;
mod linode;
mod marathon;
mod nomad;
mod openstack;
mod outscale;
mod ovhcloud;
mod puppetdb;
mod scaleway;
mod stackit;
mod static_config;
mod triton;
mod unserved;
mod url;
mod uyuni;
mod vultr;

pub use aws::{Ec2Filter, Ec2SdConfig, LightsailSdConfig};
pub use azure::AzureSdConfig;
pub use consul::ConsulSdConfig;
pub use digitalocean::{DigitalOceanRole, DigitalOceanSdConfig};
pub use dns::DnsSdConfig;
pub use docker::{DockerFilter, DockerSdConfig, DockerSwarmSdConfig};
pub use eureka::EurekaSdConfig;
pub use file::FileSdConfig;
pub use gce::GceSdConfig;
pub use hetzner::{HetznerRole, HetznerSdConfig};
pub use http::HttpSdConfig;
pub use ionos::IonosSdConfig;
pub use kubernetes::{AttachMetadata, KubernetesNamespaces, KubernetesRole, KubernetesSdConfig, KubernetesSelector};
pub use kuma::KumaSdConfig;
pub use linode::LinodeSdConfig;
pub use marathon::MarathonSdConfig;
pub use nomad::NomadSdConfig;
pub use openstack::{OpenstackRole, OpenstackSdConfig};
pub use outscale::OutscaleSdConfig;
pub use ovhcloud::OvhcloudSdConfig;
pub use puppetdb::PuppetDbSdConfig;
pub use scaleway::{ScalewayRole, ScalewaySdConfig};
pub use stackit::StackitSdConfig;
pub use static_config::StaticConfig;
pub use triton::TritonSdConfig;
pub use unserved::UnservedSd;
pub use uyuni::UyuniSdConfig;
pub use vultr::VultrSdConfig;

pub(crate) use file::stars_in_last_part;

use model::RelabelRule;

use crate::Error;
use crate::schema::{Codec, FieldDoc, Fields, Flags, Opaque, Pairs, Section as _, Shape};
use crate::yaml::Yaml;

/// A kind of discovery whose settings are described.
struct Kind {
    field: &'static str,
    doc: &'static str,
    /// Reads one item of the list.
    decode: fn(&mut Fields<'_>) -> Result<SdConfig, Error>,
    shape: fn() -> Shape,
}

/// Declares the kinds: the variants of [`SdConfig`], and how each is read and printed. To add one: a file with its section, a line
/// here, and what finds its targets in the crate `discovery`.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident($section:ty) = $field:literal;)+) => {
        /// One service discovery.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum SdConfig {
            $($(#[doc = $doc])+ $kind(Box<$section>),)+
            /// Another discovery that is not served yet.
            Unserved(UnservedSd),
        }

        impl SdConfig {
            /// The name of the field: `static_configs`, `kubernetes_sd_configs`.
            #[must_use]
            pub fn field(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $field,)+
                    Self::Unserved(sd) => sd.kind,
                }
            }

            fn to_map(&self) -> Yaml {
                match self {
                    $(Self::$kind(config) => config.to_map(),)+
                    Self::Unserved(config) => config.settings.yaml().clone(),
                }
            }
        }

        const KINDS: &[Kind] = &[$(Kind {
            field: $field,
            doc: concat!($($doc),+),
            decode: |f| Ok(SdConfig::$kind(Box::new(<$section>::decode(f, ())?))),
            shape: || Shape::Section(<$section>::describe()),
        }),+];
    };
}

kinds! {
    /// Targets from the virtual machines of Azure.
    Azure(AzureSdConfig) = "azure_sd_configs";
    /// Targets from the services that a Consul server knows.
    Consul(ConsulSdConfig) = "consul_sd_configs";
    /// Targets from the droplets or databases of DigitalOcean.
    DigitalOcean(DigitalOceanSdConfig) = "digitalocean_sd_configs";
    /// Targets from DNS records.
    Dns(DnsSdConfig) = "dns_sd_configs";
    /// Targets from the containers of a Docker daemon.
    Docker(DockerSdConfig) = "docker_sd_configs";
    /// Targets from the nodes, services or tasks of a Docker swarm.
    DockerSwarm(DockerSwarmSdConfig) = "dockerswarm_sd_configs";
    /// Targets from the instances of EC2.
    Ec2(Ec2SdConfig) = "ec2_sd_configs";
    /// Targets from the instances that register with Eureka.
    Eureka(EurekaSdConfig) = "eureka_sd_configs";
    /// Targets from files, which are read again when they change.
    File(FileSdConfig) = "file_sd_configs";
    /// Targets from the instances of Google Compute Engine.
    Gce(GceSdConfig) = "gce_sd_configs";
    /// Targets from the servers of Hetzner.
    Hetzner(HetznerSdConfig) = "hetzner_sd_configs";
    /// Targets from an HTTP endpoint.
    Http(HttpSdConfig) = "http_sd_configs";
    /// Targets from the servers of IONOS Cloud.
    Ionos(IonosSdConfig) = "ionos_sd_configs";
    /// Targets from the objects of a Kubernetes API server.
    Kubernetes(KubernetesSdConfig) = "kubernetes_sd_configs";
    /// Targets from the control plane of Kuma.
    Kuma(KumaSdConfig) = "kuma_sd_configs";
    /// Targets from the instances of Lightsail.
    Lightsail(LightsailSdConfig) = "lightsail_sd_configs";
    /// Targets from the instances of Linode.
    Linode(LinodeSdConfig) = "linode_sd_configs";
    /// Targets from the apps of Marathon.
    Marathon(MarathonSdConfig) = "marathon_sd_configs";
    /// Targets from the services that a Nomad server knows.
    Nomad(NomadSdConfig) = "nomad_sd_configs";
    /// Targets from the hypervisors, instances or load balancers of OpenStack.
    Openstack(OpenstackSdConfig) = "openstack_sd_configs";
    /// Targets from the virtual machines of Outscale.
    Outscale(OutscaleSdConfig) = "outscale_sd_configs";
    /// Targets from the servers of OVHcloud.
    Ovhcloud(OvhcloudSdConfig) = "ovhcloud_sd_configs";
    /// Targets from the resources of PuppetDB.
    PuppetDb(PuppetDbSdConfig) = "puppetdb_sd_configs";
    /// Targets from the servers of Scaleway.
    Scaleway(ScalewaySdConfig) = "scaleway_sd_configs";
    /// Targets from the servers of STACKIT.
    Stackit(StackitSdConfig) = "stackit_sd_configs";
    /// Targets that are listed here.
    Static(StaticConfig) = "static_configs";
    /// Targets from the containers or compute nodes of Triton.
    Triton(TritonSdConfig) = "triton_sd_configs";
    /// Targets from the systems that Uyuni manages.
    Uyuni(UyuniSdConfig) = "uyuni_sd_configs";
    /// Targets from the instances of Vultr.
    Vultr(VultrSdConfig) = "vultr_sd_configs";
}

impl SdConfig {
    /// The mechanisms of discovery that a configuration may name, such as `kubernetes`, and whether each finds targets here.
    pub fn mechanisms() -> impl Iterator<Item = (&'static str, bool)> {
        let described = KINDS.iter().map(|kind| (kind.field, true));
        let all = described.chain(unserved::KINDS.iter().map(|field| (*field, false)));
        all.map(|(field, served)| (field.trim_end_matches("_configs").trim_end_matches("_sd"), served))
    }

    /// Does anything find targets for this discovery?
    #[must_use]
    pub fn is_served(&self) -> bool {
        !matches!(self, Self::Unserved(_))
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

/// Every `*_sd_configs` and `static_configs` of a section.
pub(crate) enum Discoveries {}

impl Codec<Vec<SdConfig>> for Discoveries {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, _name: &'static str, (): ()) -> Result<Option<Vec<SdConfig>>, Error> {
        let mut found = Vec::new();
        for kind in KINDS {
            read(f, kind.field, &mut found, kind.decode)?;
        }
        for field in unserved::KINDS {
            read(f, field, &mut found, |f| {
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
        let described = KINDS.iter().map(|kind| doc(kind.field, kind.doc, (kind.shape)(), Flags::NONE));
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
    decode: impl Fn(&mut Fields<'_>) -> Result<SdConfig, Error>,
) -> Result<(), Error> {
    let source = f.source;
    // Recovered here, since the other kinds are read from the same mapping.
    let items = f.items(field).map(Some);
    for (i, (item, path)) in source.recover(items)?.unwrap_or_default().into_iter().enumerate() {
        // `readConfigs` of `discovery/registry.go`, which names the list in the same words.
        let sd = if item.is_null() {
            Err(source.error(item.pos, path, format!("empty or null section in {field}")))
        } else {
            Fields::new(source, Some(item), path).and_then(|mut f| decode(&mut f))
        };
        let Some(mut sd) = source.recover(sd.map(Some))? else { continue };
        // Upstream names a static group by its index; errors and the API show that.
        if let SdConfig::Static(group) = &mut sd {
            group.source = i.to_string();
        }
        found.push(sd);
    }
    Ok(())
}
