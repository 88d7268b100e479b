//! In which form histograms, types and units are stored: what is wanted of a target.

use super::tests::target;
use super::*;

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

pub(super) fn delimited(message: &[u8]) -> Vec<u8> {
    [&varint(message.len())[..], message].concat()
}

pub(super) fn field(number: usize, message: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), delimited(message)].concat()
}

fn histogram(name: &str, inside: &[u8]) -> Vec<u8> {
    let metric = [field(1, &[field(1, b"a"), field(2, b"b")].concat()), field(7, inside)].concat();
    delimited(&[field(1, name.as_bytes()), vec![0x18, 4], field(4, &metric)].concat())
}

#[test]
fn protobuf_and_text_are_the_same_series() {
    let mut t = target(&[]);
    let bucket = field(3, &[&[0x08, 2, 0x11][..], &1f64.to_le_bytes()].concat());
    let body = histogram("h", &[&[0x08, 3][..], &bucket].concat());
    let expected = [
        "h_bucket{a=\"b\", le=\"+Inf\"} 3",
        "h_bucket{a=\"b\", le=\"1.0\"} 2",
        "h_count{a=\"b\"} 3",
        "h_sum{a=\"b\"} 0",
    ];
    let at = |now: u32| expected.map(|line| format!("{now} {line}"));
    for (now, added) in [(1000, 4), (2000, 0)] {
        let (counts, stored) = t.scrape_as((Format::Protobuf, &body));
        assert_eq!((stored, counts.added, counts.native_histograms), (at(now).to_vec(), added, 0));
    }
    let text = "# TYPE h histogram\nh_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{a=\"b\",le=\"+Inf\"} 3\nh_sum{a=\"b\"} 0\nh_count{a=\"b\"} 3\n";
    assert_eq!(t.scrape(text).1, at(3000), "nothing went stale");
    assert_eq!(t.scrape_as((Format::Protobuf, &body)).1, at(4000));
    let (_, result) = t.cache.read((Format::Protobuf, &body[..body.len() - 1]), &t.rules, Timestamp(5000), &t.store);
    assert_eq!(result.unwrap_err().to_string(), "before byte 1: message breaks off: \"\"");
}

/// scrape-076
#[test]
fn native_buckets_are_left_out_and_counted() {
    let mut t = target(&[]);
    let span = field(12, &[0x08, 2, 0x10, 1]);
    let body = histogram("n", &[&[0x08, 7][..], &span, &[0x6a, 1, 14]].concat());
    for now in [1000, 2000] {
        let (counts, stored) = t.scrape_as((Format::Protobuf, &body));
        let expected = ["n_bucket{a=\"b\", le=\"+Inf\"} 7", "n_count{a=\"b\"} 7", "n_sum{a=\"b\"} 0"];
        assert_eq!(stored, expected.map(|line| format!("{now} {line}")));
        assert_eq!(counts.native_histograms, 1);
    }
}

/// A native histogram alone (scrape-077), beside its classic form, and its end.
#[test]
fn native_histograms_are_stored_where_they_are_wanted() {
    let span = field(12, &[0x08, 2, 0x10, 1]);
    let bucket = field(3, &[&[0x08, 5, 0x11][..], &1.0f64.to_le_bytes()].concat());
    let native = |count: u8| [&[0x08, count][..], &span, &[0x6a, 1, 2 * count], &bucket].concat();
    for classic in [false, true] {
        let mut t = target(&[]);
        let mut scrape = |bytes: &[u8], now: Timestamp| {
            let wanted = Wanted { native: true, classic, ..Wanted::default() };
            let body = Body { format: Format::Protobuf, wanted, bytes };
            let (counts, result) = t.cache.read(body, &t.rules, now, &t.store);
            result.unwrap();
            t.cache.commit(&t.store, now, &[("up", 1.0)], false).unwrap();
            (counts.native_histograms, t.store.take())
        };
        for (now, count) in [(Timestamp(1000), 7), (Timestamp(2000), 9)] {
            let (left_out, stored) = scrape(&histogram("n", &native(count)), now);
            assert_eq!((left_out, stored.len()), (0, if classic { 5 } else { 1 }), "{stored:?}");
            let beside = format!("{now} n_bucket{{a=\"b\", le=\"1.0\"}} 5");
            assert_eq!(stored.contains(&beside), classic, "{stored:?}");
            assert!(stored.iter().any(|line| line.contains(&format!("count:{count} "))), "{stored:?}");
        }
        let (_, stored) = scrape(&[], Timestamp(3000));
        assert_eq!(stored.len(), if classic { 5 } else { 1 });
        assert!(stored.contains(&"3000 n{a=\"b\"} stale".to_owned()), "{stored:?}");
    }
}

/// Several of one series, each with its own time, the first of them none.
#[test]
fn every_histogram_of_a_series_is_stored_at_its_own_time() {
    let span = field(12, &[0x08, 2, 0x10, 1]);
    let metric = |count: u8, ts: usize| {
        let inside = [&[0x08, count][..], &span, &[0x6a, 1, 2 * count]].concat();
        let time = if ts > 0 { [vec![0x30], varint(ts)].concat() } else { Vec::new() };
        field(4, &[field(7, &inside), time].concat())
    };
    let metrics = [metric(4, 0), metric(5, 1200), metric(6, 1300), metric(7, 1200), metric(8, 0), metric(9, 1250)];
    let bytes = delimited(&[field(1, b"n"), vec![0x18, 4], metrics.concat()].concat());
    let wanted = Wanted { native: true, ..Wanted::default() };
    let mut t = target(&[]);
    for now in [1000, 2000] {
        let (counts, stored) = t.scrape_as(Body { format: Format::Protobuf, wanted, bytes: &bytes });
        let mut expected = [(now, 4), (1200, 5), (1250, 9), (1300, 6)]
            .map(|(ts, count)| format!("{ts} n {{{{count:{count} offset:1 buckets:[{count}]}}}}"));
        expected.sort();
        assert_eq!(stored, expected);
        assert_eq!(counts.duplicate, 2, "the second at 1200 and the second without a time");
        *t.store.late_from.lock().unwrap() = Some(Timestamp::EPOCH);
    }
}

/// scrape-078
#[test]
fn classic_histograms_are_stored_as_native_ones_where_that_is_wanted() {
    let text = |count: u8| format!("# TYPE n histogram\nn_bucket{{le=\"1\"}} 5\nn_sum 9\nn_count {count}\nup 1\n");
    let bucket = field(3, &[&[0x08, 5, 0x11][..], &1.0f64.to_le_bytes()].concat());
    let message = |count: u8| histogram("n", &[&[0x08, count][..], &bucket].concat());
    for classic in [false, true] {
        for format in [Format::Text, Format::Protobuf] {
            let mut t = target(&[]);
            let wanted = Wanted { classic, convert: true, native: true, ..Wanted::default() };
            for (now, count) in [(1000, 7), (2000, 9), (3000, 4)] {
                let bytes = if format == Format::Text { text(count).into_bytes() } else { message(count) };
                let (counts, result) =
                    t.cache.read(Body { format, wanted, bytes: &bytes }, &t.rules, Timestamp(now), &t.store);
                t.cache.commit(&t.store, Timestamp(now), &[("up", 1.0)], false).unwrap();
                let stored = t.store.take().join("\n");
                let whole = format!("count:{count} ");
                assert_eq!(stored.contains(&whole), count > 5, "{format:?} {stored}");
                if format == Format::Protobuf && count < 5 {
                    // 3.16 fails the scrape; the text formats leave out what is no histogram.
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains("cannot convert to custom buckets: count is not cumulative"), "{error}");
                    assert!(stored.contains("stale"), "{stored}");
                    continue;
                }
                result.unwrap();
                assert_eq!(stored.contains("stale"), count < 5, "no such histogram is there: {format:?} {stored}");
                assert_eq!(stored.contains("n_count"), classic, "{format:?} {stored}");
                assert_eq!(counts.added > 0, now == 1000);
            }
        }
    }
}

#[test]
fn a_histogram_that_makes_no_sense_fails_the_scrape_by_name() {
    let mut t = target(&[]);
    let span = field(12, &[0x08, 2, 0x10, 1]);
    // A count of -3.
    let bytes = histogram("n", &[&[0x08, 7][..], &span, &[0x6a, 1, 5]].concat());
    let body = Body { format: Format::Protobuf, wanted: Wanted { native: true, ..Wanted::default() }, bytes: &bytes };
    let (_, result) = t.cache.read(body, &t.rules, Timestamp(1000), &t.store);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("bucket number 1 has observation count of -3"), "{error}");
    assert!(error.ends_with("(\"n\")"), "{error}");
}

/// scrape-052
#[test]
fn type_and_unit_are_labels_where_that_is_wanted() {
    let mut t = target(&[]);
    let wanted = Wanted { types: true, ..Wanted::default() };
    let mut scrape = |body: &str| {
        let body = Body { format: Format::OpenMetrics, wanted, bytes: body.as_bytes() };
        let (counts, stored) = t.scrape_as(body);
        (counts.added, stored)
    };
    let page = |kind: &str, unit: &str| {
        format!("# TYPE a_s {kind}\n# UNIT a_s {unit}\na_s{{__unit__=\"x\"}} 1\n# TYPE b gauge\nb 2\n# EOF\n")
    };
    let b = |now: u32| format!("{now} b{{__type__=\"gauge\"}} 2");
    let (added, stored) = scrape(&page("gauge", "s"));
    assert_eq!((added, &stored), (2, &vec![r#"1000 a_s{__type__="gauge", __unit__="s"} 1"#.to_owned(), b(1000)]));
    assert_eq!(scrape(&page("gauge", "s")).0, 0);
    // Another type or unit is another series.
    let (added, stored) = scrape(&page("unknown", "s"));
    assert_eq!(added, 1);
    assert!(stored.contains(&r#"3000 a_s{__type__="gauge", __unit__="s"} stale"#.to_owned()), "{stored:?}");
    assert!(stored.contains(&r#"3000 a_s{__unit__="s"} 1"#.to_owned()) && stored.contains(&b(3000)), "{stored:?}");
    let (added, stored) = scrape(&page("unknown", ""));
    assert_eq!(added, 1);
    assert!(stored.contains(&r#"4000 a_s{__unit__="x"} 1"#.to_owned()) && stored.contains(&b(4000)), "{stored:?}");
}

/// scrape-086
#[test]
fn a_zero_stands_where_counting_began() {
    let mut t = target(&[]);
    let wanted = Wanted { start_times: true, convert: true, ..Wanted::default() };
    let mut scrape = |body: &str| {
        let body = Body { format: Format::OpenMetrics, wanted, bytes: body.as_bytes() };
        let (counts, stored) = t.scrape_as(body);
        (counts.scraped, stored)
    };
    let page = |created: &str| {
        format!(
            "# TYPE a counter\na_total 5\na_created {created}\n# TYPE g gauge\ng_created 1\n# TYPE h histogram\n\
             h_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\nh_created {created}\n# EOF\n"
        )
    };
    let (scraped, stored) = scrape(&page("0.5"));
    assert_eq!(scraped, 3, "the time is no sample");
    let zero = "500 h {{schema:-53 custom_values:[1] counter_reset_hint:reset}}";
    assert_eq!(&stored[3..], ["500 a_total 0", zero], "{stored:?}");
    assert_eq!(scrape(&page("0.5")).1.len(), 3);
    // It began anew after the last scrape, and once more before it.
    let (_, stored) = scrape(&page("2.25"));
    assert_eq!(stored[0], "2250 a_total 0");
    assert_eq!(scrape(&page("2.5")).1.len(), 3);
    assert_eq!(scrape(&page("99")).1.len(), 3, "in the future");
}

/// scrape-086: of each series by itself.
#[test]
fn a_zero_is_later_than_what_its_series_had_not_the_target() {
    let mut t = target(&[]);
    let wanted = Wanted { start_times: true, ..Wanted::default() };
    let mut scrape = |created: &str| {
        let page = format!("# TYPE a counter\na_total 5\n{created}# TYPE b counter\nb_total 1\n# EOF\n");
        let page = if created.is_empty() { page.replace("a_total 5\n", "") } else { page };
        t.scrape_as(Body { format: Format::OpenMetrics, wanted, bytes: page.as_bytes() }).1
    };
    assert_eq!(scrape("a_created 0.5\n"), ["1000 a_total 5", "1000 b_total 1", "500 a_total 0"]);
    assert_eq!(scrape(""), ["2000 a_total stale", "2000 b_total 1"]);
    assert_eq!(scrape(""), ["3000 b_total 1"]);
    // It began after it had ended, and before the last scrape.
    assert_eq!(scrape("a_created 2.5\n"), ["2500 a_total 0", "4000 a_total 5", "4000 b_total 1"]);
    assert_eq!(scrape("a_created 3.5\n"), ["5000 a_total 5", "5000 b_total 1"], "the last scrape had it");
}

/// scrape-081
#[test]
fn a_native_histogram_has_the_exemplars_that_have_a_time() {
    let exemplar = |label: &[u8], value: f64, seconds: Option<u8>| {
        let pair = field(1, &[field(1, b"id"), field(2, label)].concat());
        let time = seconds.map_or(Vec::new(), |seconds| field(3, &[0x08, seconds]));
        [&pair[..], &[0x11], &value.to_le_bytes(), &time].concat()
    };
    let bucket =
        |exemplar: &[u8]| field(3, &[&[0x08, 3, 0x11][..], &1.0f64.to_le_bytes(), &field(3, exemplar)].concat());
    let span = field(12, &[0x08, 2, 0x10, 1]);
    let base = [
        &[0x08, 3][..],
        &span,
        &[0x6a, 1, 6],
        &bucket(&exemplar(b"a", 1.0, Some(1))),
        &bucket(&exemplar(b"b", 2.0, None)),
    ]
    .concat();
    let own = [
        field(16, &exemplar(b"c", 3.0, Some(9))),
        field(16, &exemplar(b"d", 4.0, None)),
        field(16, &exemplar(b"e", 5.0, Some(7))),
    ];
    let own = own.concat();
    let (native, convert) =
        (Wanted { native: true, ..Wanted::default() }, Wanted { convert: true, ..Wanted::default() });
    let in_text = "# TYPE n histogram\nn_bucket{le=\"1\"} 1 # {id=\"a\"} 1 1\nn_count 1 # {id=\"b\"} 2\n# EOF\n";
    for (format, bytes, wanted, expected) in [
        (Format::Protobuf, histogram("n", &base), native, vec!["n{a=\"b\"} {id=\"a\"} 1 1000"]),
        (
            Format::Protobuf,
            histogram("n", &[base.clone(), own].concat()),
            native,
            vec!["n{a=\"b\"} {id=\"c\"} 3 9000", "n{a=\"b\"} {id=\"e\"} 5 7000"],
        ),
        (Format::OpenMetrics, in_text.into(), convert, vec!["n {id=\"a\"} 1 1000"]),
    ] {
        let mut t = target(&[]);
        t.store.exemplars.lock().unwrap().0 = true;
        let (_, result) = t.cache.read(Body { format, wanted, bytes: &bytes }, &t.rules, Timestamp(20_000), &t.store);
        result.unwrap();
        t.cache.commit(&t.store, Timestamp(20_000), &[("up", 1.0)], false).unwrap();
        assert_eq!(t.store.exemplars.lock().unwrap().1, expected, "{format:?}");
    }
}

/// A line that stands for several series keeps all their columns, and a sample may have several exemplars.
#[test]
fn lines_of_openmetrics_2_keep_their_columns() {
    let mut t = target(&[("job", "j")]);
    t.store.exemplars.lock().unwrap().0 = true;
    let body = |count: u32| {
        format!(
            "# TYPE h histogram\nh{{a=\"b\"}} {{count:{count},sum:1.5,bucket:[1:{count},+Inf:{count}]}} st@0.5 \
             # {{id=\"x\"}} 0.5 {count} # {{}} 3 {count} # {{id=\"y\"}} 0.25 0.5\n# TYPE c counter\nc {count} 0.75\n# EOF\n"
        )
    };
    for count in [1, 2] {
        let (counts, stored) = t.scrape_as((Format::OpenMetrics2, &body(count)));
        let now = 1000 * count;
        let expected = [
            format!("{now} h_bucket{{a=\"b\", job=\"j\", le=\"+Inf\"}} {count}"),
            format!("{now} h_bucket{{a=\"b\", job=\"j\", le=\"1.0\"}} {count}"),
            format!("{now} h_count{{a=\"b\", job=\"j\"}} {count}"),
            format!("{now} h_sum{{a=\"b\", job=\"j\"}} 1.5"),
            format!("750 c{{job=\"j\"}} {count}"),
        ];
        assert_eq!((counts.scraped, counts.added, stored), (5, if count == 1 { 5 } else { 0 }, expected.to_vec()));
        let mut exemplars = std::mem::take(&mut t.store.exemplars.lock().unwrap().1);
        exemplars.sort();
        let of = |le: &str, rest: &str| format!("h_bucket{{a=\"b\", job=\"j\", le=\"{le}\"}} {rest}");
        let expected = [
            of("+Inf", &format!("{{}} 3 {now}")),
            of("1.0", &format!("{{id=\"x\"}} 0.5 {now}")),
            of("1.0", "{id=\"y\"} 0.25 500"),
        ];
        assert_eq!(exemplars, expected);
    }
    let native = Body {
        format: Format::OpenMetrics2,
        wanted: Wanted { native: true, ..Wanted::default() },
        bytes:
            b"# TYPE h histogram\nh {count:2,sum:1,schema:0,zero_threshold:0,zero_count:2} # {} 1 2 # {} 2 3\n# EOF\n",
    };
    let (_, result) = t.cache.read(native, &t.rules, Timestamp(4000), &t.store);
    result.unwrap();
    t.cache.commit(&t.store, Timestamp(4000), &[("up", 1.0)], false).unwrap();
    assert_eq!(t.store.exemplars.lock().unwrap().1, ["h{job=\"j\"} {} 1 2000", "h{job=\"j\"} {} 2 3000"]);
}
