//! The URLs of discovered Alertmanagers (upstream: `AlertmanagerFromGroup`).

use std::sync::Arc;

use config::AlertmanagerConfig;
use model::labels::ADDRESS;
use model::relabel::relabel;
use model::{Labels, LabelsBuilder, TargetGroup};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";
/// Below the prefix. Version 2 is the only one there is.
const API: &str = "api/v2/alerts";

/// The Alertmanagers of one section.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Each once, in the order of discovery.
    pub(super) active: Vec<Url>,
    /// Those that a rule dropped.
    pub(super) dropped: Vec<String>,
    /// What is wrong with the others.
    pub(super) invalid: Vec<String>,
}

impl Addresses {
    pub(super) fn of(groups: &[Arc<TargetGroup>], config: &AlertmanagerConfig) -> Self {
        let mut all = Self::default();
        for group in groups {
            for target in &group.targets {
                all.add(&target.joined(&Labels::empty()), group, config);
            }
        }
        all
    }

    fn add(&mut self, own: &Labels, group: &TargetGroup, config: &AlertmanagerConfig) {
        let mut builder = LabelsBuilder::new(own);
        // Unlike in scraping, discovery cannot set these; rules can.
        builder.set(SCHEME, config.scheme.as_str());
        builder.set(PATH, post_path(&config.path_prefix));
        for (name, value) in &group.labels {
            if own.get(name).is_none() {
                builder.set(name, value);
            }
        }
        let before = url_text(&builder);
        if !relabel(&mut builder, &config.relabel_configs).is_kept() {
            self.dropped.push(before);
            return;
        }
        let (address, text) = (builder.get(ADDRESS), url_text(&builder));
        // An empty one would make the first part of the path the host.
        if address.is_empty() || address.contains('/') {
            self.invalid.push(format!("{address:?} is not a valid hostname"));
            return;
        }
        match Url::parse(&text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                self.invalid.push(format!("{text:?}: unsupported protocol scheme"));
            }
            Ok(url) if self.active.contains(&url) => {}
            Ok(url) => self.active.push(url),
            Err(error) => self.invalid.push(format!("{text:?}: {error}")),
        }
    }
}

/// The path below a prefix, which may be written with slashes or without.
fn post_path(prefix: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in prefix.split('/').chain(API.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn url_text(labels: &LabelsBuilder) -> String {
    // What would end the path is a character of it.
    const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?');
    let path = utf8_percent_encode(labels.get(PATH), ESCAPED);
    let slash = if labels.get(PATH).starts_with('/') { "" } else { "/" };
    format!("{}://{}{slash}{path}", labels.get(SCHEME), labels.get(ADDRESS))
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    type Found<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    fn addresses(section: &str, groups: &[Found<'_>]) -> Addresses {
        let text = format!("alerting: {{alertmanagers: [{{{section}}}]}}");
        let config = Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        let group = |(labels, targets): &Found<'_>| {
            let target = |address: &&str| Labels::from_pairs([("__address__", *address)]).into();
            let labels = Labels::from_pairs(labels.iter().copied());
            Arc::new(TargetGroup { source: "s".to_owned(), labels, targets: targets.iter().map(target).collect() })
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        Addresses::of(&groups, &config.alerting.alertmanagers[0])
    }

    fn active(found: &Addresses) -> Vec<&str> {
        found.active.iter().map(Url::as_str).collect()
    }

    #[test]
    fn a_prefix_is_a_path() {
        for (prefix, path) in [
            ("", "/api/v2/alerts"),
            ("/", "/api/v2/alerts"),
            ("/prefix", "/prefix/api/v2/alerts"),
            ("prefix//", "/prefix/api/v2/alerts"),
            ("/a/../b/./", "/b/api/v2/alerts"),
        ] {
            assert_eq!(post_path(prefix), path);
        }
    }

    #[test]
    fn alertmanagers_are_listed_once() {
        let found =
            addresses("scheme: https, path_prefix: 'a b'", &[(&[], &["h:1", "h:2"]), (&[], &["h:1", "[::1]:3"])]);
        assert_eq!(
            active(&found),
            [
                "https://h:1/a%20b/api/v2/alerts",
                "https://h:2/a%20b/api/v2/alerts",
                "https://[::1]:3/a%20b/api/v2/alerts"
            ]
        );
    }

    #[test]
    fn rules_change_and_drop() {
        let rules = "relabel_configs: [
            {action: drop, source_labels: [env], regex: test},
            {source_labels: [env], target_label: __alerts_path__, replacement: '/$1/alerts?'},
            {source_labels: [__scheme__, __address__], regex: 'http;(.+):1', target_label: __address__, replacement: '$1:9'}]";
        let found = addresses(rules, &[(&[("env", "prod")], &["h:1"]), (&[("env", "test")], &["h:2"])]);
        assert_eq!(active(&found), ["http://h:9/prod/alerts%3F"]);
        assert_eq!(found.dropped, ["http://h:2/api/v2/alerts"]);
    }

    #[test]
    fn a_wrong_address_spoils_no_other() {
        let found = addresses("relabel_configs: []", &[(&[], &["", "h:x", "h:1"])]);
        assert_eq!((active(&found), found.invalid.len()), (vec!["http://h:1/api/v2/alerts"], 2));
        let found =
            addresses("relabel_configs: [{target_label: __address__, replacement: 'http://h'}]", &[(&[], &["h"])]);
        assert_eq!(found.invalid, ["\"http://h\" is not a valid hostname"]);
    }
}
