//! `--kubernetes.annotation-discovery`: jobs for what asks to be scraped by annotations.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use config::{Config, ScrapeConfig, Yaml};

const FLAG: &str = "--kubernetes.annotation-discovery";

/// The configuration with these jobs beside its own; they have its intervals and limits.
///
/// # Errors
/// When it has a job of one of their names already.
pub(crate) fn with_annotation_jobs(config: &Config) -> Result<Config> {
    let Yaml::List(jobs) = Yaml::parse(&discovery::annotation_jobs(), FLAG)? else { bail!("{FLAG} has no jobs") };
    let jobs: Result<Vec<_>, _> =
        jobs.iter().map(|job| ScrapeConfig::from_yaml(job, FLAG, &config.global).map(Arc::new)).collect();
    // Of the section `global`, which they inherit.
    let jobs = jobs.with_context(|| format!("the jobs of {FLAG}"))?;
    for job in &jobs {
        if config.scrape_configs.iter().any(|own| own.job_name == job.job_name) {
            bail!(
                "the configuration has a job {:?}, which {FLAG} makes; rename it, or leave the flag out",
                job.job_name
            );
        }
    }
    Ok(config.with_jobs(&jobs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, "p.yml".as_ref(), &|_| None).unwrap()
    }

    #[test]
    fn jobs_come_behind_those_of_the_file_and_inherit_its_global_section() {
        let file = parse("global: {scrape_interval: 7s, scrape_timeout: 5s}\nscrape_configs: [{job_name: own}]");
        let config = with_annotation_jobs(&file).unwrap();
        let jobs: Vec<(&str, i64)> =
            config.scrape_configs.iter().map(|job| (job.job_name.as_str(), job.scrape_interval_ms)).collect();
        let expected =
            [("own", 7_000), ("kubernetes-annotations/pods", 7_000), ("kubernetes-annotations/services", 7_000)];
        assert_eq!(jobs, expected);
        assert!(config.to_yaml().contains("prometheus_io_scrape"), "status/config shows them");
    }

    #[test]
    fn a_job_of_the_same_name_is_refused() {
        let error = with_annotation_jobs(&parse("scrape_configs: [{job_name: kubernetes-annotations/pods}]"));
        let expected = "the configuration has a job \"kubernetes-annotations/pods\", which \
                        --kubernetes.annotation-discovery makes; rename it, or leave the flag out";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}
