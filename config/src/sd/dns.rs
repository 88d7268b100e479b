//! `dns_sd_configs`.

use crate::Error;
use crate::schema::{Duration, Fields, Int, Text, Texts, section};

section! {
    /// Targets from DNS records.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct DnsSdConfig as "dns_sd_config" {
        /// The names to look up.
        #[yaml(Texts; always, required = "DNS-SD config must contain at least one SRV record name")]
        pub names: Vec<String>,
        /// The time from one lookup to the next.
        #[yaml(Duration, name = "refresh_interval", default = 30_000)]
        pub refresh_interval_ms: i64,
        /// The type of record: `SRV`, `A`, `AAAA`, `MX` or `NS`.
        #[yaml(Text, name = "type", default = "SRV".to_owned(); always)]
        pub kind: String,
        /// The port of the targets; needed unless the type is `SRV`.
        #[yaml(Int, default = 0; always)]
        pub port: i64,
    }
    check = check_dns;
}

fn check_dns(config: &mut DnsSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    // SRV records carry ports. The word is compared in any letter case and printed as written, as upstream does.
    match config.kind.to_uppercase().as_str() {
        "SRV" => Ok(()),
        "A" | "AAAA" | "MX" | "NS" if config.port == 0 => {
            Err(f.refuse("port", "a port is required in DNS-SD configs for all record types except SRV"))
        }
        "A" | "AAAA" | "MX" | "NS" => Ok(()),
        _ => Err(f.refuse("type", format!("invalid DNS-SD records type {}", config.kind))),
    }
}
