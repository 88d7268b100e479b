{{- define "weft.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "weft.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "weft.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "weft.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "weft.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "weft.serviceAccountName" -}}
{{- if .Values.prometheus.serviceAccount.create }}
{{- default (include "weft.fullname" .) .Values.prometheus.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.prometheus.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "weft.selectorLabels" -}}
app.kubernetes.io/name: {{ include "weft.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* `release` is what selectors of kube-prometheus-stack look for. */}}
{{- define "weft.labels" -}}
{{ include "weft.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
release: {{ .Release.Name | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Name, namespace and labels of an object: (list $ SUFFIX). */}}
{{- define "weft.metadata" -}}
{{- $ := index . 0 -}}
name: {{ include "weft.fullname" $ }}{{ index . 1 }}
namespace: {{ include "weft.namespace" $ }}
labels:
  {{- include "weft.labels" $ | nindent 2 }}
{{- end }}

{{- /* The same for an object that no namespace has. Two releases of a name may be in two namespaces. */}}
{{- define "weft.clusterName" -}}
{{- printf "%s-%s" (include "weft.namespace" .) (include "weft.fullname" .) }}
{{- end }}

{{- define "weft.image" -}}
{{- $image := .Values.prometheus.prometheusSpec.image }}
{{- $registry := default $image.registry .Values.global.imageRegistry }}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- with $image.sha }}@sha256:{{ . }}{{ end }}
{{- end }}

{{- /* Paths begin with it; empty for the root. */}}
{{- define "weft.prefix" -}}
{{- printf "/%s" (.Values.prometheus.prometheusSpec.routePrefix | trimAll "/") | trimSuffix "/" }}
{{- end }}

{{- define "weft.url" -}}
{{- printf "http://%s.%s.svc:%d%s" (include "weft.fullname" .) (include "weft.namespace" .) (int .Values.prometheus.service.port) (include "weft.prefix" .) }}
{{- end }}

{{- define "weft.externalUrl" -}}
{{- if .Values.prometheus.prometheusSpec.externalUrl }}
{{- .Values.prometheus.prometheusSpec.externalUrl }}
{{- else if and .Values.prometheus.ingress.enabled .Values.prometheus.ingress.hosts }}
{{- $scheme := empty .Values.prometheus.ingress.tls | ternary "http" "https" }}
{{- printf "%s://%s%s" $scheme (first .Values.prometheus.ingress.hosts) (include "weft.prefix" .) }}
{{- else }}
{{- include "weft.url" . }}
{{- end }}
{{- end }}

{{- /* The namespaces that a Weft with Roles alone looks into, as JSON. */}}
{{- define "weft.namespaces" -}}
{{- concat (list (include "weft.namespace" .)) .Values.prometheusOperator.namespaces.additional | uniq | toJson }}
{{- end }}

{{- /* Is there a Secret with jobs and Alertmanagers in the form of prometheus.yml? */}}
{{- define "weft.hasAdditional" -}}
{{- $spec := .Values.prometheus.prometheusSpec }}
{{- if and (ne .Values.mode "config") (or $spec.additionalScrapeConfigs $spec.additionalAlertManagerConfigs $spec.additionalAlertRelabelConfigs) }}true{{ end }}
{{- end }}

{{- /* Does anything ask the API server? With a prometheus.yml, only its discovery. */}}
{{- define "weft.usesApiServer" -}}
{{- if or (ne .Values.mode "config") (contains "kubernetes_sd_configs:" (include "weft.configuration" .)) }}true{{ end }}
{{- end }}

{{- /* What no schema can say. */}}
{{- define "weft.validate" -}}
{{- $spec := .Values.prometheus.prometheusSpec }}
{{- if eq .Values.mode "config" }}
  {{- if gt (int $spec.shards) 1 }}
    {{- fail "prometheus.prometheusSpec.shards: with mode: config targets are not divided; use mode: operator, or hashmod in serverFiles" }}
  {{- end }}
  {{- range list "alertingEndpoints" "additionalConfig" "ruleSelector" "serviceMonitorSelector" "podMonitorSelector" "probeSelector" "scrapeConfigSelector" }}
    {{- if index $spec . }}
      {{- fail (printf "prometheus.prometheusSpec.%s has no effect with mode: config; write it into serverFiles.\"prometheus.yml\"" .) }}
    {{- end }}
  {{- end }}
  {{- if $spec.additionalScrapeConfigsSecret.enabled }}
    {{- fail "prometheus.prometheusSpec.additionalScrapeConfigsSecret has no effect with mode: config; mount it (secrets) and name it in scrape_config_files of serverFiles" }}
  {{- end }}
{{- else if index .Values.serverFiles "prometheus.yml" }}
  {{- fail (printf "serverFiles has no effect with mode: %s; use prometheus.prometheusSpec, or mode: config" .Values.mode) }}
{{- end }}
{{- range $field := list "alerting" "additionalAlertManagerConfigs" "additionalAlertRelabelConfigs" "additionalScrapeConfigs" "evaluationInterval" "externalLabels" "prometheusExternalLabelName" "replicaExternalLabelName" "scrapeInterval" "scrapeTimeout" "shards" }}
  {{- if hasKey $spec.additionalConfig $field }}
    {{- fail (printf "prometheus.prometheusSpec.additionalConfig.%s: the chart has a value of its own for it" $field) }}
  {{- end }}
{{- end }}
{{- range $field, $_ := $spec.additionalConfig }}
  {{- if hasSuffix "Selector" $field }}
    {{- fail (printf "prometheus.prometheusSpec.additionalConfig.%s: write it into prometheus.prometheusSpec" $field) }}
  {{- end }}
{{- end }}
{{- if and $spec.additionalScrapeConfigsSecret.enabled $spec.additionalScrapeConfigs }}
  {{- fail "prometheus.prometheusSpec: additionalScrapeConfigs and additionalScrapeConfigsSecret exclude one another" }}
{{- end }}
{{- if and (eq .Values.mode "namespace") .Values.prometheus.additionalRulesForClusterRole }}
  {{- fail "prometheus.additionalRulesForClusterRole: with mode: namespace there is no ClusterRole" }}
{{- end }}
{{- end }}

{{- /* The RoleBinding of the Role of the same name: (dict "root" $ "namespace" NAMESPACE "suffix" SUFFIX). */}}
{{- define "weft.roleBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "weft.fullname" .root }}{{ .suffix }}
  namespace: {{ .namespace }}
  labels:
    {{- include "weft.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "weft.fullname" .root }}{{ .suffix }}
subjects:
  - kind: ServiceAccount
    name: {{ include "weft.serviceAccountName" .root }}
    namespace: {{ include "weft.namespace" .root }}
{{- end }}

{{- /* What is given, and replicas of a shard on nodes of their own: (list $ SHARD). */}}
{{- define "weft.affinity" -}}
{{- $ := index . 0 }}
{{- $spec := $.Values.prometheus.prometheusSpec }}
{{- $labels := merge (dict "operator.prometheus.io/shard" (index . 1 | toString)) (include "weft.selectorLabels" $ | fromYaml) }}
{{- $term := dict "topologyKey" $spec.podAntiAffinityTopologyKey "labelSelector" (dict "matchLabels" $labels) }}
{{- $anti := dict }}
{{- if eq $spec.podAntiAffinity "hard" }}
  {{- $anti = dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term) }}
{{- else if eq $spec.podAntiAffinity "soft" }}
  {{- $anti = dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term)) }}
{{- end }}
{{- $affinity := deepCopy $spec.affinity }}
{{- if and $anti (not $affinity.podAntiAffinity) }}{{ $_ := set $affinity "podAntiAffinity" $anti }}{{ end }}
{{- with $affinity }}{{ toYaml . }}{{ end }}
{{- end }}

{{- /* `imagePullSecrets`: names, or objects that have one. */}}
{{- define "weft.pullSecrets" -}}
{{- range .Values.global.imagePullSecrets }}
{{- if kindIs "map" . }}
- {name: {{ .name }}}
{{- else }}
- {name: {{ . }}}
{{- end }}
{{- end }}
{{- end }}
