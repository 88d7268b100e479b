//! Typo hints: for characters from text processors, other keyboards and other languages the error says what to write instead.

/// Appends a hint to a message, if the character is a frequent typo.
pub(super) fn hinted(message: String, c: char) -> String {
    let hint = match c {
        '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2032}' | '\u{2033}' | '\u{ff02}' | '\u{ff07}' => {
            "a typographic quote: write \" or ' instead"
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => "a typographic dash: write - instead",
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            "a special space: write a plain one instead"
        }
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "an invisible character: remove it",
        '\u{ff08}' | '\u{ff09}' => "a full-width parenthesis: write ( or ) instead",
        '\u{ff0c}' | '\u{3001}' => "a full-width comma: write , instead",
        '\u{ff5b}' | '\u{ff5d}' => "a full-width brace: write { or } instead",
        '\u{ff1d}' => "a full-width equals sign: write = instead",
        '\u{d7}' => "a multiplication sign: write * instead",
        '\u{f7}' => "a division sign: write / instead",
        '\u{2260}' => "write != instead",
        '\u{2264}' => "write <= instead",
        '\u{2265}' => "write >= instead",
        '&' => "write and instead",
        '|' => "write or instead",
        _ => return message,
    };
    format!("{message} ({hint})")
}
