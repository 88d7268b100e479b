//! `linode_sd_configs`: instances of Linode (upstream: `discovery/linode`). While the events of the account tell of no change, what
//! was found is not asked for again.

use std::collections::BTreeMap;

use config::LinodeSdConfig;
use http::StatusCode;
use model::{TargetGroup, TargetLabels, Timestamp};
use prometheus::IntCounter;
use serde_json::{Value, json};
use url::Url;

use crate::api::{Api, headers, url_of, with_parameter};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// After so many times without an event everything is asked for all the same: not all that happens is an event.
const QUIET_MAX: u32 = 10;
/// Header: what is listed.
const FILTER: &str = "x-filter";

pub(crate) fn new(config: &LinodeSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Linode::new(config, context), config.refresh_interval_ms, context)
}

struct Linode {
    config: LinodeSdConfig,
    api: Api,
    endpoint: String,
    failures: IntCounter,
    /// What was found last, and when events were asked for last.
    found: Option<(TargetGroup, Timestamp)>,
    /// How often events were asked for since.
    quiet: u32,
    /// The token may not see events.
    no_events: bool,
}

impl Linode {
    fn new(config: &LinodeSdConfig, context: &Context) -> Self {
        Self {
            config: config.clone(),
            api: Api::new(&config.http, refresh_interval(config.refresh_interval_ms), context),
            endpoint: "https://api.linode.com".to_owned(),
            failures: context.metrics.linode_failures.clone(),
            found: None,
            quiet: 0,
            no_events: false,
        }
    }

    /// Did anything happen in the account since then?
    async fn happened(&mut self, since: Timestamp) -> Result<bool, String> {
        let seconds = jiff::Timestamp::from_millisecond(since.0).map_err(|error| error.to_string())?;
        let since = seconds.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let filter = json!({"created": {"+gte": since}}).to_string();
        let url = url_of(&self.endpoint, "/v4/account/events", &[("page", "1"), ("page_size", "25")])?;
        let answer = self.api.get(&url, &headers([(FILTER, filter.as_str())])?).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.no_events = true;
            return Ok(true);
        }
        let events = answer.success()?.json(&url)?;
        self.quiet += 1;
        Ok(!events.items("/data").is_empty() || self.quiet >= QUIET_MAX)
    }

    /// What a path lists, page by page.
    async fn objects(&self, path: &str) -> Result<Vec<Value>, String> {
        let region = &self.config.region;
        let filter = json!({"region": region}).to_string();
        let headers = headers((!region.is_empty()).then_some((FILTER, filter.as_str())))?;
        let next = |here: &Url, page: &Value| {
            let number = page.int("/page");
            (number < page.int("/pages")).then(|| with_parameter(here, "page", &(number + 1).to_string()))
        };
        let first = url_of(&self.endpoint, path, &[("page_size", "500"), ("page", "1")])?;
        let pages = self.api.pages(first, &headers, next).await?;
        Ok(pages.iter().flat_map(|page| page.items("/data")).cloned().collect())
    }

    async fn everything(&self) -> Result<TargetGroup, String> {
        let instances = self.objects("/v4/linode/instances").await?;
        let addresses = self.objects("/v4/networking/ips").await?;
        let ranges = self.objects("/v4/networking/ipv6/ranges").await?;
        let addresses: BTreeMap<&str, &Value> = addresses.iter().map(|one| (one.str("/address"), one)).collect();
        let targets = instances.iter().filter_map(|instance| self.target(instance, &addresses, &ranges)).collect();
        Ok(group("Linode", targets))
    }

    fn target(&self, instance: &Value, addresses: &BTreeMap<&str, &Value>, ranges: &[Value]) -> Option<TargetLabels> {
        if instance.items("/ipv4").is_empty() {
            return None;
        }
        let mut meta = Meta::new("__meta_linode_");
        meta.texts(
            instance,
            &[
                ("instance_id", "/id"),
                ("instance_label", "/label"),
                ("image", "/image"),
                ("region", "/region"),
                ("type", "/type"),
                ("status", "/status"),
                ("group", "/group"),
                ("hypervisor", "/hypervisor"),
            ],
        );
        meta.numbers(instance, &[("gpus", "/specs/gpus"), ("specs_vcpus", "/specs/vcpus")]);
        meta.set("backups", if instance.is("/backups/enabled") { "enabled" } else { "disabled" });
        for (name, pointer) in [
            ("specs_disk_bytes", "/specs/disk"),
            ("specs_memory_bytes", "/specs/memory"),
            ("specs_transfer_bytes", "/specs/transfer"),
        ] {
            meta.set(name, instance.int(pointer).saturating_mul(1 << 20).to_string());
        }
        let separator = &self.config.tag_separator;
        meta.list("tags", separator, &instance.strs("/tags"));
        // The first public and the first private address; the others are extra.
        let (mut public, mut private, mut extra) = ("", "", Vec::new());
        for address in instance.strs("/ipv4").into_iter().filter_map(|ip| addresses.get(ip)) {
            let (first, kind) = if address.is("/public") { (&mut public, "public") } else { (&mut private, "private") };
            let ip = address.str("/address");
            if first.is_empty() {
                *first = ip;
                meta.set(&format!("{kind}_ipv4"), ip);
                meta.set(&format!("{kind}_ipv4_rdns"), name_of(address));
            } else {
                extra.push(ip);
            }
        }
        meta.list("extra_ips", separator, &extra);
        let slaac = instance.str("/ipv6").split('/').next().unwrap_or_default();
        if !slaac.is_empty() {
            if let Some(address) = addresses.get(slaac) {
                meta.set("public_ipv6", slaac);
                meta.set("public_ipv6_rdns", name_of(address));
            }
            let ranges = ranges.iter().filter(|range| range.str("/route_target") == slaac);
            let ranges: Vec<String> =
                ranges.map(|range| format!("{}/{}", range.str("/range"), range.int("/prefix"))).collect();
            meta.list("ipv6_ranges", separator, &ranges);
        }
        meta.address(public, self.config.port);
        Some(meta.target())
    }
}

fn name_of(address: &Value) -> &str {
    Some(address.str("/rdns")).filter(|name| *name != "null").unwrap_or_default()
}

impl List for Linode {
    const MECHANISM: &'static str = "linode";

    async fn list(&mut self) -> Listed {
        let now = Timestamp::now();
        let since = self.found.as_ref().map(|(_, since)| *since).filter(|_| !self.no_events);
        let is_new = match since {
            Some(since) => self.happened(since).await?,
            None => true,
        };
        if is_new {
            let found = self.everything().await.inspect_err(|_| self.failures.inc())?;
            self.quiet = 0;
            self.found = Some((found, now));
        }
        let Some((found, since)) = &mut self.found else { return Ok(Vec::new()) };
        *since = now;
        Ok(vec![found.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const INSTANCES: &str = r#"{"data":[
        {"id":501,"label":"shop-1","group":"g","status":"running","type":"g6-standard-1","ipv4":["198.51.100.50","198.51.100.51","192.168.5.1"],
         "ipv6":"2001:db8:5::1/128","image":"linode/debian12","region":"eu-central","hypervisor":"kvm","tags":["web","eu"],
         "specs":{"disk":51200,"memory":2048,"vcpus":1,"gpus":0,"transfer":2000},"backups":{"enabled":true}},
        {"id":502,"label":"bare","ipv4":[]}],"page":1,"pages":1}"#;
    const ADDRESSES: [&str; 2] = [
        r#"{"data":[{"address":"198.51.100.50","public":true,"rdns":"shop-1.test"},{"address":"198.51.100.51","public":true,"rdns":null}],
            "page":1,"pages":2}"#,
        r#"{"data":[{"address":"192.168.5.1","public":false,"rdns":"null"},{"address":"2001:db8:5::1","public":true,"rdns":"six.test"}],
            "page":2,"pages":2}"#,
    ];
    const RANGES: &str = r#"{"data":[{"range":"2001:db8:e::","prefix":64,"route_target":"2001:db8:5::1"},
        {"range":"2001:db8:f::","prefix":56,"route_target":"other"}],"page":1,"pages":1}"#;

    fn server(events: Option<&'static str>) -> Recorded {
        Recorded::start_with(move |asked| {
            let body = match asked.line.as_str() {
                "GET /v4/account/events?page=1&page_size=25" => events?,
                "GET /v4/linode/instances?page_size=500&page=1" => INSTANCES,
                "GET /v4/networking/ips?page_size=500&page=1" => ADDRESSES[0],
                "GET /v4/networking/ips?page_size=500&page=2" => ADDRESSES[1],
                "GET /v4/networking/ipv6/ranges?page_size=500&page=1" => RANGES,
                _ => return None,
            };
            Some((String::new(), body.to_owned()))
        })
    }

    fn linode(server: &Recorded, fields: &str) -> Linode {
        let config::SdConfig::Linode(config) = sd(&format!("linode_sd_configs: [{{{fields}}}]")) else { panic!() };
        Linode { endpoint: server.url.clone(), ..Linode::new(&config, &context()) }
    }

    #[tokio::test]
    async fn instances_become_targets() {
        let server = server(Some("{}"));
        let mut linode = linode(&server, "region: eu-central, tag_separator: ';'");
        let groups = linode.list().await.unwrap();
        assert_eq!(groups[0].source, "Linode");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="198.51.100.50:80", __meta_linode_backups="enabled", __meta_linode_extra_ips=";198.51.100.51;", __meta_linode_gpus="0", __meta_linode_group="g", __meta_linode_hypervisor="kvm", __meta_linode_image="linode/debian12", __meta_linode_instance_id="501", __meta_linode_instance_label="shop-1", __meta_linode_ipv6_ranges=";2001:db8:e::/64;", __meta_linode_private_ipv4="192.168.5.1", __meta_linode_public_ipv4="198.51.100.50", __meta_linode_public_ipv4_rdns="shop-1.test", __meta_linode_public_ipv6="2001:db8:5::1", __meta_linode_public_ipv6_rdns="six.test", __meta_linode_region="eu-central", __meta_linode_specs_disk_bytes="53687091200", __meta_linode_specs_memory_bytes="2147483648", __meta_linode_specs_transfer_bytes="2097152000", __meta_linode_specs_vcpus="1", __meta_linode_status="running", __meta_linode_tags=";web;eu;", __meta_linode_type="g6-standard-1"}"#
            ]
        );
        let filtered = server.asked().iter().filter(|asked| asked.head.contains(r#"{"region":"eu-central"}"#)).count();
        assert_eq!(filtered, 4);
    }

    #[tokio::test]
    async fn without_events_nothing_is_asked_for_again() {
        let quiet = server(Some(r#"{"data":[],"page":1,"pages":1}"#));
        let mut discovery = linode(&quiet, "");
        for _ in 0..12 {
            assert_eq!(discovery.list().await.unwrap()[0].targets.len(), 1);
        }
        let lines = quiet.lines();
        let n_events = lines.iter().filter(|line| line.contains("/events")).count();
        let n_lists = lines.iter().filter(|line| line.contains("/instances")).count();
        assert_eq!((n_events, n_lists), (11, 2), "the tenth time without an event asks for everything");
        assert!(quiet.asked()[4].head.contains(r#"{"created":{"+gte":"2"#), "{}", quiet.asked()[4].head);
    }

    #[tokio::test]
    async fn a_token_that_may_not_see_events_is_no_failure() {
        // The recorder has no 401: another failure is told.
        let server = server(None);
        let mut discovery = linode(&server, "");
        discovery.list().await.unwrap();
        assert!(discovery.list().await.unwrap_err().contains("404 Not Found"));
        discovery.no_events = true;
        assert_eq!(discovery.list().await.unwrap().len(), 1);
        assert_eq!(discovery.failures.get(), 0);
        drop(server);
        discovery.list().await.unwrap_err();
        assert_eq!(discovery.failures.get(), 1);
    }
}
