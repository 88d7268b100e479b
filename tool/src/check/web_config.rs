//! `promtool check web-config FILE…`: reads files of `--web.config.file` as the server does.

use std::path::Path;

use config::WebConfig;

use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool check web-config FILE...";

/// Checks the files, one after another.
pub(crate) fn web_config(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, Known::NONE)?;
    let mut outcome = Outcome::Passed;
    for file in flags.some_files("web-config-files")? {
        let config = WebConfig::load(Path::new(file)).map_err(|error| model::with_causes(&error));
        let checked = config.and_then(|config| match &config.tls {
            Some(tls) => (streams.check_web_tls)(tls, config.http_server.http2),
            None => Ok(()),
        });
        // Both to the standard error, as upstream does.
        match checked {
            Ok(()) => writeln!(streams.err, "{file} SUCCESS")?,
            Err(why) => {
                outcome = Outcome::Failed;
                writeln!(streams.err, "{file} FAILED: {why}")?;
            }
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use crate::testing::run;

    #[test]
    fn files_are_checked_as_the_server_does() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let good = write("good.yml", "http_server_config: {http2: false}\n");
        let bad = write("bad.yml", "basic_auth_users: {ann: secret}\n");
        let tls = write("tls.yml", "tls_server_config: {cert_file: a, key_file: b}\n");
        let ran = run(&["check", "web-config", &good]);
        assert_eq!((ran.code, ran.err, ran.out.as_str()), (0, format!("{good} SUCCESS\n"), ""));
        let ran = run(&["check", "web-config", &bad, &good, &tls]);
        assert_eq!(ran.code, 1);
        let lines: Vec<&str> = ran.err.lines().collect();
        assert!(
            lines[0].starts_with(&format!("{bad} FAILED: ")) && lines[0].contains("not a bcrypt hash"),
            "{}",
            ran.err
        );
        assert_eq!(lines[1..], [format!("{good} SUCCESS"), format!("{tls} FAILED: the server refuses it")]);
        assert!(run(&["check", "web-config", "/no/such.yml"]).err.contains("/no/such.yml FAILED: "));
        assert_eq!(
            run(&["check", "web-config"]).err,
            "promtool: error: required argument 'web-config-files' not provided, try --help\n"
        );
    }
}
