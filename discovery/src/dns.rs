//! `dns_sd_configs`: targets from DNS records (upstream: `discovery/dns`).

use std::collections::BTreeSet;

use config::DnsSdConfig;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use http_client::{DnsRecord, RecordKind, Resolver};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup};
use prometheus::IntCounter;

use crate::discoverer::{Context, Discoverer};
use crate::host_port::host_port;
use crate::refresh::{Found, Refresh, refreshed};

const NAME: &str = "__meta_dns_name";
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
const SRV_PORT: &str = "__meta_dns_srv_record_port";
const MX_TARGET: &str = "__meta_dns_mx_record_target";
const NS_TARGET: &str = "__meta_dns_ns_record_target";

pub(crate) fn new(config: &DnsSdConfig, context: &Context) -> Box<dyn Discoverer> {
    let of = Names {
        names: config.names.clone(),
        kind: record_kind(config),
        port: config.port,
        resolver: context.http.1.clone(),
        lookups: context.metrics.dns_lookups.clone(),
        failures: context.metrics.dns_failures.clone(),
    };
    refreshed(of, config.refresh_interval_ms, context)
}

/// The configuration was checked: what is none of the others is `SRV`.
fn record_kind(config: &DnsSdConfig) -> RecordKind {
    match config.kind.to_uppercase().as_str() {
        "A" => RecordKind::A,
        "AAAA" => RecordKind::Aaaa,
        "MX" => RecordKind::Mx,
        "NS" => RecordKind::Ns,
        _ => RecordKind::Srv,
    }
}

struct Names {
    names: Vec<String>,
    kind: RecordKind,
    port: i64,
    resolver: Resolver,
    lookups: IntCounter,
    failures: IntCounter,
}

impl Names {
    /// The group of a name; an error if it is not known whether it has records.
    async fn look_up(&self, name: &str) -> Result<TargetGroup, String> {
        self.lookups.inc();
        let records = self.resolver.records(name, self.kind).await.map_err(|error| {
            self.failures.inc();
            error.to_string()
        })?;
        let targets = records.iter().map(|record| self.target(name, record).into()).collect();
        Ok(TargetGroup { source: name.to_owned(), labels: Labels::default(), targets })
    }

    fn target(&self, name: &str, record: &DnsRecord) -> Labels {
        let mut labels = LabelsBuilder::default();
        labels.set(NAME, name.to_owned());
        let address = match record {
            DnsRecord::Address(address) => host_port(&address.to_string(), self.port),
            DnsRecord::Srv { target, port } => {
                labels.set(SRV_TARGET, target.clone());
                labels.set(SRV_PORT, port.to_string());
                host_port(target.trim_end_matches('.'), port)
            }
            DnsRecord::Host(host) => {
                labels.set(if self.kind == RecordKind::Mx { MX_TARGET } else { NS_TARGET }, host.clone());
                host_port(host.trim_end_matches('.'), self.port)
            }
        };
        labels.set(ADDRESS, address);
        labels.labels()
    }
}

impl Refresh for Names {
    const MECHANISM: &'static str = "dns";

    fn refresh<'a>(&'a mut self, known: &'a BTreeSet<String>) -> BoxFuture<'a, Found> {
        async move {
            let mut found = Found::default();
            let mut errors = Vec::new();
            for (name, looked_up) in
                self.names.iter().zip(join_all(self.names.iter().map(|name| self.look_up(name))).await)
            {
                match looked_up {
                    Ok(group) => found.groups.push(group),
                    Err(error) => {
                        errors.push(format!("could not resolve {name:?}: {error}"));
                        found.kept.extend(known.get(name).cloned());
                    }
                }
            }
            found.error = (!errors.is_empty()).then(|| errors.join("; "));
            found
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: &str) -> Names {
        let config = DnsSdConfig {
            names: vec!["web.test.".to_owned()],
            refresh_interval_ms: 30_000,
            kind: kind.to_owned(),
            port: 9100,
        };
        let counter = || IntCounter::new("lookups", "of a test").unwrap();
        Names {
            names: config.names.clone(),
            kind: record_kind(&config),
            port: config.port,
            resolver: Resolver::system(),
            lookups: counter(),
            failures: counter(),
        }
    }

    #[test]
    fn records_become_targets() {
        let target = |kind: &str, record: DnsRecord| names(kind).target("web.test.", &record).to_string();
        assert_eq!(
            target("srv", DnsRecord::Srv { target: "a.test.".to_owned(), port: 8080 }),
            r#"{__address__="a.test:8080", __meta_dns_name="web.test.", __meta_dns_srv_record_port="8080", __meta_dns_srv_record_target="a.test."}"#
        );
        assert_eq!(
            target("A", DnsRecord::Address("10.0.0.1".parse().unwrap())),
            r#"{__address__="10.0.0.1:9100", __meta_dns_name="web.test."}"#
        );
        assert_eq!(
            target("AAAA", DnsRecord::Address("2001:db8::1".parse().unwrap())),
            r#"{__address__="[2001:db8::1]:9100", __meta_dns_name="web.test."}"#
        );
        assert_eq!(
            target("mx", DnsRecord::Host("mail.test.".to_owned())),
            r#"{__address__="mail.test:9100", __meta_dns_mx_record_target="mail.test.", __meta_dns_name="web.test."}"#
        );
        assert_eq!(
            target("NS", DnsRecord::Host("ns.test.".to_owned())),
            r#"{__address__="ns.test:9100", __meta_dns_name="web.test.", __meta_dns_ns_record_target="ns.test."}"#
        );
    }
}
