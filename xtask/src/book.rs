//! The documentation as a site (`book.toml`, `docs/SUMMARY.md`): all pages are in it, and all links of what mdbook makes of them lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cache, files, root, step};

/// Where `book.toml` has the site built, below the root of the workspace.
const BUILT: &str = "target/book";
/// The list of pages, which is none itself.
const SUMMARY: &str = "SUMMARY.md";

/// Builds the site with mdbook, and checks its links.
pub(crate) fn build() -> Result<()> {
    let mut mdbook = Command::new(cache::mdbook()?.join("mdbook"));
    step("documentation", mdbook.arg("build").arg(root()).env("MDBOOK_LOG", "warn"))?;
    let faults = dead_links(&root().join(BUILT), &root())?;
    if !faults.is_empty() {
        bail!("links of the documentation lead nowhere:\n  {}", faults.join("\n  "));
    }
    println!("{}", root().join(BUILT).join("index.html").display());
    Ok(())
}

/// Reports pages below `docs` that the list of pages does not name, and those that it names and that are not there; and messages that
/// the page about faults quotes and that no source has.
pub(crate) fn check(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let docs = root.join("docs");
    let summary = docs.join(SUMMARY);
    let text = fs::read_to_string(&summary).with_context(|| format!("cannot read {}", summary.display()))?;
    let mut all: Vec<&str> = listed(&text).collect();
    all.sort_unstable();
    let twice = all.windows(2).filter(|pair| pair[0] == pair[1]);
    faults.extend(twice.map(|pair| format!("docs/{SUMMARY} names {} twice, which mdbook refuses", pair[0])));
    let listed: BTreeSet<&str> = all.into_iter().collect();
    let mut pages = named(&docs, "md")?;
    pages.remove(SUMMARY);
    let missing = pages.iter().filter(|page| !listed.contains(page.as_str()));
    faults.extend(
        missing.map(|page| format!("docs/{page} is not in docs/{SUMMARY}, so that nobody finds it on the site")),
    );
    let gone = listed.iter().filter(|page| !pages.contains(**page));
    faults.extend(gone.map(|page| format!("docs/{SUMMARY} names {page}, which is not there")));
    quoted_messages(root, faults)
}

/// The pages that the list names.
fn listed(summary: &str) -> impl Iterator<Item = &str> {
    summary.lines().filter_map(|line| line.rsplit_once("](")?.1.strip_suffix(')')).filter(|page| !page.is_empty())
}

/// The files with this ending, by their paths below `folder`.
fn named(folder: &Path, ending: &str) -> Result<BTreeSet<String>> {
    let name = |path: PathBuf| path.strip_prefix(folder).unwrap_or(&path).display().to_string();
    Ok(files::below(folder, ending)?.into_iter().map(name).collect())
}

/// The page whose tables quote what the server says.
const FAULTS_PAGE: &str = "docs/troubleshooting.md";
/// Crates of which the messages are.
const SPEAKERS: [&str; 12] = [
    "model",
    "config",
    "http-client",
    "kube-watch",
    "discovery",
    "operator",
    "scraper",
    "storage",
    "query",
    "rules",
    "remote",
    "server",
];

fn quoted_messages(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let page = fs::read_to_string(root.join(FAULTS_PAGE)).with_context(|| format!("cannot read {FAULTS_PAGE}"))?;
    let mut sources = String::new();
    for speaker in SPEAKERS {
        for file in files::below(&root.join(speaker).join("src"), "rs")? {
            sources += &fs::read_to_string(file)?;
        }
    }
    // A text that goes over the end of a line begins the next one behind its indentation.
    let mut pieces = sources.split("\\\n");
    let mut joined = pieces.next().unwrap_or_default().to_owned();
    pieces.for_each(|piece| joined += piece.trim_start());
    let unknown = messages(&page).into_iter().filter(|message| !joined.contains(message));
    faults.extend(unknown.map(|message| format!("{FAULTS_PAGE} quotes {message:?}, which no source says")));
    Ok(())
}

/// What stands in backticks in the first column of tables and consists of words; up to a part that differs from case to case.
fn messages(page: &str) -> Vec<&str> {
    let first = page.lines().filter_map(|line| line.strip_prefix('|')?.split(" | ").next());
    let quoted = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let fixed = quoted.flat_map(|text| text.split(['…', '(']).flat_map(|part| part.split("ADDRESS"))).map(str::trim);
    fixed.filter(|text| text.contains(' ')).collect()
}

/// Links of the pages below `built` that lead nowhere: files, and places in pages. What leads out of the site must be in the checkout.
fn dead_links(built: &Path, root: &Path) -> Result<Vec<String>> {
    let files = named(built, "html")?;
    let mut pages: BTreeMap<PathBuf, String> = BTreeMap::new();
    // Both are made for reading on paper, or for servers: their links are those of the pages.
    for file in files.iter().filter(|file| !matches!(file.as_str(), "print.html" | "404.html" | "toc.html")) {
        pages.insert(built.join(file), fs::read_to_string(built.join(file))?);
    }
    let mut faults = Vec::new();
    for (path, text) in &pages {
        for link in links(text) {
            if !leads(path, link, (built, root), &pages) {
                faults.push(format!("{}: {link}", path.strip_prefix(built).unwrap_or(path).display()));
            }
        }
    }
    Ok(faults)
}

/// The targets of a page's links and pictures on this site.
fn links(html: &str) -> impl Iterator<Item = &str> {
    let values = ["href=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).filter(|link| !link.contains("://") && !link.starts_with("data:"))
}

fn leads(page: &Path, link: &str, (built, root): (&Path, &Path), pages: &BTreeMap<PathBuf, String>) -> bool {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { normal(&page.parent().unwrap_or(built).join(file)) };
    if !target.starts_with(built) {
        // Of files of the checkout, pages of documentation among them, the site has no copy.
        let inside = page.strip_prefix(built).unwrap_or(page);
        let source = normal(&root.join("docs").join(inside.parent().unwrap_or(Path::new(""))).join(file));
        return source.exists() || source.with_extension("md").exists();
    }
    let target = if target.is_dir() { target.join("index.html") } else { target };
    match pages.get(&target) {
        Some(text) => place.is_empty() || text.contains(&format!("id=\"{place}\"")),
        None => target.exists(),
    }
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        match part {
            std::path::Component::ParentDir => _ = normal.pop(),
            std::path::Component::CurDir => {}
            part => normal.push(part),
        }
        normal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_in_the_book() {
        let mut faults = Vec::new();
        check(&root(), &mut faults).unwrap();
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn pages_and_messages_are_found() {
        let summary = "# Summary\n\n[a](README.md)\n- [b [c]](d/e.md)\n- [f]()\n";
        assert_eq!(listed(summary).collect::<Vec<_>>(), ["README.md", "d/e.md"]);
        let page =
            "| `one two: …` or `three` | `not this one` |\n|---|---|\n| x, `in (four five)` | |\nno `table here`\n";
        assert_eq!(messages(page), ["one two:", "four five)"]);
    }

    #[test]
    fn links_of_the_site_lead_somewhere() {
        let folder = tempfile();
        let (built, docs) = (folder.join("target/book"), folder.join("docs"));
        for path in [&built.join("sub"), &docs] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(folder.join("LICENSE"), "").unwrap();
        fs::write(built.join("a.html"), "<h1 id=\"top\"></h1><img src=\"x.png\"><a href=\"https://h/none\">").unwrap();
        let links = "<a href=\"../a.html#top\"><a href=\"../a.html#none\"><a href=\"none.html\"><a href=\"#here\" id=\"here\">\
                     <a href=\"../../LICENSE\"><a href=\"../../none\">";
        fs::write(built.join("sub/b.html"), links).unwrap();
        let faults = dead_links(&built, &folder).unwrap();
        assert_eq!(
            faults,
            ["a.html: x.png", "sub/b.html: ../a.html#none", "sub/b.html: none.html", "sub/b.html: ../../none"]
        );
        fs::remove_dir_all(folder).unwrap();
    }

    /// A folder of this test, which ends by removing it.
    fn tempfile() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("weft-book-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}
