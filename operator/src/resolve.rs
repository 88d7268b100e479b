//! What a sidecar and mounted volumes do elsewhere: replaces `$(…)` by what this server is, and files that stand for values
//! of Secrets and ConfigMaps by these values.
//!
//! Upstream's config reloader replaces `$(NAME)` by the environment variable of that name, in the whole file; the kubelet
//! mounts what `secrets` and `configMaps` of the Prometheus object name. Files of other places stay files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use config::Yaml;

use crate::assets::{AssetError, AssetKind, Assets};
use crate::generate::TLS_ASSETS;
use crate::objects::{KeySelector, Prometheus};

/// Where upstream mounts the Secrets and ConfigMaps that a Prometheus object names.
const MOUNTS: [(&str, AssetKind); 2] =
    [("/etc/prometheus/secrets/", AssetKind::Secret), ("/etc/prometheus/configmaps/", AssetKind::ConfigMap)];

/// The values of placeholders `$(NAME)`, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    /// Those of a server: its pod, its shard, and what follows from them.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// With what follows from the shard where each zone has shards of its own, unless it is known: they take turns.
    fn in_zones(&self, zones: Option<&[String]>) -> Cow<'_, Self> {
        let shard = self.0.get("SHARD").and_then(|shard| shard.parse::<usize>().ok());
        let (Some(zones), Some(shard)) = (zones, shard) else { return Cow::Borrowed(self) };
        let mut all = self.clone();
        all.0.entry("INZONE_SHARD".to_owned()).or_insert_with(|| (shard / zones.len()).to_string());
        all.0.entry("TOPOLOGY_ZONE".to_owned()).or_insert_with(|| zones[shard % zones.len()].clone());
        Cow::Owned(all)
    }

    /// Replaces every `$(NAME)` that is known; others stay.
    fn expand<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // Nearly all texts, without a copy.
        if !text.contains("$(") {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            out.push_str(before);
            let known = after.split_once(')').and_then(|(name, tail)| Some((self.0.get(name)?, tail)));
            match known {
                // Values are not expanded again: one that contains its own placeholder would never end.
                Some((value, tail)) => {
                    out.push_str(value);
                    rest = tail;
                }
                None => {
                    out.push_str("$(");
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }
}

/// Why a file could not be replaced.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field} names {path}: {why}")]
pub struct ResolveError {
    /// The field of the configuration.
    pub field: String,
    /// The file.
    pub path: String,
    /// Why its content is not known.
    pub why: AssetError,
}

/// Replaces placeholders and files.
#[derive(Clone, Debug)]
pub struct Resolver<'a> {
    prometheus: &'a Prometheus,
    assets: &'a Assets,
    placeholders: Cow<'a, Placeholders>,
}

impl<'a> Resolver<'a> {
    /// For what this Prometheus object asks for.
    #[must_use]
    pub fn new(prometheus: &'a Prometheus, assets: &'a Assets, placeholders: &'a Placeholders) -> Self {
        let placeholders = placeholders.in_zones(prometheus.spec.zones());
        Self { prometheus, assets, placeholders }
    }

    /// A part of a configuration without placeholders, and without files that stand for values.
    ///
    /// # Errors
    /// When a file stands for a value that there is not.
    pub fn resolve(&self, yaml: &Yaml) -> Result<Yaml, ResolveError> {
        Ok(match yaml {
            Yaml::Text(text) => Yaml::Text(self.placeholders.expand(text).into_owned()),
            // Numbers and booleans hold none.
            Yaml::Raw(text) => Yaml::Raw(text.clone()),
            Yaml::List(items) => Yaml::List(items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>()?),
            Yaml::Flow(items) => {
                Yaml::Flow(items.iter().map(|one| self.placeholders.expand(one).into_owned()).collect())
            }
            Yaml::Map(pairs) => Yaml::Map(pairs.iter().map(|pair| self.field(pair)).collect::<Result<_, _>>()?),
        })
    }

    /// `ca_file` and the like become `ca`.
    fn field(&self, (key, value): &(Cow<'static, str>, Yaml)) -> Result<(Cow<'static, str>, Yaml), ResolveError> {
        if let (Some(name), Yaml::Text(path)) = (key.strip_suffix("_file"), value)
            && let Some((kind, namespace, selector)) = self.asset_of(path)
        {
            let content = self.assets.get(kind, &namespace, &selector);
            let content = content.map_err(|why| ResolveError { field: key.to_string(), path: path.clone(), why })?;
            // Its placeholders stay: upstream looks for them in the configuration, and not in files that are mounted.
            return Ok((name.to_owned().into(), Yaml::text(content)));
        }
        Ok((key.clone(), self.resolve(value)?))
    }

    /// The value that a file stands for.
    fn asset_of(&self, path: &str) -> Option<(AssetKind, String, KeySelector)> {
        let selector =
            |name: &str, key: &str| KeySelector { name: name.to_owned(), key: key.to_owned(), optional: None };
        if let Some(file) = path.strip_prefix(TLS_ASSETS).and_then(|rest| rest.strip_prefix('/')) {
            // Names of objects and namespaces have no underscore; keys may.
            let mut parts = file.splitn(4, '_');
            let kind = if parts.next()? == "0" { AssetKind::Secret } else { AssetKind::ConfigMap };
            let (namespace, name, key) = (parts.next()?, parts.next()?, parts.next()?);
            return Some((kind, namespace.to_owned(), selector(name, key)));
        }
        let spec = &self.prometheus.spec;
        let mounted =
            MOUNTS.iter().find_map(|(folder, kind)| Some((*kind, path.strip_prefix(folder)?.split_once('/')?)));
        let (kind, (name, key)) = mounted?;
        let named = if kind == AssetKind::Secret { &spec.secrets } else { &spec.config_maps };
        // What the object does not name is a file of the deployment, if it is there at all.
        named
            .iter()
            .any(|one| one == name)
            .then(|| (kind, self.prometheus.metadata.namespace.clone(), selector(name, key)))
    }
}

#[cfg(test)]
mod tests {
    /// What `$(TOPOLOGY_ZONE)` and `$(INZONE_SHARD)` are for a shard.
    #[track_caller]
    fn check_zone(mode: &str, known: &[(&'static str, &str)], expected: &str) {
        let strategy = serde_json::json!({"mode": mode, "topology": {"values": ["a", "b", "c"]}});
        let spec = serde_json::from_value(serde_json::json!({"shardingStrategy": strategy})).unwrap();
        let prometheus = Prometheus { spec, ..Prometheus::default() };
        let placeholders = Placeholders::new(known.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let assets = Assets::default();
        let resolver = Resolver::new(&prometheus, &assets, &placeholders);
        let resolved = resolver.resolve(&Yaml::text("$(TOPOLOGY_ZONE) $(INZONE_SHARD)")).unwrap();
        assert_eq!(resolved, Yaml::text(expected), "{known:?}");
    }

    #[test]
    fn zones_take_turns_with_shards() {
        check_zone("Topology", &[("SHARD", "0")], "a 0");
        check_zone("Topology", &[("SHARD", "5")], "c 1");
        check_zone("Topology", &[("SHARD", "5"), ("TOPOLOGY_ZONE", "b"), ("INZONE_SHARD", "0")], "b 0");
        check_zone("Classic", &[("SHARD", "5")], "$(TOPOLOGY_ZONE) $(INZONE_SHARD)");
        check_zone("Topology", &[("SHARD", "x")], "$(TOPOLOGY_ZONE) $(INZONE_SHARD)");
    }

    use super::*;

    #[test]
    fn placeholders_are_replaced_where_they_are_known() {
        let known = Placeholders::new([("SHARD", "2".to_owned()), ("POD_NAME", "a$(SHARD)".to_owned())]);
        for (text, expanded) in [
            ("plain", "plain"),
            ("$(SHARD);|.+;.+", "2;|.+;.+"),
            ("$(SHARD)$(SHARD)", "22"),
            ("$(POD_NAME)", "a$(SHARD)"),
            ("$(OTHER) $(SHARD)", "$(OTHER) 2"),
            ("$(SHARD", "$(SHARD"),
            ("$1 ${1} $$(SHARD)", "$1 ${1} $2"),
        ] {
            assert_eq!(known.expand(text), expanded, "{text}");
        }
    }

    #[test]
    fn files_that_stand_for_values_become_these() {
        let spec = serde_json::json!({
            "metadata": {"namespace": "monitoring", "name": "main"},
            "spec": {"secrets": ["etcd"], "configMaps": ["ca"]},
        });
        let prometheus = Prometheus::from_json(spec).unwrap();
        let mut assets = Assets::default();
        let values = |key: &str| [(key.to_owned(), format!("<{key}>").into_bytes())].into();
        assets.insert(AssetKind::Secret, "monitoring", "etcd", values("client.key"));
        assets.insert(AssetKind::ConfigMap, "monitoring", "ca", values("bundle"));
        assets.insert(AssetKind::Secret, "team-a", "web", values("tls_key"));
        let placeholders = Placeholders::default();
        let resolver = Resolver::new(&prometheus, &assets, &placeholders);
        let resolve = |text: &str| resolver.resolve(&Yaml::parse(text, "test").unwrap()).map(|yaml| yaml.print());
        for (file, resolved) in [
            ("key_file: '/etc/prometheus/certs/0_team-a_web_tls_key'", "key: <tls_key>\n"),
            ("key_file: '/etc/prometheus/secrets/etcd/client.key'", "key: <client.key>\n"),
            ("ca_file: '/etc/prometheus/configmaps/ca/bundle'", "ca: <bundle>\n"),
            // Neither named by the object nor below the folders of mounts.
            ("ca_file: '/etc/prometheus/secrets/other/ca'", "ca_file: /etc/prometheus/secrets/other/ca\n"),
            ("credentials_file: '/var/run/token'", "credentials_file: /var/run/token\n"),
            (
                "list:\n- {password_file: '/etc/prometheus/secrets/etcd/client.key'}",
                "list:\n- password: <client.key>\n",
            ),
        ] {
            assert_eq!(resolve(file).unwrap(), resolved);
        }
        let error = resolve("key_file: '/etc/prometheus/secrets/etcd/none'").unwrap_err();
        assert_eq!(
            error.to_string(),
            "key_file names /etc/prometheus/secrets/etcd/none: key \"none\" in secret \"etcd\" not found"
        );
    }
}
