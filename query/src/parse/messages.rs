//! What is said about texts that are no queries, where the recordings say nothing. Upstream's server says the same, but
//! for the hints.

use super::random::ALL_ON;

#[track_caller]
fn check(text: &str, expected: &str) {
    let error = super::parse(text, ALL_ON).map(|expr| expr.to_string()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn what_was_expected_depends_on_what_is_around() {
    for (text, expected) in [
        ("sum by(a) up", "1:11: parse error: unexpected identifier \"up\" in aggregation"),
        ("rate(sum(a) b)", "1:13: parse error: unexpected identifier \"b\""),
        ("up + on(a) group_left * b", "1:23: parse error: unexpected <op:*> in grouping opts, expected \"(\""),
        ("sum without (without) (a)", "1:14: parse error: unexpected <without> in grouping opts, expected label"),
        ("up @ start", "1:11: parse error: unexpected end of input in @, expected timestamp"),
        ("up[5m 5m]", "1:7: parse error: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\""),
        (
            "up[(5m 5m)]",
            "1:8: parse error: unexpected duration \"5m\" in subquery or range selector, expected number, duration, \
             step(), or range()",
        ),
        (
            "up offset (5m) / down",
            "1:18: parse error: unexpected identifier \"down\" in offset, expected number, duration, step(), or range()",
        ),
        ("a:b()", "1:4: parse error: unexpected \"(\""),
    ] {
        check(text, expected);
    }
}

#[test]
fn the_first_complaint_counts() {
    for (text, expected) in [
        ("sum(up,,down)", "1:7: parse error: trailing commas not allowed in function call args"),
        ("label_replace(a, *)", "1:16: parse error: trailing commas not allowed in function call args"),
        ("START()", "1:1: parse error: unknown function with name \"START\""),
        ("1[5m] \"abc", "1:2: parse error: ranges only allowed for vector selectors"),
        ("a and fill(1) b", "1:1: parse error: filling in missing series not allowed for set operators"),
        ("up smoothed anchored", "1:1: parse error: anchored and smoothed modifiers cannot be used together"),
        ("sum by (a:b, \"\") (up)", "1:14: parse error: invalid label name for grouping: \"\""),
        ("up offset -Inf", "1:11: parse error: duration out of range"),
        ("up[1.5h]", "1:4: parse error: unknown unit \".\" in duration \"1.5h\""),
        ("up\n  + {", "2:6: parse error: unexpected end of input inside braces"),
    ] {
        check(text, expected);
    }
}

#[test]
fn frequent_slips_are_named() {
    for (text, place, c, hint) in [
        ("up{job=\u{201c}a\u{201d}}", "1:8", "inside braces: '\u{201c}'", "a typographic quote: write \" or ' instead"),
        ("up \u{2013} 1", "1:4", ": '\u{2013}'", "a typographic dash: write - instead"),
        ("up\u{a0}> 1", "1:3", ": '\\u00a0'", "a special space: write a plain one instead"),
        ("a && b", "1:3", ": '&'", "write and instead"),
        ("rate\u{ff08}up[5m]\u{ff09}", "1:5", ": '\u{ff08}'", "a full-width parenthesis: write ( or ) instead"),
    ] {
        let c = if c.starts_with(':') { c.to_owned() } else { format!(" {c}") };
        check(text, &format!("{place}: parse error: unexpected character{c} ({hint})"));
    }
}

#[test]
fn durations_bind_as_upstream_has_it() {
    for (text, expected) in [
        // A lone literal ends the offset, parentheses do not.
        ("up offset 5m + 1", "up offset 5m + 1"),
        ("vector(1) + up offset -2 ^ 2", "vector(1) + up offset -2s ^ 2"),
        ("up[ - ( 5m ) ^ 2 + 1e6 ]", "up[-(5m) ^ 2 + 1000000]"),
        ("up[((5m))]", "up[(5m)]"),
    ] {
        let expr = super::parse(text, ALL_ON).unwrap();
        assert_eq!(expr.to_string(), expected, "{text}");
    }
    let expr = super::parse("up offset (5m) + 1", ALL_ON).unwrap();
    assert!(matches!(expr.kind, super::ExprKind::Vector(_)), "{expr:?}");
}
