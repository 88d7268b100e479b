//! The table of kinds of service discovery. To add one: a section in `config/src/sd`, a file here, and a row.

use config::SdConfig;

use crate::discoverer::{Context, Discoverer, Kind};
use crate::{dns, file, http, kubernetes, static_config};

const KINDS: [Kind; 5] = [dns::KIND, file::KIND, http::KIND, kubernetes::discoverer::KIND, static_config::KIND];

/// The discoverer of a configuration; `None` for kinds that are not served yet.
pub(crate) fn discoverer(config: &SdConfig, context: &Context) -> Option<Box<dyn Discoverer>> {
    let kind = KINDS.iter().find(|kind| kind.field == config.field())?;
    (kind.new)(config, context)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::discoverer::Surroundings;

    /// What the configuration calls served has a row, and nothing else.
    #[test]
    fn the_table_has_the_kinds_that_are_served() {
        let text = "scrape_configs: [{job_name: a, static_configs: [{targets: [b]}], file_sd_configs: [{files: [a.yml]}], \
                    kubernetes_sd_configs: [{role: pod}], dns_sd_configs: [{names: [a]}], http_sd_configs: [{url: 'http://a'}], \
                    consul_sd_configs: [{server: a}]}]";
        let config = config::Config::parse(text, Path::new("p.yml"), &|_| None).unwrap();
        let registry = prometheus::Registry::new();
        let watches = kube_watch::Watches::new(&registry).unwrap();
        let metrics = crate::metrics::Metrics::new(&registry).unwrap();
        let kubernetes =
            Surroundings { watches, own_namespace: None, kubelet_service: None, pod_labels: std::sync::Arc::default() };
        let http = (String::new(), http_client::Resolver::system());
        let context = Context { metrics, kubernetes, http };
        let sd = &config.scrape_configs[0].sd;
        assert_eq!(sd.len(), 6);
        for sd in sd {
            assert_eq!(discoverer(sd, &context).is_some(), sd.is_served(), "{}", sd.field());
        }
    }
}
