//! The configuration of a server that was given none: itself, and a node-exporter once one answers.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;

/// Where a node-exporter usually listens.
pub(crate) const NODE_EXPORTER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9100);
/// How often one is looked for that does not answer yet.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

const NODE_JOB: &str = "node";
const ANSWER_WAIT: Duration = Duration::from_millis(200);

/// The configuration as YAML, for a server that listens there.
pub(crate) fn text(listen: &str, route_prefix: &str) -> String {
    let answers = TcpStream::connect_timeout(&NODE_EXPORTER, ANSWER_WAIT).is_ok();
    yaml(listen, route_prefix, answers)
}

fn yaml(listen: &str, route_prefix: &str, node_exporter: bool) -> String {
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

/// Has the configuration loaded again once a node-exporter answers that did not when it was loaded: it may start after the
/// server. One that was found and goes stays a target, so that its absence shows.
pub(crate) async fn follow_node_exporter(app: Arc<App>, exporter: SocketAddr, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let is_target = app.config().scrape_configs.iter().any(|job| job.job_name == NODE_JOB);
        if is_target || !app.has_default_config() {
            continue;
        }
        let answer = tokio::time::timeout(ANSWER_WAIT, tokio::net::TcpStream::connect(exporter)).await;
        if matches!(answer, Ok(Ok(_))) {
            tracing::info!(%exporter, "a node-exporter answers now; loading the configuration again");
            // Its error is logged where it happens.
            app.reload().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::flags::Flags;
    use crate::wire;

    #[test]
    fn it_is_a_configuration() {
        let config =
            config::Config::parse(&yaml("0.0.0.0:9090", "/x", true), "prometheus.yml".as_ref(), &|_| None).unwrap();
        let jobs: Vec<_> = config.scrape_configs.iter().map(|job| (&*job.job_name, &*job.metrics_path)).collect();
        assert_eq!(jobs, [("weft", "/x/metrics"), ("node", "/metrics")]);
    }

    #[tokio::test]
    async fn a_node_exporter_that_starts_later_is_found() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let args = ["weft".to_owned(), format!("--storage.tsdb.path={}", folder.path().join("data").display())];
        let config = |found| config::Config::parse(&yaml(":9090", "/", found), "p.yml".as_ref(), &|_| None).unwrap();
        let (reloads, mut asked) = mpsc::channel(1);
        let app = wire::build(Flags::parse(args).unwrap(), &config(false), reloads).unwrap();
        // A port that nobody listens on, until somebody does.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(follow_node_exporter(Arc::clone(&app), address, Duration::from_millis(1)));
        let _exporter = tokio::net::TcpListener::bind(address).await.unwrap();
        let answer = asked.recv().await.unwrap();
        *app.config.write().unwrap() = Arc::new(config(true));
        answer.send(Ok(())).unwrap();
        tasks.shutdown().await;
    }
}
