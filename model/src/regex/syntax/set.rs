//! Classes of Perl and of POSIX, and what cases and negation make of any class.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::tables::add_cases;

/// `[:name:]` and its ranges.
const POSIX: [(&str, &[(char, char)]); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// The class of `\d`, `\s`, `\w` and their negations in capitals.
pub(super) fn perl(letter: char, ignore_case: bool) -> ClassUnicode {
    let ranges: &[(char, char)] = match letter.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        // Unlike POSIX's class, without the vertical tab.
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
    };
    named(ranges, ignore_case, letter.is_ascii_uppercase())
}

fn named(ranges: &[(char, char)], ignore_case: bool, negated: bool) -> ClassUnicode {
    let class = ClassUnicode::new(ranges.iter().map(|(from, to)| ClassUnicodeRange::new(*from, *to)));
    finished(class, ignore_case, negated)
}

/// Cases are added first: what is negated is what matches neither way.
pub(super) fn finished(mut class: ClassUnicode, ignore_case: bool, negated: bool) -> ClassUnicode {
    if ignore_case {
        class = add_cases(&class);
    }
    if negated {
        class.negate();
    }
    class
}

/// The class of `[:name:]`.
pub(super) fn posix(name: &str, ignore_case: bool, negated: bool) -> Option<ClassUnicode> {
    let (_, ranges) = POSIX.iter().find(|(known, _)| *known == name)?;
    Some(named(ranges, ignore_case, negated))
}
