//! Escaping of HTML, JavaScript and URLs, and host names.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::template::quote;

pub(super) fn html_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn js_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(c);
            }
            '<' | '>' | '&' | '=' | '\0'..' ' => push_unit(&mut out, c),
            c if c.is_ascii() || quote::is_print(c) => out.push(c),
            c => push_unit(&mut out, c),
        }
    }
    out
}

fn push_unit(out: &mut String, c: char) {
    write!(out, "\\u{:04X}", u32::from(c)).expect("BUG: writing to a string does not fail");
}

/// Host and port as Go's `net.SplitHostPort` takes them apart.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (before, port) = text.rsplit_once(':')?;
    let host = match before.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|host| !host.contains(']'))?,
        None if before.contains(':') => return None,
        None => before,
    };
    let has_brackets = |text: &str| text.contains(['[', ']']);
    (!has_brackets(host) && !has_brackets(port)).then_some((host, port))
}

pub(super) fn without_port(text: &str) -> &str {
    host_and_port(text).map_or(text, |(host, _)| host)
}

/// `node.example.com:9100` as `node:9100`; addresses stay as they are.
pub(super) fn without_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).unwrap_or((text, ""));
    // An IPv6 address may name its zone; Go takes none without a name, or on IPv4.
    let is_address = match host.split_once('%') {
        Some((address, zone)) => !zone.is_empty() && address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok(),
    };
    if is_address {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match (port, name.contains([':', '%'])) {
        ("", _) => name.to_owned(),
        (_, true) => format!("[{name}]:{port}"),
        (_, false) => format!("{name}:{port}"),
    }
}

/// What a character is to Unicode's boundaries of words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// `_`, which joins everything.
    Joins,
    Other,
}

fn class(c: char) -> Class {
    match c {
        '_' | '\u{203f}' | '\u{2040}' => Class::Joins,
        c if c.is_alphabetic() => Class::Letter,
        c if c.is_numeric() => Class::Digit,
        _ => Class::Other,
    }
}

/// Words whose first letter is a capital; the rest stays. (Go: `cases.Title` without lowering.)
pub(super) fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The class of the character before, within a word, and whether the word has its capital.
    let mut before = Class::Other;
    let mut has_capital = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let class_of_c = class(c);
        let next = chars.peek().map_or(Class::Other, |c| class(*c));
        // Some punctuation does not end a word between two letters, or two digits.
        let stays = match c {
            '\'' | '.' | '’' => next == before && matches!(before, Class::Letter | Class::Digit),
            ':' | '·' => next == before && before == Class::Letter,
            ',' | ';' => next == before && before == Class::Digit,
            c => is_mark(c),
        };
        if class_of_c == Class::Letter && !has_capital {
            push_title(&mut out, c);
            has_capital = true;
        } else {
            out.push(c);
        }
        if class_of_c != Class::Other {
            before = class_of_c;
        } else if !stays {
            (before, has_capital) = (Class::Other, false);
        }
    }
    out
}

/// `ß` becomes `Ss`.
fn push_title(out: &mut String, c: char) {
    let mut all = c.to_uppercase();
    out.extend(all.next());
    out.extend(all.flat_map(char::to_lowercase));
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// One character for one, as Go maps them: `ß` stays.
pub(super) fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub(super) fn lower(c: char) -> char {
    // The dotted capital I is the only one with several; Go has `i` for it.
    c.to_lowercase().next().unwrap_or(c)
}
