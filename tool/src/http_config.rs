//! `--http.config.file`: how commands connect to a server.

use std::path::Path;

use config::HttpClientConfig;

use crate::flags::Flags;
use crate::outcome::Stop;

/// The name of the flag.
pub(crate) const FLAG: &str = "http.config.file";

/// What the flag says for requests to a URL; without it, the proxy is that of the environment, as upstream has it.
pub(crate) fn of(flags: &Flags<'_>, url: &str) -> Result<HttpClientConfig, Stop> {
    let Some(file) = flags.value(FLAG) else {
        let mut http = HttpClientConfig::default();
        http.proxy.proxy_from_environment = true;
        return Ok(http);
    };
    if !Path::new(file).exists() {
        return Err(Stop::Misuse(format!("path '{file}' does not exist")));
    }
    let fatal = |why: String| Stop::Failed(format!("promtool: error: {why}"));
    // Which of the two were sent would be a guess.
    if url::Url::parse(url).is_ok_and(|url| !url.username().is_empty()) {
        let why = "Cannot set base auth in the server URL and use a http.config.file at the same time";
        return Err(fatal(why.to_owned()));
    }
    HttpClientConfig::load(Path::new(file))
        .map_err(|error| fatal(format!("Failed to load HTTP config file: {}", model::with_causes(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Known;

    fn read(file: &str, url: &str) -> Result<HttpClientConfig, Stop> {
        let known = Known { values: &[FLAG], ..Known::NONE };
        of(&Flags::parse(&["--http.config.file", file], known).unwrap(), url)
    }

    #[test]
    fn a_file_is_read_as_strictly_as_the_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "basic_auth: {username: a, password: b}\n").unwrap();
        assert_eq!(read(path, "http://h").unwrap().basic_auth.unwrap().username, "a");
        let told = |result: Result<HttpClientConfig, Stop>| format!("{:?}", result.unwrap_err());
        assert!(told(read(path, "http://u:p@h")).contains("Cannot set base auth in the server URL"));
        std::fs::write(path, "basic_auths: {}\n").unwrap();
        let why = told(read(path, "http://h"));
        assert!(why.contains("Failed to load HTTP config file") && why.contains("did you mean basic_auth?"), "{why}");
        assert!(told(read("/no/such/file", "http://h")).contains("path '/no/such/file' does not exist"));
        let none = of(&Flags::default(), "http://h").unwrap();
        assert!(none.proxy.proxy_from_environment && none.basic_auth.is_none());
    }
}
