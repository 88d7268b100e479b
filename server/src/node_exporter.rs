//! Looks for a node-exporter that starts after a server without a configuration file.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{App, What};
use crate::default_config::{ANSWER_WAIT, NODE_JOB};

/// How often one is looked for that does not answer yet.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Has the configuration loaded again once a node-exporter answers that did not when it was loaded: it may start after the
/// server. One that was found and goes stays a target, so that its absence shows.
pub(crate) async fn follow(app: Arc<App>, exporter: SocketAddr, every: Duration) {
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
            app.reload(What::File).await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::bootstrap;
    use crate::default_config::yaml;
    use crate::flags::Flags;

    #[tokio::test]
    async fn a_node_exporter_that_starts_later_is_found() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let args = ["weft".to_owned(), format!("--storage.tsdb.path={}", folder.path().join("data").display())];
        let config = |found| config::Config::parse(&yaml(":9090", "/", found), "p.yml".as_ref(), &|_| None).unwrap();
        let (reloads, mut asked) = mpsc::channel(1);
        let app = bootstrap::build(Flags::parse(args).unwrap(), &config(false), reloads).unwrap();
        // A port that nobody listens on, until somebody does.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(follow(Arc::clone(&app), address, Duration::from_millis(1)));
        let _exporter = tokio::net::TcpListener::bind(address).await.unwrap();
        let answer = asked.recv().await.unwrap();
        *app.config.write() = Arc::new(config(true));
        answer.answer.send(Ok(())).unwrap();
        tasks.shutdown().await;
    }
}
