//! `ec2_sd_configs`: instances of EC2 (upstream: `discovery/aws/ec2.go`).

use std::collections::BTreeMap;

use config::{Ec2Filter, Ec2SdConfig};
use model::TargetLabels;
use serde_json::Value;

use super::account::{Account, Section};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// The version of the API.
const VERSION: &str = "2016-11-15";
/// A list of more pages is refused: the service would go on for ever.
const PAGES_MAX: usize = 10_000;
/// An instance has fewer network interfaces.
const INTERFACES_MAX: usize = 256;

pub(crate) fn new(config: &Ec2SdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Ec2::new(config, context), config.refresh_interval_ms, context)
}

struct Ec2 {
    account: Account,
    filters: Vec<(String, String)>,
    port: i64,
    /// The ids of the availability zones by name, which are the same for all accounts.
    zones: Option<BTreeMap<String, String>>,
}

impl Ec2 {
    fn new(config: &Ec2SdConfig, context: &Context) -> Self {
        let section = Section {
            endpoint: config.endpoint.clone(),
            region: config.region.clone(),
            access_key: config.access_key.clone(),
            secret_key: config.secret_key.clone(),
            profile: config.profile.clone(),
            role_arn: config.role_arn.clone(),
            external_id: config.external_id.clone(),
        };
        Self {
            account: Account::new(section, &config.http, refresh_interval(config.refresh_interval_ms), context),
            filters: parameters(&config.filters),
            port: config.port,
            zones: None,
        }
    }

    /// Asked for once: a new zone needs a reload.
    async fn find_zones(&mut self) {
        let asked = [pair("Action", "DescribeAvailabilityZones"), pair("Version", VERSION)];
        match self.account.query("ec2", &asked).await {
            Ok(said) => {
                let zones = said.items("/availabilityZoneInfo").iter();
                self.zones = Some(zones.map(|zone| (zone.text("/zoneName"), zone.text("/zoneId"))).collect());
            }
            Err(error) => tracing::debug!(mechanism = "ec2", %error, "cannot describe availability zones"),
        }
    }

    fn target(&self, instance: &Value, region: &str, owner: &str) -> Option<TargetLabels> {
        let addresses = Ipv6::of(instance);
        let private = instance.str("/privateIpAddress");
        let mut meta = Meta::new("__meta_ec2_");
        meta.address(if private.is_empty() { addresses.first()? } else { private }, self.port);
        meta.set("region", region);
        meta.set("owner_id", owner);
        meta.set("default_ipv6_address", addresses.first().unwrap_or_default());
        meta.list("primary_ipv6_addresses", ",", &addresses.primary);
        meta.list("ipv6_addresses", ",", &addresses.all);
        meta.texts(
            instance,
            &[
                ("instance_id", "/instanceId"),
                ("private_ip", "/privateIpAddress"),
                ("private_dns_name", "/privateDnsName"),
                ("platform", "/platform"),
                ("ami", "/imageId"),
                ("availability_zone", "/placement/availabilityZone"),
                ("instance_state", "/instanceState/name"),
                ("instance_type", "/instanceType"),
                ("instance_lifecycle", "/instanceLifecycle"),
                ("architecture", "/architecture"),
            ],
        );
        if !instance.str("/ipAddress").is_empty() {
            meta.texts(instance, &[("public_ip", "/ipAddress"), ("public_dns_name", "/dnsName")]);
        }
        let zone = self.zones.as_ref().and_then(|zones| zones.get(instance.str("/placement/availabilityZone")));
        meta.set("availability_zone_id", zone.cloned().unwrap_or_default());
        if !instance.str("/vpcId").is_empty() {
            meta.texts(instance, &[("vpc_id", "/vpcId"), ("primary_subnet_id", "/subnetId")]);
            let mut subnets: Vec<&str> = Vec::new();
            for interface in instance.items("/networkInterfaceSet") {
                let subnet = interface.str("/subnetId");
                if !subnet.is_empty() && !subnets.contains(&subnet) {
                    subnets.push(subnet);
                }
            }
            meta.list("subnet_id", ",", &subnets);
        }
        for tag in instance.items("/tagSet") {
            meta.keyed("tag_", tag.str("/key"), tag.str("/value"));
        }
        Some(meta.target())
    }
}

/// The IPv6 addresses of an instance in a VPC.
#[derive(Default)]
struct Ipv6<'i> {
    all: Vec<&'i str>,
    /// By the index of the interface, with empty places.
    primary: Vec<&'i str>,
}

impl<'i> Ipv6<'i> {
    fn of(instance: &'i Value) -> Self {
        let mut found = Self::default();
        if instance.str("/vpcId").is_empty() {
            return found;
        }
        let interfaces = instance.items("/networkInterfaceSet").iter();
        for interface in interfaces.filter(|interface| !interface.str("/subnetId").is_empty()) {
            for address in interface.items("/ipv6AddressesSet") {
                let text = address.str("/ipv6Address");
                if text.is_empty() {
                    continue;
                }
                found.all.push(text);
                let index = interface.str("/attachment/deviceIndex").parse().unwrap_or(INTERFACES_MAX);
                if address.str("/isPrimaryIpv6") == "true" && index < INTERFACES_MAX {
                    found.primary.resize(found.primary.len().max(index + 1), "");
                    found.primary[index] = text;
                }
            }
        }
        found
    }

    /// The first primary one, or the first.
    fn first(&self) -> Option<&'i str> {
        self.primary.iter().chain(&self.all).find(|address| !address.is_empty()).copied()
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Filters as parameters of a request.
fn parameters(filters: &[Ec2Filter]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (n, filter) in filters.iter().enumerate() {
        pairs.push((format!("Filter.{}.Name", n + 1), filter.name.clone()));
        let values = filter.values.iter().enumerate();
        pairs.extend(values.map(|(m, value)| (format!("Filter.{}.Value.{}", n + 1, m + 1), value.clone())));
    }
    pairs
}

impl List for Ec2 {
    const MECHANISM: &'static str = "ec2";

    async fn list(&mut self) -> Listed {
        let region = self.account.region().await?;
        if self.zones.is_none() {
            self.find_zones().await;
        }
        let (mut targets, mut next) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let mut asked = vec![pair("Action", "DescribeInstances"), pair("Version", VERSION)];
            asked.extend(self.filters.iter().cloned());
            asked.extend((!next.is_empty()).then(|| pair("NextToken", &next)));
            let said = self.account.query("ec2", &asked).await;
            let said = said.map_err(|error| format!("could not describe instances: {error}"))?;
            for reservation in said.items("/reservationSet") {
                let instances = reservation.items("/instancesSet").iter();
                let owner = reservation.str("/ownerId");
                targets.extend(instances.filter_map(|instance| self.target(instance, &region, owner)));
            }
            next = said.text("/nextToken");
            if next.is_empty() {
                return Ok(vec![group(region, targets)]);
            }
        }
        Err(format!("there are more than {PAGES_MAX} pages of instances"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Recorded, context, sd, shown};

    const ZONES: &str = "<DescribeAvailabilityZonesResponse><availabilityZoneInfo><item><zoneName>eu-x-1a</zoneName><zoneId>eux1-az2</zoneId>\
        </item></availabilityZoneInfo></DescribeAvailabilityZonesResponse>";
    const FIRST: &str = "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item>\
        <ownerId>owner-1</ownerId><instancesSet><item><instanceId>i-1</instanceId><imageId>ami-1</imageId>\
        <instanceState><code>16</code><name>running</name></instanceState><privateDnsName>ip-10-14-0-1.internal</privateDnsName>\
        <dnsName>i-1.public.test</dnsName><instanceType>t4g.small</instanceType>\
        <placement><availabilityZone>eu-x-1a</availabilityZone></placement><platform>windows</platform><subnetId>subnet-1</subnetId>\
        <vpcId>vpc-1</vpcId><privateIpAddress>10.14.0.1</privateIpAddress><ipAddress>198.51.100.101</ipAddress>\
        <architecture>arm64</architecture><instanceLifecycle>spot</instanceLifecycle>\
        <tagSet><item><key>team.name</key><value>web</value></item><item><key>empty</key><value/></item></tagSet>\
        <networkInterfaceSet><item><subnetId>subnet-1</subnetId><attachment><deviceIndex>0</deviceIndex></attachment></item>\
        <item><subnetId>subnet-2</subnetId><attachment><deviceIndex>1</deviceIndex></attachment><ipv6AddressesSet>\
        <item><ipv6Address>2001:db8::a</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item>\
        <item><ipv6Address>2001:db8::b</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item></ipv6AddressesSet></item>\
        <item><subnetId>subnet-1</subnetId></item></networkInterfaceSet></item></instancesSet></item></reservationSet>\
        <nextToken>n-1</nextToken></DescribeInstancesResponse>";
    const SECOND: &str = "<DescribeInstancesResponse><reservationSet><item><ownerId>owner-2</ownerId><instancesSet>\
        <item><instanceId>i-2</instanceId><imageId>ami-2</imageId><vpcId>vpc-1</vpcId><subnetId>subnet-3</subnetId>\
        <placement><availabilityZone>eu-x-1b</availabilityZone></placement><networkInterfaceSet><item><subnetId>subnet-3</subnetId>\
        <ipv6AddressesSet><item><ipv6Address>2001:db8::c</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item></ipv6AddressesSet>\
        </item></networkInterfaceSet></item><item><instanceId>i-3</instanceId></item></instancesSet></item></reservationSet>\
        </DescribeInstancesResponse>";

    #[tokio::test]
    async fn instances_become_targets() {
        let server = Recorded::start_with(|asked| {
            assert!(
                asked.head.contains("Credential=ak/") && asked.head.contains("/eu-x/ec2/aws4_request"),
                "{}",
                asked.head
            );
            let filters = "&Filter.1.Name=tag%3Aenv&Filter.1.Value.1=a&Filter.1.Value.2=b";
            let instances = format!("Action=DescribeInstances&Version=2016-11-15{filters}");
            let body = match asked.body.as_str() {
                "Action=DescribeAvailabilityZones&Version=2016-11-15" => ZONES,
                body if body == instances => FIRST,
                body if body == format!("{instances}&NextToken=n-1") => SECOND,
                body => panic!("{body}"),
            };
            Some(("Content-Type: text/xml\r\n".to_owned(), body.to_owned()))
        });
        let text = format!(
            "ec2_sd_configs: [{{endpoint: '{}', region: eu-x, access_key: ak, secret_key: sk, filters: [{{name: 'tag:env', values: [a, b]}}]}}]",
            server.url
        );
        let config::SdConfig::Ec2(config) = sd(&text) else { panic!() };
        let groups = Ec2::new(&config, &context()).list().await.unwrap();
        assert_eq!(groups[0].source, "eu-x");
        assert_eq!(
            shown(&groups[0]),
            [
                r#"{__address__="10.14.0.1:80", __meta_ec2_ami="ami-1", __meta_ec2_architecture="arm64", __meta_ec2_availability_zone="eu-x-1a", __meta_ec2_availability_zone_id="eux1-az2", __meta_ec2_default_ipv6_address="2001:db8::b", __meta_ec2_instance_id="i-1", __meta_ec2_instance_lifecycle="spot", __meta_ec2_instance_state="running", __meta_ec2_instance_type="t4g.small", __meta_ec2_ipv6_addresses=",2001:db8::a,2001:db8::b,", __meta_ec2_owner_id="owner-1", __meta_ec2_platform="windows", __meta_ec2_primary_ipv6_addresses=",,2001:db8::b,", __meta_ec2_primary_subnet_id="subnet-1", __meta_ec2_private_dns_name="ip-10-14-0-1.internal", __meta_ec2_private_ip="10.14.0.1", __meta_ec2_public_dns_name="i-1.public.test", __meta_ec2_public_ip="198.51.100.101", __meta_ec2_region="eu-x", __meta_ec2_subnet_id=",subnet-1,subnet-2,", __meta_ec2_tag_team_name="web", __meta_ec2_vpc_id="vpc-1"}"#,
                r#"{__address__="[2001:db8::c]:80", __meta_ec2_ami="ami-2", __meta_ec2_availability_zone="eu-x-1b", __meta_ec2_default_ipv6_address="2001:db8::c", __meta_ec2_instance_id="i-2", __meta_ec2_ipv6_addresses=",2001:db8::c,", __meta_ec2_owner_id="owner-2", __meta_ec2_primary_subnet_id="subnet-3", __meta_ec2_region="eu-x", __meta_ec2_subnet_id=",subnet-3,", __meta_ec2_vpc_id="vpc-1"}"#,
            ]
        );
    }
}
