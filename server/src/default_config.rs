//! The configuration of a server that was given none: itself, and a node-exporter once one answers.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where a node-exporter usually listens.
pub(crate) const NODE_EXPORTER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9100);

/// The job that scrapes it.
pub(crate) const NODE_JOB: &str = "node";
/// How long it may take to accept a connection.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_millis(200);

/// The configuration as YAML, for a server that listens there.
pub(crate) fn text(listen: &str, route_prefix: &str) -> String {
    // On loopback both an answer and a refusal come at once; it holds up no thread.
    let answers = TcpStream::connect_timeout(&NODE_EXPORTER, ANSWER_WAIT).is_ok();
    yaml(listen, route_prefix, answers)
}

pub(crate) fn yaml(listen: &str, route_prefix: &str, node_exporter: bool) -> String {
    let port = listen.rsplit(':').next().unwrap_or("9090");
    let path = format!("{}/metrics", route_prefix.trim_end_matches('/'));
    let mut text = format!(
        "global:\n  scrape_interval: 15s\nscrape_configs:\n- job_name: weft\n  metrics_path: {path}\n  \
         static_configs:\n  - targets: ['localhost:{port}']\n"
    );
    if node_exporter {
        text.push_str(&format!("- job_name: {NODE_JOB}\n  static_configs:\n  - targets: ['localhost:9100']\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_configuration() {
        let config =
            config::Config::parse(&yaml("0.0.0.0:9090", "/x", true), "prometheus.yml".as_ref(), &|_| None).unwrap();
        let jobs: Vec<_> = config.scrape_configs.iter().map(|job| (&*job.job_name, &*job.metrics_path)).collect();
        assert_eq!(jobs, [("weft", "/x/metrics"), ("node", "/metrics")]);
    }
}
