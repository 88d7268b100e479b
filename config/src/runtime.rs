//! The `runtime` section.

use crate::Error;
use crate::schema::{Fields, Int, Text, section};

const LOG_LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

section! {
    /// Settings of the process.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RuntimeConfig as "runtime" {
        /// The target of Go's garbage collector; there is none here, so it has no effect.
        #[yaml(Int, default = 75)]
        pub gogc: i64,
        /// The least severe messages that are logged: `debug`, `info`, `warn` or `error`; by default that of `--log.level`.
        #[yaml(Text)]
        pub log_level: Option<String>,
    }
    check = check_runtime;
}

fn check_runtime(runtime: &mut RuntimeConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    if let Some(level) = &mut runtime.log_level {
        // `promslog.Level` takes any letter case and prints the lower one.
        *level = level.to_lowercase();
        if !LOG_LEVELS.contains(&level.as_str()) {
            let message = format!("unrecognized log level {level}; it is one of {}", LOG_LEVELS.join(", "));
            return Err(f.refuse("log_level", message));
        }
    }
    Ok(())
}
