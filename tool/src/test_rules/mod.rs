//! `promtool test rules FILE…`: runs unit tests of rules. (Prometheus: `cmd/promtool/unittest.go`.)

mod alerts;
mod diff;
mod exprs;
mod junit;
mod labels;
mod unit;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use ::config::{RuleFile, RuleOptions, UnitTest, UnitTestFile, matching_rule_files};
use ::rules::LoadChecks;
use model::NameValidation;
use model::regex::SearchRegex;
use query::{Engine, EngineOptions};

use self::junit::{Report, Suite};
use self::unit::Setting;
use crate::features;
use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool test rules [--run=REGEX]... [--diff] [--debug] [--junit=FILE] \
                                [--ignore-unknown-fields] [--enable-feature=NAME,...] FILE...";

const FLAGS: Known =
    Known { switches: &["diff", "debug", "ignore-unknown-fields"], values: &["run", "junit"], ..Known::NONE };

/// What the command line asks for.
struct Command<'a> {
    /// Which tests are run, by their names.
    run: Option<SearchRegex>,
    options: EngineOptions,
    flags: Flags<'a>,
}

/// Runs the tests of the files: for each file `SUCCESS`, or all that differs.
pub(crate) fn rules(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let command = Command::parse(args, streams)?;
    // Opened before the tests run: a path that cannot be written should not cost their time.
    let junit = command.flags.values("junit").next_back().map(|path| (path, File::create(path)));
    if let Some((path, Err(error))) = &junit {
        return Err(Stop::Misuse(format!("cannot create {path}: {error}")));
    }
    let mut report = Report::default();
    let mut outcome = Outcome::Passed;
    for file in &command.flags.files {
        writeln!(streams.out, "Processing test file: {file}")?;
        let errors = command.test_file(file, report.suite(file), streams)?;
        if errors.is_empty() {
            writeln!(streams.out, "  SUCCESS")?;
        } else {
            outcome = Outcome::Failed;
            writeln!(streams.err, "  FAILED:")?;
            for error in errors {
                writeln!(streams.err, "{error}")?;
                writeln!(streams.out)?;
            }
        }
        writeln!(streams.out)?;
    }
    if let Some((path, Ok(mut file))) = junit
        && let Err(error) = file.write_all(report.to_xml().as_bytes())
    {
        // As upstream: the outcome is that of the tests.
        writeln!(streams.err, "cannot write {path}: {error}")?;
    }
    Ok(outcome)
}

impl<'a> Command<'a> {
    fn parse(args: &[&'a str], streams: &mut Streams<'_>) -> Result<Self, Stop> {
        let flags = Flags::parse(args, FLAGS)?;
        flags.some_files("test-rule-file")?;
        let patterns: Vec<&str> = flags.values("run").collect();
        let run = (!patterns.is_empty()).then(|| SearchRegex::new_within(&patterns.join("|"), &mut |_| true));
        let run = run.transpose().map_err(|error| Stop::Misuse(format!("--run: {error}")))?;
        let options = features::options(&flags, streams.out)?;
        Ok(Self { run, options, flags })
    }

    /// Runs the tests of a file; returns what is wrong with it, or with their results.
    fn test_file(&self, path: &str, suite: &mut Suite, streams: &mut Streams<'_>) -> io::Result<Vec<String>> {
        let file = match UnitTestFile::load(Path::new(path)) {
            Ok(file) => file,
            Err(errors) => return Ok(suite.abort(&errors)),
        };
        for pattern in &file.rule_files {
            if matching_rule_files(std::slice::from_ref(pattern)).is_empty() {
                writeln!(streams.out, "  WARNING: no file match pattern {}", pattern.display())?;
            }
        }
        let names = file.tests.iter().enumerate().map(|(i, test)| match test.name.as_str() {
            "" => format!("unnamed#{i}"),
            name => name.to_owned(),
        });
        let is_chosen = |test: &UnitTest| self.run.as_ref().is_none_or(|run| run.is_match(&test.name));
        let chosen: Vec<_> = names.zip(&file.tests).filter(|(_, test)| is_chosen(test)).collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        // Subqueries without a step have that of the evaluations.
        let options = EngineOptions { default_step_ms: file.evaluation_interval_ms, ..self.options.clone() };
        let engine = Arc::new(Engine::new(options));
        let rule_files = match self.load_rules(&file, &engine) {
            Ok(rule_files) => rule_files,
            Err(errors) => return Ok(suite.abort(&errors)),
        };
        let (file, rule_files) = (&file, rule_files.as_slice());
        let setting = Setting { file, rule_files, engine: &engine, with_diff: self.flags.is_on("diff") };
        let mut all = Vec::new();
        for (name, test) in chosen {
            let mut errors = Vec::new();
            if self.flags.is_on("debug") {
                unit::run_with_dump(&setting, (&name, test), &mut errors, streams.out)?;
            } else {
                unit::run(&setting, test, &mut errors);
            }
            suite.add(name, &errors);
            all.extend(errors);
        }
        Ok(all)
    }

    fn load_rules(&self, file: &UnitTestFile, engine: &Engine) -> Result<Vec<RuleFile>, Vec<::config::Error>> {
        let options = RuleOptions {
            names: NameValidation::Utf8,
            ignore_unknown_fields: self.flags.is_on("ignore-unknown-fields"),
            checks: &LoadChecks::new(engine),
        };
        RuleFile::load_all(&file.rule_files, &options)
    }
}

#[cfg(test)]
mod tests;
