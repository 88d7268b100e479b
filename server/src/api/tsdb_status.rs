//! `/api/v1/status/tsdb`, `/api/v1/status/tsdb/blocks` and `/api/v1/status/forecast`: what is stored, and what will be.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Timestamp;
use serde::Serialize;

use super::executor::in_place;
use super::{ApiError, Params, format};
use crate::app::App;
use crate::clock::rfc3339;
use crate::container::Container;
use crate::forecast::{self, Present};
use crate::settings::Retention;

/// `/api/v1/status/tsdb`
pub(crate) async fn tsdb(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => 10,
        text => match text.parse::<usize>() {
            Ok(0) | Err(_) => return Err(ApiError::bad_data("limit must be a positive number")),
            Ok(n) if n > 10_000 => return Err(ApiError::bad_data("limit must not exceed 10000")),
            Ok(n) => n,
        },
    };
    // Reads the index of the store, which blocks.
    let work = || Ok::<_, storage::Error>((app.db.stats(limit)?, app.db.quarantine_records()));
    let (stats, damage) = in_place(work)??;
    let counts = |counts: &[storage::Count]| -> Vec<CountJson> {
        counts.iter().map(|count| CountJson { name: count.name.clone(), value: count.value }).collect()
    };
    Ok(format::success_of(&TsdbJson {
        head_stats: HeadJson {
            num_series: stats.series,
            num_label_pairs: stats.label_pairs,
            // There is no head block; what upstream's page shows of it is that of the whole store.
            chunk_count: 0,
            min_time: stats.min_time.unwrap_or_default().0,
            max_time: stats.max_time.unwrap_or_default().0,
        },
        series_count_by_metric_name: counts(&stats.series_by_metric_name),
        label_value_count_by_label_name: counts(&stats.values_by_label_name),
        memory_in_bytes_by_label_name: counts(&stats.bytes_by_label_name),
        series_count_by_label_value_pair: counts(&stats.series_by_label_pair),
        storage: StorageJson {
            page_samples: stats.page_samples,
            page_bytes: stats.page_bytes,
            row_bytes: stats.row_bytes,
            index_bytes: stats.index_bytes,
            damage: damage.iter().map(DamageJson::new).collect(),
        },
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TsdbJson<'a> {
    head_stats: HeadJson,
    series_count_by_metric_name: Vec<CountJson>,
    label_value_count_by_label_name: Vec<CountJson>,
    memory_in_bytes_by_label_name: Vec<CountJson>,
    series_count_by_label_value_pair: Vec<CountJson>,
    /// Ours: what lies where, how much of it, and what cannot be read.
    storage: StorageJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadJson {
    num_series: u64,
    num_label_pairs: u64,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

#[derive(Serialize)]
struct CountJson {
    name: String,
    value: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageJson<'a> {
    page_samples: u64,
    page_bytes: u64,
    row_bytes: u64,
    index_bytes: u64,
    damage: Vec<DamageJson<'a>>,
}

/// What cannot be read: where it lay, when it was scraped, whose it was.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DamageJson<'a> {
    place: &'a str,
    family: &'a str,
    min_time: i64,
    max_time: i64,
    metrics: &'a [String],
    error: &'a str,
}

impl<'a> DamageJson<'a> {
    fn new(damage: &'a storage::QuarantineRecord) -> Self {
        Self {
            place: &damage.place,
            family: &damage.family,
            min_time: damage.from.0,
            max_time: damage.to.0,
            metrics: &damage.metrics,
            error: &damage.what,
        }
    }
}

/// `/api/v1/status/forecast`: the disk and the memory that will be needed, if things go on as they are.
pub(crate) async fn forecast(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let (stats, partitions) = in_place(|| Ok::<_, storage::Error>((app.db.stats(0)?, app.db.partitions()?)))??;
    let retention = Retention::in_force(&app.config());
    let present = Present {
        now: Timestamp::now(),
        partitions: &partitions,
        stats: &stats,
        retention,
        disk_free: forecast::disk_free(app.flags.storage_tsdb_path.as_ref()),
        resident: forecast::resident(),
        memory_limit: Container::of_process().limit(),
    };
    let found = present.forecast();
    Ok(format::success_of(&ForecastJson {
        disk: DiskJson {
            used_bytes: stats.disk_bytes,
            free_bytes: present.disk_free,
            bytes_per_day: found.disk_bytes_per_day,
            expected_bytes: found.disk_bytes_expected,
            full_at: found.disk_full_at.map(rfc3339),
            retention: retention.to_string(),
        },
        memory: MemoryJson {
            resident_bytes: present.resident,
            limit_bytes: present.memory_limit,
            series: stats.series,
            series_max: found.series_max,
        },
    }))
}

#[derive(Serialize)]
struct ForecastJson {
    disk: DiskJson,
    memory: MemoryJson,
}

/// What is not known is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiskJson {
    used_bytes: u64,
    free_bytes: Option<u64>,
    bytes_per_day: Option<u64>,
    /// Once everything is as old as the retention lets it be.
    expected_bytes: Option<u64>,
    /// If that comes before the retention helps.
    full_at: Option<String>,
    retention: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryJson {
    resident_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    series: u64,
    /// How many series fit into the limit.
    series_max: Option<u64>,
}

#[derive(Serialize)]
struct BlocksJson {
    blocks: Vec<BlockJson>,
}

/// What upstream keeps as `meta.json` of a block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockJson {
    ulid: String,
    min_time: i64,
    max_time: i64,
    stats: BlockStatsJson,
    compaction: CompactionJson,
    version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockStatsJson {
    num_samples: u64,
    num_series: u64,
}

#[derive(Serialize)]
struct CompactionJson {
    level: usize,
    sources: [String; 1],
}

/// `/api/v1/status/tsdb/blocks`: the partitions whose samples are in pages, as blocks. There are no others.
pub(crate) async fn blocks(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let partitions = in_place(|| app.db.partitions())??;
    let stored = partitions.iter().filter(|partition| partition.level > 0 && partition.samples > Some(0));
    Ok(format::success_of(&BlocksJson { blocks: stored.map(BlockJson::new).collect() }))
}

impl BlockJson {
    fn new(partition: &storage::PartitionStats) -> Self {
        let ulid = ulid(partition.start, partition.level);
        Self {
            min_time: partition.start.0,
            max_time: partition.end.0,
            stats: BlockStatsJson { num_samples: partition.samples.unwrap_or_default(), num_series: partition.series },
            compaction: CompactionJson { level: partition.level, sources: [ulid.clone()] },
            ulid,
            version: 1,
        }
    }
}

/// A name for a partition in the form of a ULID: 48 bits of its start, and its level, which compaction changes.
fn ulid(start: Timestamp, level: usize) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    // Before 1970 there are no such names.
    let time = u128::try_from(start.0).unwrap_or(0) & ((1 << 48) - 1);
    let number = time << 80 | level as u128;
    (0..26).rev().map(|digit| char::from(DIGITS[(number >> (5 * digit)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_as_a_block() {
        // Of the specification of ULIDs: its time, and then what is random elsewhere.
        assert_eq!(ulid(Timestamp(1_469_918_176_385), 2), "01ARYZ6S410000000000000002");
        assert_eq!(ulid(Timestamp(-1), 1), "00000000000000000000000001");
    }
}
