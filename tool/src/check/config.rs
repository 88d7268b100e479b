//! `promtool check config FILE…`: reads configurations, and the rule files that they name, as the server does.

use std::io;
use std::path::{Path, PathBuf};

use ::config::{Config, Defaults, IncludedFiles, RetentionRuleConfig, matching_rule_files};
use query::Engine;

use super::lint::Lints;
use super::references;
use super::rules::{RuleChecker, Tally};
use crate::features;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;
use crate::times::duration_flag;

pub(crate) const USAGE: &str = "usage: promtool check config [--syntax-only] \
                                [--lint=all|duplicate-rules|too-long-scrape-interval|none] [--lint-fatal] \
                                [--query.lookback-delta=5m] \
                                [--ignore-unknown-fields] [--enable-feature=NAME,...] FILE...";

/// The lints that `--lint` knows; the first one is the default.
const LINTS: [&str; 2] = ["duplicate-rules", "too-long-scrape-interval"];

const FLAGS: Known = Known {
    switches: &["syntax-only", "lint-fatal", "ignore-unknown-fields"],
    values: &["lint", "query.lookback-delta"],
    ..Known::NONE
};

/// Checks the files, one after another: what is wrong with each is told in the server's words.
pub(crate) fn config(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    flags.some_files("config-files")?;
    let engine = Engine::new(features::options(&flags, streams.out)?);
    let lints = Lints::choose(flags.list("lint").as_deref(), &LINTS, streams.out)?;
    let lints = match duration_flag(&flags, "query.lookback-delta")? {
        Some(ns) => lints.with_lookback_delta(ns / 1_000_000),
        None => lints,
    };
    let mut tally = Tally::default();
    for file in &flags.files {
        check(file, (&flags, lints, &engine), streams, &mut tally)?;
    }
    Ok(tally.outcome(flags.is_on("lint-fatal")))
}

/// Checks a configuration, and then its rule files.
fn check(
    file: &str,
    (flags, lints, engine): (&Flags<'_>, Lints, &Engine),
    streams: &mut Streams<'_>,
    tally: &mut Tally,
) -> io::Result<()> {
    writeln!(streams.out, "Checking {file}")?;
    let (syntax_only, mut missing) = (flags.is_on("syntax-only"), Vec::new());
    let loaded = load(file).and_then(|config| {
        if syntax_only {
            return Ok((config, Vec::new()));
        }
        // Each by itself: a file that is missing has nothing to do with one that is not valid.
        let (rule_files, mut faults) = existing_rule_files(&config);
        faults.extend(references::check(&config, &mut missing).err());
        if faults.is_empty() { Ok((config, rule_files)) } else { Err(faults) }
    });
    missing.iter().try_for_each(|warning| writeln!(streams.out, "  WARNING: {warning}"))?;
    let (config, rule_files) = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            tally.has_errors = true;
            faults.iter().try_for_each(|fault| writeln!(streams.err, "  FAILED: {}", fault.replace('\n', "\n  ")))?;
            writeln!(streams.out)?;
            return if syntax_only { Ok(()) } else { check_named_rules(file, (flags, lints, engine), streams, tally) };
        }
    };
    for warning in config.warnings.iter().cloned().chain(config.not_served()) {
        writeln!(streams.out, "  WARNING: {warning}")?;
    }
    if !rule_files.is_empty() {
        writeln!(streams.out, "  SUCCESS: {} rule files found", rule_files.len())?;
    }
    writeln!(streams.out, " SUCCESS: {file} is valid prometheus config file syntax\n")?;
    if syntax_only {
        return Ok(());
    }
    if let Some(finding) = lints.jobs(config.scrape_configs.iter().map(AsRef::as_ref)) {
        tally.has_findings = true;
        writeln!(streams.err, "  FAILED: {finding}")?;
    }
    let checker = RuleChecker::new((flags, engine), lints, config.global.name_validation);
    rule_files.iter().try_for_each(|path| checker.check_file(path, streams, tally))
}

/// Checks the rule files of a configuration that is not valid itself, so that all faults are told at once.
fn check_named_rules(
    file: &str,
    (flags, lints, engine): (&Flags<'_>, Lints, &Engine),
    streams: &mut Streams<'_>,
    tally: &mut Tally,
) -> io::Result<()> {
    // One that cannot be read was told.
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(()) };
    let named = IncludedFiles::of(&text, Path::new(file));
    let checker = RuleChecker::new((flags, engine), lints, named.names);
    matching_rule_files(&named.rule_files).iter().try_for_each(|path| checker.check_file(path, streams, tally))
}

/// The rule files of a configuration, and those that are missing. The server does without one that is missing; here it is an error
/// unless a pattern names it.
fn existing_rule_files(config: &Config) -> (Vec<PathBuf>, Vec<String>) {
    let is_missing = |path: &&PathBuf| {
        !path.to_string_lossy().contains('*') && matching_rule_files(std::slice::from_ref(*path)).is_empty()
    };
    let missing = config.rule_files.iter().filter(is_missing);
    let faults = missing.map(|path| format!("{:?} does not point to an existing file", path.display().to_string()));
    (matching_rule_files(&config.rule_files), faults.collect())
}

/// A configuration that the server would start with; else each fault with the line that it is at.
fn load(file: &str) -> Result<Config, Vec<String>> {
    let config = Config::load(Path::new(file), &Defaults::default())
        .map_err(|error| error.faults().iter().map(::config::Error::detailed).collect::<Vec<_>>())?;
    // The config crate does not parse PromQL, so the server checks selectors when it starts, and this command does the same.
    let rules = config.storage.tsdb.retention_rules.iter();
    let fault = |rule: &RetentionRuleConfig| {
        query::parse_selector(&rule.selector).err().map(|error| format!("{}: {error}", rule.place))
    };
    let faults: Vec<String> = rules.filter_map(fault).collect();
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    fn check(args: &[&str]) -> (Outcome, String) {
        let ran = run(&[&["check", "config"], args].concat());
        (ran.outcome, ran.both)
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
        let (outcome, out) = check(&["--syntax-only", &good]);
        assert_eq!(outcome, Outcome::Passed);
        assert_eq!(out, format!("Checking {good}\n SUCCESS: {good} is valid prometheus config file syntax\n\n"));
        let (outcome, out) = check(&[&good, &bad]);
        assert!(
            outcome == Outcome::Failed && out.contains("SUCCESS") && out.contains("did you mean job_name?"),
            "{out}"
        );
        let (outcome, out) = check(&[&folder.path().join("none.yml").display().to_string()]);
        assert!(outcome == Outcome::Failed && out.contains("No such file"), "{out}");
        let (outcome, out) = check(&[&rule]);
        assert!(outcome == Outcome::Failed && out.contains("unexpected end of input"), "{out}");
        for args in [&[][..], &["--nonesuch", "a"]] {
            let (outcome, out) = check(args);
            assert!(outcome == Outcome::Misused && out.ends_with(", try --help\n"), "{out}");
        }
        assert_eq!(check(&["--help"]), (Outcome::Passed, format!("{USAGE}\n")));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        write("r.yml", "groups: [{name: a, rulez: []}]\n");
        let bad = write(
            "bad.yml",
            "rule_files: [r.yml]\nscrape_configs:\n- job_name: a\n  scrape_interval: 5\n- jobname: b\n  basic_auth: {pasword: hunter2}\n",
        );
        let ran = run(&["check", "config", &bad]);
        assert_eq!(ran.outcome, Outcome::Failed);
        let expected = [
            format!(
                "  FAILED: {bad}:4:20: scrape_configs[0].scrape_interval: not a valid duration string: \"5\"; write it as 30s, 5m or 1h30m"
            ),
            "      4 |   scrape_interval: 5".to_owned(),
            "        |                    ^".to_owned(),
            format!(
                "  FAILED: {bad}:5:3: scrape_configs[1].jobname: field jobname not found in scrape_configs[1]; did you mean job_name?"
            ),
            "      5 | - jobname: b".to_owned(),
            "        |   ^".to_owned(),
            format!(
                "  FAILED: {bad}:6:16: scrape_configs[1].basic_auth.pasword: field pasword not found in scrape_configs[1].basic_auth; did you mean password?"
            ),
            "      6 |   basic_auth: {pasword: <hidden>".to_owned(),
            "        |                ^".to_owned(),
            "  FAILED:".to_owned(),
        ];
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines[..expected.len()], expected.each_ref().map(String::as_str), "{}", ran.err);
        assert!(ran.err.contains("r.yml:1:20: groups[0].rulez: field rulez not found"), "{}", ran.err);
    }

    #[test]
    fn rule_files_and_jobs_are_checked_with_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let rules = write("good.rules", "groups: [{name: a, rules: [{record: b, expr: 1}, {record: b, expr: 2}]}]\n");
        let named = write("named.yml", "rule_files: [good.rules, '*.none']\n");
        let (outcome, out) = check(&["--lint=none", &named]);
        assert_eq!(outcome, Outcome::Passed);
        let expected = format!(
            "  SUCCESS: 1 rule files found\n SUCCESS: {named} is valid prometheus config file syntax\n\nChecking {rules}\n  \
             SUCCESS: 2 rules found\n\n"
        );
        assert!(out.ends_with(&expected), "{out}");
        for (args, expected) in [(&[][..], Outcome::Passed), (&["--lint-fatal"], Outcome::Linted)] {
            let (outcome, out) = check(&[args, &[&named]].concat());
            assert!(outcome == expected && out.contains("lint error 1 duplicate rule(s) found."), "{out}");
        }
        let missing = write("missing.yml", "rule_files: [good.rules, none.rules]\n");
        let (outcome, out) = check(&[&missing]);
        assert!(outcome == Outcome::Failed && out.contains("none.rules\" does not point to an existing file"), "{out}");
        assert_eq!(check(&["--syntax-only", &missing]).0, Outcome::Passed);
        write("bad.rules", "groups: [{name: a, owner: c, rules: [{record: b, expr: a.b}]}]\n");
        let all = write("all.yml", "rule_files: ['*.rules']\n");
        let (outcome, out) = check(&["--lint=none", &all]);
        assert!(
            outcome == Outcome::Failed && out.contains("bad.rules:1:20: groups[0].owner: field owner not"),
            "{out}"
        );
        assert!(out.contains("could not parse expression: 1:2: parse error") && out.contains("2 rules found"), "{out}");
        let slow = write("slow.yml", "scrape_configs: [{job_name: a, scrape_interval: 5m}]\n");
        for (args, expected) in [
            (&["--lint-fatal"][..], Outcome::Passed),
            (&["--lint-fatal", "--lint=all"], Outcome::Linted),
            (&["--lint-fatal", "--lint=too-long-scrape-interval,none"], Outcome::Passed),
            (&["--lint=too-long-scrape-interval"], Outcome::Passed),
        ] {
            assert_eq!(check(&[args, &[&slow]].concat()).0, expected, "{args:?}");
        }
        assert!(check(&["--lint=all", &slow]).1.contains("stale - job: a, interval: 5m\n"));
        let (_, out) = check(&["--lint=all", "--query.lookback-delta=5m1s", &slow]);
        assert!(!out.contains("stale"), "{out}");
    }
}
