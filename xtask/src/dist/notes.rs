//! What the changelog says of a version.

use anyhow::{Result, bail};

/// The section of a version, without its heading, whose levels are those of a page of its own.
pub(super) fn of(changelog: &str, version: &str) -> Result<String> {
    let heading =
        |line: &str| line.strip_prefix("## ").map(|text| text.split(' ').next().unwrap_or_default().to_owned());
    let mut lines = changelog.lines().skip_while(|line| heading(line).as_deref() != Some(version));
    let Some(first) = lines.next() else { bail!("CHANGELOG.md has no section \"## {version}\"") };
    let body: Vec<&str> = lines.take_while(|line| heading(line).is_none()).collect();
    let text = body.join("\n");
    if text.trim().is_empty() {
        bail!("CHANGELOG.md says nothing of {version}");
    }
    let title = format!("# Weft {}", first.trim_start_matches("## ").trim_end_matches(" (unreleased)"));
    let text = text.trim().replace("\n### ", "\n## ");
    let text = text.strip_prefix("### ").map_or(text.clone(), |rest| format!("## {rest}"));
    Ok(format!("{title}\n\n{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "# Changelog\n\nText.\n\n## 0.2.0 (unreleased)\n\n### New\n- a\n  b ## 9.9.9\n\n### Fixed\n- c\n\n\
                             ## 0.1.1 (2026-01-02)\n\nWords.\n\n## 0.1.0\n";

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let notes = of(CHANGELOG, "0.2.0").expect("a section");
        assert_eq!(notes, "# Weft 0.2.0\n\n## New\n- a\n  b ## 9.9.9\n\n## Fixed\n- c\n");
        assert_eq!(of(CHANGELOG, "0.1.1").expect("a section"), "# Weft 0.1.1 (2026-01-02)\n\nWords.\n");
        for (version, part) in [("0.1.0", "says nothing of 0.1.0"), ("0.1", "has no section \"## 0.1\"")] {
            let error = of(CHANGELOG, version).expect_err("nothing to say").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
