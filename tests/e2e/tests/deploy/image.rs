//! The archives that `cargo xtask image` writes: `umoci` reads and unpacks them, checking every digest, and the server runs from what
//! comes out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::{Http, Process, Weft, eventually};
use serde_json::{Value, json};

use crate::container::{Container, done, must, xtask_image};

/// The program of images that are not run: any that is small.
const SMALL: &str = "/usr/bin/env";
/// A static program.
const BUSYBOX: &str = "/bin/busybox";

/// Why there can be no images.
pub fn cannot() -> Option<String> {
    let has = |path: &str| Path::new(path).exists();
    let missing = [("/usr/bin/umoci", "umoci"), (BUSYBOX, "busybox-static")];
    let missing = missing.iter().find(|(path, _)| !has(path));
    missing.map(|(_, package)| format!("the package {package} is missing; `cargo xtask setup` installs it"))
}

/// The archives in a folder: the minimal one, and the one with a shell.
fn archives(folder: &Path) -> [PathBuf; 2] {
    let mut names = names(folder);
    names.sort_by_key(|name| name.contains("-shell-"));
    <[String; 2]>::try_from(names).unwrap().map(|name| folder.join(name))
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// The configuration of the image in a layout.
fn configuration(layout: &Path) -> Value {
    let manifest = blob(layout, &json_of(&layout.join("index.json"))["manifests"][0]);
    json_of(&blob(layout, &json_of(&manifest)["config"]))
}

/// Writes the layout in an archive to a folder; returns its only tag.
fn layout(archive: &Path, folder: &Path) -> String {
    fs::create_dir_all(folder).unwrap();
    must("tar", &["-xf", &archive.display().to_string(), "-C", &folder.display().to_string()]);
    let index = json_of(&folder.join("index.json"));
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1, "{index}");
    manifests[0]["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn umoci(layout: &Path, tag: &str, bundle: &Path) -> Command {
    let mut command = Command::new("umoci");
    command.args(["unpack", "--image", &format!("{}:{tag}", layout.display())]).arg(bundle);
    command
}

pub fn twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let image = |name: &str, binary: &Path, epoch: Option<&str>| -> [Vec<u8>; 2] {
        let out = at(name).display().to_string();
        done(xtask_image(binary, &["--out", &out]).envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch))));
        archives(&at(name)).map(|path| fs::read(path).unwrap())
    };
    println!("two runs, of files with different times, give the same bytes");
    let one = image("one", Path::new(SMALL), None);
    fs::copy(SMALL, at("env")).unwrap();
    let two = image("two", &at("env"), None);
    assert!(one == two, "the archives differ");

    println!("SOURCE_DATE_EPOCH is the time of everything");
    let later = image("later", &at("env"), Some("1700000000"));
    assert!(one != later);
    let tag = layout(&archives(&at("later"))[0], &at("layout"));
    let made = configuration(&at("layout"));
    assert_eq!((&made["created"], &made["os"]), (&json!("2023-11-14T22:13:20Z"), &json!("linux")));

    println!("umoci takes the archive, and refuses it with one byte changed");
    done(&mut umoci(&at("layout"), &tag, &at("whole")));
    let manifest = blob(&at("layout"), &json_of(&at("layout").join("index.json"))["manifests"][0]);
    let layer = blob(&at("layout"), &json_of(&manifest)["layers"][0]);
    let mut bytes = fs::read(&layer).unwrap();
    // The time in the head of gzip, which changes nothing but the digest.
    bytes[4] ^= 1;
    fs::write(&layer, bytes).unwrap();
    let output = umoci(&at("layout"), &tag, &at("changed")).output().unwrap();
    assert!(!output.status.success(), "umoci does not look at digests");
    another_architecture(folder.path());
}

/// A static binary for another machine: its image says so, and has no shell of this one.
fn another_architecture(folder: &Path) {
    println!("a static binary for another machine");
    let mut bytes = fs::read(BUSYBOX).unwrap();
    // The field `e_machine` of ELF: 183 is AArch64, 62 is x86-64.
    let (other, name) = if bytes[18] == 183 { (62, "amd64") } else { (183, "arm64") };
    bytes[18] = other;
    let (binary, out) = (folder.join("other"), folder.join("others"));
    fs::write(&binary, bytes).unwrap();
    done(&mut xtask_image(&binary, &["--out", &out.display().to_string()]));
    assert_eq!(names(&out), [format!("weft-{}-{name}.tar", env!("CARGO_PKG_VERSION"))]);
    let layout_folder = folder.join("layout-of-other");
    layout(&out.join(&names(&out)[0]), &layout_folder);
    assert_eq!(configuration(&layout_folder)["architecture"], name);
}

/// The file of what a descriptor names.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

pub fn runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    // Without what is for debuggers, as a release binary has it: compressing that would take most of the time.
    let binary = folder.path().join("weft");
    done(Command::new("strip").arg("--strip-debug").arg("-o").arg(&binary).arg(Weft::binary()));
    print!("{}", done(&mut xtask_image(&binary, &["--out", &out])));
    for archive in archives(Path::new(&out)) {
        let has_shell = archive.display().to_string().contains("-shell-");
        println!("{}", if has_shell { "the image with a shell" } else { "the minimal image" });
        let name = archive.file_stem().unwrap();
        let (layout_folder, bundle) = (folder.path().join("layouts").join(name), folder.path().join(name));
        let tag = layout(&archive, &layout_folder);
        done(&mut umoci(&layout_folder, &tag, &bundle));
        run(&bundle, has_shell);
    }
}

/// Runs what `umoci` unpacked, as the runtime configuration that it made says.
fn run(bundle: &Path, has_shell: bool) {
    let process = json_of(&bundle.join("config.json"))["process"].take();
    assert_eq!((&process["user"]["uid"], &process["user"]["gid"]), (&json!(65534), &json!(65534)));
    assert_eq!(process["cwd"], "/prometheus");
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let args = texts(&process["args"]);
    assert_eq!(
        args,
        ["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    );
    let environment = texts(&process["env"]);
    let environment = environment.iter().filter_map(|pair| pair.split_once('='));
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let root = bundle.join("rootfs");
    let modes = must("stat", &["-c", "%a %u", &below(&root, "tmp"), &below(&root, "prometheus")]);
    assert_eq!(modes, "1777 0\n775 65534\n");
    let certificates = fs::read_to_string(below(&root, "etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.matches("-----BEGIN CERTIFICATE-----").count() > 100, "{certificates}");
    let mut container = Container::new(&root, &[]);
    container.set(environment, process["cwd"].as_str().unwrap());

    let (status, told) = container.run(&["/bin/promtool", "--version"]);
    assert!(status == Some(0) && told.contains(env!("CARGO_PKG_VERSION")), "{status:?}: {told}");
    let mut server = Process::start(&mut container.command(&args), &bundle.join("log"));
    let http = Http::new("http://127.0.0.1:9090");
    eventually("the server is ready", || {
        assert!(server.ended().is_none(), "it ended:\n{}", server.output());
        match http.get("/-/ready") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    is_confined(&server);
    eventually("it watches itself", || {
        let result = http.query("up{job=\"prometheus\"}")?;
        if result[0]["value"][1] == "1" { Ok(()) } else { Err(format!("{result}\n{}", server.output())) }
    });
    shell(&container, has_shell);
    server.signal("TERM");
    let ended = server.wait();
    assert!(ended.success(), "{ended}:\n{}", server.output());
    assert!(!server.output().contains("level=error"), "{}", server.output());
}

fn below(root: &Path, name: &str) -> String {
    root.join(name).display().to_string()
}

/// The process is the image's user, has no capability and no root that it could write to.
fn is_confined(server: &Process) {
    let of_process = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", server.id())).unwrap();
    let status = of_process("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Name:"), ["prometheus"]);
    assert_eq!((field("Uid:"), field("Gid:")), (vec!["65534".to_owned(); 4], vec!["65534".to_owned(); 4]));
    assert_eq!(field("Groups:"), [""; 0]);
    assert_eq!((field("CapEff:"), field("CapPrm:")), (vec!["0".repeat(16)], vec!["0".repeat(16)]));
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    let mounts = of_process("mountinfo");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    let options = root.split(' ').nth(5).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "the root can be written to: {root}");
}

/// The variant with a shell can ask itself, as the probes of Prometheus-Operator with `listenLocal` do; the other has none.
fn shell(container: &Container, has_shell: bool) {
    let script = "exec \"$(command -v wget)\" -q -O - http://localhost:9090/-/ready";
    let (status, told) = container.run(&["/bin/sh", "-c", script]);
    assert_eq!(status == Some(0), has_shell, "{status:?}: {told}");
    if has_shell {
        let (status, told) = container.run(&["/bin/sh", "-c", "id -u; touch /prometheus/x && ! touch /etc/x"]);
        assert!(status == Some(0) && told.starts_with("65534\n"), "{status:?}: {told}");
    }
}
