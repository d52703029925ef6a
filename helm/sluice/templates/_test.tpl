{{/* The deployment that `helm test` pays on, as YAML. */}}
{{- define "sluice.test.deployment" -}}
{{- $wanted := .Values.helmTest.paid.deployment | default (first .Values.config.deployments).name -}}
{{- range .Values.config.deployments }}{{ if eq .name $wanted }}{{ toYaml . }}{{ end }}{{ end -}}
{{- end }}
