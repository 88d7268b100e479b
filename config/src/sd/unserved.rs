//! Discoveries that are not served yet: they find no targets.

use crate::schema::Opaque;

/// A discovery whose settings are not described.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnservedSd {
    /// The name of the field: `consul_sd_configs`.
    pub kind: &'static str,
    pub(crate) settings: Opaque,
}

/// The kinds whose settings are not described: they are accepted and printed as they are.
pub(crate) const KINDS: [&str; 28] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];
