//! Retention rules on partitions that lie wholly past them.

use std::sync::atomic::Ordering;

use model::{SourceId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::pace::{Pace, Stop, give_way};
use super::rewrite::rewrite;
use crate::components::Components;
use crate::kv::schema::{Cf, Partition, ruled_key};
use crate::pages;
use crate::tombstones::{RetentionRule, Tombstone, resolve};

/// Writes anew the partitions that lie wholly past a rule, once.
pub(super) fn apply_rules(db: &Components, pace: &mut Pace<'_>) -> Result<(), Stop> {
    let rules = db.tombstones.rules();
    if rules.is_empty() {
        return Ok(());
    }
    let now = db.bounds.now.load(Ordering::Acquire);
    for (partition, having) in pages::partitions(&db.read().snapshot())? {
        let past: Vec<&RetentionRule> =
            rules.iter().filter(|rule| is_past(db, partition, now.saturating_sub(rule.keep_ms))).collect();
        // Which rules a partition was written under, so that it is written once for them.
        let text = past.iter().fold(Vec::new(), |mut text, rule| {
            // How long is kept stands where a deletion has its end: only whether rules are the same is asked of this text.
            text.extend(Tombstone::encode((Timestamp::EPOCH, Timestamp(rule.keep_ms)), &rule.matchers));
            text
        });
        let mark = xxh3_64(&text).to_be_bytes();
        if past.is_empty() || db.store.get(Cf::Meta, ruled_key(partition))?.as_deref() == Some(&mark[..]) {
            continue;
        }
        let mut done = true;
        for rule in past {
            let range = (partition.start.0, partition.end(db.store.bucket_ms) - 1);
            for source in resolve(db.read(), range, &rule.matchers)?.sources() & &having {
                done &= rewrite(db, SourceId(source), partition, pace)?.is_some();
            }
        }
        if done {
            db.store.put(Cf::Meta, ruled_key(partition), mark)?;
            // Only after a whole partition: what was done of it is not known to the next turn.
            give_way(&db.maintenance)?;
        }
    }
    Ok(())
}

fn is_past(db: &Components, partition: Partition, horizon: Timestamp) -> bool {
    partition.end(db.store.bucket_ms) <= horizon
}
