//! The discoveries of a job: read and shown.

use std::str::FromStr as _;

use model::Labels;

use crate::decode::Fields;
use crate::http_read;
use crate::selector::{check_field_selector, check_label_selector};
use crate::unserved;
use crate::yaml::Yaml;
use crate::{
    AttachMetadata, Error, FileSdConfig, HttpClientConfig, KubernetesRole, KubernetesSdConfig, KubernetesSelector,
    SdConfig, StaticConfig, UnservedSd,
};

const FILE_REFRESH_MS: i64 = 300_000;

/// Every `*_sd_configs` of a block, by their names, and `static_configs` last: upstream's order.
pub(crate) fn all(fields: &mut Fields<'_>) -> Result<Vec<SdConfig>, Error> {
    let mut sd = Vec::new();
    let mut names: Vec<&'static str> = unserved::SD_KINDS.iter().map(|(name, _)| *name).collect();
    names.extend(["file_sd_configs", "kubernetes_sd_configs"]);
    names.sort_unstable();
    names.push("static_configs");
    for name in names {
        let source = fields.source;
        for (i, (item, path)) in fields.items(name)?.into_iter().enumerate() {
            if item.is_null() {
                return Err(source.error(item.pos, path, format!("empty or null section in {name}")));
            }
            let mut inner = Fields::new(source, Some(item), path)?;
            let one = match name {
                "static_configs" => SdConfig::Static(static_group(&mut inner, i)?),
                "file_sd_configs" => SdConfig::File(file(&mut inner)?),
                "kubernetes_sd_configs" => SdConfig::Kubernetes(Box::new(kubernetes(&mut inner)?)),
                other => {
                    let shown = unserved::sd(other, &mut inner)?;
                    SdConfig::Unserved(UnservedSd { kind: other.to_owned(), shown })
                }
            };
            inner.finish()?;
            sd.push(one);
        }
    }
    Ok(sd)
}

fn static_group(fields: &mut Fields<'_>, i: usize) -> Result<StaticConfig, Error> {
    let targets = fields.texts("targets")?;
    let labels = fields.text_map("labels")?;
    if labels.contains_key("") {
        return Err(fields.refuse("labels", "\"\" is not a valid label name"));
    }
    Ok(StaticConfig { source: i.to_string(), targets, labels: Labels::from_pairs(labels) })
}

fn file(fields: &mut Fields<'_>) -> Result<FileSdConfig, Error> {
    let files = fields.texts("files")?;
    if files.is_empty() {
        return Err(fields.refuse("files", "file service discovery config must contain at least one path name"));
    }
    for name in &files {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_owned()).unwrap_or_default();
        let known = ["json", "yml", "yaml", "JSON", "YML", "YAML"].contains(&extension.as_str());
        if !known || !one_star_in_last_part(name) {
            let message = format!(
                "path name {name:?} is not valid for file discovery; it ends in .json, .yml or .yaml and has at most one *, in its last part"
            );
            return Err(fields.refuse("files", message));
        }
    }
    Ok(FileSdConfig {
        files: files.iter().map(|name| fields.source.resolve(name)).collect(),
        refresh_interval_ms: fields.duration_ms("refresh_interval")?.unwrap_or(FILE_REFRESH_MS),
    })
}

/// At most one `*`, with no slash after it.
pub(crate) fn one_star_in_last_part(name: &str) -> bool {
    name.split_once('*').is_none_or(|(_, rest)| !rest.contains(['*', '/']))
}

fn kubernetes(fields: &mut Fields<'_>) -> Result<KubernetesSdConfig, Error> {
    let named = if fields.is_null("role") { None } else { fields.text("role")? };
    let role = match named {
        None => return Err(fields.refuse("role", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)")),
        Some(text) => role(&text).ok_or_else(|| {
            let message = format!(
                "unknown Kubernetes SD role {text:?}; it is one of pod, service, endpoints, endpointslice, node, ingress"
            );
            fields.refuse("role", message)
        })?,
    };
    let namespaces = fields.fields("namespaces")?;
    let (own_namespace, namespaces) = match namespaces {
        None => (false, Vec::new()),
        Some(mut inner) => {
            let both = (inner.bool("own_namespace")?.unwrap_or(false), inner.texts("names")?);
            inner.finish()?;
            both
        }
    };
    let config = KubernetesSdConfig {
        role,
        api_server: fields.text("api_server")?.filter(|url| !url.is_empty()),
        kubeconfig_file: fields.path("kubeconfig_file")?,
        http: http_read::http(fields, true)?,
        namespaces,
        own_namespace,
        selectors: selectors(fields, role)?,
        attach_metadata: attach_metadata(fields)?,
    };
    check_kubernetes(fields, &config)?;
    Ok(config)
}

fn role(text: &str) -> Option<KubernetesRole> {
    KubernetesRole::ALL.into_iter().find(|role| role.as_str() == text)
}

fn check_kubernetes(fields: &Fields<'_>, config: &KubernetesSdConfig) -> Result<(), Error> {
    let custom_http = config.http != HttpClientConfig::default();
    let refuse = |name, message: &str| Err(fields.refuse(name, message));
    if let Some(url) = &config.api_server {
        if let Err(error) = url::Url::from_str(url) {
            return Err(fields.refuse("api_server", format!("not a URL: {error}")));
        }
        if config.kubeconfig_file.is_some() {
            return refuse("kubeconfig_file", "cannot use 'kubeconfig_file' and 'api_server' simultaneously");
        }
        if config.own_namespace {
            return refuse("namespaces", "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously");
        }
    } else if config.kubeconfig_file.is_some() {
        if custom_http {
            let message = "cannot use a custom HTTP client configuration together with 'kubeconfig_file'";
            return refuse("kubeconfig_file", message);
        }
        if config.own_namespace {
            let message = "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously";
            return refuse("namespaces", message);
        }
    } else if custom_http {
        let message = "to use custom HTTP client configuration please provide the 'api_server' URL explicitly";
        return refuse("role", message);
    }
    Ok(())
}

fn selectors(fields: &mut Fields<'_>, role_of_job: KubernetesRole) -> Result<Vec<KubernetesSelector>, Error> {
    use KubernetesRole::{EndpointSlice, Endpoints, Ingress, Node, Pod, Service};
    let allowed: &[KubernetesRole] = match role_of_job {
        Pod => &[Pod, Node],
        Service => &[Service],
        Endpoints => &[Pod, Service, Endpoints],
        EndpointSlice => &[Pod, Service, EndpointSlice],
        Node => &[Node],
        Ingress => &[Ingress],
    };
    let mut selectors: Vec<KubernetesSelector> = Vec::new();
    let source = fields.source;
    for (item, path) in fields.items("selectors")? {
        let mut inner = Fields::new(source, Some(item), path)?;
        let text = inner.text("role")?.unwrap_or_default();
        let found = role(&text).filter(|role| allowed.contains(role)).ok_or_else(|| {
            let names: Vec<&str> = allowed.iter().map(|role| role.as_str()).collect();
            inner.refuse("role", format!("{} role supports only {} selectors", role_of_job.as_str(), names.join(", ")))
        })?;
        if selectors.iter().any(|known| known.role == found) {
            return Err(inner.refuse("role", format!("duplicated selector role: {text}")));
        }
        let (label, field) = (inner.text("label")?.unwrap_or_default(), inner.text("field")?.unwrap_or_default());
        check_label_selector(&label).map_err(|error| inner.refuse("label", error))?;
        check_field_selector(&field).map_err(|error| inner.refuse("field", error))?;
        inner.finish()?;
        selectors.push(KubernetesSelector { role: found, label, field });
    }
    Ok(selectors)
}

fn attach_metadata(fields: &mut Fields<'_>) -> Result<AttachMetadata, Error> {
    let Some(mut inner) = fields.fields("attach_metadata")? else { return Ok(AttachMetadata::default()) };
    let attach = AttachMetadata {
        node: inner.bool("node")?.unwrap_or(false),
        namespace: inner.bool("namespace")?.unwrap_or(false),
        deployment: inner.bool("deployment")?.unwrap_or(false),
        job: inner.bool("job")?.unwrap_or(false),
        cronjob: inner.bool("cronjob")?.unwrap_or(false),
    };
    inner.finish()?;
    Ok(attach)
}

/// Adds the discoveries as they are printed.
pub(crate) fn show(sd: &[SdConfig], out: &mut Vec<(String, Yaml)>) {
    for one in sd {
        let shown = match one {
            SdConfig::Static(config) => show_static(config),
            SdConfig::File(config) => Yaml::Map(vec![
                ("files".to_owned(), Yaml::texts(config.files.iter().map(|file| file.display().to_string()))),
                ("refresh_interval".to_owned(), duration(config.refresh_interval_ms)),
            ]),
            SdConfig::Kubernetes(config) => show_kubernetes(config),
            SdConfig::Unserved(config) => config.shown.clone(),
        };
        match out.last_mut() {
            Some((name, Yaml::List(list))) if name == one.field() => list.push(shown),
            _ => out.push((one.field().to_owned(), Yaml::List(vec![shown]))),
        }
    }
}

fn duration(ms: i64) -> Yaml {
    Yaml::text(model::duration::format_duration_ms(ms))
}

fn show_static(config: &StaticConfig) -> Yaml {
    let mut map = vec![("targets".to_owned(), Yaml::texts(&config.targets))];
    if !config.labels.is_empty() {
        let labels = config.labels.iter().map(|(name, value)| (name.to_owned(), Yaml::text(value))).collect();
        map.push(("labels".to_owned(), Yaml::Map(labels)));
    }
    Yaml::Map(map)
}

fn show_kubernetes(config: &KubernetesSdConfig) -> Yaml {
    let mut map = Vec::new();
    http_read::put_text(&mut map, "api_server", config.api_server.as_ref());
    map.push(("role".to_owned(), Yaml::text(config.role.as_str())));
    let kubeconfig = config.kubeconfig_file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    map.push(("kubeconfig_file".to_owned(), Yaml::text(kubeconfig)));
    http_read::show(&config.http, &mut map);
    if config.own_namespace || !config.namespaces.is_empty() {
        let mut inner = vec![("own_namespace".to_owned(), Yaml::raw(config.own_namespace))];
        inner.push(("names".to_owned(), Yaml::texts(&config.namespaces)));
        map.push(("namespaces".to_owned(), Yaml::Map(inner)));
    }
    if !config.selectors.is_empty() {
        let one = |selector: &KubernetesSelector| {
            let mut inner = vec![("role".to_owned(), Yaml::text(selector.role.as_str()))];
            http_read::put_text(&mut inner, "label", Some(&selector.label));
            http_read::put_text(&mut inner, "field", Some(&selector.field));
            Yaml::Map(inner)
        };
        map.push(("selectors".to_owned(), Yaml::List(config.selectors.iter().map(one).collect())));
    }
    let attach = &config.attach_metadata;
    if *attach != AttachMetadata::default() {
        let mut inner =
            vec![("node".to_owned(), Yaml::raw(attach.node)), ("namespace".to_owned(), Yaml::raw(attach.namespace))];
        for (name, on) in [("deployment", attach.deployment), ("job", attach.job), ("cronjob", attach.cronjob)] {
            inner.push((name.to_owned(), Yaml::raw(on)));
        }
        map.push(("attach_metadata".to_owned(), Yaml::Map(inner)));
    }
    Yaml::Map(map)
}
