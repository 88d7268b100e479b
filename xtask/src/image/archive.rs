//! Layers, configuration, manifest and index of an image, and the archive of all of them:
//! <https://github.com/opencontainers/image-spec>.

use std::collections::HashMap;

use anyhow::{Context, Result};
use flate2::Compression;
use oci_spec::image::{
    Arch, Config, ConfigBuilder, Descriptor, History, HistoryBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
    Sha256Digest,
};
use serde::Serialize;

use super::contents::NOBODY;
use crate::digest::sha256;
use crate::tree::{Tree, gzip};

const ENTRYPOINT: &str = "/bin/prometheus";
const ARGUMENTS: [&str; 2] = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"];
const FOLDER: &str = "/prometheus";
const PORT: u16 = 9090;
/// What engines set where an image says nothing; here the same everywhere.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LABELS: [(&str, &str); 4] = [
    ("org.opencontainers.image.description", "A monitoring server for Kubernetes in the place of Prometheus"),
    ("org.opencontainers.image.licenses", "Apache-2.0"),
    ("org.opencontainers.image.title", "Weft"),
    ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
];

/// Bytes under their digest.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: sha256(&bytes), bytes }
    }

    /// A document, with its keys in order.
    fn json(document: &impl Serialize) -> Result<Self> {
        Ok(Self::new(json(document)?))
    }

    fn descriptor(&self, kind: MediaType) -> Result<Descriptor> {
        let digest: Sha256Digest = self.digest.parse()?;
        Ok(Descriptor::new(kind, self.bytes.len() as u64, digest))
    }

    /// Puts it where the layout of images has it.
    fn add_to(&self, archive: &mut Tree) {
        archive.file(&format!("blobs/sha256/{}", self.digest), 0o644, self.bytes.as_slice());
    }
}

/// A part of the root file system, compressed.
pub(super) struct Layer {
    name: &'static str,
    blob: Blob,
    /// The digest of what is inside.
    diff_id: String,
}

impl Layer {
    /// Packs and compresses a tree.
    pub(super) fn new(name: &'static str, tree: &Tree, mtime: u64, level: Compression) -> Result<Self> {
        let tar = tree.tar(mtime)?;
        Ok(Self { name, blob: Blob::new(gzip(&tar, level)?), diff_id: format!("sha256:{}", sha256(&tar)) })
    }
}

/// An image to be archived.
pub(super) struct Image<'a> {
    pub(super) architecture: &'static str,
    pub(super) tag: &'a str,
    pub(super) layers: &'a [&'a Layer],
    /// In seconds.
    pub(super) created: u64,
}

impl Image<'_> {
    /// The digest of its manifest, and the archive.
    pub(super) fn archive(&self) -> Result<(String, Vec<u8>)> {
        let configuration = Blob::json(&self.configuration()?)?;
        let layers = self.layers.iter().map(|layer| layer.blob.descriptor(MediaType::ImageLayerGzip));
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(configuration.descriptor(MediaType::ImageConfig)?)
            .layers(layers.collect::<Result<Vec<_>>>()?)
            .build()?;
        let manifest = Blob::json(&manifest)?;
        let mut descriptor = manifest.descriptor(MediaType::ImageManifest)?;
        let platform = PlatformBuilder::default().architecture(self.architecture).os(Os::Linux).build()?;
        descriptor.set_platform(Some(platform));
        descriptor.set_annotations(Some(HashMap::from([
            ("org.opencontainers.image.ref.name".to_owned(), self.tag.to_owned()),
            // Where containerd and podman look for a full name.
            ("io.containerd.image.name".to_owned(), format!("docker.io/library/weft:{}", self.tag)),
        ])));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests([descriptor])
            .build()?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        let mut archive = Tree::default();
        archive.file("oci-layout", 0o644, json(&layout)?);
        archive.file("index.json", 0o644, json(&index)?);
        let blobs = self.layers.iter().map(|layer| &layer.blob).chain([&configuration, &manifest]);
        blobs.for_each(|blob| blob.add_to(&mut archive));
        Ok((format!("sha256:{}", manifest.digest), archive.tar(self.created)?))
    }

    fn configuration(&self) -> Result<impl Serialize + use<>> {
        let created = i64::try_from(self.created).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let created = created.with_context(|| format!("SOURCE_DATE_EPOCH={} is not a time", self.created))?.to_string();
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let history = |layer: &&Layer| {
            let by = format!("cargo xtask image: {}", layer.name);
            HistoryBuilder::default().created(created.clone()).created_by(by).build()
        };
        let history: Vec<History> = self.layers.iter().map(history).collect::<Result<_, _>>()?;
        let configuration = ImageConfigurationBuilder::default()
            .created(created.clone())
            .architecture(Arch::from(self.architecture))
            .os(Os::Linux)
            .config(config()?)
            .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build()?)
            .history(history)
            .build()?;
        Ok(configuration)
    }
}

/// How a container of it is run.
fn config() -> Result<Config> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let labels = LABELS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = ConfigBuilder::default()
        .user(format!("{NOBODY}:{NOBODY}"))
        .exposed_ports([format!("{PORT}/tcp")])
        .env(owned(&[PATH]))
        .entrypoint(owned(&[ENTRYPOINT]))
        .cmd(owned(&ARGUMENTS))
        .volumes(owned(&[FOLDER]))
        .working_dir(FOLDER)
        .labels(labels.collect::<HashMap<_, _>>());
    Ok(config.build()?)
}

/// A document whose keys are sorted: hash maps have another order each time.
fn json(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(document)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup;

    const DOCKERFILE: &str = include_str!("../../../deploy/Dockerfile");

    #[test]
    fn the_dockerfile_makes_the_same_image() {
        let list = |texts: &[&str]| serde_json::to_string(texts).expect("a list").replace("\",\"", "\", \"");
        let mut lines = vec![
            format!("USER {NOBODY}:{NOBODY}"),
            format!("WORKDIR {FOLDER}"),
            format!("EXPOSE {PORT}"),
            format!("VOLUME {}", list(&[FOLDER])),
            format!("ENTRYPOINT {}", list(&[ENTRYPOINT])),
            format!("CMD {}", list(&ARGUMENTS)),
        ];
        lines.extend(LABELS.iter().map(|(name, value)| format!("LABEL {name}=\"{value}\"")));
        for line in lines {
            assert!(DOCKERFILE.lines().any(|one| one == line), "deploy/Dockerfile must have the line: {line}");
        }
    }

    #[test]
    fn the_dockerfile_installs_what_the_setup_does() {
        let packages: Vec<&str> = setup::BUILD.iter().chain(setup::IMAGE).copied().collect();
        let install = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
        assert!(DOCKERFILE.contains(&install), "deploy/Dockerfile must have: {install}");
    }
}
