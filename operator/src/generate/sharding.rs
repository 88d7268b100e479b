//! Rules by which a server keeps its share of the targets. Upstream: `appendShardingRelabelingWithLabel`.
//!
//! `$(SHARD)`, `$(INZONE_SHARD)` and `$(TOPOLOGY_ZONE)` are replaced by what the server is.

use super::Generator;
use super::rules::{Origin, Rules};
use crate::document::Mapping;

const HASH: &str = "__tmp_hash";
const DISABLE: &str = "__tmp_disable_sharding";
const ZONE: &str = "__tmp_topology";
/// The label of zones, as discovery writes it.
const ZONE_LABEL: &str = "topology_kubernetes_io_zone";

impl<'a> Generator<'a> {
    /// The zones, if each has shards of its own.
    pub(super) fn zones(&self) -> Option<&'a [String]> {
        if !self.options.topology_sharding {
            return None;
        }
        self.spec().zones()
    }

    /// Keeps the targets of this shard, by the hash of a label unless an earlier rule has set [`HASH`] already.
    pub(super) fn shard(&self, rules: &mut Rules, label: &str) {
        let origin = || Origin::Prometheus("spec.shards".to_owned());
        let shards = self.shards();
        if self.options.shard_retention {
            let mut rule = Mapping::default();
            rule.put("target_label", "__tmp_current_shard");
            rule.put("replacement", "$(SHARD)");
            rule.put("action", "replace");
            rules.push(rule, origin());
            // A shard that is no longer one of them keeps its data and scrapes nothing.
            let in_use = (0..shards).map(|shard| shard.to_string()).collect::<Vec<_>>().join("|");
            rules.filter("keep", &["__tmp_current_shard"], &in_use, origin());
        }
        // Each zone has its share of the shards; with more zones than shards each has one.
        let (modulus, own) = match self.zones() {
            Some(zones) => {
                self.keep_zone(rules);
                ((shards / zones.len() as i64).max(1), "$(INZONE_SHARD)")
            }
            None => (shards, "$(SHARD)"),
        };
        // Only where nothing has set the hash before: `;` at the end is an empty second value.
        take_first(rules, &[label, HASH], "(.+);", HASH, origin());
        let mut hash = Mapping::default();
        hash.put("source_labels", [HASH].as_slice());
        hash.put("target_label", HASH);
        hash.put("modulus", modulus);
        hash.put("action", "hashmod");
        rules.push(hash, origin());
        // Or what asks to be scraped by all shards.
        rules.filter("keep", &[HASH, DISABLE], &format!("{own};|.+;.+"), origin());
    }

    /// As [`Generator::shard`], unless the rules choose by hash already.
    pub(super) fn shard_unless_done(&self, rules: &mut Rules) {
        // With one shard upstream adds nothing to what users wrote; to monitors it adds the rules even then.
        if self.shards() != 1 && !rules.has_action("hashmod") {
            self.shard(rules, "__address__");
        }
    }

    /// Keeps the targets of this server's zone: that of the endpoint slice, or else of the pod or its node.
    fn keep_zone(&self, rules: &mut Rules) {
        let origin = || Origin::Prometheus("spec.shardingStrategy".to_owned());
        take_first(rules, &["__meta_kubernetes_endpointslice_endpoint_zone", ZONE], "(.+);", ZONE, origin());
        let of = if self.options.pod_topology_labels { "pod" } else { "node" };
        let label = |what: &str| format!("__meta_kubernetes_{of}_{what}_{ZONE_LABEL}");
        take_first(rules, &[&label("label"), &label("labelpresent"), ZONE], "(.+);true;", ZONE, origin());
        rules.filter("keep", &[ZONE, DISABLE], "$(TOPOLOGY_ZONE);|.+;.+", origin());
    }
}

/// Sets a label to the first capture group of a match.
fn take_first(rules: &mut Rules, sources: &[&str], regex: &str, target: &str, origin: Origin) {
    let mut rule = Mapping::default();
    rule.put("source_labels", sources);
    rule.put("target_label", target);
    rule.put("regex", regex);
    rule.put("replacement", "$1");
    rule.put("action", "replace");
    rules.push(rule, origin);
}
