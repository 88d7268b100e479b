//! Files and targets that a configuration names: are the files there and valid, and can the targets be asked?

use std::fs;
use std::path::{Path, PathBuf};

use ::config::{
    AlertmanagerConfig, Config, FileGroup, FileSdConfig, HttpClientConfig, ScrapeConfig, SdConfig, matching_rule_files,
    target_groups,
};
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup, relabel};
use scraper::{Populated, RuleMatches, populate};

/// Looks at all that the jobs and Alertmanagers name. Patterns that match no file are warned of.
///
/// # Errors
/// What is wrong first, in upstream's words.
pub(super) fn check(config: &Config, warnings: &mut Vec<String>) -> Result<(), String> {
    for job in &config.scrape_configs {
        if let Some(file) = job.http.authorization.as_ref().and_then(|one| one.credentials_file.as_ref()) {
            must_exist(file, "authorization credentials or bearer token file")?;
        }
        check_tls(&job.http)?;
        for sd in &job.sd {
            let mut usable = |group: &TargetGroup| check_targets(group, job);
            let owner = format!("scrape job {:?}", job.job_name);
            check_discovery(sd, &owner, &mut usable, warnings)?;
        }
    }
    for alertmanager in &config.alerting.alertmanagers {
        for sd in &alertmanager.sd {
            let mut usable = |group: &TargetGroup| check_alertmanagers(group, alertmanager);
            check_discovery(sd, "alertmanager config", &mut usable, warnings)?;
        }
    }
    Ok(())
}

fn must_exist(file: &Path, what: &str) -> Result<(), String> {
    fs::metadata(file).map(drop).map_err(|error| {
        let shown = file.display();
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "no such file or directory".to_owned()
        } else {
            error.to_string()
        };
        format!("error checking {what} {:?}: stat {shown}: {why}", shown.to_string())
    })
}

fn check_tls(http: &HttpClientConfig) -> Result<(), String> {
    let Some(tls) = &http.tls else { return Ok(()) };
    tls.cert_file.iter().try_for_each(|file| must_exist(file, "client cert file"))?;
    tls.key_file.iter().try_for_each(|file| must_exist(file, "client key file"))
}

/// Says whether the targets of a group can be asked.
type Usable<'u> = dyn FnMut(&TargetGroup) -> Result<(), String> + 'u;

fn check_discovery(
    sd: &SdConfig,
    owner: &str,
    usable: &mut Usable<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    match sd {
        SdConfig::Static(config) => {
            let targets = config.targets.iter().map(String::as_str);
            usable(&group(config.source.clone(), targets, config.labels.clone()))
        }
        SdConfig::File(config) => check_files(config, owner, usable, warnings),
        SdConfig::Kubernetes(config) => check_tls(&config.http),
        _ => Ok(()),
    }
}

fn check_files(
    config: &FileSdConfig,
    owner: &str,
    usable: &mut Usable<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for pattern in &config.files {
        let shown = pattern.display().to_string();
        let files: Vec<PathBuf> = matching_rule_files(std::slice::from_ref(pattern));
        if files.is_empty() {
            warnings.push(format!("file {shown:?} for file_sd in {owner} does not exist"));
        }
        for file in files {
            let groups = read(&file).map_err(|why| format!("checking SD file {shown:?}: {why}"))?;
            for (i, FileGroup { targets, labels }) in groups.iter().enumerate() {
                let targets = targets.iter().map(String::as_str);
                let labels = Labels::from_pairs(labels.iter().map(|(name, value)| (name, value)));
                usable(&group(format!("{}:{i}", file.display()), targets, labels))?;
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<FileGroup>, String> {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !["json", "yml", "yaml"].contains(&&*ending) {
        return Err(format!("invalid file extension: {:?}", format!(".{ending}")));
    }
    let text = fs::read(file).map_err(|error| error.to_string())?;
    target_groups(&text, ending == "json")
}

fn group<'t>(source: String, targets: impl Iterator<Item = &'t str>, labels: Labels) -> TargetGroup {
    let targets = targets.map(|address| Labels::from_pairs([(ADDRESS, address)]).into()).collect();
    TargetGroup { source, labels, targets }
}

fn check_targets(group: &TargetGroup, job: &ScrapeConfig) -> Result<(), String> {
    let mut matches = RuleMatches::default();
    let mut faults = populate(group, job, &mut matches).filter_map(|populated| match populated {
        Populated::Invalid { reason } => Some(reason),
        Populated::Target(_) | Populated::Dropped { .. } => None,
    });
    faults.next().map_or(Ok(()), Err)
}

fn check_alertmanagers(group: &TargetGroup, config: &AlertmanagerConfig) -> Result<(), String> {
    for target in &group.targets {
        let mut builder = LabelsBuilder::new(&target.joined(&group.labels));
        builder.set("__scheme__", config.scheme.as_str());
        if !relabel(&mut builder, &config.relabel_configs).is_kept() {
            continue;
        }
        let address = builder.get(ADDRESS);
        // A scheme or a path in the address is a common mistake.
        if address.contains('/') {
            return Err(format!("{address:?} is not a valid hostname"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a configuration in a folder with these files, and what is warned of.
    fn checked(config: &str, files: &[(&str, &str)]) -> (Result<(), String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        let config = Config::parse(config, &folder.path().join("p.yml"), &|_| None).unwrap();
        let mut warnings = Vec::new();
        let result = check(&config, &mut warnings);
        let shown = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        (result.map_err(shown), warnings.into_iter().map(shown).collect())
    }

    #[test]
    fn files_must_be_there() {
        for (fields, why) in [
            (
                "authorization: {credentials_file: none}",
                "error checking authorization credentials or bearer token file \"none\": stat none: no such file or directory",
            ),
            (
                "bearer_token_file: none",
                "error checking authorization credentials or bearer token file \"none\": stat none: no such file or directory",
            ),
            (
                "tls_config: {cert_file: c, key_file: none}",
                "error checking client key file \"none\": stat none: no such file or directory",
            ),
            (
                "tls_config: {cert_file: none, key_file: c}",
                "error checking client cert file \"none\": stat none: no such file or directory",
            ),
            (
                "kubernetes_sd_configs: [{role: pod, api_server: 'http://a', tls_config: {cert_file: none, key_file: c}}]",
                "error checking client cert file \"none\": stat none: no such file or directory",
            ),
        ] {
            let config = format!("scrape_configs: [{{job_name: a, {fields}}}]");
            assert_eq!(checked(&config, &[("c", "")]).0, Err(why.to_owned()));
        }
        let config = "scrape_configs: [{job_name: a, tls_config: {cert_file: c, key_file: c}}]";
        assert_eq!(checked(config, &[("c", "")]), (Ok(()), vec![]));
    }

    #[test]
    fn files_of_targets_are_read() {
        let jobs = |files: &str| {
            format!(
                "scrape_configs: [{{job_name: a, file_sd_configs: [{{files: [{files}]}}]}}]\n\
                     alerting: {{alertmanagers: [{{file_sd_configs: [{{files: [{files}]}}]}}]}}\n"
            )
        };
        let good = [("a.json", r#"[{"targets": ["x:1"], "labels": {"b": "c"}}]"#), ("b.yml", "- targets: [y]\n")];
        assert_eq!(checked(&jobs("a.json, b.yml"), &good), (Ok(()), vec![]));
        let (result, warnings) = checked(&jobs("'*.yaml'"), &good);
        let warned = ["scrape job \"a\"", "alertmanager config"];
        let warned = warned.map(|owner| format!("file \"*.yaml\" for file_sd in {owner} does not exist"));
        assert_eq!((result, warnings), (Ok(()), warned.to_vec()));
        for (text, part) in
            [("[1]", "checking SD file \"a.json\": "), (r#"[{"targets": ["x/y"]}]"#, "\"x/y\" is not a valid hostname")]
        {
            let (result, _) = checked(&jobs("a.json"), &[("a.json", text)]);
            assert!(result.clone().unwrap_err().contains(part), "{result:?}");
        }
    }

    #[test]
    fn targets_are_looked_at_after_relabelling() {
        let rules = |address: &str| {
            format!(
                "relabel_configs: [{{target_label: {address}, replacement: 'a:1'}}], static_configs: [{{targets: ['http://bad']}}]"
            )
        };
        for (address, expected) in [("__address__", None), ("other", Some("\"http://bad\" is not a valid hostname"))] {
            let job = format!("scrape_configs: [{{job_name: a, {}}}]", rules(address));
            let alertmanager = format!("alerting: {{alertmanagers: [{{{}}}]}}", rules(address));
            for config in [job, alertmanager] {
                let result = checked(&config, &[]).0;
                let told = result.as_ref().err().map(|why| why.trim_start_matches("instance 0 in group 0: "));
                assert_eq!(told, expected, "{config}");
            }
        }
    }
}
