//! `ec2_sd_configs` and `lightsail_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Int, ListOf, SecretText, Text, Texts, Url, section};
use crate::{Error, Secret};

section! {
    /// Targets from the instances of EC2.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Ec2SdConfig as "ec2_sd_config" {
        /// The URL of the API, instead of that of the region.
        #[yaml(Url; always)]
        pub endpoint: String,
        /// The region; that of the environment or of the instance if it is missing.
        #[yaml(Text; always)]
        pub region: String,
        /// The access key. Without keys those of the environment, of `profile`, of a web identity, of a container or of the instance
        /// are used.
        #[yaml(Text)]
        pub access_key: String,
        /// The secret key.
        #[yaml(SecretText)]
        pub secret_key: Option<Secret>,
        /// A profile of the file of credentials.
        #[yaml(Text)]
        pub profile: String,
        /// A role to assume.
        #[yaml(Text)]
        pub role_arn: String,
        /// An external id to assume the role with.
        #[yaml(Text)]
        pub external_id: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Which instances are listed.
        #[yaml(ListOf<Ec2Filter>, with = ((), "empty or null section in filters"); always)]
        pub filters: Vec<Ec2Filter>,
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
    }
    check = check_ec2;
}

fn check_ec2(config: &mut Ec2SdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.filters.iter().any(|filter| filter.values.is_empty()) {
        return Err(f.refuse("filters", "EC2 SD configuration filter values cannot be empty"));
    }
    Ok(())
}

section! {
    /// A filter of the API of EC2.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct Ec2Filter as "ec2_filter" {
        /// Its name: `tag:environment`.
        #[yaml(Text; always)]
        pub name: String,
        /// Values of which one must hold.
        #[yaml(Texts; always)]
        pub values: Vec<String>,
    }
}

section! {
    /// Targets from the instances of Lightsail.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct LightsailSdConfig as "lightsail_sd_config" {
        /// The URL of the API, instead of that of the region.
        #[yaml(Url; always)]
        pub endpoint: String,
        /// The region; that of the environment or of the instance if it is missing.
        #[yaml(Text; always)]
        pub region: String,
        /// The access key. Without keys those of the environment, of `profile`, of a web identity, of a container or of the instance
        /// are used.
        #[yaml(Text)]
        pub access_key: String,
        /// The secret key.
        #[yaml(SecretText)]
        pub secret_key: Option<Secret>,
        /// A profile of the file of credentials.
        #[yaml(Text)]
        pub profile: String,
        /// A role to assume.
        #[yaml(Text)]
        pub role_arn: String,
        /// An external id to assume the role with.
        #[yaml(Text)]
        pub external_id: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
    }
}
