//! Where Weft differs on purpose. Each entry must go on to differ.

/// A difference that is meant.
pub struct Known {
    pub case: &'static str,
    /// What differs: `status`, `body`, the name of a header, or a JSON pointer.
    pub place: &'static str,
    pub why: &'static str,
}

const ERRORS: &str = "errors of scrapes also say where on the page, which limit, and what to do";
const SEARCHES: &str = "the results of a search are compressed too: they may be ten thousand names";
const OWN: &str = "the recording has the beginning of Go's own metrics";
const COMPRESSED: &str = "the answer is compressed for some clients, which caches must know";

const WRITE_3_16: &str =
    "since 3.16 the content type is looked at before the body; `tests/e2e/tests/remote` asks a real one";

const fn known(case: &'static str, place: &'static str, why: &'static str) -> Known {
    Known { case, place, why }
}

pub const KNOWN: &[Known] = &[
    known("targets", "/data/activeTargets/0/lastError", ERRORS),
    known("targets", "/data/activeTargets/1/lastError", ERRORS),
    known("targets", "/data/activeTargets/3/lastError", ERRORS),
    known("targets", "/data/activeTargets/5/lastError", ERRORS),
    known("targets", "/data/activeTargets/6/lastError", ERRORS),
    known("targets", "/data/activeTargets/9/lastError", ERRORS),
    known("targets", "/data/activeTargets/10/lastError", ERRORS),
    known("search metric_names", "vary", SEARCHES),
    known("search label_names", "vary", SEARCHES),
    known("search label_values", "vary", SEARCHES),
    known("search label_values no label", "vary", SEARCHES),
    known("search metadata", "vary", SEARCHES),
    known("status tsdb", "/data/storage", "Weft also says what lies where, and what of it is damaged"),
    known("metrics content type", "body", OWN),
    known("metrics content type", "vary", COMPRESSED),
    known("metrics plain", "body", OWN),
    known("metrics plain", "vary", COMPRESSED),
    known("reload with broken config", "body", "the error names the place in the file, and the field"),
    known("remote write bad content-type", "status", WRITE_3_16),
    known("remote write bad content-type", "body", WRITE_3_16),
    known("runtimeinfo after failed reload", "/data/GOGC", "there is no collector of garbage"),
];
