//! Limits: what fails a scrape, what is only left out, and what is counted all the same.

use super::tests::{Target, target};
use super::*;
use crate::sample_mutation::SeriesRules;

/// `m{i="0"} 1` and so on.
fn series(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(|i| format!("m{{i=\"{i}\"}} 1\n")).collect()
}

fn soft(limit: usize) -> Target {
    let mut t = target(&[]);
    (t.rules.soft, t.rules.sample_limit) = (true, limit);
    t
}

/// What was stored, by number; those that ended with a minus.
fn numbers(stored: &[String]) -> Vec<String> {
    let mut numbers: Vec<(usize, bool)> =
        stored.iter().map(|line| (line.split('"').nth(1).unwrap().parse().unwrap(), line.ends_with("stale"))).collect();
    numbers.sort_unstable();
    numbers.iter().map(|(i, ended)| format!("{}{i}", if *ended { "-" } else { "" })).collect()
}

#[test]
fn what_is_too_much_is_counted_all_the_same() {
    // scrape-028
    let mut t = target(&[]);
    t.rules.sample_limit = 1;
    let (counts, result) = t.cache.read((Format::Text, series(0..3).as_bytes()), &t.rules, Timestamp(1000), &t.store);
    assert_eq!((counts.scraped, counts.post_relabel, counts.added), (3, 3, 1));
    let expected = "sample limit exceeded (3 samples after relabelling, limit: 1); raise sample_limit, drop series with \
                    metric_relabel_configs, or set limit_mode: soft to lose the new series only";
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn series_that_were_there_stay_and_new_ones_wait_for_room() {
    let mut t = soft(4);
    assert_eq!(numbers(&t.scrape(&series(0..3)).1), ["0", "1", "2"]);
    // New ones come first in the page, and still the others stay.
    let page = series([10, 11, 12, 0, 1, 2]);
    for (added, round) in [(1, 1), (0, 2)] {
        let (counts, stored) = t.scrape(&page);
        assert_eq!(numbers(&stored), ["0", "1", "2", "10"], "round {round}");
        assert_eq!((counts.post_relabel, counts.over_limit, counts.added), (6, 2, added), "round {round}");
    }
    let page = series([10, 11, 12, 0]);
    assert_eq!(numbers(&t.scrape(&page).1), ["0", "-1", "-2", "10"], "the room of what went is free the next time");
    let (counts, stored) = t.scrape(&page);
    assert_eq!((numbers(&stored).join(" "), counts.over_limit), ("0 10 11 12".to_owned(), 0));
}

#[test]
fn a_soft_limit_stands_from_the_first_scrape_on() {
    let mut t = soft(3);
    let (counts, stored) = t.scrape(&series(0..1000));
    assert_eq!((numbers(&stored).join(" "), counts.over_limit), ("0 1 2".to_owned(), 997));
    assert!(t.fails("m{i=\"0\"} 1\nbroken{").contains("line 2"));
    t.store.take();
    assert_eq!(numbers(&t.scrape(&series(0..1000)).1), ["0", "1", "2"], "after a failure it is the same ones");
}

#[test]
fn series_that_were_there_stay_when_lines_are_read_anew() {
    let mut t = soft(3);
    t.scrape(&series(0..3));
    for forget in [ScrapeCache::forget_lines, ScrapeCache::forget_ids] {
        forget(&mut t.cache);
        // It takes a good scrape to make use of it.
        t.fails("broken{");
        t.store.take();
        assert_eq!(numbers(&t.scrape(&series([7, 8, 9, 0, 1, 2])).1), ["0", "1", "2"]);
    }
    t.cache.forget_lines();
    let mut stored = t.scrape(&series([7, 8, 0])).1;
    stored.retain(|line| !line.ends_with("stale"));
    assert_eq!(numbers(&stored), ["0"], "one place is not free yet");
    assert_eq!(numbers(&t.scrape(&series([7, 8, 0])).1), ["0", "7", "8"]);
}

#[test]
fn a_day_has_so_many_series() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let mut t = target(&[]);
    t.rules.series_limit = 4;
    t.scrape(&series(0..3));
    let (counts, stored) = t.scrape(&series([3, 4, 5]));
    assert_eq!((numbers(&stored).join(" "), counts.over_limit), ("-0 -1 -2 3".to_owned(), 2));
    assert_eq!(numbers(&t.scrape(&series([0, 4])).1), ["0", "-3"], "one that began today may come back");
    t.now += DAY;
    let (counts, stored) = t.scrape(&series([0, 4, 5, 6, 7]));
    assert_eq!((numbers(&stored).join(" "), counts.over_limit), ("0 4 5 6".to_owned(), 1));
    // A body that is refused begins nothing.
    t.now += DAY;
    t.rules.series_limit = 5;
    assert!(t.fails(&format!("{}broken{{", series(100..104))).contains("line 5"));
    t.store.take();
    assert_eq!(numbers(&t.scrape(&series([0, 4, 5, 8])).1), ["0", "4", "5", "8"]);
}

#[test]
fn lines_that_are_read_anew_are_no_series_of_today() {
    let mut t = target(&[]);
    t.rules.series_limit = 4;
    t.scrape(&series(0..3));
    t.now += 24 * 60 * 60 * 1000;
    t.scrape(&series(0..3));
    for _ in 0..3 {
        t.cache.forget_lines();
        let (counts, stored) = t.scrape(&series([7, 0, 1, 2, 8]));
        assert_eq!((numbers(&stored).join(" "), counts.over_limit), ("0 1 2 7".to_owned(), 1));
    }
}

#[test]
fn tiny_lines_do_not_make_a_large_layout() {
    let mut t = target(&[]);
    t.rules.entry_limit = 1000;
    let expected = "entry limit exceeded (more than 1000 lines, comments among them); raise entry_limit in the job if the \
                    target is sound";
    for line in ["#\n", "a 1\n", "# TYPE a gauge\n"] {
        assert_eq!(t.fails(&line.repeat(100_000)), expected);
        assert!(t.cache.slots.capacity() <= 1024, "{line}");
    }
    assert_eq!(t.fails(&series(0..2000)), expected);
    assert_eq!(t.scrape(&"#\n".repeat(1000)).1, Vec::<String>::new());
    // Lines that were there and others take no more than twice that.
    t.fails(&format!("{}{}", "# x\n".repeat(999), "#\n".repeat(1000)));
    assert_eq!(t.cache.slots.len(), 1000);
}

#[test]
fn what_fails_a_scrape_says_where() {
    // scrape-032, -033, -045, -046, -048
    let mut t = target(&[("job", "j")]);
    let long = "x".repeat(60);
    for (body, limits, expected) in [
        (
            "\n#\nm{a=\"1\"} 1",
            (2, 0, 0),
            "label_limit exceeded (metric: m, number of labels: 3, limit: 2), at line 3 (\"m{a=\\\"1\\\"}\")",
        ),
        (
            "m 1\nm{abcdefghi=\"1\"} 1\n",
            (0, 8, 0),
            "label_name_length_limit exceeded (metric: m, label name: abcdefghi, length: 9, limit: 8), at line 2 (\"m{abcdefghi=\\\"1\\\"}\")",
        ),
        (
            "m{a=\"\u{e4}\u{f6}\u{fc}\"} 1\n",
            (0, 0, 5),
            "label_value_length_limit exceeded (metric: m, label name: a, value: \"\u{e4}\u{f6}\u{fc}\", length: 6, limit: 5), at line 1",
        ),
        (
            "name_is_too_long 1\n",
            (0, 0, 5),
            "label_value_length_limit exceeded (metric: name_is_too_long, label name: __name__, value: \"name_is_too_long\"",
        ),
        (
            "m{le=\"600\",le=\"700\"} 1",
            (0, 0, 0),
            "label name \"le\" is not unique: invalid sample, at line 1 (\"m{le=",
        ),
    ] {
        let rules = &mut t.rules.series;
        (rules.label_limit, rules.label_name_length_limit, rules.label_value_length_limit) = limits;
        let error = t.fails(body);
        assert!(error.starts_with(expected), "{error}");
    }
    t.rules.series = SeriesRules { label_value_length_limit: 59, ..SeriesRules::default() };
    let error = t.fails(&format!("m{{{long}=\"{long}\"}} 1\n"));
    let cut = "x".repeat(50);
    assert!(error.contains(&format!("label name: {cut}, value: {cut:?}, length: 60")), "{error}");
    t.rules.series = SeriesRules { legacy_names: true, ..SeriesRules::default() };
    let error = t.fails("{\"with.dots\"} 1\n");
    assert_eq!(
        error,
        "invalid metric name or label names: {\"with.dots\", job=\"j\"}, at line 1 (\"{\\\"with.dots\\\"}\")"
    );
}

#[test]
fn comments_beyond_what_series_need_take_no_memory_between_scrapes() {
    let mut t = target(&[]);
    let usual = "# HELP a b\n# TYPE a gauge\na 1\n";
    t.scrape(usual);
    assert_eq!(t.cache.slots.len(), 3, "comments are remembered");
    let many = format!("{}{usual}", "#\n".repeat(200_000));
    for _ in 0..3 {
        let (counts, stored) = t.scrape(&many);
        assert_eq!((counts.scraped, counts.added, stored.len()), (1, 0, 1), "{stored:?}");
        assert_eq!(t.cache.slots.len(), 1);
        assert!(t.cache.slots.capacity() < 100);
    }
    let metadata: Vec<_> =
        t.cache.metadata.iter().map(|(name, family)| (name.to_owned(), family.help.clone())).collect();
    assert_eq!(metadata, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(t.scrape("b 1\n").1, ["5000 a stale", "5000 b 1"]);
}
