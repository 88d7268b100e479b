//! `gce_sd_configs`.

use crate::schema::{Duration, Int, Text, section};

section! {
    /// Targets from the instances of Google Compute Engine. The credentials are those of the environment: the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names, or the service account of the machine.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct GceSdConfig as "gce_sd_config" {
        /// The project.
        #[yaml(Text; always, required = "GCE SD configuration requires a project")]
        pub project: String,
        /// The zone.
        #[yaml(Text; always, required = "GCE SD configuration requires a zone")]
        pub zone: String,
        /// A filter expression of the API.
        #[yaml(Text)]
        pub filter: String,
        /// The time from one request to the next.
        #[yaml(Duration, name = "refresh_interval", default = 60_000)]
        pub refresh_interval_ms: i64,
        /// The port of the targets.
        #[yaml(Int, default = 80; always)]
        pub port: i64,
        /// Stands between the tags in the label of tags, and around them.
        #[yaml(Text, default = ",".to_owned())]
        pub tag_separator: String,
    }
}
