//! Remote write to other servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use config::Config;
use futures::future::BoxFuture;
use model::Timestamp;
use prometheus::Registry;
use remote::send::{
    Commits, ExemplarSource, FamilyKind, FamilyMetadata, Manager, MetadataSource, NumberedExemplars, Options,
};
use scraper::Resolver;
use scraper::parse::MetricKind;

use crate::app::App;
use crate::component::{Change, Component};
use crate::flags::Flags;

pub(super) struct RemoteWrite(pub(super) Arc<App>);

impl Component for RemoteWrite {
    fn name(&self) -> &'static str {
        "remote write"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        self.0.remote_write.check(&new.remote_write)?;
        let (app, new) = (Arc::clone(&self.0), Arc::clone(new));
        Ok(Box::pin(async move {
            let external = model::Labels::clone(&new.global.external_labels);
            Ok(app.remote_write.apply(&new.remote_write, &external).await?)
        }))
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // The last samples are stored by now: scraping and rules have ended.
            self.0.remote_write.shutdown(self.0.flags.storage_remote_flush_deadline).await;
            Ok(())
        })
    }
}

/// The manager of remotes, without any.
pub(crate) fn build_remote_write(
    flags: &Flags,
    (db, commits): (&Arc<storage::Db>, Arc<Commits>),
    scraper: &Arc<scraper::Manager>,
    (user_agent, resolver): (&str, &Resolver),
    registry: &Registry,
) -> Result<Manager> {
    let options = Options {
        directory: Path::new(&flags.storage_tsdb_path).to_owned(),
        querier: Arc::<storage::Db>::clone(db),
        commits,
        exemplars: Arc::new(StoredExemplars(Arc::clone(db))),
        metadata: Arc::new(ScrapedMetadata(Arc::clone(scraper))),
        user_agent: user_agent.to_owned(),
        resolver: resolver.clone(),
        clock: Arc::new(Timestamp::now),
    };
    Ok(Manager::new(options, registry)?)
}

#[derive(Debug)]
struct StoredExemplars(Arc<storage::Db>);

impl ExemplarSource for StoredExemplars {
    fn exemplars_since(
        &self,
        number: u64,
        most: usize,
    ) -> Result<NumberedExemplars, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.exemplars_since(number, most)?)
    }
}

struct ScrapedMetadata(Arc<scraper::Manager>);

impl std::fmt::Debug for ScrapedMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrapedMetadata").finish_non_exhaustive()
    }
}

impl MetadataSource for ScrapedMetadata {
    fn families(&self) -> BoxFuture<'_, Vec<FamilyMetadata>> {
        Box::pin(async move {
            let pools = self.0.status().await;
            // Targets of one job mostly say the same: the last one counts.
            let mut families = BTreeMap::new();
            for active in pools.values().flat_map(|pool| &pool.active) {
                families.extend(active.status.metadata.iter());
            }
            let family = |(name, metadata): (&str, &scraper::Metadata)| FamilyMetadata {
                name: name.to_owned(),
                kind: kind(metadata.kind),
                help: metadata.help.clone(),
                unit: metadata.unit.clone(),
            };
            families.into_iter().map(family).collect()
        })
    }
}

fn kind(kind: MetricKind) -> FamilyKind {
    match kind {
        MetricKind::Unknown => FamilyKind::Unknown,
        MetricKind::Counter => FamilyKind::Counter,
        MetricKind::Gauge => FamilyKind::Gauge,
        MetricKind::Histogram => FamilyKind::Histogram,
        MetricKind::GaugeHistogram => FamilyKind::GaugeHistogram,
        MetricKind::Summary => FamilyKind::Summary,
        MetricKind::Info => FamilyKind::Info,
        MetricKind::StateSet => FamilyKind::StateSet,
    }
}
