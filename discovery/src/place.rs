//! Who is asked by a discovery, in words for people: without passwords.

use config::SdConfig;
use kube_watch::ApiServer;
use url::Url;

use crate::api::shown;

/// Where a discovery looks; empty where there is but one service of its kind.
pub(crate) fn place(config: &SdConfig) -> String {
    match config {
        SdConfig::Azure(config) => named(&[("subscription", config.subscription_id.as_str())]),
        SdConfig::Consul(config) => without_password(config.server.as_str()),
        SdConfig::Dns(config) => config.names.join(", "),
        SdConfig::Docker(config) => without_password(config.host.as_str()),
        SdConfig::DockerSwarm(config) => without_password(config.host.as_str()),
        SdConfig::Ec2(config) => named(&[("endpoint", config.endpoint.as_str()), ("region", config.region.as_str())]),
        SdConfig::Eureka(config) => without_password(config.server.as_str()),
        SdConfig::File(config) => {
            config.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        }
        SdConfig::Gce(config) => named(&[("project", config.project.as_str()), ("zone", config.zone.as_str())]),
        SdConfig::Http(config) => without_password(config.url.as_str()),
        SdConfig::Ionos(config) => named(&[("datacenter", config.datacenter_id.as_str())]),
        SdConfig::Kubernetes(config) => ApiServer::from(config.as_ref()).to_string(),
        SdConfig::Kuma(config) => without_password(config.server.as_str()),
        SdConfig::Lightsail(config) => {
            named(&[("endpoint", config.endpoint.as_str()), ("region", config.region.as_str())])
        }
        SdConfig::Linode(config) => named(&[("region", config.region.as_str())]),
        SdConfig::Marathon(config) => {
            config.servers.iter().map(|server| without_password(server)).collect::<Vec<_>>().join(", ")
        }
        SdConfig::Nomad(config) => without_password(config.server.as_str()),
        SdConfig::Openstack(config) => {
            named(&[("", without_password(&config.identity_endpoint).as_str()), ("region", config.region.as_str())])
        }
        SdConfig::Outscale(config) => {
            named(&[("endpoint", config.endpoint.as_str()), ("region", config.region.as_str())])
        }
        SdConfig::Ovhcloud(config) => {
            named(&[("endpoint", config.endpoint.as_str()), ("service", config.service.as_str())])
        }
        SdConfig::PuppetDb(config) => without_password(config.url.as_str()),
        SdConfig::Scaleway(config) => {
            named(&[("", without_password(&config.api_url).as_str()), ("zone", config.zone.as_str())])
        }
        SdConfig::Stackit(config) => named(&[("project", config.project.as_str()), ("region", config.region.as_str())]),
        SdConfig::Triton(config) => named(&[("", config.endpoint.as_str())]),
        SdConfig::Uyuni(config) => without_password(config.server.as_str()),
        SdConfig::DigitalOcean(_)
        | SdConfig::Hetzner(_)
        | SdConfig::Vultr(_)
        | SdConfig::Static(_)
        | SdConfig::Unserved(_) => String::new(),
    }
}

/// Those that are set: `region eu-west-1`.
fn named(parts: &[(&str, &str)]) -> String {
    let set = parts.iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| format!("{name} {value}").trim_start().to_owned()).collect::<Vec<_>>().join(", ")
}

fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.password().is_some() => shown(&url).to_string(),
        // Otherwise as it is written: a URL is printed with slashes that nobody wrote.
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_is_named_without_passwords() {
        for (sd, expected) in [
            ("http_sd_configs: [{url: 'http://me:hunter2@h/x'}]", "http://me:xxxxx@h/x"),
            ("http_sd_configs: [{url: 'http://h'}]", "http://h"),
            ("file_sd_configs: [{files: [/a.json, '/b/*.yml']}]", "/a.json, /b/*.yml"),
            ("dns_sd_configs: [{names: [a, b]}]", "a, b"),
            ("kubernetes_sd_configs: [{role: pod}]", "in-cluster"),
            ("kubernetes_sd_configs: [{role: pod, api_server: 'https://k:6443'}]", "https://k:6443"),
            ("gce_sd_configs: [{project: p, zone: z}]", "project p, zone z"),
            ("static_configs: [{targets: ['a:1']}]", ""),
        ] {
            let text = format!("scrape_configs: [{{job_name: j, {sd}}}]");
            let config = config::Config::parse(&text, "/p.yml".as_ref(), &|_| None).unwrap();
            assert_eq!(place(&config.scrape_configs[0].sd[0]), expected, "{sd}");
        }
    }
}
