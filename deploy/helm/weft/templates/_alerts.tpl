{{- /* The alerts about Weft itself as `groups`, in YAML, with what defaultRules says. */}}
{{- define "weft.alerts" -}}
{{- $rules := .Values.defaultRules }}
{{- $name := include "weft.name" . }}
{{- $text := .Files.Get "files/alerts.yaml" | replace "job=\"weft\"" (printf "job=%q" $name) }}
{{- $groups := list }}
{{- $config := eq .Values.mode "config" }}
{{- $disabled := $rules.disabled }}
{{- range (fromYaml $text).groups }}
  {{- $kept := list }}
  {{- range .rules }}
    {{- if not (index $disabled .alert) }}
      {{- $runbook := .annotations.runbook_url }}
      {{- with $rules.runbookUrl }}{{ $runbook = $runbook | replace "docs/runbooks.md" . }}{{ end }}
      {{- $annotations := merge (dict "runbook_url" $runbook) $rules.additionalRuleAnnotations .annotations }}
      {{- $labels := merge (dict) $rules.additionalRuleLabels .labels }}
      {{- $kept = append $kept (merge (dict "labels" $labels "annotations" $annotations) .) }}
    {{- end }}
  {{- end }}
  {{- /* Without monitors there is nothing to say of them. */}}
  {{- if and $kept (not (and $config (eq .name "weft.operator"))) }}
    {{- $groups = append $groups (dict "name" .name "rules" $kept) }}
  {{- end }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}
