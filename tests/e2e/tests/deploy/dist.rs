//! `cargo xtask dist`: what it writes is what `sha256sum`, `tar`, `umoci` and Helm read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::cache;
use serde_json::Value;

use crate::container::{done, must, xtask};
use crate::image;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The program of a release that is not run: any that is small.
const SMALL: &str = "/usr/bin/env";

/// The Helm of the tests: `$WEFT_HELM`, else what `cargo xtask test` built; or why there is none.
fn helm() -> Result<PathBuf, String> {
    let built = || {
        let folders = fs::read_dir(cache()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let name = |path: &Path| path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"helm-"));
        Some(folders.filter(|path| name(path)).max()?.join("helm"))
    };
    let path = std::env::var_os("WEFT_HELM").map(PathBuf::from).or_else(built).filter(|path| path.exists());
    path.ok_or_else(|| "no helm; `cargo xtask test` builds it, or set WEFT_HELM".to_owned())
}

/// Why it cannot be tested.
pub fn cannot() -> Option<String> {
    image::cannot().or_else(|| helm().err())
}

pub fn everything_of_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = |path: PathBuf| path.display().to_string();
    let made = |name: &str| {
        done(&mut xtask("dist", Path::new(SMALL), &["--out", &text(at(name))]));
        let sums = fs::read_to_string(at(name).join("SHA256SUMS")).unwrap();
        done(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(at(name)));
        sums
    };
    println!("twice the same, and every file is in the list");
    let sums = made("one");
    assert_eq!(sums, made("two"));
    let mut listed: Vec<&str> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let mut written: Vec<String> =
        fs::read_dir(at("one")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    listed.push("SHA256SUMS");
    listed.sort_unstable();
    written.sort_unstable();
    assert_eq!(listed, written);
    let archive = written.iter().find(|name| name.ends_with(".tar.gz")).unwrap();
    let images = written.iter().filter(|name| name.ends_with(".tar")).count();
    assert_eq!((written.len(), images), (7, 2), "{written:?}");

    println!("the binary is in its archive, under its names");
    must("tar", &["-xzf", &text(at("one").join(archive)), "-C", &text(folder.path().to_owned())]);
    let unpacked = at(archive.trim_end_matches(".tar.gz"));
    assert_eq!(fs::read(unpacked.join("promtool")).unwrap(), fs::read(SMALL).unwrap());
    assert_eq!(must("stat", &["-c", "%a", &text(unpacked.join("weft"))]), "755\n");
    assert_eq!(fs::read_link(unpacked.join("prometheus")).unwrap(), Path::new("weft"));

    println!("the list of parts and the notes are of this version");
    let bill: Value =
        serde_json::from_slice(&fs::read(at("one").join(format!("weft-{VERSION}.cdx.json"))).unwrap()).unwrap();
    assert_eq!(bill["metadata"]["component"]["version"], VERSION);
    assert!(bill["components"].as_array().unwrap().len() > 200, "{bill}");
    let notes = fs::read_to_string(at("one").join(format!("weft-{VERSION}-notes.md"))).unwrap();
    assert!(notes.starts_with(&format!("# Weft {VERSION}\n")) && notes.len() > 1000, "{notes}");
    chart(folder.path(), &at("one").join(format!("weft-{VERSION}.tgz")));
}

/// Helm makes the same of the packaged chart as of its folder, and packages the same files.
fn chart(folder: &Path, ours: &Path) {
    println!("Helm takes the chart");
    let helm = |args: &[&str]| {
        let folders = ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"];
        let mut command = Command::new(helm().unwrap());
        done(command.args(args).envs(folders.map(|name| (name, folder))).env_remove("KUBECONFIG"))
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/weft").display().to_string();
    let (ours, theirs) = (ours.display().to_string(), folder.join("theirs"));
    helm(&["lint", "--strict", &ours]);
    let template = |chart: &str| helm(&["template", "weft", chart, "--namespace=watch", "--include-crds"]);
    assert_eq!(template(&ours), template(&source));
    helm(&["package", &source, "--destination", &theirs.display().to_string()]);
    let files = |archive: &str, name: &str| {
        let to = folder.join(name);
        fs::create_dir(&to).unwrap();
        must("tar", &["-xzf", archive, "-C", &to.display().to_string()]);
        let mut list: Vec<String> =
            done(Command::new("find").args([".", "-type", "f"]).current_dir(&to)).lines().map(str::to_owned).collect();
        list.sort();
        let read = |name: &String| fs::read(to.join(name)).unwrap();
        // Helm writes this file anew.
        let contents: Vec<Vec<u8>> = list.iter().filter(|name| !name.ends_with("/Chart.yaml")).map(read).collect();
        (list, contents)
    };
    let packaged = theirs.join(format!("weft-{VERSION}.tgz")).display().to_string();
    let (ours, theirs) = (files(&ours, "of-ours"), files(&packaged, "of-theirs"));
    assert_eq!(ours.0, theirs.0);
    assert!(ours.1 == theirs.1, "a file of the chart differs");
}
