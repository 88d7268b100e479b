//! `file_sd_configs`: targets from files.

use std::path::PathBuf;

use crate::Error;
use crate::schema::{Duration, Fields, Paths, section};

section! {
    /// Files of target groups, JSON or YAML.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct FileSdConfig as "file_sd_config" {
        /// Names that end in `.json`, `.yml` or `.yaml`; the last part may contain `*`.
        #[yaml(Paths; always)]
        pub files: Vec<PathBuf>,
        /// The files are read again this often, even if nothing says that they changed.
        #[yaml(Duration, name = "refresh_interval", default = 300_000; always)]
        pub refresh_interval_ms: i64,
    }
    check = check_file;
}

fn check_file(config: &mut FileSdConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if config.files.is_empty() {
        return Err(f.refuse("files", "file service discovery config must contain at least one path name"));
    }
    // The texts and not the resolved paths: only what the file says is checked, as by upstream's `patFileSDName`.
    for name in f.texts("files")? {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_owned()).unwrap_or_default();
        // Two spellings and no mixed case: the expression lists them, although `readFile` lowers the extension.
        let known = ["json", "yml", "yaml", "JSON", "YML", "YAML"].contains(&extension.as_str());
        if !known || !stars_in_last_part(&name) {
            let message = format!(
                "path name {name:?} is not valid for file discovery; it ends in .json, .yml or .yaml and has * in its last part only"
            );
            return Err(f.refuse("files", message));
        }
    }
    Ok(())
}

/// Is there no slash after a `*`? Upstream documents a single star; its expressions take several.
pub(crate) fn stars_in_last_part(name: &str) -> bool {
    name.split_once('*').is_none_or(|(_, rest)| !rest.contains('/'))
}
