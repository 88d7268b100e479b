//! The rows once more, for what came since columns were cached: that is asked for again and again, and its blocks stay in
//! RocksDB's cache even where those of whole columns do not.

use rocksdb::DBRawIterator;

use super::snapshot::ReadSnapshot;
use crate::kv::schema::Bucket;
use crate::rows::scan;

/// An iterator that is made when it is first needed.
pub(crate) struct Tails<'v> {
    snapshot: &'v ReadSnapshot<'v>,
    buckets: (Bucket, Bucket),
    iter: Option<DBRawIterator<'v>>,
}

impl<'v> Tails<'v> {
    pub(super) fn new(snapshot: &'v ReadSnapshot<'v>, buckets: (Bucket, Bucket)) -> Self {
        Self { snapshot, buckets, iter: None }
    }

    pub(super) fn iter(&mut self) -> &mut DBRawIterator<'v> {
        self.iter.get_or_insert_with(|| scan::rows_iter(self.snapshot, self.buckets, true))
    }
}
