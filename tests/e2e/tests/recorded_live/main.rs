//! What a real server said of the targets that it scraped and the rules that it evaluated
//! (`conformance/httpapi/golden/live.json`), and what Weft says of the same targets and rules when it is started as the
//! recording's note tells. Compared as data; `<...>` stands for what no two servers say alike.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test: a failed step is its message"
)]

mod compare;
mod known;
mod world;

use serde_json::Value;

use compare::{Answer, Difference, differences};
use known::KNOWN;
use world::World;

/// Of one exchange no more differences than these are shown.
const SHOWN_MAX: usize = 6;
/// How often a question is asked whose answer differs.
const ATTEMPTS: usize = 4;
/// From this exchange on the configuration has a field that nobody knows.
const BROKEN: &str = "reload with broken config";

#[test]
fn answers_as_the_recorded_server() {
    let Some(recorded) = kit::conformance_json("httpapi/golden/live.json") else { return };
    let Some(world) = World::start() else { return };
    let mut seen = vec![false; KNOWN.len()];
    let (mut found, mut n_alike) = (Vec::new(), 0);
    for case in recorded["cases"].as_array().unwrap() {
        let case: Value = serde_json::from_str(&world.here(&case.to_string())).unwrap();
        let name = case["name"].as_str().unwrap();
        if name == BROKEN {
            world.add_unknown_field();
        }
        let (all, known) = compared(&world, name, &case);
        known.into_iter().for_each(|known| seen[known] = true);
        n_alike += usize::from(all.is_empty());
        found.extend(all.into_iter().take(SHOWN_MAX).map(|(place, text)| format!("{name}: {place}: {text}")));
    }
    let same = KNOWN.iter().zip(seen).filter(|(_, seen)| !seen);
    found.extend(same.map(|(known, _)| format!("{}: {} is the same now: {}", known.case, known.place, known.why)));
    assert!(found.is_empty(), "{n_alike} alike, {} differences:\n{}", found.len(), found.join("\n"));
    assert!(n_alike > 65, "only {n_alike} exchanges were compared");
}

/// What differs in an exchange, without the entries of [`KNOWN`], and those.
fn compared(world: &World, name: &str, case: &Value) -> (Vec<Difference>, Vec<usize>) {
    let recorded = Answer::recorded(&case["response"]);
    let mut attempt = 1;
    loop {
        let (mut all, mut seen) = (differences(name, &recorded, &world.ask(&case["request"])), Vec::new());
        all.retain(|(place, _)| {
            let known = KNOWN.iter().position(|known| known.case == name && known.place == place);
            seen.extend(known);
            known.is_none()
        });
        // On a busy machine a scrape may miss its timeout of half a second: the next one is looked at, too.
        if all.is_empty() || attempt == ATTEMPTS || case["request"]["method"] != "GET" {
            return (all, seen);
        }
        attempt += 1;
        world.scrape_again();
    }
}
