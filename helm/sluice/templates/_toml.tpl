{{/* A map as TOML. Numbers come as floating point from YAML, whole ones too; what is null is left out. */}}

{{- define "sluice.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toRawJson . }}{{ end -}}
{{- end }}

{{- define "sluice.toml.value" -}}
{{- if kindIs "string" . -}}
{{ toRawJson . }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (include "sluice.toml.value" .) }}{{ end -}}
[{{ join ", " $items }}]
{{- else if kindIs "map" . -}}
{{- $items := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $items = append $items (printf "%s = %s" (include "sluice.toml.key" $key) (include "sluice.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{ {{ join ", " $items }} }
{{- else if eq (int64 . | float64) (float64 .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{/* The lines of a table, and then those below it: (dict "path" "front" "table" map). */}}
{{- define "sluice.toml.table" -}}
{{- $path := .path }}
{{- $lines := list }}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value) (include "sluice.toml.isTables" $value)) }}
{{- $lines = append $lines (printf "%s = %s" (include "sluice.toml.key" $key) (include "sluice.toml.value" $value)) }}
{{- end }}
{{- end }}
{{- if or $lines (not .table) }}
[{{ $path }}]
{{- range $lines }}
{{ . }}
{{- end }}
{{ end }}
{{- range $key, $value := .table }}
{{- $below := printf "%s.%s" $path (include "sluice.toml.key" $key) }}
{{- if kindIs "map" $value }}
{{- include "sluice.toml.table" (dict "path" $below "table" $value) }}
{{- else if include "sluice.toml.isTables" $value }}
{{- range $value }}
[[{{ $below }}]]
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ include "sluice.toml.key" $key }} = {{ include "sluice.toml.value" $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sluice.toml.isTables" -}}
{{- if and (kindIs "slice" .) . }}{{ if kindIs "map" (first .) }}true{{ end }}{{ end -}}
{{- end }}

{{/* Lines below `key: |`, with nothing on those that are empty. */}}
{{- define "sluice.text" -}}
{{- regexReplaceAll "(?m)^ +$" (trim . | nindent 4) "" -}}
{{- end }}

{{/* An amount that is a number or text, as digits. */}}
{{- define "sluice.amount" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ int64 . }}{{ end -}}
{{- end }}
