//! Virtual machines, those of scale sets among them, and their network interfaces, by Azure Resource Manager.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{AzureSdConfig, HttpClientConfig};
use futures::StreamExt as _;
use http::StatusCode;
use http::header::HeaderMap;
use model::TargetLabels;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::tokens::{Cloud, Environment, Tokens};
use crate::api::{Api, url_of};
use crate::discoverer::{Context, Discoverer};
use crate::json::Json as _;
use crate::meta::{Meta, group};
use crate::metrics::AzureMetrics;
use crate::refresh::{List, Listed, refresh_interval, refreshed};

/// The versions of the APIs.
const COMPUTE: (&str, &str) = ("api-version", "2024-07-01");
const NETWORK: (&str, &str) = ("api-version", "2024-01-01");
/// So many network interfaces are asked for at a time.
const AT_ONCE: usize = 16;
/// So many network interfaces are kept.
const INTERFACES_MAX: usize = 5000;
/// A network interface is used again for so many refreshes.
const KEPT_REFRESHES: u32 = 10;

pub(crate) fn new(config: &AzureSdConfig, context: &Context) -> Box<dyn Discoverer> {
    let env: Environment = Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let cloud = Cloud::named(&config.environment);
    refreshed(Azure::new(config, cloud, env, context), config.refresh_interval_ms, context)
}

struct Azure {
    config: AzureSdConfig,
    /// Or why there is none.
    client: Result<Client, String>,
    metrics: AzureMetrics,
    interval: Duration,
    /// By id, and until when they are used.
    interfaces: BTreeMap<String, (Value, Instant)>,
}

struct Client {
    tokens: Tokens,
    api: Api,
    manager: String,
}

/// A virtual machine, and the scale set that it is one of.
struct Machine {
    value: Value,
    scale_set: Option<String>,
}

impl Azure {
    fn new(config: &AzureSdConfig, cloud: Result<Cloud, String>, env: Environment, context: &Context) -> Self {
        let interval = refresh_interval(config.refresh_interval_ms);
        let client = cloud.map(|cloud| Client {
            manager: cloud.manager.clone(),
            tokens: Tokens::new(config, cloud, env, Api::new(&HttpClientConfig::default(), interval, context)),
            api: Api::new(&config.http, interval, context),
        });
        let metrics = context.metrics.azure.clone();
        Self { config: config.clone(), client, metrics, interval, interfaces: BTreeMap::new() }
    }

    async fn targets(&mut self) -> Result<Vec<TargetLabels>, String> {
        let client = self.client.as_mut().map_err(|error| format!("could not create Azure client: {error}"))?;
        let headers = client.tokens.headers().await?;
        let machines = client.machines(&self.config, &headers).await?;
        let now = Instant::now();
        self.interfaces.retain(|_, (_, until)| now < *until);
        let mut wanted = Vec::new();
        for machine in &machines {
            for interface in machine.value.items("/properties/networkProfile/networkInterfaces") {
                let id = interface.str("/id");
                if self.interfaces.contains_key(id) {
                    self.metrics.cache_hits.inc();
                } else {
                    wanted.push((id.to_owned(), client.interface_url(machine, id)?));
                }
            }
        }
        let (api, headers) = (&client.api, &headers);
        let asked = wanted.into_iter().map(async |(id, url)| (id, interface(api, headers, &url).await));
        let mut answered = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut found = BTreeMap::new();
        while let Some((id, answer)) = answered.next().await {
            let answer = answer.map_err(|error| format!("unable to complete Azure service discovery: {error}"))?;
            match answer {
                Some(interface) => drop(found.insert(id, interface)),
                None => tracing::warn!(mechanism = "azure", interface = id, "network interface does not exist"),
            }
        }
        let mut targets = Vec::new();
        for machine in &machines {
            let of = |id: &str| found.get(id).or_else(|| self.interfaces.get(id).map(|(interface, _)| interface));
            targets.extend(target(&self.config, machine, of)?);
        }
        // Not all at the same time, so that not all are asked for again at once.
        for (n, (id, interface)) in (0..).zip(found) {
            if self.interfaces.len() < INTERFACES_MAX {
                self.interfaces.insert(id, (interface, now + self.interval * (KEPT_REFRESHES + n % 3)));
            }
        }
        Ok(targets)
    }
}

impl Client {
    /// All machines.
    async fn machines(&self, config: &AzureSdConfig, headers: &HeaderMap) -> Result<Vec<Machine>, String> {
        let scope = match config.resource_group.as_str() {
            "" => format!("/subscriptions/{}", config.subscription_id),
            name => format!("/subscriptions/{}/resourceGroups/{name}", config.subscription_id),
        };
        let list = async |path: &str| self.list(&format!("{scope}/providers/Microsoft.Compute/{path}"), headers).await;
        let machines = list("virtualMachines").await;
        let machines = machines.map_err(|error| format!("could not get virtual machines: {error}"))?;
        let mut machines: Vec<Machine> = machines.into_iter().map(|value| Machine { value, scale_set: None }).collect();
        let sets = list("virtualMachineScaleSets").await;
        for set in sets.map_err(|error| format!("could not get virtual machine scale sets: {error}"))? {
            let members = self.list(&format!("{}/virtualMachines", set.str("/id")), headers).await;
            let members = members.map_err(|error| format!("could not get virtual machine scale set vms: {error}"))?;
            machines.extend(members.into_iter().map(|value| Machine { value, scale_set: Some(set.text("/name")) }));
        }
        Ok(machines)
    }

    /// What a path lists, page by page.
    async fn list(&self, path: &str, headers: &HeaderMap) -> Result<Vec<Value>, String> {
        let next = |_: &Url, page: &Value| Url::parse(page.str("/nextLink")).ok();
        let pages = self.api.pages(url_of(&self.manager, path, &[COMPUTE])?, headers, next).await?;
        Ok(pages.iter().flat_map(|page| page.items("/value")).cloned().collect())
    }

    /// Where a network interface of a machine is asked for.
    fn interface_url(&self, machine: &Machine, id: &str) -> Result<Url, String> {
        let expand = [NETWORK, ("$expand", "IPConfigurations/PublicIPAddress")];
        let Some(set) = &machine.scale_set else { return url_of(&self.manager, id, &expand) };
        let part = |name: &str| part_of(id, name).ok_or_else(|| format!("invalid ID '{id}'"));
        let (subscription, resources) = (part("subscriptions")?, part("resourceGroups")?);
        let (index, name) = (machine.value.str("/instanceId"), id.rsplit('/').next().unwrap_or_default());
        // In the old place of scale sets, as Azure's clients have it.
        let path = format!(
            "/subscriptions/{subscription}/resourceGroups/{resources}/providers/microsoft.Compute/virtualMachineScaleSets/{set}\
             /virtualMachines/{index}/networkInterfaces/{name}"
        );
        url_of(&self.manager, &path, &[("api-version", "2018-10-01"), expand[1]])
    }
}

/// A network interface; `None` if there is none any more.
async fn interface(api: &Api, headers: &HeaderMap, url: &Url) -> Result<Option<Value>, String> {
    let answer = api.get(url, headers).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    answer.success()?.json(url).map(Some)
}

/// What follows a word in an id, in any letter case: `/subscriptions/s/resourceGroups/g/…`.
fn part_of<'i>(id: &'i str, name: &str) -> Option<&'i str> {
    let mut parts = id.split('/');
    parts.find(|part| part.eq_ignore_ascii_case(name))?;
    parts.next()
}

/// The target of a machine; none if it is not allocated.
fn target<'i>(
    config: &AzureSdConfig,
    machine: &Machine,
    interface: impl Fn(&str) -> Option<&'i Value>,
) -> Result<Option<TargetLabels>, String> {
    let value = &machine.value;
    let mut meta = Meta::new("__meta_azure_");
    meta.set("subscription_id", &config.subscription_id);
    meta.set("tenant_id", &config.tenant_id);
    meta.texts(
        value,
        &[
            ("machine_id", "/id"),
            ("machine_name", "/name"),
            ("machine_computer_name", "/properties/osProfile/computerName"),
            ("machine_os_type", "/properties/storageProfile/osDisk/osType"),
            ("machine_location", "/location"),
            ("machine_size", "/properties/hardwareProfile/vmSize"),
        ],
    );
    meta.set("machine_resource_group", part_of(value.str("/id"), "resourceGroups").unwrap_or_default());
    meta.set("machine_scale_set", machine.scale_set.as_deref().unwrap_or_default());
    meta.members("machine_tag_", value.at("/tags"));
    for id in value.items("/properties/networkProfile/networkInterfaces").iter().map(|one| one.str("/id")) {
        let Some(interface) = interface(id) else { return Ok(None) };
        if interface.at("/properties").is_null() {
            continue;
        }
        // A machine that is not allocated has interfaces that do not say which is the primary one.
        let Some(is_primary) = interface.at("/properties/primary").as_bool() else { return Ok(None) };
        let Some(ip) = interface.items("/properties/ipConfigurations").first().filter(|_| is_primary) else { continue };
        meta.texts(
            ip,
            &[
                ("machine_public_ip", "/properties/publicIPAddress/properties/ipAddress"),
                ("machine_private_ip", "/properties/privateIPAddress"),
            ],
        );
        let private = ip.str("/properties/privateIPAddress");
        if private.is_empty() {
            return Err(format!("unable to find a private IP for VM {}", value.str("/name")));
        }
        meta.address(private, config.port);
        return Ok(Some(meta.target()));
    }
    Ok(None)
}

impl List for Azure {
    const MECHANISM: &'static str = "azure";

    async fn list(&mut self) -> Listed {
        let targets = self.targets().await.inspect_err(|_| self.metrics.failures.inc())?;
        // Upstream's group has no source.
        Ok(vec![group("", targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::{Asked, Recorded, Said, context, sd, shown};

    const GROUP: &str = "/subscriptions/s/resourceGroups/rg";

    fn interface_id(name: &str) -> String {
        format!("{GROUP}/providers/Microsoft.Network/networkInterfaces/{name}")
    }

    fn interfaces(names: &[&str]) -> Value {
        names.iter().map(|name| serde_json::json!({"id": interface_id(name)})).collect()
    }

    fn said(asked: &Asked) -> Said {
        let host =
            asked.head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap();
        if asked.line == "POST /t/oauth2/v2.0/token" {
            return Some((String::new(), r#"{"access_token":"tok","expires_in":3599}"#.to_owned()));
        }
        assert!(asked.head.to_lowercase().contains("authorization: bearer tok\r\n"), "{}", asked.head);
        let compute = "/providers/Microsoft.Compute";
        let (path, query) = asked.line.strip_prefix("GET ")?.split_once('?')?;
        let machine = |name: &str, names: &[&str]| {
            serde_json::json!({
                "id": format!("{GROUP}{compute}/virtualMachines/{name}"), "name": name, "location": "northeurope", "tags": {"team.name": "web"},
                "properties": {
                    "storageProfile": {"osDisk": {"osType": "Linux"}}, "osProfile": {"computerName": format!("{name}.host")},
                    "hardwareProfile": {"vmSize": "Standard_B1s"}, "networkProfile": {"networkInterfaces": interfaces(names)}
                }
            })
        };
        let nic = |is_primary: Value, private: Option<&str>| {
            let ip = serde_json::json!({"properties": {"privateIPAddress": private, "publicIPAddress": {"properties": {"ipAddress": "198.51.100.141"}}}});
            serde_json::json!({"properties": {"primary": is_primary, "ipConfigurations": [ip]}})
        };
        let sets = format!("/subscriptions/s{compute}/virtualMachineScaleSets");
        let set = format!("{GROUP}{compute}/virtualMachineScaleSets/set");
        let of_set = "/subscriptions/s/resourceGroups/rg/providers/microsoft.Compute/virtualMachineScaleSets/set/virtualMachines/0/networkInterfaces/n3";
        let body = match path {
            path if path == format!("/subscriptions/s{compute}/virtualMachines")
                && query.starts_with("api-version") =>
            {
                serde_json::json!({
                    "value": [machine("vm-1", &["n0", "n1"]), machine("off", &["n2"])],
                    "nextLink": format!("http://{host}/subscriptions/s{compute}/virtualMachines?page=2")
                })
            }
            path if path == format!("/subscriptions/s{compute}/virtualMachines") => {
                serde_json::json!({"value": [machine("gone", &["n9"])]})
            }
            path if path == sets => serde_json::json!({"value": [{"id": set, "name": "set"}]}),
            path if path == format!("{set}/virtualMachines") => {
                let mut machine = machine("vm-2", &["n3"]);
                machine["instanceId"] = "0".into();
                serde_json::json!({"value": [machine]})
            }
            path if path == interface_id("n0") => nic(false.into(), Some("10.20.9.9")),
            path if path == interface_id("n1") => nic(true.into(), Some("10.20.0.1")),
            path if path == interface_id("n2") => nic(Value::Null, None),
            path if path == of_set => nic(true.into(), Some("10.20.0.2")),
            _ => return None,
        };
        Some((String::new(), body.to_string()))
    }

    #[tokio::test]
    async fn machines_become_targets() {
        let server = Recorded::start_with(said);
        let text = "azure_sd_configs: [{subscription_id: s, tenant_id: t, client_id: c, client_secret: x}]";
        let config::SdConfig::Azure(config) = sd(text) else { panic!() };
        let cloud = Cloud { login: server.url.clone(), manager: server.url.clone() };
        let mut azure = Azure::new(&config, Ok(cloud), Box::new(|_| None), &context());
        let groups = azure.list().await.unwrap();
        let machine = |name: &str, private: &str, set: &str| {
            format!(
                r#"{{__address__="{private}:80", __meta_azure_machine_computer_name="{name}.host", __meta_azure_machine_id="{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}", __meta_azure_machine_location="northeurope", __meta_azure_machine_name="{name}", __meta_azure_machine_os_type="Linux", __meta_azure_machine_private_ip="{private}", __meta_azure_machine_public_ip="198.51.100.141", __meta_azure_machine_resource_group="rg", {set}__meta_azure_machine_size="Standard_B1s", __meta_azure_machine_tag_team_name="web", __meta_azure_subscription_id="s", __meta_azure_tenant_id="t"}}"#
            )
        };
        assert_eq!(
            shown(&groups[0]),
            [
                machine("vm-1", "10.20.0.1", ""),
                machine("vm-2", "10.20.0.2", r#"__meta_azure_machine_scale_set="set", "#),
            ]
        );
        let n_asked = server.asked().len();
        azure.list().await.unwrap();
        // The interfaces are known, but for the one that is not there; so is the token.
        assert_eq!((server.asked().len() - n_asked, azure.metrics.cache_hits.get()), (5, 4));
        drop(server);
        assert!(azure.list().await.unwrap_err().starts_with("could not get virtual machines: "));
        assert_eq!(azure.metrics.failures.get(), 1);
    }

    #[test]
    fn a_machine_needs_a_private_address() {
        let config::SdConfig::Azure(config) =
            sd("azure_sd_configs: [{subscription_id: s, authentication_method: SDK}]")
        else {
            panic!()
        };
        let value =
            serde_json::json!({"name": "vm", "properties": {"networkProfile": {"networkInterfaces": [{"id": "n"}]}}});
        let machine = Machine { value, scale_set: None };
        let interface = serde_json::json!({"properties": {"primary": true, "ipConfigurations": [{"properties": {}}]}});
        let error = target(&config, &machine, |_| Some(&interface)).unwrap_err();
        assert_eq!(error, "unable to find a private IP for VM vm");
        assert!(target(&config, &machine, |_| None).unwrap().is_none());
    }
}
