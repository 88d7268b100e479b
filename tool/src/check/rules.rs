//! `promtool check rules [FILE…]`: reads rule files as the server does; without files, the standard input.

use std::io;
use std::path::Path;

use ::config::{RuleFile, RuleOptions};
use ::rules::LoadChecks;
use model::NameValidation;
use query::Engine;

use super::lint::Lints;
use crate::features;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool check rules [--lint=all|duplicate-rules|none] [--lint-fatal] \
                                [--ignore-unknown-fields] [--enable-feature=NAME,...] [FILE...|-]";

/// The lints that `--lint` knows; the first one is the default.
const LINTS: [&str; 1] = ["duplicate-rules"];

const FLAGS: Known = Known { switches: &["lint-fatal", "ignore-unknown-fields"], values: &["lint"], ..Known::NONE };

/// Checks the files, one after another.
pub(crate) fn rules(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let engine = Engine::new(features::options(&flags, streams.out)?);
    let lints = Lints::choose(flags.list("lint").as_deref(), &LINTS, streams.out)?;
    // Which names the server will take is said by its configuration, which is not known here.
    let checker = RuleChecker::new((&flags, &engine), lints, NameValidation::Utf8);
    let mut tally = Tally::default();
    if flags.files.is_empty() {
        checker.check_input(streams, &mut tally)?;
    }
    for file in &flags.files {
        match *file {
            "-" => checker.check_input(streams, &mut tally)?,
            file => checker.check_file(Path::new(file), streams, &mut tally)?,
        }
    }
    Ok(tally.outcome(flags.is_on("lint-fatal")))
}

/// What was found so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) has_errors: bool,
    pub(super) has_findings: bool,
}

impl Tally {
    pub(super) fn outcome(self, lint_fatal: bool) -> Outcome {
        match (self.has_errors, self.has_findings && lint_fatal) {
            (true, _) => Outcome::Failed,
            (false, true) => Outcome::Linted,
            (false, false) => Outcome::Passed,
        }
    }
}

/// Checks rule files.
#[derive(Debug)]
pub(super) struct RuleChecker<'e> {
    engine: &'e Engine,
    lints: Lints,
    names: NameValidation,
    ignore_unknown_fields: bool,
}

impl<'e> RuleChecker<'e> {
    pub(super) fn new((flags, engine): (&Flags<'_>, &'e Engine), lints: Lints, names: NameValidation) -> Self {
        Self { engine, lints, names, ignore_unknown_fields: flags.is_on("ignore-unknown-fields") }
    }

    pub(super) fn check_file(&self, path: &Path, streams: &mut Streams<'_>, tally: &mut Tally) -> io::Result<()> {
        writeln!(streams.out, "Checking {}", path.display())?;
        let file = self.with_options(|options| RuleFile::load(path, options));
        self.tell(file, streams, tally)
    }

    fn check_input(&self, streams: &mut Streams<'_>, tally: &mut Tally) -> io::Result<()> {
        writeln!(streams.out, "Checking standard input")?;
        let mut text = String::new();
        if let Err(error) = streams.input.read_to_string(&mut text) {
            tally.has_errors = true;
            return writeln!(streams.err, "  FAILED: {error}");
        }
        let file = self.with_options(|options| RuleFile::parse(&text, Path::new("standard input"), options));
        self.tell(file, streams, tally)
    }

    fn with_options<T>(&self, read: impl FnOnce(&RuleOptions<'_>) -> T) -> T {
        let checks = LoadChecks::new(self.engine);
        read(&RuleOptions { names: self.names, ignore_unknown_fields: self.ignore_unknown_fields, checks: &checks })
    }

    fn tell(
        &self,
        file: Result<RuleFile, Vec<::config::Error>>,
        streams: &mut Streams<'_>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let file = match file {
            Ok(file) => file,
            Err(errors) => {
                tally.has_errors = true;
                writeln!(streams.err, "  FAILED:")?;
                for error in errors {
                    writeln!(streams.err, "{}", error.detailed())?;
                }
                return Ok(());
            }
        };
        for warning in &file.warnings {
            writeln!(streams.out, "  WARNING: {warning}")?;
        }
        match self.lints.rules(&file) {
            Some(finding) => {
                tally.has_findings = true;
                writeln!(streams.err, "  FAILED:\n{finding}")?;
                writeln!(streams.out)
            }
            None => {
                let n_rules: usize = file.groups.iter().map(|group| group.rules.len()).sum();
                writeln!(streams.out, "  SUCCESS: {n_rules} rules found\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_with;

    fn check(args: &[&str], input: &[u8]) -> (Outcome, String) {
        let ran = run_with(&[&["check", "rules"], args].concat(), input);
        (ran.outcome, ran.both)
    }

    /// Runs whose output differs from the recorded one, and why.
    const DIFFERENT: [&str; 1] = [
        // Recorded when `anchored` was still an experiment.
        "promtool/features.yml",
    ];

    /// The lines of an output without the name of the file, the log, blank lines, which depend on the order of two streams, and
    /// what the YAML library says of unknown fields beside their names.
    fn comparable(output: &str, name: &str) -> Vec<String> {
        let lines = output.lines().map(|line| line.replace(&format!("{name}: "), ""));
        // Upstream does not show the line.
        let is_excerpt = |line: &str| {
            let (margin, rest) = line.split_once(" |").unwrap_or(("x", ""));
            margin.trim().chars().all(|c| c.is_ascii_digit()) && (rest.is_empty() || rest.starts_with(' '))
        };
        let is_noise = |line: &str| {
            line.is_empty() || is_excerpt(line) || ["time=", "  WARNING", "yaml: "].iter().any(|s| line.starts_with(s))
        };
        let field = |line: String| match line.split_once(" not found in ") {
            Some((before, _)) => before.rsplit("field ").next().unwrap().to_owned(),
            None => line,
        };
        lines.filter(|line| !is_noise(line)).map(field).collect()
    }

    /// Equal, but for positions that upstream does not know.
    fn is_same(got: &str, expected: &str) -> bool {
        let is_position = |c: char| c.is_ascii_digit() || c == ':' || c == ' ';
        let expected_known = expected.trim_start_matches("0:0: ");
        got == expected
            || !expected.starts_with(|c: char| ('1'..='9').contains(&c))
                && got.trim_start_matches(is_position) == expected_known
    }

    #[test]
    fn files_of_upstream_have_upstreams_output() {
        let Some(index) = kit::conformance_json("rules/index.json") else { return };
        let Some(folder) = kit::conformance("rules") else { return };
        let runs = index["check_rules"].as_array().unwrap();
        assert!(runs.len() > 40);
        let mut different = Vec::new();
        for run in runs {
            let file = run["file"].as_str().unwrap();
            let path = folder.join(file).display().to_string();
            let name = file.rsplit('/').next().unwrap();
            let args = run["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
            let (outcome, output) = check(&args.chain([path.as_str()]).collect::<Vec<_>>(), b"");
            let got = comparable(&output.replace(&path, name), name);
            let expected = comparable(run["output"].as_str().unwrap(), name);
            let is_same = got.len() == expected.len() && got.iter().zip(&expected).all(|(a, b)| is_same(a, b));
            if !is_same || run["exit_code"] != outcome.code() {
                different.push((file, got));
            }
        }
        assert_eq!(different.iter().map(|(file, _)| *file).collect::<Vec<_>>(), DIFFERENT, "{different:#?}");
    }

    #[test]
    fn the_standard_input_is_read() {
        let good = b"groups: [{name: a, rules: [{record: b, expr: 1}]}]\n";
        for args in [&[][..], &["-"]] {
            let (outcome, out) = check(args, good);
            assert_eq!(
                (outcome, out.as_str()),
                (Outcome::Passed, "Checking standard input\n  SUCCESS: 1 rules found\n\n")
            );
        }
        let (outcome, out) = check(&[], b"groups: [{nam: a}]\n");
        assert!(outcome == Outcome::Failed && out.contains("standard input:1:11: groups[0].nam: field nam"), "{out}");
        let (outcome, out) = check(&[], b"\xff");
        assert!(outcome == Outcome::Failed && out.contains("FAILED: "), "{out}");
    }

    #[test]
    fn an_error_counts_more_than_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let twice = write("twice.yml", "groups: [{name: a, rules: [{record: b, expr: 1}, {record: b, expr: 1}]}]\n");
        let bad = write("bad.yml", "groups: [{name: a, rules: [{record: b, expr: '('}]}]\n");
        assert_eq!(check(&["--lint-fatal", &twice], b"").0, Outcome::Linted);
        assert_eq!(check(&["--lint-fatal", "--lint=none", &twice], b"").0, Outcome::Passed);
        assert_eq!(check(&["--lint-fatal", &bad, &twice], b"").0, Outcome::Failed);
        let (outcome, out) = check(&["--lint=nonesuch", &twice], b"");
        assert!(outcome == Outcome::Passed && out.contains("WARNING: unknown lint option: \"nonesuch\""), "{out}");
        for args in [&["--syntax-only"][..], &["--quick"]] {
            let (outcome, out) = check(args, b"");
            assert!(outcome == Outcome::Misused && out.ends_with(", try --help\n"), "{out}");
        }
        let (outcome, out) = check(&["--enable-feature=x", "--lint=none", &twice], b"");
        assert!(
            outcome == Outcome::Passed && out.contains("WARNING: Unknown feature passed to --enable-feature: x"),
            "{out}"
        );
        assert_eq!(check(&["--help"], b""), (Outcome::Passed, format!("{USAGE}\n")));
    }
}
