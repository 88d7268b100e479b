//! `cargo xtask dist`: everything of a release in one folder.

mod chart;
mod notes;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;

use crate::digest::sha256;
use crate::image::{self, Program};
use crate::tree::Tree;
use crate::versions::VERSION;
use crate::{packages, root, setup, target};

const USAGE: &str = "\
cargo xtask dist [--binary PATH] [--compression LEVEL] [--out FOLDER]
  --binary PATH     take this weft; else a release binary is built, with the web page in it
  --compression LEVEL
                    from 0 (none) to 9 (smallest); default: 9
  --out FOLDER      where everything goes; default: dist/ in the folder of builds
The time of all files is SOURCE_DATE_EPOCH, else 0: the same input gives the same bytes.";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
struct Options {
    binary: Option<PathBuf>,
    compression: Compression,
    out: PathBuf,
}

/// Makes all of it, and lists it.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let Some(options) = Options::parse(args)? else {
        println!("{USAGE}");
        return Ok(());
    };
    setup::packages(setup::IMAGE)?;
    let changelog = read(&root().join("CHANGELOG.md"))?;
    let notes = notes::of(&String::from_utf8_lossy(&changelog), VERSION)?;
    let binary = match options.binary {
        Some(path) => path,
        None => image::release()?,
    };
    let (mtime, level, out) = (image::source_date()?, options.compression, options.out.as_path());
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut files = image::write(&binary, out, mtime, level)?;
    let mut add = |name: String, bytes: Vec<u8>| -> Result<()> {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path);
        Ok(())
    };
    let (name, archive) = binary_archive(&binary, mtime, level)?;
    add(name, archive)?;
    add(format!("weft-{VERSION}.tgz"), chart::package(&root().join("deploy/helm/weft"))?.tar_gz(mtime, level)?)?;
    add(format!("weft-{VERSION}.cdx.json"), bill(mtime)?)?;
    add(format!("weft-{VERSION}-notes.md"), notes.into_bytes())?;
    let sums = sums(&files)?;
    fs::write(out.join("SHA256SUMS"), &sums).with_context(|| format!("cannot write to {}", out.display()))?;
    println!("{}:\n{sums}", out.display());
    Ok(())
}

impl Options {
    /// `None` where only help is wanted.
    fn parse(args: &[String]) -> Result<Option<Self>> {
        let mut options = Self { binary: None, compression: Compression::best(), out: target().join("dist") };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, value) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
            if matches!(name, "--help" | "-h") {
                return Ok(None);
            }
            if !["--binary", "--compression", "--out"].contains(&name) {
                bail!("dist: {arg} is not known\n{USAGE}");
            }
            let value = value.or_else(|| args.next().map(String::as_str));
            let value = value.with_context(|| format!("dist: {name} needs a value"))?;
            match name {
                "--binary" => options.binary = Some(value.into()),
                "--compression" => options.compression = image::level(value)?,
                _ => options.out = value.into(),
            }
        }
        Ok(Some(options))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Name and bytes of the archive for those who have no containers.
fn binary_archive(binary: &Path, mtime: u64, level: Compression) -> Result<(String, Vec<u8>)> {
    let program = Program::read(binary)?;
    let folder = format!("weft-{VERSION}-linux-{}", program.architecture);
    let mut tree = Tree::default();
    for (name, from) in [
        ("LICENSE", "LICENSE"),
        ("CHANGELOG.md", "CHANGELOG.md"),
        ("prometheus.yml", "deploy/prometheus.yml"),
        ("alerts.yml", "deploy/alerts/weft.yaml"),
    ] {
        tree.file(&format!("{folder}/{name}"), 0o644, read(&root().join(from))?);
    }
    for name in ["prometheus", "promtool"] {
        tree.link(&format!("{folder}/{name}"), "weft");
    }
    tree.file(&format!("{folder}/weft"), 0o755, program.bytes);
    Ok((format!("{folder}.tar.gz"), tree.tar_gz(mtime, level)?))
}

/// What Weft is made of, in CycloneDX.
fn bill(mtime: u64) -> Result<Vec<u8>> {
    let (server, crates) = packages::of_binary(&root())?;
    let lock = read(&root().join("ui/package-lock.json"))?;
    let (page, of_page) = packages::of_page(&String::from_utf8_lossy(&lock))?;
    let seconds = i64::try_from(mtime).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let time = seconds.with_context(|| format!("SOURCE_DATE_EPOCH={mtime} is not a time"))?;
    let bill = sbom::Bill { server: &server, crates: &crates, page: &page, of_page: &of_page };
    let mut bytes = serde_json::to_vec_pretty(&bill.document(VERSION, &time.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What `sha256sum --check` reads.
fn sums(files: &[PathBuf]) -> Result<String> {
    let mut lines = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        lines.push((name.into_owned(), sha256(&read(file)?)));
    }
    lines.sort();
    Ok(lines.into_iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let parse = |args: &[&str]| Options::parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        let options = parse(&["--out", "x", "--compression=1"]).expect("known").expect("options");
        assert_eq!((options.out, options.compression), (PathBuf::from("x"), Compression::new(1)));
        assert_eq!(parse(&["-h"]).expect("known"), None);
        for (args, part) in [(&["--layers=x"][..], "--layers=x is not known"), (&["--out"], "--out needs a value")] {
            let error = format!("{:#}", parse(args).expect_err("a mistake"));
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn sums_are_in_the_order_of_names() {
        let folder = std::env::temp_dir().join(format!("weft-sums-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let files = [folder.join("b"), folder.join("a")];
        fs::write(&files[0], "").expect("a file");
        fs::write(&files[1], "abc").expect("a file");
        let found = sums(&files);
        fs::remove_dir_all(&folder).expect("it is there");
        assert_eq!(
            found.expect("sums"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n"
        );
    }
}
