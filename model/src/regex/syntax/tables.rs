//! Unicode's tables of version 15, which are those of Go 1.26. The version of `regex-syntax` that the automata are built with
//! knows letters and cases that are none to Prometheus.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
use regex_syntax_unicode15::hir as of_15;

/// The character class of a pattern such as `\p{gc=Lu}`.
pub(super) fn class(pattern: &str) -> Option<ClassUnicode> {
    match regex_syntax_unicode15::parse(pattern).ok()?.into_kind() {
        of_15::HirKind::Class(of_15::Class::Unicode(class)) => Some(converted(&class)),
        // Of one character.
        of_15::HirKind::Literal(literal) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(ClassUnicode::new([ClassUnicodeRange::new(c, c)]))
        }
        _ => None,
    }
}

/// The class with all cases of its characters, by simple folding: one character to one, as Go's `unicode.SimpleFold`.
pub(super) fn add_cases(class: &ClassUnicode) -> ClassUnicode {
    let ranges = class.iter().map(|range| of_15::ClassUnicodeRange::new(range.start(), range.end()));
    let mut class = of_15::ClassUnicode::new(ranges);
    class.case_fold_simple();
    converted(&class)
}

fn converted(class: &of_15::ClassUnicode) -> ClassUnicode {
    ClassUnicode::new(class.iter().map(|range| ClassUnicodeRange::new(range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_cases_of_later_versions_are_unknown() {
        let single = |c| ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
        let cases: String = add_cases(&single('k')).iter().flat_map(|range| range.start()..=range.end()).collect();
        assert_eq!(cases, "Kk\u{212a}");
        // U+019B got its capital U+A7DC in Unicode 16, U+0390 and U+1FD3 became cases of each other in 15.1.
        for c in ['\u{19b}', '\u{390}', '\u{a7dc}'] {
            assert_eq!(add_cases(&single(c)), single(c), "{c:?}");
        }
        let holds =
            |pattern: &str, c| class(pattern).unwrap().iter().any(|range| (range.start()..=range.end()).contains(&c));
        assert!(holds(r"\p{gc=Cn}", '\u{a7dc}') && !holds(r"\p{gc=Lu}", '\u{a7dc}'));
        assert!(holds(r"\p{gc=Lu}", 'A') && !holds(r"\p{gc=Cn}", 'A'));
    }
}
