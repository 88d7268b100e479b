//! Checks the syntax of Kubernetes' label and field selectors; the API server evaluates them.

/// Checks a label selector: `app=a,tier in (b,c),!gone`.
pub(crate) fn check_label_selector(selector: &str) -> Result<(), String> {
    let mut rest = selector.trim_start();
    while !rest.is_empty() {
        rest = requirement(rest)?;
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            if rest.is_empty() {
                return Err("found '', expected: identifier after ','".to_owned());
            }
        } else if !rest.is_empty() {
            return Err(format!("unable to parse requirement: found '{rest}', expected: ',' or 'end of string'"));
        }
    }
    Ok(())
}

/// Parses one requirement; returns the rest.
fn requirement(text: &str) -> Result<&str, String> {
    let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim_start()));
    let (key, rest) = word(text);
    if key.is_empty() {
        let found = text.chars().next().map(String::from).unwrap_or_default();
        return Err(format!(
            "unable to parse requirement: found '{found}', expected: !, identifier, or 'end of string'"
        ));
    }
    // `!key` and a bare `key` ask whether the label exists and take no operator.
    if negated || rest.is_empty() || rest.starts_with(',') {
        return Ok(rest);
    }
    // `==` before `=`, which is its beginning.
    for operator in ["==", "!=", "=", ">", "<"] {
        if let Some(after) = rest.strip_prefix(operator) {
            // An empty value is allowed: `app=` matches the empty label.
            return Ok(word(after.trim_start()).1);
        }
    }
    match word(rest) {
        ("in" | "notin", after) => {
            let Some(list) = after.strip_prefix('(') else {
                let found = word(after).0;
                return Err(format!("unable to parse requirement: found '{found}' expected: '('"));
            };
            let (values, after) = list
                .split_once(')')
                .ok_or_else(|| "unable to parse requirement: found '', expected: ',' or ')'".to_owned())?;
            if values.split(',').any(|value| value.trim().contains([' ', '(', '='])) {
                return Err(format!("unable to parse requirement: found '{values}', expected: identifiers and ','"));
            }
            Ok(after.trim_start())
        }
        (other, _) => {
            Err(format!("unable to parse requirement: found '{other}', expected: in, notin, =, ==, !=, gt, lt"))
        }
    }
}

/// The word at the start, and the rest without leading blanks.
fn word(text: &str) -> (&str, &str) {
    // Blanks and the special symbols of the lexer in `k8s.io/apimachinery/pkg/labels`; a word is what has none of them.
    let end = text.find([' ', '\t', ',', '=', '!', '(', ')', '<', '>']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// Checks a field selector: `spec.nodeName=n1,status.phase!=Failed`.
pub(crate) fn check_field_selector(selector: &str) -> Result<(), String> {
    // `fields.ParseSelector` skips empty terms, unlike the parser of label selectors.
    let terms = selector.split(',').filter(|term| !term.is_empty());
    for term in terms {
        if !term.contains('=') {
            return Err(format!("invalid selector: '{selector}'; can't understand '{term}'"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_selector() {
        for good in ["", "a", "!a", "a=b", "a==b,c!=d", "app in (a,b)", "x.io/y notin (a), z", "a=", "n>5"] {
            assert_eq!(check_label_selector(good), Ok(()), "{good}");
        }
        for bad in ["app in", "app in (a", "a b", "=a", "a=b,", "a=b c"] {
            assert!(check_label_selector(bad).is_err(), "{bad}");
        }
        assert_eq!(check_field_selector("a=b,c!=d"), Ok(()));
        assert!(check_field_selector("metadata.status-Running").is_err());
    }
}
