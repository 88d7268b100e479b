//! What a body leaves that is refused, and what it does not.

use model::relabel::RelabelAction;

use super::tests::{rule, target};
use super::*;

/// scrape-003
#[test]
fn a_broken_body_leaves_only_markers_of_what_it_did_not_have() {
    let mut t = target(&[]);
    t.scrape("a 1\nb 2\n");
    assert!(t.fails("a 2\nc{").contains("line 2"));
    assert_eq!(t.store.take(), ["1000 b stale"]);
    let (counts, stored) = t.scrape("a 4\nb 5\n");
    assert_eq!((stored.len(), counts.added), (2, 0), "the lines were remembered");
    t.fails("broken{");
    assert_eq!(t.store.take(), ["2000 a stale", "2000 b stale"]);
    t.scrape("a 1\n");
    t.fails("a 6\nbroken{");
    t.fails("broken{");
    assert_eq!(t.store.take(), ["3000 a stale"], "it was still there");
}

/// A series whose times are its own does not end with a body that had it either, and its last sample is what it was.
#[test]
fn own_times_of_a_refused_body() {
    for track in [false, true] {
        let mut t = target(&[]);
        t.rules.track_timestamps_staleness = track;
        t.scrape("a 1 900\nb 1\n");
        t.now += 1000;
        t.fails("a 2 1500\nb 2 1500\nbroken{");
        let ended: &[&str] = if track { &[] } else { &["2000 b stale"] };
        assert_eq!(t.store.take(), ended);
        let (counts, stored) = t.scrape("a 3 1600\nb 3 1700\n");
        assert_eq!((counts.out_of_order, stored), (0, vec!["1600 a 3".to_owned(), "1700 b 3".to_owned()]));
    }
}

/// scrape-025
#[test]
fn a_series_is_new_once_whatever_becomes_of_its_body() {
    let mut t = target(&[]);
    t.rules.sample_limit = 3;
    let mut added = |body: &str| {
        t.now += 1000;
        let (counts, _) = t.cache.read((Format::Text, body.as_bytes()), &t.rules, t.now, &t.store);
        t.cache.commit(&t.store, t.now, &[("up", 0.0)], false).unwrap();
        counts.added
    };
    assert_eq!(added("a 1\na 2\n"), 1, "exposed twice");
    assert_eq!(added("a 1\nb 1\nb 2\nbroken{"), 1, "b");
    assert_eq!(added("a 1\nb 1\nc 1\nd 1\ne 1\n"), 1, "c; what is past the limit is not");
    assert_eq!(added("a 1\nb 1\nd 1\n"), 1, "d");
    assert_eq!(added(""), 0);
    assert_eq!(added("a 1\nb 1\nc 1\n"), 1, "c was not there when all went well; an empty page forgets nothing");
    assert_eq!(added("x 1 99999999\n"), 0, "too far ahead to be stored");
}

#[test]
fn lines_of_refused_bodies_are_remembered_up_to_a_limit() {
    let mut t = target(&[]);
    let page = |round: usize, lines: usize| {
        (0..lines).map(|i| format!("m{{round=\"{round}\",i=\"{i}\"}} 1\n")).collect::<String>() + "broken{"
    };
    for round in 0..20 {
        t.fails(&page(round, 300));
        assert!(t.cache.begun.len() <= BEGUN_SLACK + 300, "{round}: {}", t.cache.begun.len());
    }
    t.fails(&page(20, BEGUN_MAX + 2000));
    assert_eq!(t.cache.begun.len(), BEGUN_MAX);
}

/// scrape-004, -030
#[test]
fn sample_limit_fails_the_scrape() {
    let mut t = target(&[]);
    t.rules.sample_limit = 4;
    t.scrape("a 1\nb 1\nc 1\nd 1\n");
    assert!(t.fails("x 1\ny 1\na 1\nb 1\nc 1\nd 1\n").starts_with("sample limit exceeded"));
    assert_eq!(t.store.take(), ["1000 c stale", "1000 d stale"], "what lies past the limit ends");
    t.scrape("a 1\nb 1\nc 1\nd 1\n");
    assert!(t.fails("a 1\nb 1\nc 1\nd 1\ne 1\n").starts_with("sample limit exceeded"));
    assert_eq!(t.store.take().len(), 0, "what is there does not end");
    assert_eq!(t.scrape("a 1\nb 1\nc 1\nd 1\n").1.len(), 4);
    assert_eq!(t.scrape("e 1\nf 1\ng 1\nh 1\n").1.len(), 8, "markers do not count");
}

#[test]
fn pages_that_are_refused_leave_nothing_in_memory() {
    // scrape-040
    let mut t = target(&[("job", "j"), ("pod", "p")]);
    t.rules.series.relabel = vec![rule(RelabelAction::LabelDrop, &[], "pod", "$1")];
    t.scrape("steady 1\n");
    let (slots, sources) = (t.cache.slots.capacity(), t.cache.sources.len());
    for round in 0..50 {
        let page: String = (0..200).map(|i| format!("m{{round=\"{round}\",i=\"{i}\"}} 1\n")).collect();
        t.rules.series.relabel =
            vec![rule(RelabelAction::LabelDrop, &[], if round % 2 == 0 { "job" } else { "x" }, "$1")];
        t.fails(&format!("{page}broken{{"));
    }
    assert_eq!((t.cache.slots.capacity(), t.cache.sources.len()), (slots, sources));
    t.store.take();
    assert_eq!(t.scrape("steady 2\n").1, ["1000 steady{job=\"j\"} 2"].map(|line| line.replace("1000", "2000")));
}
