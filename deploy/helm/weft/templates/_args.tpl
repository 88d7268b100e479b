{{- /* The arguments of Weft, as a list in YAML. */}}
{{- define "weft.args" -}}
{{- $spec := .Values.prometheus.prometheusSpec }}
{{- $args := list }}
{{- if eq .Values.mode "config" }}
  {{- $args = append $args "--config.file=/etc/prometheus/config/prometheus.yml" }}
{{- else }}
  {{- $args = append $args "--operator" }}
  {{- $args = append $args (printf "--operator.prometheus=%s/%s" (include "weft.namespace" .) (include "weft.fullname" .)) }}
  {{- $kubelets := .Values.prometheusOperator.kubeletService }}
  {{- if eq .Values.mode "namespace" }}
    {{- $args = append $args (printf "--operator.namespaces=%s" (include "weft.namespaces" . | fromJsonArray | join ",")) }}
    {{- $args = append $args "--operator.kubelet-service=" }}
  {{- else if $kubelets.enabled }}
    {{- $args = append $args (printf "--operator.kubelet-service=%s/%s" $kubelets.namespace $kubelets.name) }}
  {{- else }}
    {{- $args = append $args "--operator.kubelet-service=" }}
  {{- end }}
{{- end }}
{{- $args = append $args "--storage.tsdb.path=/prometheus" }}
{{- with $spec.retention }}{{ $args = append $args (printf "--storage.tsdb.retention.time=%s" .) }}{{ end }}
{{- with $spec.retentionSize }}{{ $args = append $args (printf "--storage.tsdb.retention.size=%s" .) }}{{ end }}
{{- $args = append $args (printf "--web.external-url=%s" (include "weft.externalUrl" .)) }}
{{- $args = append $args (printf "--web.route-prefix=%s" $spec.routePrefix) }}
{{- with $spec.web.pageTitle }}{{ $args = append $args (printf "--web.page-title=%s" .) }}{{ end }}
{{- with $spec.web.maxConnections }}{{ $args = append $args (printf "--web.max-connections=%d" (int .)) }}{{ end }}
{{- if $spec.enableAdminAPI }}{{ $args = append $args "--web.enable-admin-api" }}{{ end }}
{{- if $spec.enableRemoteWriteReceiver }}{{ $args = append $args "--web.enable-remote-write-receiver" }}{{ end }}
{{- if $spec.enableOTLPReceiver }}{{ $args = append $args "--web.enable-otlp-receiver" }}{{ end }}
{{- with $spec.enableFeatures }}{{ $args = append $args (printf "--enable-feature=%s" (join "," .)) }}{{ end }}
{{- with $spec.query.lookbackDelta }}{{ $args = append $args (printf "--query.lookback-delta=%s" .) }}{{ end }}
{{- with $spec.query.maxConcurrency }}{{ $args = append $args (printf "--query.max-concurrency=%d" (int .)) }}{{ end }}
{{- with $spec.query.maxSamples }}{{ $args = append $args (printf "--query.max-samples=%d" (int .)) }}{{ end }}
{{- with $spec.query.timeout }}{{ $args = append $args (printf "--query.timeout=%s" .) }}{{ end }}
{{- $args = append $args (printf "--log.level=%s" $spec.logLevel) }}
{{- $args = append $args (printf "--log.format=%s" $spec.logFormat) }}
{{- range $spec.additionalArgs }}
  {{- if hasKey . "value" }}
    {{- $args = append $args (printf "--%s=%v" .name .value) }}
  {{- else }}
    {{- $args = append $args (printf "--%s" .name) }}
  {{- end }}
{{- end }}
{{- toYaml $args }}
{{- end }}
