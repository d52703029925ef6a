{{/* Parts of network policies. */}}

{{/* A rule of egress: (dict "to" peers "ports" numbers "protocols" names). */}}
{{- define "sluice.egress" -}}
- ports:
    {{- range $port := .ports }}
    {{- range $.protocols | default (list "TCP") }}
    - { protocol: {{ . }}, port: {{ $port }} }
    {{- end }}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "sluice.egress.dns" -}}
{{- include "sluice.egress" (dict "to" .Values.networkPolicy.dns.to "ports" .Values.networkPolicy.dns.ports "protocols" (list "UDP" "TCP")) -}}
{{- end }}

{{- define "sluice.egress.database" -}}
{{- include "sluice.egress" (dict "to" .Values.networkPolicy.database.to "ports" (list .Values.networkPolicy.database.port)) -}}
{{- end }}

{{/* Where traces go, if they do: a rule, indented, or nothing. */}}
{{- define "sluice.egress.collector" -}}
{{- with .Values.config.telemetry.otlp_endpoint -}}
{{- include "sluice.egress" (dict "to" $.Values.networkPolicy.collector.to "ports" (list (include "sluice.port" .))) | nindent 4 -}}
{{- end -}}
{{- end }}

{{/* The port of an address. */}}
{{- define "sluice.port" -}}
{{- $url := urlParse . -}}
{{- $given := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $given | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end }}

{{/* The ports of addresses, as JSON: each once, in order. */}}
{{- define "sluice.ports" -}}
{{- $ports := list -}}
{{- range . }}{{ $ports = append $ports (include "sluice.port" . | int) }}{{ end -}}
{{- $ports | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* Where routes lead: upstreams, and servers that say prices. */}}
{{- define "sluice.upstreamPorts" -}}
{{- $addresses := list -}}
{{- range .Values.config.front.routes -}}
{{- with .upstream }}{{ $addresses = append $addresses . }}{{ end -}}
{{- if kindIs "map" .price }}{{ with .price.callback }}{{ $addresses = append $addresses . }}{{ end }}{{ end -}}
{{- end -}}
{{- .Values.networkPolicy.upstreams.ports | default (include "sluice.ports" $addresses | fromJsonArray) | toJson -}}
{{- end }}

{{/* Where nodes are. */}}
{{- define "sluice.rpcPorts" -}}
{{- $addresses := list -}}
{{- range .Values.config.deployments -}}
{{- $first := ternary "https://secret" .rpc_url (hasKey $.Values.rpcSecrets .name) -}}
{{- $addresses = concat $addresses (prepend (.rpc_urls | default list) $first) -}}
{{- end -}}
{{- .Values.networkPolicy.rpc.ports | default (include "sluice.ports" $addresses | fromJsonArray) | toJson -}}
{{- end }}

{{/* Health and metrics. */}}
{{- define "sluice.ingress.ops" -}}
- ports:
    - { protocol: TCP, port: ops }
  {{- with .Values.networkPolicy.opsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Watchers and wallets: (dict "root" $ "component" "wallet"). */}}
{{- define "sluice.networkPolicy.background" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "sluice.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "sluice.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- include "sluice.ingress.ops" .root | nindent 4 }}
  egress:
    {{- include "sluice.egress.dns" .root | nindent 4 }}
    {{- include "sluice.egress.database" .root | nindent 4 }}
    {{- with .root.Values.networkPolicy }}
    {{- include "sluice.egress" (dict "to" .rpc.to "ports" (include "sluice.rpcPorts" $.root | fromJsonArray)) | nindent 4 }}
    {{- if $.root.Values.queue.enabled }}
    {{- include "sluice.egress" (dict "to" .queue.to "ports" .queue.ports) | nindent 4 }}
    {{- end }}
    {{- include "sluice.egress.collector" $.root }}
    {{- with .backgroundExtraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}
