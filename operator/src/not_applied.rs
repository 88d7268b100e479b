//! Fields of a Prometheus object that have no effect here.

use std::collections::BTreeSet;

/// Fields of a Prometheus object that shape pods.
const OF_PODS: &[&str] = &[
    "affinity",
    "automountServiceAccountToken",
    "baseImage",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostNetwork",
    "hostUsers",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "initContainers",
    "maximumStartupDurationSeconds",
    "minReadySeconds",
    "nodeSelector",
    "persistentVolumeClaimRetentionPolicy",
    "podManagementPolicy",
    "podMetadata",
    "priorityClassName",
    "replicas",
    "resources",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "serviceName",
    "sha",
    "shardRetentionPolicy",
    "storage",
    "tag",
    "terminationGracePeriodSeconds",
    "thanos",
    "tolerations",
    "topologySpreadConstraints",
    "updateStrategy",
    "version",
    "volumeMounts",
    "volumes",
];

/// Fields that upstream makes into flags of the process.
const OF_FLAGS: &[&str] = &[
    "additionalArgs",
    "allowOverlappingBlocks",
    "disableCompaction",
    "enableAdminAPI",
    "enableFeatures",
    "enableOTLPReceiver",
    "enableRemoteWriteReceiver",
    "externalUrl",
    "listenLocal",
    "logFormat",
    "logLevel",
    "portName",
    "query",
    "reloadStrategy",
    "remoteWriteReceiverMessageVersions",
    "routePrefix",
    "walCompression",
    "web",
];

/// What has no effect here, and why.
pub(crate) fn not_applied(fields: &BTreeSet<String>) -> Vec<String> {
    let named =
        |table: &[&str]| fields.iter().filter(|field| table.contains(&field.as_str())).cloned().collect::<Vec<_>>();
    let mut out = Vec::new();
    for (table, why) in [
        (OF_PODS, "they shape pods, which the Deployment of Weft does"),
        (OF_FLAGS, "they are flags of the process; set them in the Deployment of Weft"),
    ] {
        let fields = named(table);
        // One sentence for each reason and not for each field: an object of a chart has dozens of them.
        if !fields.is_empty() {
            out.push(format!("{}: {why}", fields.join(", ")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::PrometheusSpec;

    #[test]
    fn fields_are_named_with_the_reason() {
        let of = |fields: &[&str]| not_applied(&fields.iter().map(|field| (*field).to_owned()).collect());
        assert_eq!(of(&["scrapeInterval", "externalLabels"]), [""; 0]);
        assert_eq!(
            of(&["web", "replicas", "query", "image", "secrets"]),
            [
                "image, replicas: they shape pods, which the Deployment of Weft does",
                "query, web: they are flags of the process; set them in the Deployment of Weft",
            ]
        );
    }

    /// The defaults of the definition that are of fields without effect are known as such.
    #[test]
    fn no_default_is_called_not_applied() {
        let Some(text) = kit::conformance_text("operator/crds/monitoring.coreos.com_prometheuses.yaml") else { return };
        let definition: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let version = &definition["spec"]["versions"][0];
        let fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].as_object().unwrap();
        let spec: serde_json::Value =
            fields.iter().filter_map(|(name, field)| Some((name.clone(), field.get("default")?.clone()))).collect();
        assert!(spec.get("portName").is_some(), "{spec}");
        let object = serde_json::json!({"metadata": {"namespace": "a", "name": "p"}, "spec": spec});
        let watched: crate::watched::Watched<PrometheusSpec> = serde_json::from_value(object).unwrap();
        assert_eq!(not_applied(&watched.fields), [""; 0]);
    }

    /// Every field of the kind has an effect or is named.
    #[test]
    fn no_field_is_forgotten() {
        let Some(text) = kit::conformance_text("operator/crds/monitoring.coreos.com_prometheuses.yaml") else { return };
        let definition: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let version = &definition["spec"]["versions"][0];
        let fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].as_object().unwrap();
        let is_read = |field: &str| {
            // serde reads lists into structs as well, but no field is so many lists in one another: one that is read refuses
            // it.
            let spec = serde_json::json!({ (field): [[[[[]]]]] });
            serde_json::from_value::<PrometheusSpec>(spec).is_err()
        };
        let is_named = |field: &str| [OF_PODS, OF_FLAGS].iter().any(|table| table.contains(&field));
        let forgotten: Vec<&String> = fields.keys().filter(|field| !is_read(field) && !is_named(field)).collect();
        assert_eq!(forgotten, [""; 0]);
        let both: Vec<&String> = fields.keys().filter(|field| is_read(field) && is_named(field)).collect();
        // What is generated depends on these too.
        assert_eq!(both, ["enableFeatures", "version"]);
    }
}
