//! Postings through a cache: the ids of one side (sources or metrics) that a matcher selects. A result holds until a new id of the
//! side has a label of that name, or an old one with it is removed.

use std::sync::Arc;

use model::{Listing, MatchOp, Matcher, QuerierError};
use roaring::RoaringBitmap;

use super::Index;
use crate::error::Error;
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{Cf, METRIC_LABEL, label_key, label_prefix, parse_label_key};
use crate::kv::store::{Store, after_prefix};
use crate::limits;

/// What a value takes in a listing besides its text.
const VALUE_BYTES: usize = 48;
/// Starts the cache keys of the results of regular expressions, which no key in `postings` starts with.
const BY_EXPRESSION: u8 = 0xff;

impl Index {
    pub(crate) fn side(&self, side: u8) -> &super::Side {
        if side == METRIC_LABEL { &self.metric_side } else { &self.source_side }
    }

    /// The result of `read`, from the cache where nothing changed. `name` is the label that it depends on.
    fn cached(
        &self,
        side: u8,
        name: &str,
        key: Box<[u8]>,
        read: impl FnOnce() -> Result<RoaringBitmap, Error>,
    ) -> Result<Arc<RoaringBitmap>, Error> {
        let side = self.side(side);
        // Before anything is read: what changes afterwards has another version.
        let now = side.versions.stable(name.as_bytes());
        if let Some(now) = now
            && let Some((then, bitmap)) = side.bitmaps.get(&key)
            && then == now
        {
            return Ok(bitmap);
        }
        let bitmap = Arc::new(read()?);
        if let Some(now) = now {
            let weight = bitmap.serialized_size() + key.len() + limits::CACHE_ENTRY_BYTES;
            side.bitmaps.insert(key, (now, Arc::clone(&bitmap)), weight);
        }
        Ok(bitmap)
    }

    fn posting(&self, store: &Store, side: u8, name: &str, value: &str) -> Result<Arc<RoaringBitmap>, Error> {
        let key = label_key(side, name, value);
        self.cached(side, name, key.clone().into(), || Ok(bitmap::get(store, &key)?))
    }

    /// All ids of a side.
    pub(crate) fn all(&self, store: &Store, side: u8) -> Result<Arc<RoaringBitmap>, Error> {
        self.posting(store, side, "", "")
    }

    /// The ids of a side that have a label, whatever its value.
    pub(crate) fn having(&self, store: &Store, side: u8, name: &str) -> Result<Arc<RoaringBitmap>, Error> {
        if name.is_empty() { Ok(Arc::default()) } else { self.posting(store, side, name, "") }
    }

    /// The ids of a side that have the matcher's label with a value that matches.
    pub(crate) fn matching(&self, store: &Store, side: u8, matcher: &Matcher) -> Result<Arc<RoaringBitmap>, Error> {
        if matcher.name.is_empty() {
            return Ok(Arc::default());
        }
        let negated = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
        let named = self.named(store, side, matcher)?;
        // A negated matcher needs the label to be there: where it is not, the other side decides.
        if negated { Ok(Arc::new(&*self.having(store, side, &matcher.name)? - &*named)) } else { Ok(named) }
    }

    /// The ids that have the label with a value that the matcher's text or expression is of.
    fn named(&self, store: &Store, side: u8, matcher: &Matcher) -> Result<Arc<RoaringBitmap>, Error> {
        let name = &matcher.name;
        if matcher.is_of_everything() {
            return self.having(store, side, name);
        }
        match matcher.literals().as_deref() {
            // No stored value is empty.
            Some([]) | Some([""]) => Ok(Arc::default()),
            Some([one]) => self.posting(store, side, name, one),
            Some(several) => {
                let mut union = RoaringBitmap::new();
                // Each from the cache by itself: dashboards ask for changing sets of the same values.
                for one in several.iter().filter(|one| !one.is_empty()) {
                    union |= &*self.posting(store, side, name, one)?;
                }
                Ok(Arc::new(union))
            }
            None => {
                let mut key = vec![BY_EXPRESSION];
                // By the text of the expression, which dashboards repeat with every refresh.
                key.extend_from_slice(&label_key(side, name, &matcher.value));
                self.cached(side, name, key.into(), || by_expression(store, side, matcher))
            }
        }
    }

    /// The label names of a side, sorted.
    pub(crate) fn label_names(&self, store: &Store, side: u8) -> Result<Arc<[String]>, Error> {
        let cached = &self.side(side).names;
        // A name is new only with a new id.
        let now = self.side(side).versions.stable(b"");
        if let Some((then, names)) = &*cached.lock()
            && now == Some(*then)
        {
            return Ok(Arc::clone(names));
        }
        let names: Arc<[String]> = read_names(store, side)?.into();
        if let Some(now) = now {
            *cached.lock() = Some((now, Arc::clone(&names)));
        }
        Ok(names)
    }

    /// The values of a label that these ids of a side have, sorted.
    pub(crate) fn values_of(
        &self,
        store: &Store,
        (side, name): (u8, &str),
        ids: &RoaringBitmap,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        let having = self.having(store, side, name)?;
        let ids = ids & &*having;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (mut values, limit) = (Vec::new(), listing.most());
        let grow = |value: &str| (listing.grow)(VALUE_BYTES + value.len());
        // There are at most as many values as ids that have the label.
        if ids.len().saturating_mul(limits::POSTINGS_PER_LABELS) < having.len() {
            for id in ids {
                // Few ids: their own labels are fewer than the values of all.
                let labels = self.labels_of(store, side, id)?;
                if let Some(value) = labels.as_ref().and_then(|labels| labels.get(name)) {
                    grow(value)?;
                    values.push(value.to_owned());
                }
            }
            values.sort_unstable();
            values.dedup();
            values.truncate(limit);
            return Ok(values);
        }
        let mut stopped = None;
        store.each(Cf::Postings, &label_prefix(side, name), |key, bytes| {
            match parse_label_key(key) {
                Some((_, "")) => {}
                // Most values have few ids: a short list, which is looked at as it is stored.
                Some((_, value)) if bitmap::intersects(store, (key, bytes), &ids) => match grow(value) {
                    Ok(()) => values.push(value.to_owned()),
                    Err(error) => stopped = Some(error),
                },
                // Nothing is added, but a listing that is cancelled ends here.
                Some(_) => stopped = (listing.grow)(0).err(),
                None => store.corrupt(Cf::Postings, key, "not a label pair"),
            }
            Ok::<_, Error>(values.len() < limit && stopped.is_none())
        })?;
        stopped.map_or(Ok(values), Err)
    }
}

/// The ids whose value of the label the expression matches: of the values that start as its matches do.
fn by_expression(store: &Store, side: u8, matcher: &Matcher) -> Result<RoaringBitmap, Error> {
    let negated = matcher.op == MatchOp::NotRegex;
    let mut union = RoaringBitmap::new();
    let mut within = |prefix: &str| {
        store.each(Cf::Postings, &label_key(side, &matcher.name, prefix), |key, value| {
            match parse_label_key(key) {
                Some((_, "")) => {}
                // The ids with a value that the expression is of; what is negated is taken from all in the end.
                Some((_, text)) if matcher.matches(text) != negated => {
                    union |= bitmap::decode_or_report(store, key, value);
                }
                Some(_) => {}
                None => store.corrupt(Cf::Postings, key, "not a label pair"),
            }
            Ok::<_, Error>(true)
        })
    };
    match matcher.prefixes() {
        [] => within("")?,
        prefixes => prefixes.iter().try_for_each(|prefix| within(prefix))?,
    }
    Ok(union)
}

fn read_names(store: &Store, side: u8) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut iter = store.iter(Cf::Postings, &[side], &after_prefix(&[side]));
    iter.seek_to_first();
    while let Some(key) = iter.key() {
        match parse_label_key(key) {
            Some((name, _)) => {
                names.extend((!name.is_empty()).then(|| name.to_owned()));
                // One seek per name skips all of its values.
                let next = after_prefix(&label_prefix(side, name));
                iter.seek(next);
            }
            None => {
                store.corrupt(Cf::Postings, key, "not a label pair");
                iter.next();
            }
        }
    }
    iter.status().map_err(kv::Error::read)?;
    names.sort_unstable();
    Ok(names)
}
