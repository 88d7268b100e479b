//! `static_configs`: targets that are listed in the configuration.

use config::{SdConfig, StaticConfig};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::labels::ADDRESS;
use model::{Labels, TargetGroup};

use crate::discoverer::{Context, Discoverer, Kind};
use crate::store::Publisher;

/// The row of the table of kinds.
pub(crate) const KIND: Kind = Kind { field: "static_configs", new };

fn new(config: &SdConfig, _: &Context) -> Option<Box<dyn Discoverer>> {
    let SdConfig::Static(config) = config else { return None };
    Some(Box::new(Static(config.clone())))
}

struct Static(StaticConfig);

impl Discoverer for Static {
    fn publish_now(&self, publisher: &Publisher) {
        let Self(config) = self;
        publisher.replace(vec![TargetGroup {
            source: config.source.clone(),
            labels: config.labels.clone(),
            targets: config.targets.iter().map(|target| Labels::from_pairs([(ADDRESS, target)]).into()).collect(),
        }]);
    }

    fn run(self: Box<Self>, _: Publisher) -> BoxFuture<'static, ()> {
        // Nothing ever changes: the groups of `publish_now` stay until the discovery is dropped.
        futures::future::ready(()).boxed()
    }
}
