//! `openstack_sd_configs`: hypervisors, instances or load balancers of OpenStack (upstream: `discovery/openstack`).

use std::collections::{BTreeMap, BTreeSet};

use config::{HttpClientConfig, OpenstackRole, OpenstackSdConfig};
use model::TargetLabels;
use serde_json::Value;

use super::keystone::{Session, User};
use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::refresh::{List, Listed, refresh_interval, refreshed};

const PREFIX: &str = "__meta_openstack_";

pub(crate) fn new(config: &OpenstackSdConfig, context: &Context) -> Box<dyn Discoverer> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    refreshed(Openstack::new(config, &env, context), config.refresh_interval_ms, context)
}

struct Openstack {
    config: OpenstackSdConfig,
    user: User,
    api: Api,
}

impl Openstack {
    fn new(config: &OpenstackSdConfig, env: &dyn Fn(&str) -> Option<String>, context: &Context) -> Self {
        let http = HttpClientConfig { tls: config.tls.clone(), ..HttpClientConfig::default() };
        Self {
            config: config.clone(),
            user: User::new(config, env),
            api: Api::new(&http, refresh_interval(config.refresh_interval_ms), context),
        }
    }

    /// What a path of a service lists; `version` is what its URL ends with.
    async fn objects(
        &self,
        session: &Session,
        (kind, version): (&str, &str),
        (path, field): (&str, &str),
        parameters: &[(&str, &str)],
    ) -> Result<Vec<Value>, String> {
        let server = session.service(kind, &self.config.region, &self.config.availability)?;
        let server = server.trim_end_matches('/');
        let version = if server.ends_with(version) { "" } else { version };
        let url = url_of(server, &format!("{version}{path}"), parameters)?;
        let listed = session.list(&self.api, url, field).await;
        listed.map_err(|error| format!("failed to list {field}: {error}"))
    }

    async fn hypervisors(&self, session: &Session) -> Result<Vec<TargetLabels>, String> {
        let of = ("/os-hypervisors/detail", "hypervisors");
        let hypervisors = self.objects(session, ("compute", ""), of, &[]).await?;
        let target = |hypervisor: &Value| {
            let mut meta = Meta::new(PREFIX);
            meta.texts(
                hypervisor,
                &[
                    ("hypervisor_id", "/id"),
                    ("hypervisor_hostname", "/hypervisor_hostname"),
                    ("hypervisor_host_ip", "/host_ip"),
                    ("hypervisor_status", "/status"),
                    ("hypervisor_state", "/state"),
                    ("hypervisor_type", "/hypervisor_type"),
                ],
            );
            meta.address(hypervisor.str("/host_ip"), self.config.port);
            meta.target()
        };
        Ok(hypervisors.iter().map(target).collect())
    }

    async fn instances(&self, session: &Session) -> Result<Vec<TargetLabels>, String> {
        let ports = self.objects(session, ("network", "/v2.0"), ("/ports", "ports"), &[]).await?;
        let devices: BTreeMap<&str, &str> =
            ports.iter().map(|port| (port.str("/id"), port.str("/device_id"))).collect();
        let floating = self.floating(session).await?;
        // Floating IPs by the device (instance) and the fixed IP that they are attached to.
        let mut public: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for ip in &floating {
            let fixed = ip.str("/fixed_ip_address");
            if let Some(device) = devices.get(ip.str("/port_id")).filter(|_| !fixed.is_empty()) {
                public.insert((device, fixed), ip.str("/floating_ip_address"));
            }
        }
        let all_public: BTreeSet<&str> = public.values().copied().collect();
        let all = if self.config.all_tenants { &[("all_tenants", "true")][..] } else { &[] };
        let servers = self.objects(session, ("compute", ""), ("/servers/detail", "servers"), all).await?;
        let mut targets = Vec::new();
        for server in &servers {
            let Some(common) = instance_labels(server) else { continue };
            for (pool, addresses) in server.members("/addresses") {
                for address in addresses.items("").iter().map(|one| one.str("/addr")) {
                    if address.is_empty() || all_public.contains(address) {
                        continue;
                    }
                    let mut meta = common.clone();
                    meta.set("address_pool", pool);
                    meta.set("private_ip", address);
                    meta.set("public_ip", public.get(&(server.str("/id"), address)).copied().unwrap_or_default());
                    meta.address(address, self.config.port);
                    targets.push(meta.target());
                }
            }
        }
        Ok(targets)
    }

    async fn floating(&self, session: &Session) -> Result<Vec<Value>, String> {
        self.objects(session, ("network", "/v2.0"), ("/floatingips", "floatingips"), &[]).await
    }

    async fn load_balancers(&self, session: &Session) -> Result<Vec<TargetLabels>, String> {
        let service = ("load-balancer", "/v2.0");
        let balancers = self.objects(session, service, ("/lbaas/loadbalancers", "loadbalancers"), &[]).await?;
        let listeners = self.objects(session, service, ("/lbaas/listeners", "listeners"), &[]).await?;
        let floating = self.floating(session).await?;
        let floating: BTreeMap<&str, &str> =
            floating.iter().map(|ip| (ip.str("/port_id"), ip.str("/floating_ip_address"))).collect();
        let target = |balancer: &Value| {
            let id = balancer.str("/id");
            // One that speaks the protocol of Prometheus' targets.
            let listener = listeners.iter().find(|listener| {
                let serves = listener.items("/loadbalancers").iter().any(|one| one.str("/id") == id);
                serves && listener.str("/protocol") == "PROMETHEUS"
            })?;
            let mut meta = Meta::new(PREFIX);
            meta.texts(
                balancer,
                &[
                    ("loadbalancer_id", "/id"),
                    ("loadbalancer_name", "/name"),
                    ("loadbalancer_operating_status", "/operating_status"),
                    ("loadbalancer_provisioning_status", "/provisioning_status"),
                    ("loadbalancer_availability_zone", "/availability_zone"),
                    ("loadbalancer_vip", "/vip_address"),
                    ("loadbalancer_provider", "/provider"),
                    ("project_id", "/project_id"),
                ],
            );
            meta.set("loadbalancer_tags", balancer.strs("/tags").join(","));
            let port = balancer.str("/vip_port_id");
            let public = floating.get(port).filter(|_| !port.is_empty()).copied();
            meta.set("loadbalancer_floating_ip", public.unwrap_or_default());
            meta.address(balancer.str("/vip_address"), listener.int("/protocol_port"));
            Some(meta.target())
        };
        Ok(balancers.iter().filter_map(target).collect())
    }
}

/// The labels of all targets of an instance; none without a flavor that can be named.
fn instance_labels(server: &Value) -> Option<Meta> {
    let flavor = ["/flavor/original_name", "/flavor/id"].into_iter().find_map(|at| server.at(at).as_str())?;
    let mut meta = Meta::new(PREFIX);
    meta.set("instance_flavor", flavor);
    meta.set("instance_image", server.str("/image/id"));
    meta.texts(
        server,
        &[
            ("instance_id", "/id"),
            ("instance_status", "/status"),
            ("instance_name", "/name"),
            ("project_id", "/tenant_id"),
            ("user_id", "/user_id"),
        ],
    );
    meta.members("tag_", server.at("/metadata"));
    Some(meta)
}

impl List for Openstack {
    const MECHANISM: &'static str = "openstack";

    async fn list(&mut self) -> Listed {
        let session = self.user.session(&self.api).await;
        let session = session.map_err(|error| format!("could not authenticate to OpenStack: {error}"))?;
        let targets = match self.config.role {
            Some(OpenstackRole::Hypervisor) => self.hypervisors(&session).await?,
            Some(OpenstackRole::LoadBalancer) => self.load_balancers(&session).await?,
            Some(OpenstackRole::Instance) | None => self.instances(&session).await?,
        };
        Ok(vec![group(format!("OS_{}", self.config.region), targets)])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recorded::{Asked, Recorded, Said, context, sd, shown};

    fn said(asked: &Asked) -> Said {
        let host =
            asked.head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap();
        if asked.line == "POST /identity/v3/auth/tokens" {
            assert!(asked.body.contains(r#""password":"hunter2""#), "{}", asked.body);
            let endpoint = |interface: &str, path: &str| json!({"interface": interface, "region": "r1", "region_id": "r1", "url": format!("http://{host}{path}")});
            let service = |kind: &str, path: &str| json!({"type": kind, "endpoints": [endpoint("internal", "/wrong"), endpoint("public", path)]});
            let catalog = [
                service("compute", "/nova/v2.1/"),
                service("network", "/neutron"),
                service("load-balancer", "/octavia/v2.0/"),
            ];
            return Some(("X-Subject-Token: t-1\r\n".to_owned(), json!({"token": {"catalog": catalog}}).to_string()));
        }
        assert!(asked.head.to_lowercase().contains("x-auth-token: t-1\r\n"), "{}", asked.head);
        let body = match asked.line.as_str() {
            "GET /nova/v2.1/os-hypervisors/detail" => json!({"hypervisors": [
                {"id": 7, "hypervisor_hostname": "hv-1.test", "host_ip": "10.18.0.1", "status": "enabled", "state": "up", "hypervisor_type": "QEMU"}
            ]}),
            "GET /nova/v2.1/servers/detail?all_tenants=true" => json!({
                "servers": [
                    {"id": "srv-1", "name": "shop", "status": "ACTIVE", "tenant_id": "p-1", "user_id": "u-1",
                     "flavor": {"original_name": "m1.small"}, "image": {"id": "img-1"}, "metadata": {"team.name": "web"},
                     "addresses": {"back": [{"addr": "10.19.0.1"}, {"addr": "198.51.100.131"}], "six": [{"addr": "fd00::1"}]}},
                    {"id": "srv-2", "addresses": {"back": [{"addr": "10.19.0.2"}]}, "flavor": {}}
                ],
                "servers_links": [{"rel": "next", "href": format!("http://{host}/nova/v2.1/servers/detail?marker=srv-2")}]
            }),
            "GET /nova/v2.1/servers/detail?marker=srv-2" => json!({"servers": [
                {"id": "srv-3", "name": "db", "status": "SHUTOFF", "flavor": {"id": "4"}, "image": "", "addresses": {"back": [{"addr": "10.19.0.3"}]}},
                {"id": "srv-4", "flavor": {"id": "4"}, "addresses": {}}
            ]}),
            "GET /neutron/v2.0/ports" => {
                json!({"ports": [{"id": "port-1", "device_id": "srv-1"}, {"id": "port-9", "device_id": "lb-1"}]})
            }
            "GET /neutron/v2.0/floatingips" => json!({"floatingips": [
                {"floating_ip_address": "198.51.100.131", "fixed_ip_address": "10.19.0.1", "port_id": "port-1"},
                {"floating_ip_address": "198.51.100.132", "fixed_ip_address": null, "port_id": null},
                {"floating_ip_address": "198.51.100.133", "fixed_ip_address": "10.19.0.9", "port_id": "port-9"}
            ]}),
            "GET /octavia/v2.0/lbaas/loadbalancers" => json!({"loadbalancers": [
                {"id": "lb-1", "name": "front", "operating_status": "ONLINE", "provisioning_status": "ACTIVE", "availability_zone": "az1",
                 "vip_address": "10.19.0.9", "vip_port_id": "port-9", "provider": "amphora", "project_id": "p-1", "tags": ["a", "b"]},
                {"id": "lb-2", "name": "other"}
            ]}),
            "GET /octavia/v2.0/lbaas/listeners" => json!({"listeners": [
                {"protocol": "HTTP", "protocol_port": 80, "loadbalancers": [{"id": "lb-1"}, {"id": "lb-2"}]},
                {"protocol": "PROMETHEUS", "protocol_port": 8088, "loadbalancers": [{"id": "lb-1"}]}
            ]}),
            _ => return None,
        };
        Some((String::new(), body.to_string()))
    }

    async fn listed(role: &str, more: &str) -> Vec<String> {
        let server = Recorded::start_with(said);
        let text = format!(
            "openstack_sd_configs: [{{identity_endpoint: '{}/identity', username: u, password: hunter2, domain_name: d, region: r1, role: {role}{more}}}]",
            server.url
        );
        let config::SdConfig::Openstack(config) = sd(&text) else { panic!() };
        let groups = Openstack::new(&config, &|_| None, &context()).list().await.unwrap();
        assert_eq!(groups[0].source, "OS_r1");
        shown(&groups[0])
    }

    #[tokio::test]
    async fn hypervisors_become_targets() {
        assert_eq!(
            listed("hypervisor", "").await,
            [
                r#"{__address__="10.18.0.1:80", __meta_openstack_hypervisor_host_ip="10.18.0.1", __meta_openstack_hypervisor_hostname="hv-1.test", __meta_openstack_hypervisor_id="7", __meta_openstack_hypervisor_state="up", __meta_openstack_hypervisor_status="enabled", __meta_openstack_hypervisor_type="QEMU"}"#
            ]
        );
    }

    #[tokio::test]
    async fn instances_become_targets() {
        let shop = |pool: &str, ip: &str, public: &str| {
            format!(
                r#"__meta_openstack_address_pool="{pool}", __meta_openstack_instance_flavor="m1.small", __meta_openstack_instance_id="srv-1", __meta_openstack_instance_image="img-1", __meta_openstack_instance_name="shop", __meta_openstack_instance_status="ACTIVE", __meta_openstack_private_ip="{ip}", __meta_openstack_project_id="p-1", {public}__meta_openstack_tag_team_name="web", __meta_openstack_user_id="u-1"}}"#
            )
        };
        let public = r#"__meta_openstack_public_ip="198.51.100.131", "#;
        assert_eq!(
            listed("instance", ", all_tenants: true, port: 99").await,
            [
                format!(r#"{{__address__="10.19.0.1:99", {}"#, shop("back", "10.19.0.1", public)),
                r#"{__address__="10.19.0.3:99", __meta_openstack_address_pool="back", __meta_openstack_instance_flavor="4", __meta_openstack_instance_id="srv-3", __meta_openstack_instance_name="db", __meta_openstack_instance_status="SHUTOFF", __meta_openstack_private_ip="10.19.0.3"}"#.to_owned(),
                format!(r#"{{__address__="[fd00::1]:99", {}"#, shop("six", "fd00::1", "")),
            ]
        );
    }

    #[tokio::test]
    async fn load_balancers_become_targets() {
        assert_eq!(
            listed("loadbalancer", "").await,
            [
                r#"{__address__="10.19.0.9:8088", __meta_openstack_loadbalancer_availability_zone="az1", __meta_openstack_loadbalancer_floating_ip="198.51.100.133", __meta_openstack_loadbalancer_id="lb-1", __meta_openstack_loadbalancer_name="front", __meta_openstack_loadbalancer_operating_status="ONLINE", __meta_openstack_loadbalancer_provider="amphora", __meta_openstack_loadbalancer_provisioning_status="ACTIVE", __meta_openstack_loadbalancer_tags="a,b", __meta_openstack_loadbalancer_vip="10.19.0.9", __meta_openstack_project_id="p-1"}"#
            ]
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_told() {
        let config::SdConfig::Openstack(config) = sd("openstack_sd_configs: [{role: instance, region: r1}]") else {
            panic!()
        };
        let error = Openstack::new(&config, &|_| None, &context()).list().await.unwrap_err();
        assert!(error.contains("OS_AUTH_URL"), "{error}");
        let server = Recorded::start_with(said);
        let env = |name: &str| match name {
            "OS_AUTH_URL" => Some(format!("{}/identity/v3", server.url)),
            "OS_PASSWORD" => Some("hunter2".to_owned()),
            _ => None,
        };
        let config = OpenstackSdConfig { region: "r2".to_owned(), ..*config };
        let error = Openstack::new(&config, &env, &context()).list().await.unwrap_err();
        assert_eq!(error, "there is no public endpoint of service network in region r2");
    }
}
