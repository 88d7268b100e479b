//! Loads the configuration file and the files that it includes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::file::{Config, IncludedFile};
use crate::global::{Defaults, GlobalConfig};
use crate::http::HttpClientConfig;
use crate::read::{matching, read};
use crate::schema::{Fields, Section as _, Source};
use crate::scrape::ScrapeConfig;
use crate::yaml::{self, Tree, Yaml};

impl Config {
    /// Reads a configuration file and the files it includes. `defaults` holds the values of
    /// fields that `global` does not set.
    ///
    /// # Errors
    /// When a file cannot be read or is not valid.
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
        let source = Source::new(file, env);
        let document = document(&source, text)?;
        Self::decode_document(defaults, document, source)
    }

    /// Reads a configuration that is not text: what objects of an API server ask for. Errors call it `name` and have fields, but
    /// no lines.
    ///
    /// # Errors
    /// When the value, or a file that it includes, is not valid.
    pub fn from_yaml(
        document: &Yaml,
        name: &str,
        defaults: &Defaults,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        Self::decode_document(defaults, Some(document.into()), Source::new(Path::new(name), env))
    }

    fn decode_document(defaults: &Defaults, document: Option<Tree>, source: Source<'_>) -> Result<Self, Error> {
        let mut fields = Fields::new(&source, document.as_ref(), String::new())?;
        let mut config = Self::decode(&mut fields, defaults)?;
        let mut names = JobNames::default();
        // The main file first: a clash is reported at the included file.
        names.add(&config.scrape_configs, &mut fields, None)?;
        for pattern in config.scrape_config_files.clone() {
            for path in matching(&pattern) {
                // Included jobs inherit the `global` section of the main file.
                let jobs = include(&path, &config.global, &mut names)?;
                config.scrape_configs.extend(jobs);
            }
        }
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
        let source = Source::new(path, &|_| None);
        let document = document(&source, &read(path)?)?;
        Self::decode(&mut Fields::new(&source, document.as_ref(), String::new())?, true)
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

/// Parses the first document of a file.
pub(crate) fn document(source: &Source<'_>, text: &str) -> Result<Option<Tree>, Error> {
    yaml::parse(text).map_err(|(pos, message)| source.error(pos, "", message))
}

fn include(path: &Path, global: &GlobalConfig, names: &mut JobNames) -> Result<Vec<Arc<ScrapeConfig>>, Error> {
    // Relative paths of an included file start at its own folder.
    let source = Source::new(path, &|_| None);
    let document = document(&source, &read(path)?)?;
    let mut fields = Fields::new(&source, document.as_ref(), String::new())?;
    let jobs = IncludedFile::decode(&mut fields, global)?.scrape_configs;
    names.add(&jobs, &mut fields, Some(path))?;
    Ok(jobs)
}

/// The names of all jobs, and the file that each is of; `None` is the main file.
#[derive(Default)]
struct JobNames(HashMap<String, Option<PathBuf>>);

impl JobNames {
    /// Adds the jobs of a file; refuses a name that another job has.
    fn add(&mut self, jobs: &[Arc<ScrapeConfig>], fields: &mut Fields<'_>, file: Option<&Path>) -> Result<(), Error> {
        for (i, job) in jobs.iter().enumerate() {
            let Some(first) = self.0.insert(job.job_name.clone(), file.map(Path::to_owned)) else { continue };
            let hint = match (&first, file) {
                (None, None) => "; give each its own name".to_owned(),
                (None, Some(_)) => ", first found in main config file".to_owned(),
                (Some(first), _) => format!(", first found in {:?}", first.display().to_string()),
            };
            let message = format!("found multiple scrape configs with job name {:?}{hint}", job.job_name);
            // The list is built anew for the error only; `swap_remove` moves one item out of it.
            let (item, path) = fields.items("scrape_configs")?.swap_remove(i);
            return Err(fields.source.error(item.pos, path, message));
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
