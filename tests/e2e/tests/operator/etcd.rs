//! A real etcd whose metrics want client certificates, as in the article about etcd outside of the cluster.

use std::fs;
use std::path::Path;
use std::process::Command;

use kit::{ControlPlane, Pki, Process, eventually};
use tempfile::TempDir;

/// A member that runs.
pub struct Etcd {
    pki: Pki,
    address: String,
    process: Option<Process>,
    folder: TempDir,
}

impl Etcd {
    /// Starts one whose metrics are on the loopback address only, as kubeadm sets it up.
    pub fn start(address: &str) -> Self {
        let pki = Pki::new();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = pki.server(&[address, "127.0.0.1", "localhost"]);
        for (name, text) in [("ca.crt", pki.ca()), ("server.crt", certificate), ("server.key", key)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut etcd = Self { pki, address: address.to_owned(), process: None, folder };
        etcd.run("http://127.0.0.1:2381");
        etcd
    }

    /// The authority that its clients must be of.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Starts it again with its metrics on its own address, too, as the article comes to do.
    pub fn listen_outside(&mut self) {
        self.process = None;
        self.run(&format!("http://127.0.0.1:2381,https://{}:2381", self.address));
    }

    fn run(&mut self, metrics: &str) {
        let (folder, address) = (self.folder.path(), &self.address);
        let file = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new(ControlPlane::programs().unwrap().join("etcd"));
        command.args(["--name", "outside", "--log-level", "warn", "--unsafe-no-fsync", "--client-cert-auth"]);
        command.args(["--data-dir", &file("data"), "--listen-metrics-urls", metrics]);
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.args([flag, &format!("https://{address}:2379")]);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.args([flag, &format!("http://{address}:2380")]);
        }
        command.args(["--initial-cluster", &format!("outside=http://{address}:2380")]);
        command.args(["--trusted-ca-file", &file("ca.crt")]);
        command.args(["--cert-file", &file("server.crt"), "--key-file", &file("server.key")]);
        let mut process = Process::start(&mut command, Path::new(&file("etcd.log")));
        let http = kit::Http::new("http://127.0.0.1:2381");
        eventually("etcd has metrics", || {
            assert!(process.ended().is_none(), "etcd ended:\n{}", process.output());
            match http.get("/metrics") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        self.process = Some(process);
    }
}
