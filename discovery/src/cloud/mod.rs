//! Servers of cloud providers, by their APIs.

pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod digitalocean;
pub(crate) mod gce;
mod google;
pub(crate) mod hetzner;
pub(crate) mod ionos;
mod keystone;
pub(crate) mod linode;
pub(crate) mod openstack;
pub(crate) mod outscale;
pub(crate) mod ovhcloud;
pub(crate) mod scaleway;
mod signature;
pub(crate) mod stackit;
pub(crate) mod triton;
pub(crate) mod vultr;
