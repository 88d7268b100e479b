//! `azure_sd_configs`.

use crate::http::HttpClientConfig;
use crate::schema::{Duration, Fields, Inline, Int, SecretText, Text, section};
use crate::{Error, Secret};

section! {
    /// Targets from the virtual machines of Azure, those of scale sets among them.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct AzureSdConfig as "azure_sd_config" {
        /// The cloud: `AzurePublicCloud`, `AzureChinaCloud` or `AzureUSGovernmentCloud`.
        #[yaml(Text, default = "AzurePublicCloud".to_owned())]
        pub environment: String,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// The id of the subscription.
        #[yaml(Text; always)]
        pub subscription_id: String,
        /// The id of the tenant; needed with `OAuth`.
        #[yaml(Text)]
        pub tenant_id: String,
        /// The id of the client; needed with `OAuth`.
        #[yaml(Text)]
        pub client_id: String,
        /// The secret of the client; needed with `OAuth`.
        #[yaml(SecretText)]
        pub client_secret: Option<Secret>,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 300_000)]
        pub refresh_interval_ms: i64,
        /// Where tokens come from: `OAuth` (the secret of the client), `ManagedIdentity` (the machine), `WorkloadIdentity` (a token of
        /// Kubernetes) or `SDK` (the environment, a token of Kubernetes, or the machine: the first of them that is there).
        #[yaml(Text, default = "OAuth".to_owned())]
        pub authentication_method: String,
        /// The resource group; all of the subscription if it is missing.
        #[yaml(Text)]
        pub resource_group: String,
        /// How the API is connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
    }
    check = check_azure;
}

fn check_azure(config: &mut AzureSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    let is_oauth = config.authentication_method == "OAuth";
    let needed = [
        ("subscription_id", config.subscription_id.is_empty()),
        ("tenant_id", is_oauth && config.tenant_id.is_empty()),
        ("client_id", is_oauth && config.client_id.is_empty()),
        ("client_secret", is_oauth && config.client_secret.is_none()),
    ];
    if let Some((name, _)) = needed.iter().find(|(_, is_missing)| *is_missing) {
        return Err(f.refuse(name, format!("azure SD configuration requires a {name}")));
    }
    match config.authentication_method.as_str() {
        "OAuth" | "ManagedIdentity" | "SDK" | "WorkloadIdentity" => Ok(()),
        other => {
            let message = format!(
                "unknown authentication_type {other:?}. Supported types are \"OAuth\", \"ManagedIdentity\", \"SDK\" or \
                 \"WorkloadIdentity\""
            );
            Err(f.refuse("authentication_method", message))
        }
    }
}
