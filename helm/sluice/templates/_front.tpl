{{/* Seconds to sleep before SIGTERM: none where Kubernetes cannot. */}}
{{- define "sluice.front.preStop" -}}
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}{{ .Values.front.preStopSleepSeconds }}{{ else }}0{{ end -}}
{{- end }}

{{/* Seconds between the start of a Pod's end and SIGKILL: the sleep, accepting, finishing, and ten to spare. */}}
{{- define "sluice.front.grace" -}}
{{- $timeouts := .Values.config.front.timeouts | default dict -}}
{{- $ms := add (dig "drain_delay_ms" 5000 $timeouts) (dig "grace_ms" 25000 $timeouts) -}}
{{- add (include "sluice.front.preStop" .) (div (add $ms 999) 1000) 10 -}}
{{- end }}

{{/* The most fronts there may be at a time: in a quick rollout all the old ones are still ending when all the new ones are there. */}}
{{- define "sluice.front.most" -}}
{{- with .Values.front }}{{ mul 2 (ternary .autoscaling.maxReplicas .replicas .autoscaling.enabled) }}{{ end -}}
{{- end }}
