//! The table of the pages.

/// The pages of the UI, below the route prefix. Those of Prometheus have its paths.
pub(crate) const PAGES: [&str; 12] = [
    "/alertmanager-discovery",
    "/alerts",
    "/config",
    "/flags",
    "/monitors",
    "/queries",
    "/query",
    "/rules",
    "/service-discovery",
    "/status",
    "/targets",
    "/tsdb-status",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_ui_has_a_route() {
        let table = include_str!("../../../../ui/src/pages/index.ts");
        let paths: Vec<&str> = table.split("path: \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(paths.contains(&"/query"), "{paths:?}");
        for path in &paths {
            assert!(PAGES.contains(path), "{path} is not routed to the UI");
        }
        assert_eq!(paths.len(), PAGES.len(), "the UI has no page for one of {PAGES:?}");
    }
}
