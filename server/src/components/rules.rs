//! Rule groups and the notifier of alerts.

use std::sync::Arc;
use std::time::Duration;

use ::rules::{Manager, Notifier, NotifierOptions};
use anyhow::Result;
use config::Config;
use discovery::Consumer;
use futures::future::BoxFuture;
use model::Timestamp;
use prometheus::Registry;
use query::Engine;
use scraper::Resolver;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::component::{Change, Component};
use crate::flags::Flags;
use crate::metric_usage::MetricUsage;
use crate::rule_groups::{RulesParts, groups, rules_context};
use crate::settings::Settings;

/// How often Alertmanagers are synced when discovery has nothing new.
const SYNC_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Rules(pub(super) Arc<App>);

impl Component for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let (app, new) = (Arc::clone(&self.0), Arc::clone(new));
        let groups = groups(&app.engine(), &new)?;
        Ok(Box::pin(async move {
            app.notifier.apply(&new.alerting, &new.global.external_labels).await;
            let context = rules_context(&app, &new);
            // Objects come later than files, with alerts from before a restart as well.
            app.rules.set_starting(app.operator.as_ref().is_some_and(|operator| !operator.outcome().sees_all()));
            app.rules.apply(groups, context).await?;
            Ok(())
        }))
    }

    /// What discovery publishes becomes the notifier's Alertmanagers.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut groups = self.0.discovery.lock().await.subscribe(Consumer::NOTIFY);
            loop {
                self.0.notifier.sync(groups.current()).await;
                // `false` is the end of discovery; a timeout only syncs again.
                if let Ok(false) = tokio::time::timeout(SYNC_EVERY, groups.changed()).await {
                    return;
                }
            }
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // What the last evaluations have raised is still sent.
            self.0.rules.shutdown().await;
            self.0.notifier.shutdown().await;
            Ok(())
        })
    }
}

/// The engine of rules and the notifier, without groups and Alertmanagers.
pub(crate) fn build_rules(
    (flags, settings): (&Flags, &Settings),
    (db, usage, engine): (&Arc<storage::Db>, &Arc<MetricUsage>, &Arc<Engine>),
    (user_agent, resolver): (&str, &Resolver),
    (registry, stop): (&Registry, &CancellationToken),
) -> Result<(Manager, Arc<Notifier>)> {
    let options = NotifierOptions {
        queue_capacity: flags.alertmanager_notification_queue_capacity,
        batch_size: flags.alertmanager_notification_batch_size,
        drain_on_shutdown: flags.alertmanager_drain_notification_queue_on_shutdown,
        user_agent: user_agent.to_owned(),
        external_url: settings.external_url.to_string(),
        resolver: resolver.clone(),
    };
    let notifier = Arc::new(Notifier::new(options, registry)?);
    let parts = RulesParts { db, usage, notifier: &notifier, stop: stop.clone() };
    let context = parts.context(Arc::clone(engine), flags, settings);
    let rules = Manager::new(context, registry, Arc::new(Timestamp::now))?;
    Ok((rules, notifier))
}
