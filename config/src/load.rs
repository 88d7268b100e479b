//! Loads the configuration file and the files that it includes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::file::{Config, IncludedFile};
use crate::global::{Defaults, GlobalConfig};
use crate::http::HttpClientConfig;
use crate::read::{document, matching, read};
use crate::schema::{Fields, Section as _, Source};
use crate::scrape::ScrapeConfig;
use crate::yaml::{Tree, Yaml};

impl Config {
    /// Reads a configuration file and the files it includes. `defaults` holds the values of
    /// fields that `global` does not set.
    ///
    /// # Errors
    /// When a file cannot be read or is not valid: whatever is wrong with any of them ([`Error::faults`]).
    pub fn load(path: &Path, defaults: &Defaults) -> Result<Self, Error> {
        Self::parse_over(defaults, &read(path)?, path, &|name| std::env::var(name).ok())
    }

    /// Reads a configuration from its text. Relative paths start at the folder of `file`, which is also named in errors;
    /// `env` looks up `${NAME}` in external labels.
    ///
    /// # Errors
    /// When the text, or a file that it includes, is not valid.
    pub fn parse(text: &str, file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        Self::parse_over(&Defaults::default(), text, file, env)
    }

    /// The same, with `defaults` for what `global` does not set.
    ///
    /// # Errors
    /// When the text, or a file that it includes, is not valid.
    pub fn parse_over(
        defaults: &Defaults,
        text: &str,
        file: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let source = Source::new(file, env).collecting().with_text(text);
        match document(&source, text) {
            Ok(document) => Self::decode_document(defaults, document, source),
            // Nothing can be said of what follows a syntax error.
            Err(error) => source.finish(Err(error)).map_err(Error::of),
        }
    }

    /// Reads a configuration that is not text: what objects of an API server ask for. Errors call it `name` and have fields, but
    /// no lines.
    ///
    /// # Errors
    /// When the value, or a file that it includes, is not valid: what is wrong first.
    pub fn from_yaml(
        document: &Yaml,
        name: &str,
        defaults: &Defaults,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        Self::decode_document(defaults, Some(document.into()), Source::new(Path::new(name), env))
    }

    fn decode_document(defaults: &Defaults, document: Option<Tree>, source: Source<'_>) -> Result<Self, Error> {
        let (mut of_included, mut refused) = (Vec::new(), BTreeSet::new());
        let read = Fields::new(&source, document.as_ref(), String::new()).and_then(|mut fields| {
            let mut config = Self::decode(&mut fields, defaults)?;
            let mut names = JobNames::default();
            // The main file first: a clash is reported at the included file.
            names.add(&mut fields, None)?;
            for path in config.scrape_config_files.clone().iter().flat_map(|pattern| matching(pattern)) {
                // Several patterns may match a file, whose faults are told once.
                if refused.contains(&path) {
                    continue;
                }
                // Included jobs inherit the `global` section of the main file.
                match include(&path, &config.global, &mut names, &source) {
                    Ok(jobs) => config.scrape_configs.extend(jobs),
                    Err(faults) if source.is_collecting() => {
                        of_included.extend(faults);
                        refused.insert(path);
                    }
                    Err(faults) => return Err(Error::of(faults)),
                }
            }
            Ok(config)
        });
        let mut config = match source.finish(read) {
            Ok(config) if of_included.is_empty() => config,
            Ok(_) => return Err(Error::of(of_included)),
            Err(faults) => return Err(Error::of(faults.into_iter().chain(of_included).collect())),
        };
        config.warnings = source.warnings.take();
        config.not_served = source.unserved.take();
        config.not_served.extend(unserved_discoveries(&config.scrape_configs));
        Ok(config)
    }
}

impl ScrapeConfig {
    /// Reads one job that is not text, as [`Config::from_yaml`] reads a whole configuration.
    ///
    /// # Errors
    /// When the job is not valid.
    pub fn from_yaml(job: &Yaml, name: &str, global: &GlobalConfig) -> Result<Self, Error> {
        let source = Source::new(Path::new(name), &|_| None);
        let document = Tree::from(job);
        Self::decode(&mut Fields::new(&source, Some(&document), String::new())?, global)
    }
}

impl HttpClientConfig {
    /// Reads a file that holds such a section alone, as `promtool --http.config.file` takes it.
    ///
    /// # Errors
    /// When it cannot be read or is not valid.
    pub fn load(path: &Path) -> Result<Self, Error> {
        read_section(path, &read(path)?, |f| Self::decode(f, true))
    }
}

impl Yaml {
    /// Parses the first document of a text; `null` if it holds none. Errors call the text `name`.
    ///
    /// # Errors
    /// When the text is not YAML.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let document = document(&Source::new(Path::new(name), &|_| None), text)?;
        Ok(document.map_or_else(|| Self::raw("null"), |tree| tree.to_yaml()))
    }
}

/// Reads a file that holds one section, and tells whatever is wrong with it.
pub(crate) fn read_section<T>(
    path: &Path,
    text: &str,
    decode: impl FnOnce(&mut Fields<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    // No environment variables: such a file has no external labels.
    let source = Source::new(path, &|_| None).collecting().with_text(text);
    let section = document(&source, text)
        .and_then(|document| decode(&mut Fields::new(&source, document.as_ref(), String::new())?));
    source.finish(section).map_err(Error::of)
}

/// The jobs of a file that the one of `main` includes.
fn include(
    path: &Path,
    global: &GlobalConfig,
    names: &mut JobNames,
    main: &Source<'_>,
) -> Result<Vec<Arc<ScrapeConfig>>, Vec<Error>> {
    let text = read(path).map_err(|error| vec![error])?;
    // Relative paths of an included file start at its own folder.
    let source = main.including(path, &text);
    let jobs = document(&source, &text).and_then(|document| {
        let mut fields = Fields::new(&source, document.as_ref(), String::new())?;
        let jobs = IncludedFile::decode(&mut fields, global)?.scrape_configs;
        names.add(&mut fields, Some(path))?;
        Ok(jobs)
    });
    source.finish(jobs)
}

/// The names of all jobs, and the file that each is of; `None` is the main file.
#[derive(Default)]
struct JobNames(HashMap<String, Option<PathBuf>>);

impl JobNames {
    /// Adds the jobs of a file; refuses a name that another job has.
    fn add(&mut self, fields: &mut Fields<'_>, file: Option<&Path>) -> Result<(), Error> {
        let source = fields.source;
        // From the text: jobs with faults have names, too. What has no valid name was refused when it was read.
        let Ok(items) = fields.items("scrape_configs") else { return Ok(()) };
        for (item, path) in items {
            let name = Fields::new(source, Some(item), path.clone()).and_then(|mut job| job.text("job_name"));
            let Some(name) = name.ok().flatten().filter(|name| !name.is_empty()) else { continue };
            let first = match self.0.entry(name) {
                Entry::Occupied(first) => first,
                Entry::Vacant(vacant) => {
                    vacant.insert(file.map(Path::to_owned));
                    continue;
                }
            };
            let hint = match (first.get(), file) {
                (None, None) => "; give each its own name".to_owned(),
                (None, Some(_)) => ", first found in main config file".to_owned(),
                (Some(first), _) => format!(", first found in {:?}", first.display().to_string()),
            };
            let message = format!("found multiple scrape configs with job name {:?}{hint}", first.key());
            source.report(source.error(item.pos, path, message))?;
        }
        Ok(())
    }
}

/// One sentence for each kind of discovery that is not served, with the jobs that use it.
fn unserved_discoveries(jobs: &[Arc<ScrapeConfig>]) -> Vec<String> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for job in jobs {
        for sd in job.sd.iter().filter(|sd| !sd.is_served()) {
            let jobs = kinds.entry(sd.field()).or_default();
            // Jobs are visited in order, so a job with several such discoveries is named once.
            if jobs.last() != Some(&job.job_name.as_str()) {
                jobs.push(&job.job_name);
            }
        }
    }
    let sentence = |(kind, jobs): (&str, Vec<&str>)| {
        format!("{kind}: this discovery is not served yet and finds no targets (job {})", jobs.join(", "))
    };
    kinds.into_iter().map(sentence).collect()
}
