//! Random monitors, from every field of the four kinds.

use kit::Random;
use serde_json::{Map, Value, json};

use crate::population::{LABELS, NAMESPACES, PORTS, VALUES};

/// Labels that relabelling reads.
const SOURCES: [&str; 9] = [
    "__address__",
    "__meta_kubernetes_namespace",
    "__meta_kubernetes_pod_name",
    "__meta_kubernetes_service_label_tier",
    "__meta_kubernetes_pod_label_app",
    "__metrics_path__",
    "__param_module",
    "job",
    "namespace",
];
const PROTOCOLS: [&str; 4] = ["PrometheusProto", "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText0.0.4"];

/// Where targets are asked for.
pub struct Servers {
    /// A server for `http_sd_configs`, `host:port`.
    pub discovery: String,
    /// The API server's URL.
    pub api: String,
}

/// Some dozens.
pub fn monitors(random: &mut Random, servers: &Servers) -> Vec<Value> {
    let mut made = Vec::new();
    let mut add = |kind: &str, i: usize, spec: Value, random: &mut Random| {
        let version = if kind == "ScrapeConfig" { "v1alpha1" } else { "v1" };
        let (namespace, _) = NAMESPACES[random.below(NAMESPACES.len())];
        let labels = random.labels(&["team", "tier", "release"], &["a", "b"]);
        made.push(json!({
            "apiVersion": format!("monitoring.coreos.com/{version}"), "kind": kind,
            "metadata": {"name": format!("random-{i}"), "namespace": namespace, "labels": labels}, "spec": spec,
        }));
    };
    for i in 0..18 {
        let spec = service_monitor(random);
        add("ServiceMonitor", i, spec, random);
    }
    for i in 0..14 {
        let spec = pod_monitor(random);
        add("PodMonitor", i, spec, random);
    }
    for i in 0..12 {
        let spec = probe(random);
        add("Probe", i, spec, random);
    }
    for i in 0..14 {
        let spec = scrape_config(random, servers);
        add("ScrapeConfig", i, spec, random);
    }
    made
}

/// A selector of labels with all operators.
fn selector(random: &mut Random) -> Value {
    let mut selector = json!({});
    random.set(3, &mut selector, "matchLabels", |random| {
        let names = random.some(&LABELS);
        let labels = names.into_iter().map(|name| (name.to_owned(), json!(random.pick(&VALUES))));
        json!(labels.take(1).collect::<Map<_, _>>())
    });
    random.set(2, &mut selector, "matchExpressions", |random| {
        let expression = |random: &mut Random| {
            let operator = random.pick(&["In", "NotIn", "Exists", "DoesNotExist"]);
            let mut expression = json!({"key": random.pick(&LABELS), "operator": operator});
            if operator.ends_with("In") {
                expression["values"] = json!([random.pick(&VALUES), random.pick(&["web", "x"])]);
            }
            expression
        };
        json!((0..=random.below(2)).map(|_| expression(random)).collect::<Vec<_>>())
    });
    selector
}

fn namespace_selector(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({"any": true}),
        1 => json!({"matchNames": random.some(&["gen-a", "gen-b", "gen-c", "nowhere"])}),
        _ => json!({}),
    }
}

fn relabelings(random: &mut Random) -> Value {
    let rule = |random: &mut Random| {
        let source = json!([random.pick(&SOURCES)]);
        match random.below(12) {
            0 => json!({"sourceLabels": source, "targetLabel": "copied"}),
            1 => {
                let sources = [random.pick(&SOURCES), random.pick(&SOURCES)];
                json!({"sourceLabels": sources, "separator": "@", "regex": "(.*)@(.*)", "targetLabel": "both", "replacement": "$2-${1}"})
            }
            2 => json!({"action": "drop", "sourceLabels": source, "regex": "gen-b|web|pod-3"}),
            3 => json!({"action": "Keep", "sourceLabels": source, "regex": ".*[a-z].*"}),
            4 => {
                json!({"action": "LabelMap", "regex": "__meta_kubernetes_(pod|service)_label_(.+)", "replacement": "l_${2}"})
            }
            5 => json!({"action": "labeldrop", "regex": "endpoint|container"}),
            6 => json!({"action": "HashMod", "sourceLabels": source, "modulus": 3, "targetLabel": "hash"}),
            7 => {
                json!({"action": random.pick(&["lowercase", "Uppercase"]), "sourceLabels": source, "targetLabel": "case"})
            }
            8 => {
                json!({"action": "keepequal", "sourceLabels": ["namespace"], "targetLabel": "__meta_kubernetes_namespace"})
            }
            9 => {
                json!({"action": "DropEqual", "sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "__meta_kubernetes_namespace"})
            }
            10 => {
                json!({"targetLabel": random.pick(&["job", "instance", "__metrics_path__", "__scrape_interval__"]), "replacement": "25s"})
            }
            _ => {
                json!({"sourceLabels": source, "regex": random.pick(&["([a-z]+).*", "(?i)GEN-(.)", "(unbalanced"]), "targetLabel": "re"})
            }
        }
    };
    json!((0..=random.below(3)).map(|_| rule(random)).collect::<Vec<_>>())
}

fn metric_relabelings(random: &mut Random) -> Value {
    json!([{"action": "drop", "sourceLabels": ["__name__"], "regex": random.pick(&["go_.*", "a$1", "x;y"])}])
}

fn secret(key: &str) -> Value {
    json!({"name": "credentials", "key": key})
}

/// What cannot be seen in a target, and is compared as a field of the job.
fn limits(random: &mut Random, spec: &mut Value) {
    for field in ["sampleLimit", "labelLimit", "labelNameLengthLimit", "labelValueLengthLimit", "keepDroppedTargets"] {
        random.set(4, spec, field, |random| json!(random.below(3) * 500));
    }
    random.set(6, spec, "targetLimit", |random| json!(random.below(3) * 50));
    random.set(6, spec, "scrapeProtocols", |random| {
        let mut protocols = random.some(&PROTOCOLS);
        if protocols.is_empty() {
            protocols.push(PROTOCOLS[0]);
        }
        json!(protocols)
    });
    random.set(6, spec, "fallbackScrapeProtocol", |random| json!(random.pick(&PROTOCOLS)));
    random.set(6, spec, "scrapeNativeHistograms", |random| json!(random.one_in(2)));
    random.set(6, spec, "scrapeClassicHistograms", |random| json!(random.one_in(2)));
    random.set(6, spec, "convertClassicHistogramsToNHCB", |random| json!(random.one_in(2)));
    random.set(6, spec, "nativeHistogramBucketLimit", |random| json!(random.below(2) * 160));
    random.set(6, spec, "nativeHistogramMinBucketFactor", |random| json!(random.pick(&["1.1", "2", "1500m"])));
    random.set(6, spec, "scrapeClass", |random| json!(random.pick(&["strict", "secure", "unknown"])));
}

fn times(random: &mut Random, of: &mut Value, [interval, timeout]: [&str; 2]) {
    random.set(2, of, interval, |random| json!(random.pick(&["15s", "30s", "1m", "1m30s", "90000ms"])));
    random.set(3, of, timeout, |random| json!(random.pick(&["5s", "10s", "0s", "31s"])));
}

/// Credentials and TLS. `certificates` are those of Secrets and ConfigMaps.
fn http(random: &mut Random, of: &mut Value) {
    match random.below(9) {
        0 => of["basicAuth"] = json!({"username": secret("user"), "password": secret("password")}),
        1 => of["authorization"] = json!({"credentials": secret(random.pick(&["token", "token", "absent"]))}),
        2 => {
            of["authorization"] =
                json!({"type": random.pick(&["Bearer", "Custom", "basic"]), "credentials": secret("token")})
        }
        3 => {
            of["oauth2"] = json!({
                "clientId": {"configMap": {"name": "credentials", "key": "id"}}, "clientSecret": secret("token"),
                "tokenUrl": "http://issuer.example/token", "scopes": random.some(&["a", "b"]),
                "endpointParams": {"audience": "weft"},
            });
        }
        _ => {}
    }
    random.set(4, of, "tlsConfig", |random| {
        let mut tls = json!({"insecureSkipVerify": random.one_in(2)});
        random.set(2, &mut tls, "ca", |random| match random.below(3) {
            0 => json!({"configMap": {"name": "credentials", "key": "ca"}}),
            1 => json!({"secret": secret(random.pick(&["ca", "broken"]))}),
            _ => json!({"secret": secret("ca")}),
        });
        if random.one_in(2) {
            tls["cert"] = json!({"secret": secret("cert")});
            tls["keySecret"] = secret("key");
        }
        random.set(3, &mut tls, "serverName", |_| json!("other.example"));
        random.set(3, &mut tls, "minVersion", |random| json!(random.pick(&["TLS12", "TLS13"])));
        tls
    });
}

/// Prometheus-Operator lets two kinds of credentials through, and Prometheus then refuses the whole configuration.
fn has_credentials(of: &Value) -> bool {
    ["basicAuth", "authorization", "oauth2", "bearerTokenSecret"].iter().any(|field| of.get(field).is_some())
}

fn bearer_token(random: &mut Random, of: &mut Value) {
    if !has_credentials(of) {
        random.set(6, of, "bearerTokenSecret", |_| secret("token"));
    }
}

fn proxy(random: &mut Random, of: &mut Value) {
    match random.below(8) {
        0 => of["proxyUrl"] = json!("http://proxy.example:3128"),
        1 => of["proxyFromEnvironment"] = json!(true),
        2 => {
            of["proxyUrl"] = json!("http://proxy.example:3128");
            of["noProxy"] = json!("10.0.0.0/8,.example");
            of["proxyConnectHeader"] = json!({"X-Proxy": [secret("token")]});
        }
        _ => {}
    }
}

/// What endpoints of Services and of pods share.
fn endpoint(random: &mut Random) -> Value {
    let mut endpoint = json!({});
    times(random, &mut endpoint, ["interval", "scrapeTimeout"]);
    random.set(3, &mut endpoint, "path", |random| json!(random.pick(&["/metrics", "/custom", "/m?a=b"])));
    random.set(3, &mut endpoint, "scheme", |random| json!(random.pick(&["http", "https", "HTTPS"])));
    random.set(4, &mut endpoint, "params", |_| json!({"module": ["one", "two"], "match[]": ["{a=\"b\"}"]}));
    random.set(3, &mut endpoint, "honorLabels", |_| json!(true));
    random.set(3, &mut endpoint, "honorTimestamps", |random| json!(random.one_in(2)));
    random.set(4, &mut endpoint, "trackTimestampsStaleness", |random| json!(random.one_in(2)));
    random.set(4, &mut endpoint, "followRedirects", |random| json!(random.one_in(2)));
    random.set(4, &mut endpoint, "enableHttp2", |random| json!(random.one_in(2)));
    random.set(3, &mut endpoint, "filterRunning", |random| json!(random.one_in(2)));
    random.set(2, &mut endpoint, "relabelings", relabelings);
    random.set(3, &mut endpoint, "metricRelabelings", metric_relabelings);
    http(random, &mut endpoint);
    bearer_token(random, &mut endpoint);
    proxy(random, &mut endpoint);
    endpoint
}

/// What ServiceMonitors and PodMonitors share.
fn monitor(random: &mut Random) -> Value {
    let mut spec = json!({"selector": selector(random), "namespaceSelector": namespace_selector(random)});
    random.set(3, &mut spec, "jobLabel", |random| json!(random.pick(&LABELS)));
    random.set(3, &mut spec, "podTargetLabels", |random| json!(random.some(&LABELS)));
    random.set(3, &mut spec, "attachMetadata", |random| json!({"node": random.one_in(2)}));
    random.set(3, &mut spec, "selectorMechanism", |random| json!(random.pick(&["RoleSelector", "RelabelConfig"])));
    random.set(6, &mut spec, "bodySizeLimit", |random| json!(random.pick(&["10MB", "1GiB", "0"])));
    limits(random, &mut spec);
    spec
}

fn service_monitor(random: &mut Random) -> Value {
    let mut spec = monitor(random);
    random.set(3, &mut spec, "targetLabels", |random| json!(random.some(&LABELS)));
    random.set(3, &mut spec, "serviceDiscoveryRole", |random| json!(random.pick(&["Endpoints", "EndpointSlice"])));
    let one = |random: &mut Random| {
        let mut endpoint = endpoint(random);
        match random.below(4) {
            0 => endpoint["targetPort"] = json!(8040 + random.below(3)),
            1 => endpoint["targetPort"] = json!(random.pick(&PORTS)),
            2 => endpoint["port"] = json!(random.pick(&["metrics|web", ".*"])),
            _ => endpoint["port"] = json!(random.pick(&PORTS)),
        }
        if !has_credentials(&endpoint) {
            random.set(6, &mut endpoint, "bearerTokenFile", |_| {
                json!("/var/run/secrets/kubernetes.io/serviceaccount/token")
            });
        }
        endpoint
    };
    spec["endpoints"] = json!((0..=random.below(2)).map(|_| one(random)).collect::<Vec<_>>());
    spec
}

fn pod_monitor(random: &mut Random) -> Value {
    let mut spec = monitor(random);
    let one = |random: &mut Random| {
        let mut endpoint = endpoint(random);
        match random.below(5) {
            0 => endpoint["targetPort"] = json!(8040 + random.below(3)),
            1 => endpoint["targetPort"] = json!(random.pick(&PORTS)),
            2 => endpoint["portNumber"] = json!(8040 + random.below(3)),
            3 => {}
            _ => endpoint["port"] = json!(random.pick(&PORTS)),
        }
        endpoint
    };
    spec["podMetricsEndpoints"] = json!((0..=random.below(2)).map(|_| one(random)).collect::<Vec<_>>());
    spec
}

fn probe(random: &mut Random) -> Value {
    let mut prober = json!({"url": random.pick(&["prober.example:9115", "10.244.20.9:9115", "prober.example"])});
    random.set(3, &mut prober, "scheme", |random| json!(random.pick(&["https", "HTTP"])));
    random.set(3, &mut prober, "path", |_| json!("/probe2"));
    proxy(random, &mut prober);
    let targets = if random.one_in(2) {
        let mut fixed = json!({"static": ["https://a.example/x", "b.example:80", "10.244.20.7"]});
        random.set(2, &mut fixed, "labels", |_| json!({"team": "a", "namespace": "own"}));
        random.set(3, &mut fixed, "relabelingConfigs", relabelings);
        json!({"staticConfig": fixed})
    } else {
        let mut ingress = json!({"selector": selector(random), "namespaceSelector": namespace_selector(random)});
        random.set(3, &mut ingress, "relabelingConfigs", relabelings);
        json!({"ingress": ingress})
    };
    let mut spec = json!({"prober": prober, "targets": targets});
    times(random, &mut spec, ["interval", "scrapeTimeout"]);
    random.set(2, &mut spec, "jobName", |random| json!(random.pick(&["probes", "$(SHARD)"])));
    random.set(2, &mut spec, "module", |_| json!("http_2xx"));
    random.set(
        4,
        &mut spec,
        "params",
        |_| json!([{"name": "module", "values": ["x"]}, {"name": "debug", "values": ["a", "b"]}]),
    );
    random.set(3, &mut spec, "metricRelabelings", metric_relabelings);
    limits(random, &mut spec);
    http(random, &mut spec);
    bearer_token(random, &mut spec);
    spec
}

fn kubernetes_sd(random: &mut Random, servers: &Servers) -> Value {
    let role = random.pick(&["Pod", "Service", "Endpoints", "EndpointSlice", "Ingress", "Node"]);
    let mut sd = json!({"role": role});
    random.set(
        2,
        &mut sd,
        "namespaces",
        |random| json!({"ownNamespace": random.one_in(3), "names": random.some(&["gen-a", "gen-b", "gen-c"])}),
    );
    random.set(3, &mut sd, "attachMetadata", |random| json!({"node": random.one_in(2)}));
    random.set(
        3,
        &mut sd,
        "selectors",
        |random| json!([{"role": role, "label": random.pick(&["app=web", "app in (web,db)", "!tier", "release"])}]),
    );
    if random.one_in(3) {
        // Without its address Prometheus takes no further settings for the API server.
        sd["apiServer"] = json!(servers.api);
        sd["authorization"] = json!({"credentials": secret("api-token")});
        sd["tlsConfig"] = json!({"ca": {"secret": secret("api-ca")}});
        random.set(2, &mut sd, "followRedirects", |random| json!(random.one_in(2)));
        random.set(2, &mut sd, "enableHTTP2", |random| json!(random.one_in(2)));
    }
    sd
}

fn scrape_config(random: &mut Random, servers: &Servers) -> Value {
    let mut spec = json!({});
    if random.one_in(2) {
        let one = |random: &mut Random| {
            let mut fixed = json!({"targets": ["10.244.20.8:9100", "host.example"]});
            random.set(2, &mut fixed, "labels", |_| json!({"team": "a", "__metrics_path__": "/of/label"}));
            fixed
        };
        spec["staticConfigs"] = json!((0..=random.below(2)).map(|_| one(random)).collect::<Vec<_>>());
    }
    random.set(3, &mut spec, "httpSDConfigs", |random| {
        let mut sd = json!({"url": format!("http://{}/{}", servers.discovery, random.pick(&["one", "two"]))});
        random.set(2, &mut sd, "refreshInterval", |random| json!(random.pick(&["10s", "1m"])));
        http(random, &mut sd);
        json!([sd])
    });
    random.set(2, &mut spec, "kubernetesSDConfigs", |random| {
        json!((0..=random.below(2)).map(|_| kubernetes_sd(random, servers)).collect::<Vec<_>>())
    });
    times(random, &mut spec, ["scrapeInterval", "scrapeTimeout"]);
    random.set(3, &mut spec, "jobName", |random| json!(random.pick(&["named", "a/b"])));
    random.set(3, &mut spec, "relabelings", relabelings);
    if spec.get("kubernetesSDConfigs").is_some() {
        // Where several objects give one target, it is chance whose labels Prometheus shows.
        spec["relabelings"] = json!([{"action": "labelmap", "regex": "__meta_kubernetes_(.+)"}]);
    }
    random.set(3, &mut spec, "metricRelabelings", metric_relabelings);
    random.set(3, &mut spec, "metricsPath", |_| json!("/custom"));
    random.set(3, &mut spec, "scheme", |random| json!(random.pick(&["http", "HTTPS"])));
    random.set(3, &mut spec, "params", |_| json!({"format": ["a", "b"]}));
    random.set(3, &mut spec, "honorLabels", |random| json!(random.one_in(2)));
    random.set(3, &mut spec, "honorTimestamps", |random| json!(random.one_in(2)));
    random.set(3, &mut spec, "trackTimestampsStaleness", |random| json!(random.one_in(2)));
    random.set(3, &mut spec, "enableCompression", |random| json!(random.one_in(2)));
    random.set(4, &mut spec, "enableHTTP2", |random| json!(random.one_in(2)));
    random.set(4, &mut spec, "nameValidationScheme", |random| json!(random.pick(&["UTF8", "Legacy"])));
    // Prometheus refuses a configuration that asks for names which it then would not accept.
    let escapings: &[&str] = match spec["nameValidationScheme"].as_str() {
        Some("UTF8") => &["AllowUTF8", "Underscores", "Dots", "Values"],
        _ => &["Underscores", "Dots", "Values"],
    };
    random.set(4, &mut spec, "nameEscapingScheme", |random| json!(random.pick(escapings)));
    random.set(6, &mut spec, "bodySizeLimit", |random| json!(random.pick(&["10MB", "1GiB"])));
    limits(random, &mut spec);
    http(random, &mut spec);
    proxy(random, &mut spec);
    spec
}
