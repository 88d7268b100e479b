//! Recorded exchanges that differ, by name, and why.

pub(super) const KNOWN: &[(&str, &str)] = &[
    ("time min formatted", "upstream's time overflows here, ours does not"),
    ("time max formatted", "upstream's time overflows here, ours does not"),
    ("native histogram result", "native histograms are not stored yet"),
    ("nhcb result", "native histograms are not stored yet"),
    ("histogram_quantile native", "native histograms are not stored yet"),
    ("rate native", "native histograms are not stored yet"),
    ("histogram_count/sum/avg", "native histograms are not stored yet"),
    ("native histogram matrix", "native histograms are not stored yet"),
    ("aggregate mixed", "native histograms are not stored yet"),
    ("range native histograms", "native histograms are not stored yet"),
    ("range mixed float and histogram", "native histograms are not stored yet"),
    ("label values __name__", "native histograms are not stored yet"),
    ("label values invalid name (empty)", "Go's router redirects a path with two slashes"),
    (
        "status tsdb (head only; blocks are not counted)",
        "upstream counts its head alone, which is empty here; Weft has no head",
    ),
];
