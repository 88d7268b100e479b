{{- /* prometheus.yml, for `mode: config`. */}}
{{- define "weft.configuration" -}}
{{- $spec := .Values.prometheus.prometheusSpec }}
{{- $given := index .Values.serverFiles "prometheus.yml" | default dict }}
{{- $labels := dict }}
{{- if not $spec.prometheusExternalLabelNameClear }}
  {{- $_ := set $labels (default "prometheus" $spec.prometheusExternalLabelName) (printf "%s/%s" (include "weft.namespace" .) (include "weft.fullname" .)) }}
{{- end }}
{{- $replica := default "prometheus_replica" $spec.replicaExternalLabelName }}
{{- if not $spec.replicaExternalLabelNameClear }}{{ $_ := set $labels $replica "${POD_NAME}" }}{{ end }}
{{- $global := dict "scrape_interval" $spec.scrapeInterval "evaluation_interval" $spec.evaluationInterval "external_labels" (merge $labels $spec.externalLabels) }}
{{- with $spec.scrapeTimeout }}{{ $_ := set $global "scrape_timeout" . }}{{ end }}
{{- $config := mergeOverwrite (dict "global" $global) (omit $given "scrape_configs" "rule_files" "alerting") }}
{{- $_ := set $config "rule_files" (concat (list "/etc/prometheus/config/rules-*.yaml") ($given.rule_files | default list)) }}
{{- $jobs := list }}
{{- if .Values.prometheus.serviceMonitor.selfMonitor }}
  {{- $job := dict "job_name" (include "weft.name" .) "metrics_path" (printf "%s/metrics" (include "weft.prefix" .)) }}
  {{- with .Values.prometheus.serviceMonitor.interval }}{{ $_ := set $job "scrape_interval" . }}{{ end }}
  {{- if gt (int $spec.replicas) 1 }}
    {{- /* Each watches the others, too; DNS needs no right. */}}
    {{- $name := printf "%s-headless.%s.svc" (include "weft.fullname" .) (include "weft.namespace" .) }}
    {{- $_ := set $job "dns_sd_configs" (list (dict "names" (list $name) "type" "A" "port" 9090)) }}
  {{- else }}
    {{- $_ := set $job "static_configs" (list (dict "targets" (list "localhost:9090"))) }}
  {{- end }}
  {{- $jobs = append $jobs $job }}
{{- end }}
{{- $_ := set $config "scrape_configs" (concat $jobs ($given.scrape_configs | default list) $spec.additionalScrapeConfigs) }}
{{- $relabel := list }}
{{- /* The same alert of two replicas must be one for the Alertmanager. */}}
{{- if not $spec.replicaExternalLabelNameClear }}{{ $relabel = append $relabel (dict "action" "labeldrop" "regex" $replica) }}{{ end }}
{{- $alerting := $given.alerting | default dict }}
{{- $relabel = concat $relabel ($alerting.alert_relabel_configs | default list) $spec.additionalAlertRelabelConfigs }}
{{- $managers := concat ($alerting.alertmanagers | default list) $spec.additionalAlertManagerConfigs }}
{{- $_ := set $config "alerting" (merge (dict "alert_relabel_configs" $relabel "alertmanagers" $managers) $alerting) }}
{{- toYaml $config }}
{{- end }}
