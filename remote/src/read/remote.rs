//! One other server: what it is asked for, and what is made of its labels (upstream: `sampleAndChunkQueryableClient` of
//! `storage/remote/read.go`).

use std::fmt;
use std::sync::Arc;

use config::RemoteReadConfig;
use model::{MatchOp, Matcher, ReadHints, Selection, Timestamp};
use tokio::runtime::Handle;

use super::client::Client;
use super::metrics::RemoteMetrics;
use crate::proto::read::{LabelMatcher, Query, ReadHints as HintsMessage};

/// From when on the local store has everything that its targets say; `None` while it has nothing.
#[derive(Clone)]
pub struct LocalStart(pub Arc<dyn Fn() -> Option<Timestamp> + Send + Sync>);

impl fmt::Debug for LocalStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalStart")
    }
}

/// Labels that the other server adds to its series, and that series have not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is asked for series with these, unless the selection says another thing of such a label.
    Selected(Vec<(String, String)>),
    /// It is a peer: it has them whatever their values are, and is not asked for them.
    Any(Vec<String>),
}

/// Another server.
#[derive(Debug)]
pub(super) struct Remote {
    /// Of the configuration, or made up for one without a name.
    pub(super) name: String,
    pub(super) config: RemoteReadConfig,
    pub(super) added: Added,
    pub(super) client: Arc<Client>,
    /// Where requests are made.
    pub(super) runtime: Handle,
    pub(super) metrics: Arc<RemoteMetrics>,
    pub(super) local_start: LocalStart,
}

/// A query as it is sent.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    /// Labels that are removed from what comes back.
    pub(super) removed: Vec<String>,
}

impl Remote {
    /// A query for a selection, or `None` where the server need not be asked.
    pub(super) fn asked(&self, selection: &Selection<'_>, hints: &ReadHints<'_>) -> Option<Asked> {
        if !self.has_required(selection.matchers) {
            return None;
        }
        let end = self.end(selection)?;
        let mut matchers: Vec<LabelMatcher> = selection.matchers.iter().map(message).collect();
        let removed = match &self.added {
            Added::Any(names) => names.clone(),
            Added::Selected(labels) => {
                // Who selects by such a label wants another value, or wants to see it.
                let free = |name: &str| !selection.matchers.iter().any(|matcher| matcher.name == name);
                let free: Vec<&(String, String)> = labels.iter().filter(|(name, _)| free(name)).collect();
                let equal = |(name, value): &&(String, String)| message(&Matcher::equal(name, value));
                matchers.extend(free.iter().map(equal));
                free.into_iter().map(|(name, _)| name.clone()).collect()
            }
        };
        let hints = HintsMessage {
            step_ms: hints.step_ms,
            func: hints.function.to_owned(),
            start_ms: selection.start.0,
            end_ms: selection.end.0,
            grouping: hints.grouping.map_or_else(Vec::new, |grouping| grouping.labels.to_vec()),
            by: hints.grouping.is_some_and(|grouping| !grouping.without),
            range_ms: hints.range_ms,
        };
        let query =
            Query { start_timestamp_ms: selection.start.0, end_timestamp_ms: end.0, matchers, hints: Some(hints) };
        Some(Asked { query, removed })
    }

    /// Is there a reason to ask it for this selection?
    pub(super) fn may_have(&self, selection: &Selection<'_>) -> bool {
        self.has_required(selection.matchers) && self.end(selection).is_some()
    }

    /// Has a selection all that the configuration requires (`required_matchers`)?
    fn has_required(&self, matchers: &[Matcher]) -> bool {
        let has = |(name, value): (&String, &String)| {
            matchers.iter().any(|one| one.op == MatchOp::Equal && one.name == *name && one.value == *value)
        };
        self.config.required_matchers.iter().all(has)
    }

    /// Until when it is asked; `None` where the local store knows all of the time.
    fn end(&self, selection: &Selection<'_>) -> Option<Timestamp> {
        if self.config.read_recent {
            return Some(selection.end);
        }
        match self.local_start.0() {
            Some(start) if selection.start > start => None,
            Some(start) => Some(selection.end.min(start)),
            None => Some(selection.end),
        }
    }
}

fn message(matcher: &Matcher) -> LabelMatcher {
    let kind = match matcher.op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    };
    LabelMatcher { kind, name: matcher.name.clone(), value: matcher.value.clone() }
}

#[cfg(test)]
mod tests {
    use http_client::Resolver;
    use model::GroupingHint;

    use super::super::metrics::Metrics;
    use super::*;

    fn remote(settings: &str, added: Added, local_start: Option<i64>) -> Remote {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let text = format!("remote_read: [{{url: 'http://r/', {settings}}}]");
        let config = config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap().remote_read.remove(0);
        let client = Client::new(&config, ("Weft/test", &Resolver::system())).unwrap();
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap().of("n", "u");
        let local_start = LocalStart(Arc::new(move || local_start.map(Timestamp)));
        let (name, client, runtime) = ("n".to_owned(), Arc::new(client), Handle::current());
        Remote { name, config, added, client, runtime, metrics, local_start }
    }

    fn shown(asked: Option<Asked>) -> (i64, i64, String, Vec<String>) {
        let Asked { query, removed } = asked.unwrap();
        let matchers = query.matchers.iter().map(|one| format!("{} {} {}", one.name, one.kind, one.value));
        let matchers: Vec<String> = matchers.collect();
        (query.start_timestamp_ms, query.end_timestamp_ms, matchers.join(", "), removed)
    }

    #[tokio::test]
    async fn external_labels_are_selected_unless_the_query_does() {
        let labels = [("cluster", "eu"), ("zone", "a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let added = Added::Selected(labels.to_vec());
        let remote = remote("", added, Some(100));
        let matchers = [Matcher::equal("job", "x"), Matcher::new(MatchOp::NotRegex, "zone", "b|c").unwrap()];
        let selection = Selection { start: Timestamp(5), end: Timestamp(900), matchers: &matchers };
        let asked = shown(remote.asked(&selection, &ReadHints::default()));
        // What is stored here since 100 is not asked for.
        let expected = (5, 100, "job 0 x, zone 3 b|c, cluster 0 eu".to_owned(), vec!["cluster".to_owned()]);
        assert_eq!(asked, expected);
        assert!(remote.asked(&Selection { start: Timestamp(101), ..selection }, &ReadHints::default()).is_none());
    }

    #[tokio::test]
    async fn peers_are_not_asked_for_their_labels() {
        let names = vec!["cluster".to_owned(), "replica".to_owned()];
        let remote = remote("read_recent: true", Added::Any(names.clone()), Some(100));
        let matchers = [Matcher::new(MatchOp::NotEqual, "job", "x").unwrap()];
        let selection = Selection { start: Timestamp(5), end: Timestamp(900), matchers: &matchers };
        assert_eq!(shown(remote.asked(&selection, &ReadHints::default())), (5, 900, "job 1 x".to_owned(), names));
    }

    #[tokio::test]
    async fn hints_say_what_for() {
        let remote = remote("read_recent: true", Added::Any(Vec::new()), None);
        let labels = ["a".to_owned(), "b".to_owned()];
        let grouping = |without| Some(GroupingHint { without, labels: &labels });
        let selection = Selection { start: Timestamp(5), end: Timestamp(9), matchers: &[] };
        let hints =
            ReadHints { step_ms: 7, range_ms: 3, function: "rate", grouping: grouping(true), ..ReadHints::default() };
        let sent = remote.asked(&selection, &hints).unwrap().query.hints.unwrap();
        assert_eq!((sent.step_ms, sent.range_ms, sent.start_ms, sent.end_ms), (7, 3, 5, 9));
        assert_eq!((sent.func.as_str(), &sent.grouping[..], sent.by), ("rate", &labels[..], false));
        let by = ReadHints { grouping: grouping(false), ..hints };
        assert!(remote.asked(&selection, &by).unwrap().query.hints.unwrap().by);
    }
}
