//! `cargo xtask image`: the container image as an OCI archive, without a container engine: one with nothing but what Weft needs, and
//! one with a shell. `deploy/Dockerfile` takes its layers from here, so that both ways give the same image.

mod archive;
mod contents;
mod elf;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;

use crate::{cache, cargo, setup, step, target, ui};
use archive::{Image, Layer};
use contents::Contents;
pub(crate) use elf::Program;

const USAGE: &str = "\
cargo xtask image [--binary PATH] [--compression LEVEL] [--out FOLDER | --layers FOLDER]
  --binary PATH     take this weft; else a release binary is built, with the web page in it
  --compression LEVEL
                    of the layers, from 0 (none) to 9 (smallest); default: 6
  --out FOLDER      where the archives go; default: image/ in the folder of builds
  --layers FOLDER   no archives, but what is in the layers, as the folders base/, weft/ and shell/ (only as root)
The time of all files is SOURCE_DATE_EPOCH, else 0: the same input gives the same digests.";

/// What the command line asks for.
struct Options {
    binary: Option<PathBuf>,
    compression: Compression,
    out: PathBuf,
    layers: Option<PathBuf>,
}

/// Makes both images, and prints path, digest and size of each.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let Some(options) = Options::parse(args)? else {
        println!("{USAGE}");
        return Ok(());
    };
    setup::packages(setup::IMAGE)?;
    let binary = match options.binary {
        Some(path) => path,
        None => release()?,
    };
    let contents = Contents::new(&binary)?;
    let mtime = source_date()?;
    match options.layers {
        Some(folder) => folders(&contents, &folder, mtime),
        None => archives(&contents, &options.out, mtime, options.compression).map(drop),
    }
}

/// Writes both archives of a binary to a folder; returns their paths.
pub(crate) fn write(binary: &Path, out: &Path, mtime: u64, level: Compression) -> Result<Vec<PathBuf>> {
    archives(&Contents::new(binary)?, out, mtime, level)
}

impl Options {
    /// `None` where only help is wanted.
    fn parse(args: &[String]) -> Result<Option<Self>> {
        let (compression, out) = (Compression::default(), target().join("image"));
        let mut options = Self { binary: None, compression, out, layers: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, value) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
            if matches!(name, "--help" | "-h") {
                return Ok(None);
            }
            if !["--binary", "--compression", "--out", "--layers"].contains(&name) {
                bail!("image: {arg} is not known\n{USAGE}");
            }
            let value = value.or_else(|| args.next().map(String::as_str));
            let value = value.with_context(|| format!("image: {name} needs a value"))?;
            let path = PathBuf::from(value);
            match name {
                "--binary" => options.binary = Some(path),
                "--compression" => options.compression = level(value)?,
                "--out" => options.out = path,
                _ => options.layers = Some(path),
            }
        }
        Ok(Some(options))
    }
}

/// How strongly something is compressed.
pub(crate) fn level(text: &str) -> Result<Compression> {
    let level = text.parse().ok().filter(|level| *level <= 9).map(Compression::new);
    level.with_context(|| format!("--compression={text} is not a number from 0 to 9"))
}

/// Builds what is shipped. Unlike for `run`, the page must be in it.
pub(crate) fn release() -> Result<PathBuf> {
    setup::packages(setup::BUILD)?;
    ui::build()?;
    let rocksdb = cache::rocksdb()?;
    step("build", &mut cargo(&rocksdb, &["build", "--release", "--locked", "--bin", "weft"]))?;
    Ok(target().join("release/weft"))
}

/// The time that all files have, in seconds.
pub(crate) fn source_date() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text} is not a number of seconds")),
        Err(_) => Ok(0),
    }
}

fn archives(contents: &Contents, out: &Path, mtime: u64, level: Compression) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    // Compressed once, and the same blobs in both archives.
    let base = Layer::new("base system", &contents.base, mtime, level)?;
    let weft = Layer::new("weft", &contents.weft, mtime, level)?;
    let shell = contents.shell.as_ref().map(|tree| Layer::new("busybox", tree, mtime, level)).transpose()?;
    let mut variants = vec![("", vec![&base, &weft])];
    variants.extend(shell.as_ref().map(|shell| ("-shell", vec![&base, &weft, shell])));
    let mut paths = Vec::new();
    for (variant, layers) in variants {
        let tag = format!("{}{variant}", env!("CARGO_PKG_VERSION"));
        let image = Image { architecture: contents.architecture, tag: &tag, layers: &layers, created: mtime };
        let (digest, archive) = image.archive()?;
        let path = out.join(format!("weft-{tag}-{}.tar", contents.architecture));
        fs::write(&path, &archive).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}  {digest}  {:.1} MB", path.display(), archive.len() as f64 / 1e6);
        paths.push(path);
    }
    Ok(paths)
}

fn folders(contents: &Contents, folder: &Path, mtime: u64) -> Result<()> {
    let shell = contents.shell.as_ref().map(|tree| ("shell", tree));
    for (name, tree) in [("base", &contents.base), ("weft", &contents.weft)].into_iter().chain(shell) {
        tree.unpack(&folder.join(name), mtime)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            Options::parse(&args).map(|options| options.map(|options| options.out))
        };
        assert_eq!(parse(&["--out=x", "--binary", "y"]).expect("known"), Some(PathBuf::from("x")));
        assert_eq!(parse(&["--help"]).expect("known"), None);
        let mistakes = [
            (&["--bin"][..], "--bin is not known"),
            (&["--out"], "--out needs a value"),
            (&["--compression=10"], "--compression=10 is not a number from 0 to 9"),
        ];
        for (args, part) in mistakes {
            let error = format!("{:#}", parse(args).expect_err("a mistake"));
            assert!(error.contains(part), "{error}");
        }
    }
}
