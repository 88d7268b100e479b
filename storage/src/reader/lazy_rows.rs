//! An iterator over rows that is made when it is first needed: most of what rules and dashboards ask for is in the read cache, and
//! an iterator costs more than what it would then read.

use rocksdb::DBRawIterator;

use super::snapshot::ReadSnapshot;
use crate::kv::schema::Bucket;
use crate::rows::scan;

/// The rows of some buckets.
pub(crate) struct LazyRows<'v> {
    snapshot: &'v ReadSnapshot<'v>,
    /// The first and the last.
    buckets: (Bucket, Bucket),
    fill: bool,
    iter: Option<DBRawIterator<'v>>,
}

impl<'v> LazyRows<'v> {
    /// Blocks that are read stay in the block cache if `fill`.
    pub(super) fn new(snapshot: &'v ReadSnapshot<'v>, buckets: (Bucket, Bucket), fill: bool) -> Self {
        Self { snapshot, buckets, fill, iter: None }
    }

    pub(super) fn iter(&mut self) -> &mut DBRawIterator<'v> {
        let Self { snapshot, buckets, fill, iter } = self;
        iter.get_or_insert_with(|| scan::rows_iter(snapshot, *buckets, *fill))
    }
}
