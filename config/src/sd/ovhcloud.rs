//! `ovhcloud_sd_configs`.

use crate::schema::{Duration, Fields, SecretText, Text, section};
use crate::{Error, Secret};

section! {
    /// Targets from the servers of OVHcloud.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct OvhcloudSdConfig as "ovhcloud_sd_config" {
        /// The API: `ovh-eu`, `ovh-ca`, `ovh-us`, `kimsufi-eu`, `kimsufi-ca`, `soyoustart-eu`, `soyoustart-ca`, or a URL.
        #[yaml(Text, default = "ovh-eu".to_owned(); always, required = "endpoint can not be empty")]
        pub endpoint: String,
        /// The key of the application.
        #[yaml(Text; always, required = "application key can not be empty")]
        pub application_key: String,
        /// The secret of the application.
        #[yaml(SecretText; always, required = "application secret can not be empty")]
        pub application_secret: Option<Secret>,
        /// The key that the owner of the servers gave the application.
        #[yaml(SecretText; always, required = "consumer key can not be empty")]
        pub consumer_key: Option<Secret>,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// What becomes targets: `vps` or `dedicated_server`.
        #[yaml(Text; always)]
        pub service: String,
    }
    check = check_ovhcloud;
}

fn check_ovhcloud(config: &mut OvhcloudSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    match config.service.as_str() {
        "vps" | "dedicated_server" => Ok(()),
        service => Err(f.refuse("service", format!("unknown service: {service}"))),
    }
}
