//! `promtool rbac check`: which rights `--operator` is missing, and the Role that gives them.

use std::path::PathBuf;

use operator::{OperatorOptions, missing_rights, role_manifests};

use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool rbac check [--operator.prometheus=NAMESPACE/NAME] [--operator.namespaces=A,B] \
                                [--operator.kubeconfig=FILE] [--service-account=NAMESPACE/NAME]";

/// Asks the API server with the credentials of this process, which in a pod of Weft are those of Weft. It passes if nothing is missing.
pub(crate) fn check(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let mut options = OperatorOptions::default();
    let mut account = ("monitoring".to_owned(), "weft".to_owned());
    for arg in args {
        let pair = |value: &str| value.split_once('/').map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
        let known = match arg.split_once('=') {
            Some(("--operator.prometheus", value)) => {
                options.prometheus = pair(value);
                options.prometheus.is_some()
            }
            Some(("--operator.namespaces", value)) => {
                options.namespaces = value.split(',').map(|name| name.trim().to_owned()).collect();
                true
            }
            Some(("--operator.kubeconfig", value)) => {
                options.server.kubeconfig_file = Some(PathBuf::from(value));
                true
            }
            Some(("--service-account", value)) => pair(value).map(|pair| account = pair).is_some(),
            _ if matches!(*arg, "--help" | "-h") => return Err(Stop::Help),
            _ => false,
        };
        if !known {
            return Err(Stop::Misuse(format!("cannot read {arg}")));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot ask the API server: {error}"))?;
    match runtime.block_on(missing_rights(&options)) {
        Ok(missing) if missing.is_empty() => {
            writeln!(streams.out, "nothing is missing")?;
            Ok(Outcome::Passed)
        }
        Ok(missing) => {
            for one in &missing {
                writeln!(streams.out, "# {one}")?;
            }
            write!(streams.out, "{}", role_manifests(&missing, (&account.0, &account.1)))?;
            Ok(Outcome::Failed)
        }
        Err(error) => Err(format!("cannot ask the API server: {}", model::with_causes(&error)).into()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn misuse_is_told() {
        for args in [["--operator.prometheus=p"], ["list"], ["--service-account=a"]] {
            let ran = crate::testing::run(&["rbac", "check", args[0]]);
            assert_eq!(ran.err, format!("promtool: error: cannot read {}, try --help\n", args[0]));
        }
    }
}
