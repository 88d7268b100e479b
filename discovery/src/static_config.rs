//! `static_configs`: targets that are listed in the configuration.

use config::StaticConfig;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::labels::ADDRESS;
use model::{Labels, TargetGroup};

use crate::discoverer::Discoverer;
use crate::store::Publisher;

pub(crate) fn new(config: &StaticConfig) -> Box<dyn Discoverer> {
    Box::new(Static(config.clone()))
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
