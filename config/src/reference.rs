//! The reference page of the configuration, `docs/configuration.md`, made from the declarations of the sections.

use crate::file::Config;
use crate::rules::{RuleFile, UnitTestFile};
use crate::schema::{FieldDoc, Section as _, SectionDoc, Shape};
use crate::web::WebConfig;

const HEAD: &str = "\
# Configuration

The fields of `prometheus.yml` ([`configuration`](#configuration)), of the file of `--web.config.file`
([`web_config`](#web_config)), of rule files ([`rule_file`](#rule_file)) and of their unit tests
([`unit_test_file`](#unit_test_file)). This page is made from the source: change the declarations in `config/src` and run
`UPDATE_EXPECT=1 cargo test -p config --test reference`.

`promtool check config FILE` checks a file and the rule files that it names, `promtool check rules FILE` a rule file;
`promtool test rules FILE` runs the unit tests in a file. Whatever is wrong with a file, and with those that it includes, is told at
once: by these commands, by a server that starts or reloads, and by the answer of `/-/reload`. Each fault has file, line and column, the
line itself without what may be secret, and for a misspelt field the nearest one that there is.

**Editors** complete and check these files by the JSON schemas in `docs/schemas`, which are made from the same declarations:
`config.json`, `scrape-configs.json` (files of `scrape_config_files`), `rules.json`, `rule-tests.json` and `web.json`.
`promtool schema config` prints that of the version that is installed. Editors with the YAML language server (VS Code, Neovim, Emacs)
find it by a comment in the first line of a file:

    # yaml-language-server: $schema=config.json

A schema knows fields, their types, words, defaults and what they mean, and nothing of how fields depend on each other;
`promtool check config` does.

`/api/v1/status/config` shows the configuration that is in use, defaults included. An unknown field is an error. A field marked
**not served** is read and checked, and its use gives a warning. A field marked **Weft** is unknown to Prometheus. Where no
default is given the field is empty, 0 or `false`.

| Type | Written as |
|---|---|
| duration | `30s`, `5m`, `1h30m` |
| size | `512KB`, `10MB`, `1GiB`; every unit is a power of 1024 |
| path | the path of a file; a relative one starts at the folder of the configuration file |
| secret | a string that is never printed |
| regex | a regular expression in the syntax of RE2, which must match as a whole |
| any | accepted and printed as it is, without what looks like a secret |
";

const DISCOVERY: &str = "service_discovery";

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut queue = vec![Config::describe(), WebConfig::describe(), RuleFile::describe(), UnitTestFile::describe()];
    let mut next = 0;
    // Each section once, in the order in which they are first mentioned.
    while next < queue.len() {
        let mut found = Vec::new();
        page.push_str(&section(&queue[next], &mut found));
        next += 1;
        // Sections are known by title: one that several fields use has one heading.
        let new: Vec<SectionDoc> =
            found.into_iter().filter(|doc| !queue.iter().any(|known| known.title == doc.title)).collect();
        for doc in new {
            if !queue.iter().any(|known| known.title == doc.title) {
                queue.push(doc);
            }
        }
    }
    page
}

/// A heading and a table; the sections that are mentioned are added to `found`.
fn section(doc: &SectionDoc, found: &mut Vec<SectionDoc>) -> String {
    let mut out = format!("\n## `{}`\n\n{}\n\n", doc.title, joined(&doc.doc));
    out.push_str("| Field | Type | Default | Meaning |\n|---|---|---|---|\n");
    for field in &doc.fields {
        out.push_str(&row(field, found));
    }
    out
}

fn row(field: &FieldDoc, found: &mut Vec<SectionDoc>) -> String {
    let name = match &field.shape {
        Shape::Hidden => return String::new(),
        Shape::Inline(inner) => format!("*those of* {}", link(inner.title)),
        Shape::Kinds(_) => format!("*those of* {}", link(DISCOVERY)),
        Shape::TextOrFile => format!("`{0}`, `{0}_file`", field.name),
        _ => format!("`{}`", field.name),
    };
    let kind = match &field.shape {
        Shape::Inline(_) | Shape::Kinds(_) => String::new(),
        shape => shape_text(shape),
    };
    let default = match (&field.default, field.inherited) {
        // A described source says more than the value that happens to be inherited by default.
        (_, Some(from)) => from.to_owned(),
        (Some(default), None) => format!("`{}`", default.print().trim_end()),
        (None, None) if field.flags.required.is_some() => "**required**".to_owned(),
        (None, None) => String::new(),
    };
    let mut meaning = joined(field.doc);
    if field.flags.ours {
        meaning.push_str(" **Weft.**");
    }
    if let Some(warning) = field.flags.unserved {
        meaning.push_str(&format!(" **Not served**: {warning}."));
    }
    mentioned(&field.shape, found);
    format!("| {name} | {kind} | {default} | {meaning} |\n")
}

fn shape_text(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(name) => (*name).to_owned(),
        Shape::TextOrFile => "secret, path".to_owned(),
        Shape::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::List(of) => format!("list of {}", shape_text(of)),
        Shape::Map(of) => format!("mapping of names to {}", shape_text(of)),
        Shape::Section(doc) | Shape::Inline(doc) => link(doc.title),
        Shape::Kinds(_) => link(DISCOVERY),
        Shape::Hidden => String::new(),
    }
}

fn link(title: &str) -> String {
    format!("[`{title}`](#{title})")
}

/// Adds the sections that a type mentions.
fn mentioned(shape: &Shape, found: &mut Vec<SectionDoc>) {
    match shape {
        Shape::List(of) | Shape::Map(of) => mentioned(of, found),
        Shape::Section(doc) | Shape::Inline(doc) => found.push(doc.clone()),
        // Jobs and Alertmanagers have the same discoveries: one section for both, as if it were declared.
        Shape::Kinds(kinds) => found.push(SectionDoc {
            title: DISCOVERY,
            doc: "Where targets are. Each field is a list, and the targets of all of them are taken together."
                .to_owned(),
            fields: kinds.clone(),
        }),
        Shape::Scalar(_) | Shape::Words(_) | Shape::TextOrFile | Shape::Hidden => {}
    }
}

/// The lines of a documentation comment as one.
fn joined(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}
