//! A cluster without nodes that lets nothing into the namespace but what Pod Security calls restricted, and pods of it that the test
//! runs itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::{ControlPlane, Http, Process, Weft, add_addresses, cache, eventually};
use serde_json::{Value, json};

use crate::container::{Container, Volume, done, must, xtask_image};

/// Where the manifests put everything.
pub const NAMESPACE: &str = "monitoring";
const API_SERVER: &str = "10.244.0.2";
/// Where the kubelet mounts the account of a pod.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The container's port.
pub const PORT: u16 = 9090;

/// A running API server with the manifests of a folder applied.
pub struct Cluster {
    pub plane: ControlPlane,
    /// What was applied.
    pub objects: Vec<Value>,
    folder: tempfile::TempDir,
}

/// The kustomize of the tests: `$WEFT_KUSTOMIZE`, else what `cargo xtask test` built; or why there is none.
pub fn kustomize() -> Result<PathBuf, String> {
    let built = || {
        let folders = fs::read_dir(cache()?).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let name = |path: &Path| path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"kustomize-"));
        Some(folders.filter(|path| name(path)).max()?.join("kustomize"))
    };
    let path = std::env::var_os("WEFT_KUSTOMIZE").map(PathBuf::from).or_else(built).filter(|path| path.exists());
    path.ok_or_else(|| "no kustomize; `cargo xtask test` builds it, or set WEFT_KUSTOMIZE".to_owned())
}

/// The objects that kustomize makes of a folder of `deploy/kustomize`.
pub fn build(name: &str) -> Vec<Value> {
    build_at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize").join(name))
}

/// The objects that kustomize makes of a folder.
pub fn build_at(folder: &Path) -> Vec<Value> {
    let text = done(Command::new(kustomize().unwrap()).arg("build").arg(folder));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    objects.into_iter().filter(Value::is_object).collect()
}

impl Cluster {
    /// Starts one; an administrator defines the kinds and makes the namespace, and then the folder is applied.
    pub fn with(name: &str) -> Self {
        add_addresses(&[API_SERVER]);
        let plane = ControlPlane::start(&ControlPlane::programs().unwrap(), "0.0.0.0", API_SERVER);
        let cluster = Self { plane, objects: build(name), folder: tempfile::tempdir().unwrap() };
        cluster.apply(&build("crds"), "admin");
        cluster.apply(
            &[json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            })],
            "admin",
        );
        cluster.apply(&cluster.objects, "kubectl");
        cluster
    }

    /// Server-side apply of everything: first as a dry run, then for good. Fields that a kind does not have are errors, and so are
    /// those that belong to another manager.
    #[track_caller]
    fn apply(&self, objects: &[Value], manager: &str) {
        for rest in ["&dryRun=All", ""] {
            for object in objects {
                eventually("the API server takes an object", || {
                    let path = self.path(object)?;
                    let url = format!("{path}?fieldManager={manager}&fieldValidation=Strict{rest}");
                    let body = object.to_string();
                    match self.plane.admin.body("PATCH", &url, "application/apply-patch+yaml", &body)? {
                        (200 | 201, _) => Ok(()),
                        (status, body) => panic!("{path}: {status}: {body}\n{object}"),
                    }
                });
            }
        }
    }

    /// Where an object is, as the API server's discovery says: a kind whose definition is new comes a moment later.
    fn path(&self, object: &Value) -> Result<String, String> {
        let version = object["apiVersion"].as_str().unwrap();
        let api = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let resources = self.get(&api)?;
        let resources = resources["resources"].as_array().ok_or("no resources")?;
        let is_it = |one: &&Value| one["kind"] == object["kind"] && !one["name"].as_str().unwrap().contains('/');
        let one = resources.iter().find(is_it).ok_or_else(|| format!("no {} in {api}", object["kind"]))?;
        let (plural, name) = (one["name"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        Ok(match object["metadata"]["namespace"].as_str().filter(|_| one["namespaced"] == true) {
            Some(namespace) => format!("{api}/namespaces/{namespace}/{plural}/{name}"),
            None => format!("{api}/{plural}/{name}"),
        })
    }

    /// What the API server has at a path.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        match self.plane.admin.get(path)? {
            (200, body) => serde_json::from_str(&body).map_err(|error| error.to_string()),
            (status, body) => Err(format!("{path}: {status}: {body}")),
        }
    }

    /// The applied objects of a kind.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The pod that a StatefulSet's controller would make, with this number.
    pub fn pod(&self, number: usize) -> Value {
        let set = self.of_kind("StatefulSet").next().unwrap();
        let (name, template) = (format!("weft-{number}"), &set["spec"]["template"]);
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
        });
        pod["metadata"]["name"] = name.clone().into();
        pod["metadata"]["namespace"] = NAMESPACE.into();
        pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = number.to_string().into();
        for claim in set["spec"]["volumeClaimTemplates"].as_array().unwrap() {
            let volume = claim["metadata"]["name"].as_str().unwrap();
            let source = json!({"claimName": format!("{volume}-{name}")});
            let volume = json!({"name": volume, "persistentVolumeClaim": source});
            pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
        }
        pod
    }

    /// Creates a pod: the status and what the API server said.
    pub fn create(&self, pod: &Value) -> (u16, String) {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        self.plane.admin.json("POST", &path, "application/json", pod).unwrap()
    }

    /// May the account of the manifests do this? A namespace of `None` is the whole cluster.
    pub fn may(&self, verb: &str, (group, resource): (&str, &str), namespace: Option<&str>) -> bool {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{NAMESPACE}:weft"),
                "groups": ["system:authenticated", "system:serviceaccounts", format!("system:serviceaccounts:{NAMESPACE}")],
                "resourceAttributes": {
                    "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                    "namespace": namespace.unwrap_or_default(),
                },
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let (status, body) = self.plane.admin.json("POST", path, "application/json", &review).unwrap();
        assert_eq!(status, 201, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["status"]["allowed"] == true
    }

    /// Runs the container of a pod from the image's root file system, as the kubelet would. A second pod has another port.
    pub fn run(&self, pod: &Value, port: u16) -> Pod {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let container = &pod["spec"]["containers"][0];
        let token = self.plane.token(NAMESPACE, pod["spec"]["serviceAccountName"].as_str().unwrap());
        let mut environment = environment(pod, container);
        let mut args = vec!["/bin/prometheus".to_owned()];
        args.extend(container["args"].as_array().unwrap().iter().map(|arg| {
            let arg = arg.as_str().unwrap().to_owned();
            environment.iter().fold(arg, |arg, (name, value)| arg.replace(&format!("$({name})"), value))
        }));
        if port != PORT {
            args.push(format!("--web.listen-address=0.0.0.0:{port}"));
        }
        let of_api_server = self.plane.as_a_pod(NAMESPACE, Some(&token));
        environment.extend(of_api_server.map(|(name, value)| (name.to_owned(), value)));
        let mut volumes = self.volumes(pod, container);
        let account = [("token", token), ("ca.crt", self.plane.ca_pem.clone()), ("namespace", NAMESPACE.to_owned())];
        volumes.push((ACCOUNT.to_owned(), account.map(|(name, text)| (name.to_owned(), text)).to_vec()));
        let mut inside = Container::new(&self.root(name), &volumes);
        inside.set(environment, "/prometheus");
        let mut process = Process::start(&mut inside.command(&args), &self.folder.path().join(format!("{name}.log")));
        let http = Http::new(format!("http://127.0.0.1:{port}"));
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let (path, asked) =
                (container[probe]["httpGet"]["path"].as_str().unwrap(), &container[probe]["httpGet"]["port"]);
            let ports = container["ports"].as_array().unwrap();
            assert!(
                ports.iter().any(|port| port["name"] == *asked && port["containerPort"] == PORT),
                "{probe}: {ports:?}"
            );
            eventually(probe, || {
                assert!(process.ended().is_none(), "{name} ended:\n{}", process.output());
                match http.get(path) {
                    Ok((200, _)) => Ok(()),
                    other => Err(format!("{other:?}\n{}", process.output())),
                }
            });
        }
        Pod { process, http, args, inside }
    }

    /// The root file system of the image, one for each pod.
    fn root(&self, name: &str) -> PathBuf {
        let (layers, root) = (self.folder.path().join("layers"), self.folder.path().join(name));
        if !layers.exists() {
            done(&mut xtask_image(&Weft::binary(), &["--layers", &layers.display().to_string()]));
        }
        fs::create_dir(&root).unwrap();
        for layer in ["base", "weft"] {
            // Links, since nothing in it is written to.
            let from = layers.join(layer).join(".").display().to_string();
            must("cp", &["--archive", "--link", &from, &root.display().to_string()]);
        }
        root
    }

    /// The ConfigMaps that a container mounts.
    fn volumes(&self, pod: &Value, container: &Value) -> Vec<Volume> {
        let mut mounted = Vec::new();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let volumes = pod["spec"]["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let Some(name) = volume["configMap"]["name"].as_str() else { continue };
            let map = self.get(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}")).unwrap();
            let files = map["data"].as_object().unwrap().iter();
            let files = files.map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned()));
            mounted.push((mount["mountPath"].as_str().unwrap().to_owned(), files.collect()));
        }
        mounted
    }
}

/// The environment variables of a container, with what they take from its pod.
fn environment(pod: &Value, container: &Value) -> Vec<(String, String)> {
    let variables = container["env"].as_array().unwrap().iter();
    let value = |variable: &Value| {
        let path = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap();
        let metadata = &pod["metadata"];
        let field = match path.strip_prefix("metadata.labels['") {
            Some(label) => &metadata["labels"][label.trim_end_matches("']")],
            None => &metadata[path.strip_prefix("metadata.").unwrap()],
        };
        field.as_str().unwrap_or_else(|| panic!("{path} is not in {metadata}")).to_owned()
    };
    variables.map(|variable| (variable["name"].as_str().unwrap().to_owned(), value(variable))).collect()
}

/// A running container.
pub struct Pod {
    pub process: Process,
    pub http: Http,
    args: Vec<String>,
    inside: Container,
}

impl Pod {
    /// `promtool rbac check` with the flags of the server: its status, and what is missing.
    pub fn missing_rights(&self) -> (Option<i32>, Vec<String>) {
        let known = ["--operator.namespaces=", "--operator.prometheus="];
        let flags = self.args.iter().filter(|arg| known.iter().any(|flag| arg.starts_with(flag)));
        let args: Vec<&str> = ["/bin/promtool", "rbac", "check"].into_iter().chain(flags.map(String::as_str)).collect();
        let (status, told) = self.inside.run(&args);
        let missing = told.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect();
        assert!(status == Some(1) || told == "nothing is missing\n", "{status:?}: {told}");
        (status, missing)
    }

    /// `promtool check config` of the mounted file.
    pub fn check_config(&self) {
        let (status, told) = self.inside.run(&["/bin/promtool", "check", "config", "/etc/prometheus/prometheus.yml"]);
        assert_eq!(status, Some(0), "{told}");
    }

    /// Pool, URL and health of each target.
    pub fn targets(&self) -> Result<Vec<[String; 3]>, String> {
        let data = self.http.api("targets?state=active")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let targets = data["activeTargets"].as_array().ok_or("no targets")?.iter();
        let mut targets: Vec<[String; 3]> = targets
            .map(|target| [text(&target["scrapePool"]), text(&target["scrapeUrl"]), text(&target["health"])])
            .collect();
        targets.sort();
        Ok(targets)
    }

    /// Waits until the targets are these, each of a pool, a URL and a health.
    #[track_caller]
    pub fn wait_for(&self, expected: &[[&str; 3]]) {
        eventually("targets", || {
            let targets = self.targets()?;
            if targets == expected { Ok(()) } else { Err(format!("{targets:#?}\n{}", self.process.output())) }
        });
    }
}
