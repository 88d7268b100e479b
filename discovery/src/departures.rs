//! Why targets that were found are found no more: the last of them, for whoever asks where one went.

use std::collections::{HashSet, VecDeque};

use model::labels::ADDRESS;
use model::{TargetGroup, TargetLabels, Timestamp};

use crate::consumer::Consumer;

/// So many are kept, of all discoveries together.
const KEPT_MAX: usize = 4_096;
/// For so long, in milliseconds.
const KEPT_MS: i64 = 60 * 60 * 1_000;

/// Something that a discovery found and finds no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// When it was gone.
    pub at: Timestamp,
    /// The source of its group; empty where a whole discovery was taken away.
    pub source: String,
    /// Its address; empty in the same case.
    pub address: String,
    /// Why, as a sentence without its end.
    pub why: String,
}

/// Whose targets they were.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Provider(u64),
    Key(Consumer, String),
}

/// The departures that are remembered, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Departures(VecDeque<(Whose, Departure)>);

/// A group as it was, and the one of the same source in its place.
pub(crate) type Replaced<G> = (G, Option<G>);

impl Departures {
    /// Adds the targets of former groups that are not in those in their place. Of very many only some are looked at.
    pub(crate) fn add<G: std::ops::Deref<Target = TargetGroup>>(
        &mut self,
        provider: u64,
        groups: &[Replaced<G>],
        why: &dyn Fn(&TargetGroup, &TargetLabels) -> String,
    ) {
        let at = Timestamp::now();
        let gone = groups.iter().flat_map(|(old, new)| {
            let now: HashSet<&str> = new.iter().flat_map(|new| addresses(new)).collect();
            old.targets
                .iter()
                .filter(move |target| !now.contains(address(old, target)))
                .map(move |target| (&**old, target))
        });
        for (group, target) in gone.take(KEPT_MAX) {
            let (source, address) = (group.source.clone(), address(group, target).to_owned());
            self.keep(Whose::Provider(provider), Departure { at, source, address, why: why(group, target) });
        }
    }

    /// A reload took a discovery from a consumer's key.
    pub(crate) fn withdraw(&mut self, consumer: Consumer, key: &str, field: &str) {
        let why = format!("a reload took {field} out of the job, or changed it");
        let departure = Departure { at: Timestamp::now(), source: String::new(), address: String::new(), why };
        self.keep(Whose::Key(consumer, key.to_owned()), departure);
    }

    /// Those of a consumer's key and of its discoveries, the oldest first.
    pub(crate) fn of(&self, consumer: Consumer, key: &str, providers: &[u64]) -> Vec<Departure> {
        let oldest = Timestamp::now() - KEPT_MS;
        let is_meant = |whose: &Whose| match whose {
            Whose::Provider(id) => providers.contains(id),
            Whose::Key(of, its) => *of == consumer && its == key,
        };
        let meant = self.0.iter().filter(|(whose, one)| one.at >= oldest && is_meant(whose));
        meant.map(|(_, one)| one.clone()).collect()
    }

    fn keep(&mut self, whose: Whose, departure: Departure) {
        let oldest = departure.at - KEPT_MS;
        while self.0.len() >= KEPT_MAX || self.0.front().is_some_and(|(_, first)| first.at < oldest) {
            self.0.pop_front();
        }
        self.0.push_back((whose, departure));
    }
}

fn addresses(group: &TargetGroup) -> impl Iterator<Item = &str> {
    group.targets.iter().map(move |target| address(group, target))
}

fn address<'t>(group: &'t TargetGroup, target: &'t TargetLabels) -> &'t str {
    target.own.get(ADDRESS).unwrap_or_else(|| group.labels.value(ADDRESS))
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn group(source: &str, addresses: &[&str]) -> Box<TargetGroup> {
        let target = |address: &&str| Labels::from_pairs([(ADDRESS, *address)]).into();
        let targets = addresses.iter().map(target).collect();
        Box::new(TargetGroup { source: source.to_owned(), labels: Labels::empty(), targets })
    }

    #[test]
    fn what_the_new_group_lacks_has_departed() {
        let mut departures = Departures::default();
        let groups = [(group("a", &["x:1", "y:1"]), Some(group("a", &["z:1", "y:1"]))), (group("b", &["x:1"]), None)];
        departures.add(1, &groups, &|group, _| format!("{} changed", group.source));
        departures.add(2, &[(group("a", &["x:1"]), None)], &|_, _| String::new());
        departures.withdraw(Consumer::SCRAPE, "j", "http_sd_configs");
        let of = |key: &str, providers: &[u64]| {
            let all = departures.of(Consumer::SCRAPE, key, providers);
            all.into_iter().map(|one| (one.source, one.address, one.why)).collect::<Vec<_>>()
        };
        let one = |source: &str, address: &str, why: &str| (source.to_owned(), address.to_owned(), why.to_owned());
        assert_eq!(of("k", &[1]), [one("a", "x:1", "a changed"), one("b", "x:1", "b changed")]);
        let taken = "a reload took http_sd_configs out of the job, or changed it";
        assert_eq!(of("j", &[]), [one("", "", taken)]);
    }

    #[test]
    fn the_last_ones_are_kept() {
        let mut departures = Departures::default();
        for n in 0..KEPT_MAX + 10 {
            departures.withdraw(Consumer::SCRAPE, &n.to_string(), "f");
        }
        assert_eq!(departures.0.len(), KEPT_MAX);
        assert!(departures.of(Consumer::SCRAPE, "9", &[]).is_empty());
        assert_eq!(departures.of(Consumer::SCRAPE, "10", &[]).len(), 1);
    }
}
