//! The sections of discoveries: what is printed where nothing but the necessary is set, and what is refused. The order and the
//! defaults are those of upstream's structs.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use config::{Config, SdConfig};

fn parse(fields: &str) -> Result<Config, String> {
    let text = format!("scrape_configs: [{{job_name: a, {fields}}}]");
    Config::parse(&text, Path::new("p.yml"), &|_| None).map_err(|error| error.to_string())
}

/// What is printed of the only discovery.
#[track_caller]
fn printed(kind: &str, fields: &str) -> String {
    let config = parse(&format!("{kind}_sd_configs: [{{{fields}}}]")).unwrap();
    let yaml = Config::job_yaml(&config.scrape_configs[0]);
    let (_, section) = yaml.split_once(&format!("{kind}_sd_configs:\n")).unwrap();
    section.to_owned()
}

/// What every section with an HTTP client ends or begins with.
const HTTP: &str = "follow_redirects: true\nenable_http2: true\n";
const EVERY_MINUTE: &str = "refresh_interval: 1m\n";

const PORT: &str = "port: 80\n";

/// Kind, fields, and what is printed of them.
#[track_caller]
fn check(cases: &[(&str, &str, String)]) {
    for (kind, fields, expected) in cases {
        let indented = |(n, line): (usize, &str)| format!("{}{line}\n", if n == 0 { "- " } else { "  " });
        let expected: String = expected.lines().enumerate().map(indented).collect();
        assert_eq!(printed(kind, fields), expected, "{kind}");
    }
}

#[test]
fn services_are_printed_in_upstreams_order() {
    check(&[
        (
            "consul",
            "services: [s], token: hunter2",
            format!(
                "server: localhost:8500\ntoken: <secret>\ntag_separator: ','\nscheme: http\nallow_stale: true\nrefresh_interval: 30s\n\
                 services:\n- s\n{HTTP}"
            ),
        ),
        (
            "nomad",
            "",
            format!(
                "allow_stale: true\n{HTTP}namespace: default\n{EVERY_MINUTE}region: global\nserver: http://localhost:4646\ntag_separator: ','\n"
            ),
        ),
        (
            "docker",
            "host: 'unix:///s'",
            format!(
                "{HTTP}host: unix:///s\n{PORT}filters: []\nhost_networking_host: localhost\n{EVERY_MINUTE}match_first_network: true\n"
            ),
        ),
        (
            "dockerswarm",
            "host: 'tcp://s', role: nodes, filters: [{name: n, values: [v]}]",
            format!(
                "{HTTP}host: tcp://s\nrole: nodes\n{PORT}filters:\n- name: \"n\"\n  values:\n  - v\n{EVERY_MINUTE}"
            ),
        ),
        ("eureka", "server: 'http://e'", format!("server: http://e\n{HTTP}refresh_interval: 30s\n")),
        ("marathon", "servers: [m]", format!("servers:\n- m\nrefresh_interval: 30s\n{HTTP}")),
    ]);
}

#[test]
fn small_clouds_are_printed_in_upstreams_order() {
    check(&[
        ("hetzner", "role: robot", format!("{HTTP}{EVERY_MINUTE}{PORT}role: robot\n")),
        ("digitalocean", "", format!("{HTTP}{EVERY_MINUTE}{PORT}role: droplets\n")),
        ("linode", "", format!("{HTTP}{EVERY_MINUTE}{PORT}tag_separator: ','\n")),
        ("vultr", "", format!("{HTTP}{EVERY_MINUTE}{PORT}")),
        ("ionos", "datacenter_id: d", format!("datacenter_id: d\n{HTTP}{EVERY_MINUTE}{PORT}")),
        (
            "ovhcloud",
            "application_key: k, application_secret: hunter2, consumer_key: hunter2, service: vps",
            format!(
                "endpoint: ovh-eu\napplication_key: k\napplication_secret: <secret>\nconsumer_key: <secret>\n{EVERY_MINUTE}service: vps\n"
            ),
        ),
        (
            "puppetdb",
            "url: 'http://p', query: q",
            format!("{HTTP}{EVERY_MINUTE}url: http://p\nquery: q\ninclude_parameters: false\n{PORT}"),
        ),
    ]);
}

#[test]
fn large_clouds_are_printed_in_upstreams_order() {
    check(&[
        (
            "scaleway",
            "role: instance, project_id: 11111111-1111-1111-1111-111111111112, access_key: SCWXXXXXXXXXXXXXXXXX, secret_key_file: /k",
            format!(
                "project_id: 11111111-1111-1111-1111-111111111112\napi_url: https://api.scaleway.com\nzone: fr-par-1\n\
                 access_key: SCWXXXXXXXXXXXXXXXXX\nsecret_key: null\nsecret_key_file: /k\n{HTTP}{EVERY_MINUTE}{PORT}role: instance\n"
            ),
        ),
        ("stackit", "project: p", format!("{HTTP}project: p\n{EVERY_MINUTE}{PORT}region: eu01\n")),
        (
            "triton",
            "account: a, dns_suffix: d, endpoint: e",
            format!("account: a\nrole: container\ndns_suffix: d\nendpoint: e\nport: 9163\n{EVERY_MINUTE}version: 1\n"),
        ),
        (
            "uyuni",
            "server: 'http://u', username: a, password: hunter2",
            format!(
                "server: http://u\nusername: a\npassword: <secret>\n{HTTP}entitlement: monitoring_entitled\nseparator: ','\n{EVERY_MINUTE}"
            ),
        ),
        ("kuma", "server: 'http://k'", format!("{HTTP}refresh_interval: 15s\nfetch_timeout: 2m\nserver: http://k\n")),
        (
            "openstack",
            "role: instance, region: r",
            format!(
                "identity_endpoint: \"\"\nusername: \"\"\nuserid: \"\"\npassword: null\nproject_name: \"\"\nproject_id: \"\"\n\
                 domain_name: \"\"\ndomain_id: \"\"\napplication_credential_name: \"\"\napplication_credential_id: \"\"\n\
                 application_credential_secret: null\nrole: instance\nregion: r\n{EVERY_MINUTE}{PORT}availability: public\n"
            ),
        ),
        ("ec2", "", format!("endpoint: \"\"\nregion: \"\"\n{EVERY_MINUTE}{PORT}filters: []\n{HTTP}")),
        ("lightsail", "", format!("endpoint: \"\"\nregion: \"\"\n{EVERY_MINUTE}{PORT}{HTTP}")),
        (
            "outscale",
            "access_key: a, secret_key: hunter2",
            format!(
                "endpoint: https://api.eu-west-2.outscale.com/api/v1\nregion: eu-west-2\naccess_key: a\nsecret_key: <secret>\n\
                 secret_key_file: \"\"\n{EVERY_MINUTE}{PORT}{HTTP}"
            ),
        ),
        ("gce", "project: p, zone: z", format!("project: p\nzone: z\n{EVERY_MINUTE}{PORT}tag_separator: ','\n")),
        (
            "azure",
            "subscription_id: s, authentication_method: SDK",
            format!(
                "environment: AzurePublicCloud\n{PORT}subscription_id: s\nrefresh_interval: 5m\nauthentication_method: SDK\n{HTTP}"
            ),
        ),
    ]);
}

#[test]
fn faults_are_told_in_upstreams_words() {
    for (fields, expected) in [
        ("consul_sd_configs: [{server: ' '}]", "consul SD configuration requires a server address"),
        (
            "consul_sd_configs: [{token: t, authorization: {credentials: c}}]",
            "at most one of consul SD token, authorization, or oauth2 can be configured",
        ),
        (
            "consul_sd_configs: [{username: u, basic_auth: {username: u}}]",
            "at most one of consul SD configuration username and password and basic auth can be configured",
        ),
        ("nomad_sd_configs: [{server: }]", "nomad SD configuration requires a server address"),
        ("docker_sd_configs: [{}]", "host missing"),
        ("docker_sd_configs: [{host: localhost}]", "unable to parse docker host \"localhost\""),
        ("dockerswarm_sd_configs: [{host: 'tcp://a'}]", "role missing (one of: tasks, services, nodes)"),
        ("dockerswarm_sd_configs: [{host: 'tcp://a', role: x}]", "invalid role x, expected tasks, services, or nodes"),
        ("hetzner_sd_configs: [{}]", "role missing (one of: robot, hcloud)"),
        ("digitalocean_sd_configs: [{role: x}]", "unknown DigitalOcean SD role \"x\""),
        ("gce_sd_configs: [{project: p}]", "GCE SD configuration requires a zone"),
        ("kuma_sd_configs: [{}]", "kuma SD server must not be empty: "),
        ("kuma_sd_configs: [{server: a}]", "kuma SD server must not be empty and have a scheme: a"),
        ("openstack_sd_configs: [{role: instance}]", "openstack SD configuration requires a region"),
        ("ovhcloud_sd_configs: [{}]", "application key can not be empty"),
        ("triton_sd_configs: [{role: x}]", "triton SD configuration requires role to be 'container' or 'cn'"),
        ("triton_sd_configs: [{account: a, dns_suffix: d}]", "triton SD configuration requires an endpoint"),
        ("uyuni_sd_configs: [{server: u}]", "Uyuni SD configuration requires a username"),
        (
            "scaleway_sd_configs: [{role: instance, project_id: p, access_key: hunter2, secret_key: hunter2}]",
            "not an access key; it is SCW and 17 letters or digits",
        ),
        ("ec2_sd_configs: [{filters: [~]}]", "empty or null section in filters"),
        ("linode_sd_configs: [{regoin: x}]", "did you mean region?"),
    ] {
        let error = parse(fields).unwrap_err();
        assert!(error.contains(expected), "{fields}: {error}");
    }
}

/// The name and the password are those of `basic_auth`, also where the configuration is printed.
#[test]
fn consul_has_credentials_of_its_own() {
    let config = parse("consul_sd_configs: [{username: u, password: hunter2}]").unwrap();
    let [SdConfig::Consul(consul)] = config.scrape_configs[0].sd.as_slice() else { panic!("{config:?}") };
    assert_eq!(consul.http.basic_auth.as_ref().unwrap().username, "u");
    let yaml = config.to_yaml();
    assert!(yaml.contains("    basic_auth:\n      username: u\n      password: <secret>\n"), "{yaml}");
    assert!(!yaml.contains("hunter2"), "{yaml}");
}
