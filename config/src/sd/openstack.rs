//! `openstack_sd_configs`.

use super::codecs::ShownSecret;
use crate::http::TlsConfig;
use crate::schema::{Bool, Duration, Fields, Int, Keyword, OmitDefault, Text, Url, Word, section};
use crate::{Error, Secret};

section! {
    /// Targets from the hypervisors, instances or load balancers of OpenStack.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct OpenstackSdConfig as "openstack_sd_config" {
        /// The URL of the identity service (Keystone), version 3. If it is missing, the environment (`OS_AUTH_URL` and the others)
        /// says this and all about the user.
        #[yaml(Url; always)]
        pub identity_endpoint: String,
        /// The name of the user.
        #[yaml(Text; always)]
        pub username: String,
        /// The id of the user.
        #[yaml(Text; always)]
        pub userid: String,
        /// The password.
        #[yaml(ShownSecret)]
        pub password: Option<Secret>,
        /// The name of the project.
        #[yaml(Text; always)]
        pub project_name: String,
        /// The id of the project.
        #[yaml(Text; always)]
        pub project_id: String,
        /// The name of the domain.
        #[yaml(Text; always)]
        pub domain_name: String,
        /// The id of the domain.
        #[yaml(Text; always)]
        pub domain_id: String,
        /// The name of an application credential; it needs the user, too.
        #[yaml(Text; always)]
        pub application_credential_name: String,
        /// The id of an application credential.
        #[yaml(Text; always)]
        pub application_credential_id: String,
        /// The secret of the application credential.
        #[yaml(ShownSecret)]
        pub application_credential_secret: Option<Secret>,
        /// What becomes targets.
        #[yaml(Word<OpenstackRole>; always)]
        pub role: Option<OpenstackRole>,
        /// The region.
        #[yaml(Text; always)]
        pub region: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Instances of all projects; the user must be an administrator.
        #[yaml(Bool)]
        pub all_tenants: bool,
        /// TLS.
        #[yaml(OmitDefault<TlsConfig>, name = "tls_config")]
        pub tls: Option<TlsConfig>,
        /// Which endpoints of the services are asked: `public`, `admin` or `internal`.
        #[yaml(Text, default = "public".to_owned())]
        pub availability: String,
    }
    check = check_openstack;
}

fn check_openstack(config: &mut OpenstackSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if !["public", "internal", "admin"].contains(&config.availability.as_str()) {
        let message = format!("unknown availability {}, must be one of admin, internal or public", config.availability);
        return Err(f.refuse("availability", message));
    }
    if config.role.is_none() {
        return Err(f.refuse("role", "role missing (one of: instance, hypervisor, loadbalancer)"));
    }
    if config.region.is_empty() {
        return Err(f.refuse("region", "openstack SD configuration requires a region"));
    }
    Ok(())
}

/// What of OpenStack becomes targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenstackRole {
    /// Hosts of instances.
    Hypervisor,
    /// Every address of every instance.
    Instance,
    /// Load balancers with a listener of the protocol `PROMETHEUS`.
    LoadBalancer,
}

impl Keyword for OpenstackRole {
    const WORDS: &'static [(&'static str, Self)] =
        &[("hypervisor", Self::Hypervisor), ("instance", Self::Instance), ("loadbalancer", Self::LoadBalancer)];

    const EMPTY_IS_UNSET: bool = false;

    fn unknown(word: &str) -> String {
        format!("unknown OpenStack SD role {word:?}; it is hypervisor, instance or loadbalancer")
    }
}
