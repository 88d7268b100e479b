//! `docker_sd_configs` and `dockerswarm_sd_configs`.

use crate::Error;
use crate::http::HttpClientConfig;
use crate::schema::{Bool, Duration, Fields, Inline, Int, Items, Text, Texts, section};

section! {
    /// Targets from the containers of a Docker daemon.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct DockerSdConfig as "docker_sd_config" {
        /// How the daemon is connected to; not used with a Unix socket.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The address of the daemon: `unix:///var/run/docker.sock`, `tcp://host:2375`, `http://…` or `https://…`.
        #[yaml(Text; always, required = "host missing")]
        pub host: String,
        /// The port of containers that expose none.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Which containers are listed.
        #[yaml(Items<DockerFilter>; always)]
        pub filters: Vec<DockerFilter>,
        /// The address of containers in the network of the host.
        #[yaml(Text, default = "localhost".to_owned(); always)]
        pub host_networking_host: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
        /// Of a container in several networks, only the first by name gives targets.
        #[yaml(Bool, default = true; always)]
        pub match_first_network: bool,
    }
    check = check_docker;
}

fn check_docker(config: &mut DockerSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    check_host(&config.host, f)
}

section! {
    /// Targets from the nodes, services or tasks of a Docker swarm.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct DockerSwarmSdConfig as "dockerswarm_sd_config" {
        /// How the daemon is connected to; not used with a Unix socket.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// The address of the daemon: `unix:///var/run/docker.sock`, `tcp://host:2375`, `http://…` or `https://…`.
        #[yaml(Text; always, required = "host missing")]
        pub host: String,
        /// What becomes targets: `nodes`, `services` or `tasks`.
        #[yaml(Text; always)]
        pub role: String,
        /// The port of nodes, and of services and tasks that publish none.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Which objects are listed.
        #[yaml(Items<DockerFilter>; always)]
        pub filters: Vec<DockerFilter>,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000; always)]
        pub refresh_interval_ms: i64,
    }
    check = check_swarm;
}

fn check_swarm(config: &mut DockerSwarmSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    check_host(&config.host, f)?;
    match config.role.as_str() {
        "nodes" | "services" | "tasks" => Ok(()),
        "" => Err(f.refuse("role", "role missing (one of: tasks, services, nodes)")),
        role => Err(f.refuse("role", format!("invalid role {role}, expected tasks, services, or nodes"))),
    }
}

/// An empty host is told by `required`.
fn check_host(host: &str, f: &Fields<'_>) -> Result<(), Error> {
    let known = ["unix", "tcp", "http", "https"];
    if host.is_empty() || host.split_once("://").is_some_and(|(scheme, _)| known.contains(&scheme)) {
        return Ok(());
    }
    let message =
        format!("unable to parse docker host {host:?}; write unix:///path, tcp://host:port or http://host:port");
    Err(f.refuse("host", message))
}

section! {
    /// A filter of Docker's API.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct DockerFilter as "docker_filter" {
        /// Its name: `label`, `status`.
        #[yaml(Text; always)]
        pub name: String,
        /// Values of which one must hold.
        #[yaml(Texts; always)]
        pub values: Vec<String>,
    }
}
