//! What of a body counts, towards the report and towards limits, and which native histograms fail it.

use model::relabel::RelabelAction;

use super::form_tests::{delimited, field};
use super::tests::{Target, rule, target};
use super::*;

/// Scraped, after relabelling, and the error if there is one.
fn counted(t: &mut Target, body: &str) -> (usize, usize, String) {
    counted_as(t, (Format::Text, body).into())
}

fn counted_as(t: &mut Target, body: Body<'_>) -> (usize, usize, String) {
    t.now += 1000;
    let (counts, result) = t.cache.read(body, &t.rules, t.now, &t.store);
    t.cache.commit(&t.store, t.now, &[("up", 0.0)], false).unwrap();
    let error = result.map_or_else(|error| error.to_string(), |()| String::new());
    (counts.scraped, counts.post_relabel, error.split([' ', ':']).take(3).collect::<Vec<_>>().join(" "))
}

#[test]
fn repeated_lines_do_not_count_towards_the_sample_limit() {
    let exceeded = "sample limit exceeded";
    for (body, expected) in [
        ("a 1\na 1\nb 1\n", (3, 3, "")),
        ("a 1\na 2\na 3\nb 1\nb 1\n", (5, 5, "")),
        ("a 1\na 1\nb 1\nc 1\n", (4, 4, exceeded)),
        ("a 1\na 1 500\nb 1\n", (3, 3, exceeded)),
        ("a 1 500\na 1\nb 1\n", (3, 3, "")),
        // The same series in another spelling is another sample.
        ("a{x=\"1\"} 1\na{x=\"1\",} 1\nb 1\n", (3, 3, exceeded)),
    ] {
        let mut t = target(&[]);
        t.rules.sample_limit = 2;
        t.rules.honor_timestamps = true;
        // As new lines, as those of the last scrape, and behind another line.
        for body in [body.to_owned(), body.to_owned(), format!("# x\n{body}")] {
            let (scraped, kept, error) = counted(&mut t, &body);
            assert_eq!((scraped, kept, error.as_str()), expected, "{body}");
        }
    }
    let mut t = target(&[]);
    (t.rules.sample_limit, t.rules.soft) = (2, true);
    for _ in 0..3 {
        let (counts, _) = t.cache.read((Format::Text, "a 1\na 1\nb 1\nc 1\nc 1\n"), &t.rules, t.now, &t.store);
        assert_eq!((counts.duplicate, counts.over_limit), (1, 2));
    }
    let (counts, _) = t.cache.read((Format::Text, "a 1\na 1\nd 1\n"), &t.rules, t.now, &t.store);
    assert_eq!(counts.over_limit, 1, "b had the last place, and gives it up after this scrape");
    let (counts, _) = t.cache.read((Format::Text, "a 1\na 1\nd 1\n"), &t.rules, t.now, &t.store);
    assert_eq!(counts.over_limit, 0);
}

#[test]
fn a_sample_that_is_refused_for_its_labels_was_scraped() {
    let mut t = target(&[]);
    t.rules.series.label_limit = 1;
    let refused = (3, 2, "label_limit exceeded (metric".to_owned());
    assert_eq!(counted(&mut t, "a 1\nb 1\nc{x=\"1\"} 1\nd 1\n"), refused);
    t.rules.series.relabel = vec![rule(RelabelAction::LabelDrop, &[], "__name__", "$1")];
    assert_eq!(counted(&mut t, "a 1\n"), (1, 0, "missing metric name".to_owned()));
    let mut t = target(&[]);
    assert_eq!(counted(&mut t, "a 1\nb{x=\"1\",x=\"2\"} 1\n").0, 2);
}

/// A page of one native histogram, and a series behind it.
fn native(fields: &[&[u8]]) -> Vec<u8> {
    let family = |name: &[u8], kind: u8, metric: Vec<u8>| {
        delimited(&[field(1, name), vec![0x18, kind], field(4, &metric)].concat())
    };
    [family(b"n", 4, field(7, &fields.concat())), family(b"z", 1, field(2, &[]))].concat()
}

fn body(bytes: &[u8]) -> Body<'_> {
    Body { format: Format::Protobuf, wanted: Wanted { native: true, ..Wanted::default() }, bytes }
}

#[test]
fn a_native_histogram_that_contradicts_itself_fails_the_scrape() {
    let two = field(12, &[0x08, 0, 0x10, 2]);
    let double = |tag: u8, value: f64| [&[tag][..], &value.to_le_bytes()].concat();
    // Deltas 2 and 1: counts 2 and 3.
    let deltas: &[u8] = &[0x6a, 2, 4, 2];
    let nan = double(0x11, f64::NAN);
    let far = field(12, &[&[0x08][..], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[0x10, 2]].concat());
    let zeros = [0.0f64.to_le_bytes(), 0.0f64.to_le_bytes()].concat();
    let minus = [(-1.0f64).to_le_bytes(), 2.0f64.to_le_bytes()].concat();
    for (fields, expected) in [
        (vec![&[0x08, 5][..], &two, deltas], ""),
        (vec![&[0x08, 60], &two, deltas], "5 observations found in buckets, but the Count field is 60"),
        (vec![&[0x08, 6, 0x38, 1], &two, deltas], ""),
        (vec![&[0x08, 5, 0x38, 1], &two, deltas], "6 observations found in buckets, but the Count field is 5"),
        (vec![&[0x08, 60], &nan, &two, deltas], ""),
        (vec![&[0x08, 4], &nan, &two, deltas], "5 observations found in buckets, but the Count field is 4"),
        (vec![&[0x08, 1], &two, &[0x6a, 2, 5, 2]], "bucket number 1 has observation count of -3"),
        (vec![&[0x08, 5, 0x28, 18], &two, deltas], "got schema 9"),
        (vec![&[0x08, 5, 0x28, 104], &two, deltas], "got schema 52"),
        (vec![&[0x08, 5, 0x28, 16], &two, deltas], ""),
        (vec![&[0x08, 5, 0x28, 105], &two, deltas], "only 0 custom bounds defined"),
        (vec![&[0x08, 5], &far, deltas], "span number 1 ends at bucket index 2147483648"),
        // Counts that are floats need not add up, and zeros are counts.
        (vec![&two, &field(14, &zeros)], ""),
        (vec![&double(0x21, 60.0), &two, &field(14, &zeros)], ""),
        (vec![&double(0x21, 1.0), &two, &field(14, &minus)], "bucket number 1 has observation count of -1"),
        // What is empty is nothing, wherever it is.
        (vec![&[0x08, 0], &two, &field(12, &[0x08, 9, 0x10, 1]), &[0x6a, 3, 0, 0, 0]], ""),
    ] {
        let bytes = native(&fields);
        let mut t = target(&[]);
        for _ in 0..2 {
            t.now += 1000;
            let (counts, result) = t.cache.read(body(&bytes), &t.rules, t.now, &t.store);
            let error = result.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{expected}: {error}");
            let all = if expected.is_empty() { (2, 2) } else { (1, 0) };
            assert_eq!((counts.scraped, counts.post_relabel), all, "{expected}");
            t.cache.commit(&t.store, t.now, &[("up", 0.0)], false).unwrap();
        }
        // Dropped it hurts nobody, new or known.
        t.cache.forget_lines();
        t.rules.series.relabel = vec![rule(RelabelAction::Drop, &["__name__"], "n", "$1")];
        for _ in 0..2 {
            assert_eq!(counted_as(&mut t, body(&bytes)), (2, 1, String::new()));
        }
    }
}

#[test]
fn too_many_buckets_fail_the_scrape_at_its_end() {
    let bytes = native(&[
        &[0x08, 5],
        &field(12, &[0x08, 0, 0x10, 1]),
        &field(9, &[0x08, 0, 0x10, 1]),
        &[0x6a, 1, 6],
        &[0x52, 1, 4],
    ]);
    let mut t = target(&[]);
    t.rules.histograms = HistogramRules::new(1, 0.0);
    for _ in 0..2 {
        assert_eq!(counted_as(&mut t, body(&bytes)), (2, 2, "histogram bucket limit".to_owned()));
    }
    t.rules.sample_limit = 1;
    assert_eq!(counted_as(&mut t, body(&bytes)), (2, 2, "histogram bucket limit".to_owned()), "it is no sample then");
}
