//! Jobs for pods and Services that ask to be scraped by annotations, with the rules of the common Helm charts.

/// The beginning of both jobs: which objects, and which of their targets.
const PODS: &str = r"
- job_name: kubernetes-annotations/pods
  kubernetes_sd_configs: [{role: pod}]
  relabel_configs:
  - {action: keep, source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: 'true'}
  # Pods that have not started yet and pods that have ended.
  - {action: drop, source_labels: [__meta_kubernetes_pod_phase], regex: Pending|Succeeded|Failed|Completed}
  # The port of the annotation, or else every TCP port that a container declares.
  - {action: keep, source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_container_port_protocol], regex: '\d+;.*|.*;TCP'}
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_ip], regex: '(\d+);([^:]+)', target_label: __address__, replacement: '${2}:${1}'}
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port, __meta_kubernetes_pod_ip], regex: '(\d+);(.*:.*)', target_label: __address__, replacement: '[${2}]:${1}'}
";

const SERVICES: &str = r"
- job_name: kubernetes-annotations/services
  kubernetes_sd_configs: [{role: endpoints}]
  relabel_configs:
  - {action: keep, source_labels: [__meta_kubernetes_service_annotation_prometheus_io_scrape], regex: 'true'}
  # Ports of the Service only; discovery also finds the other ports of the pods behind it.
  - {action: keep, source_labels: [__meta_kubernetes_endpoint_ready], regex: 'true|false'}
  # A pod that asks for itself is a target of the other job.
  - {action: drop, source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: 'true'}
  - {action: drop, source_labels: [__meta_kubernetes_pod_phase], regex: Pending|Succeeded|Failed|Completed}
  - {action: keep, source_labels: [__meta_kubernetes_service_annotation_prometheus_io_port, __meta_kubernetes_endpoint_port_protocol], regex: '\d+;.*|.*;TCP'}
  - {source_labels: [__meta_kubernetes_service_annotation_prometheus_io_port, __address__], regex: '(\d+);(\[.+\]|[^:]+)(:\d+)?', target_label: __address__, replacement: '${2}:${1}'}
  - {source_labels: [__meta_kubernetes_service_name], target_label: service}
  - {source_labels: [__meta_kubernetes_service_name], target_label: job}
  # Of endpoints without pods.
  - {source_labels: [__meta_kubernetes_endpoint_node_name], target_label: node}
";

/// The other annotations, and the labels of targets. `@` is the object with the annotations.
const REST: &str = r"
  - {source_labels: [__meta_kubernetes_@_annotation_prometheus_io_scheme], regex: '(https?)', target_label: __scheme__}
  - {source_labels: [__meta_kubernetes_@_annotation_prometheus_io_path], regex: '(.+)', target_label: __metrics_path__}
  - {action: labelmap, regex: '__meta_kubernetes_@_annotation_prometheus_io_param_(.+)', replacement: '__param_${1}'}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__meta_kubernetes_pod_node_name], regex: '(.+)', target_label: node}
  # Not with a port of the annotation: it is the pod's, and its containers would be as many targets of one address.
  - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
  - {source_labels: [__meta_kubernetes_@_annotation_prometheus_io_port], regex: '\d+', target_label: container, replacement: ''}
  # The job: the app of the pod's labels, or better what controls the pod. A Node controls pods from files and is no workload.
  - {source_labels: [__meta_kubernetes_pod_label_app], regex: '(.+)', target_label: job}
  - {source_labels: [__meta_kubernetes_pod_label_k8s_app], regex: '(.+)', target_label: job}
  - {source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], regex: '(.+)', target_label: job}
  - {source_labels: [__meta_kubernetes_pod_controller_kind, __meta_kubernetes_pod_controller_name], regex: '([^N].*|N[^o].*|No[^d].*|Nod[^e].*|Node[^;]+);(.+)', target_label: job, replacement: '${2}'}
  # The deployment behind a replica set, whose name ends with a hash, and the cron job behind a job, whose name ends with a time.
  - {source_labels: [__meta_kubernetes_pod_controller_kind, __meta_kubernetes_pod_label_pod_template_hash, __meta_kubernetes_pod_label_rollouts_pod_template_hash, __meta_kubernetes_pod_controller_name], regex: 'ReplicaSet;(.+;|;.+);(.+)-[^-]+', target_label: job, replacement: '${2}'}
  - {source_labels: [__meta_kubernetes_pod_controller_kind, __meta_kubernetes_pod_controller_name], regex: 'Job;(.+)-\d{8,}', target_label: job, replacement: '${1}'}
";

/// The jobs that scrape what asks for it by annotations, as a `scrape_configs` section in YAML.
///
/// A pod or Service with `prometheus.io/scrape: "true"` is scraped; `prometheus.io/port`, `path`, `scheme` (`http`, `https`) and
/// `param_NAME` say where. As with the charts' rules a pod without `prometheus.io/port` is a target for each TCP port that its
/// containers declare, init containers and sidecars included, and with it one target, whether it declares that port or not; a
/// Service without it is a target for each of its TCP ports and endpoints, ready or not. Unlike there, a pod with neither the
/// annotation nor a declared port is left out, and a Service's pod that asks for itself is no second target.
///
/// Labels are `namespace`, `pod`, `node`, `service` (of Services), `container` (unless the annotation gives the port) and `job`: the
/// deployment or other controller of the pod, or else its label `app.kubernetes.io/name`, `k8s-app` or `app`, or else the name of
/// the Service or of the job.
#[must_use]
pub fn annotation_jobs() -> String {
    let job = |head: &str, object: &str| {
        format!("{}{}", head.trim_start(), REST.trim_start_matches('\n').replace('@', object))
    };
    format!("{}{}", job(PODS, "pod"), job(SERVICES, "service"))
}

#[cfg(test)]
#[path = "annotation_tests.rs"]
mod tests;
