//! The real Helm, and the chart rendered by it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kit::cache;
use serde_json::Value;

/// The namespace that everything is rendered for.
pub const NAMESPACE: &str = "watch";

/// The binary: `$WEFT_HELM`, else the one that `cargo xtask test` builds; or why there is none.
///
/// # Errors
/// When there is none.
pub fn binary() -> Result<PathBuf, String> {
    let text = include_str!("../../../helm/go.mod");
    let mut words = text.split_whitespace().skip_while(|word| *word != "helm.sh/helm/v4");
    let version = words.nth(1).unwrap_or_default();
    let name = format!("helm-{version}-{}/helm", std::env::consts::ARCH);
    let path = std::env::var_os("WEFT_HELM").map(PathBuf::from).or_else(|| Some(cache()?.join(&name)));
    let path = path.filter(|path| path.exists());
    path.ok_or_else(|| format!("there is no {name} in the cache: `cargo xtask test` builds it, or set WEFT_HELM"))
}

/// A file or folder of the checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Text of a file of the checkout.
pub fn text(path: &str) -> String {
    let path = checkout(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of values beside this test.
pub fn values(name: &str) -> String {
    checkout("tests/e2e/tests/chart").join(name).display().to_string()
}

/// Runs Helm, with a home of its own.
pub fn run(args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let folders = ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"];
    let mut helm = Command::new(binary().unwrap());
    helm.args(args).envs(folders.map(|name| (name, home.path()))).env_remove("KUBECONFIG");
    helm.output().unwrap()
}

/// What Helm prints.
#[track_caller]
pub fn printed(args: &[&str]) -> String {
    let output = run(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "helm {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The objects of a release `weft` with further arguments.
#[track_caller]
pub fn template(args: &[&str]) -> Vec<Value> {
    template_of(&checkout("deploy/helm/weft"), args)
}

/// The same of a chart elsewhere.
#[track_caller]
pub fn template_of(chart: &Path, args: &[&str]) -> Vec<Value> {
    let chart = chart.display().to_string();
    parse(&printed(&[&["template", "weft", &chart, "--namespace", NAMESPACE], args].concat()))
}

/// The objects of a file.
pub fn parse(yaml: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    objects.into_iter().filter(Value::is_object).collect()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// The object of a kind, which is the only one.
#[track_caller]
pub fn one<'a>(objects: &'a [Value], kind: &'a str) -> &'a Value {
    let found: Vec<&Value> = of_kind(objects, kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}
