//! The table of kinds of service discovery. To add one: a section in `config/src/sd`, a file here, and a row.

use config::SdConfig;

use crate::cloud::aws::{ec2, lightsail};
use crate::cloud::{
    azure, digitalocean, gce, hetzner, ionos, linode, openstack, outscale, ovhcloud, scaleway, stackit, triton, vultr,
};
use crate::discoverer::{Context, Discoverer};
use crate::{
    consul, dns, docker, dockerswarm, eureka, file, http, kubernetes, kuma, marathon, nomad, puppetdb, static_config,
    uyuni,
};

/// The discoverer of a configuration; `None` for kinds that are not served yet.
pub(crate) fn discoverer(config: &SdConfig, context: &Context) -> Option<Box<dyn Discoverer>> {
    Some(match config {
        SdConfig::Azure(config) => azure::new(config, context),
        SdConfig::Consul(config) => consul::new(config, context),
        SdConfig::DigitalOcean(config) => digitalocean::new(config, context),
        SdConfig::Dns(config) => dns::new(config, context),
        SdConfig::Docker(config) => docker::new(config, context),
        SdConfig::DockerSwarm(config) => dockerswarm::new(config, context),
        SdConfig::Ec2(config) => ec2::new(config, context),
        SdConfig::Eureka(config) => eureka::new(config, context),
        SdConfig::File(config) => file::new(config, context),
        SdConfig::Gce(config) => gce::new(config, context),
        SdConfig::Hetzner(config) => hetzner::new(config, context),
        SdConfig::Http(config) => http::new(config, context),
        SdConfig::Ionos(config) => ionos::new(config, context),
        SdConfig::Kubernetes(config) => kubernetes::discoverer::new(config, context),
        SdConfig::Kuma(config) => kuma::new(config, context),
        SdConfig::Lightsail(config) => lightsail::new(config, context),
        SdConfig::Linode(config) => linode::new(config, context),
        SdConfig::Marathon(config) => marathon::new(config, context),
        SdConfig::Nomad(config) => nomad::new(config, context),
        SdConfig::Openstack(config) => openstack::new(config, context),
        SdConfig::Outscale(config) => outscale::new(config, context),
        SdConfig::Ovhcloud(config) => ovhcloud::new(config, context),
        SdConfig::PuppetDb(config) => puppetdb::new(config, context),
        SdConfig::Scaleway(config) => scaleway::new(config, context),
        SdConfig::Stackit(config) => stackit::new(config, context),
        SdConfig::Static(config) => static_config::new(config),
        SdConfig::Triton(config) => triton::new(config, context),
        SdConfig::Uyuni(config) => uyuni::new(config, context),
        SdConfig::Vultr(config) => vultr::new(config, context),
        SdConfig::Unserved(_) => return None,
    })
}
