//! `promtool check config FILE…`: reads configurations as the server does.

use std::io::{self, Write};
use std::path::Path;

use config::{Config, Defaults};

use crate::Outcome;

pub(crate) const USAGE: &str = "usage: promtool check config [--syntax-only] FILE...";

/// Flags of upstream's that change nothing here: nothing but the files named is looked at, and there are no lints yet.
const IDLE: [&str; 4] = ["--syntax-only", "--no-syntax-only", "--ignore-unknown-fields", "--lint-fatal"];

/// Checks the files, one after another: what is wrong with each is told in the server's words.
pub(crate) fn config(args: &[&str], out: &mut dyn Write) -> io::Result<Outcome> {
    let (flags, files): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with('-'));
    let is_idle = |flag: &&str| IDLE.contains(flag) || flag.starts_with("--lint=");
    if let Some(flag) = flags.into_iter().find(|flag| !is_idle(flag)) {
        let help = flag == "--help" || flag == "-h";
        let unknown = if help { String::new() } else { format!("unknown flag {flag}; ") };
        writeln!(out, "{unknown}{USAGE}")?;
        // Asking for help is no misuse.
        return Ok(if help { Outcome::Passed } else { Outcome::Misused });
    }
    if files.is_empty() {
        writeln!(out, "no file named; {USAGE}")?;
        return Ok(Outcome::Misused);
    }
    let mut outcome = Outcome::Passed;
    for file in files {
        writeln!(out, "Checking {file}")?;
        match load(file) {
            Ok(config) => {
                for warning in config.warnings.iter().cloned().chain(config.not_served()) {
                    writeln!(out, "  WARNING: {warning}")?;
                }
                writeln!(out, " SUCCESS: {file} is valid prometheus config file syntax\n")?;
            }
            Err(error) => {
                writeln!(out, "  FAILED: {error}\n")?;
                outcome = Outcome::Failed;
            }
        }
    }
    Ok(outcome)
}

/// A configuration that the server would start with.
fn load(file: &str) -> Result<Config, String> {
    let told = |error: config::Error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    };
    let config = Config::load(Path::new(file), &Defaults::default()).map_err(told)?;
    for rule in &config.storage.tsdb.retention_rules {
        // The config crate does not parse PromQL, so the server checks selectors when it starts, and this command
        // does the same.
        query::parse_selector(&rule.selector).map_err(|error| format!("{}: {error}", rule.place))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = config(args, &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_file_is_checked_as_the_server_does() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let good = write("good.yml", "scrape_configs: [{job_name: a}]\n");
        let bad = write("bad.yml", "scrape_configs: [{jobname: a}]\n");
        let rule = write("rule.yml", "storage: {tsdb: {retention_rules: [{match: '{', time: 1d}]}}\n");
        let idle = write("idle.yml", "rule_files: [a.yml]\n");
        let (outcome, out) = check(&["--syntax-only", &good]);
        assert_eq!(outcome, Outcome::Passed);
        assert_eq!(out, format!("Checking {good}\n SUCCESS: {good} is valid prometheus config file syntax\n\n"));
        let (outcome, out) = check(&[&good, &bad]);
        assert!(
            outcome == Outcome::Failed && out.contains("SUCCESS") && out.contains("did you mean job_name?"),
            "{out}"
        );
        let (outcome, out) = check(&[&idle]);
        assert!(outcome == Outcome::Passed && out.contains("WARNING: rule_files: "), "{out}");
        let (outcome, out) = check(&[&folder.path().join("none.yml").display().to_string()]);
        assert!(outcome == Outcome::Failed && out.contains("No such file"), "{out}");
        let (outcome, out) = check(&[&rule]);
        assert!(outcome == Outcome::Failed && out.contains("unexpected end of input"), "{out}");
        for args in [&[][..], &["--nonesuch", "a"]] {
            let (outcome, out) = check(args);
            assert!(outcome == Outcome::Misused && out.contains("usage: promtool check config"), "{out}");
        }
        assert_eq!(check(&["--help"]), (Outcome::Passed, format!("{USAGE}\n")));
    }
}
