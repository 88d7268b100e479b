//! Errors in words.

use std::error::Error;

/// An error with its causes, outermost first, each said once.
#[must_use]
pub fn with_causes(error: &(dyn Error + '_)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    fn said(texts: &[&'static str]) -> Said {
        Said(texts[0], texts.get(1).map(|_| Box::new(said(&texts[1..]))))
    }

    #[test]
    fn each_cause_is_said_once() {
        assert_eq!(with_causes(&said(&["cannot commit"])), "cannot commit");
        assert_eq!(with_causes(&said(&["cannot commit", "disk full", "ENOSPC"])), "cannot commit: disk full: ENOSPC");
        assert_eq!(
            with_causes(&said(&["cannot commit: disk full", "disk full", "ENOSPC"])),
            "cannot commit: disk full: ENOSPC"
        );
    }
}
