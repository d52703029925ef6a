{{/* The two sluice.toml: one for fronts, one for watchers and wallets. Addresses with passwords come from the environment. */}}

{{- define "sluice.config.database" -}}
{{- $own := dict "url" "postgres://in-the-environment.invalid" "pool_size" (index .root.Values.database .role).poolSize -}}
{{ include "sluice.toml.table" (dict "path" "database" "table" (merge $own .root.Values.config.database)) }}
{{- end }}

{{- define "sluice.config.telemetry" -}}
{{- with .Values.config.telemetry }}{{ include "sluice.toml.table" (dict "path" "telemetry" "table" .) }}{{ end }}
{{- end }}

{{/* Fronts never talk to a chain, and are not told where it is. */}}
{{- define "sluice.config.front" -}}
{{ include "sluice.config.database" (dict "root" . "role" "front") }}
{{- range .Values.config.deployments }}
{{- $deployment := merge (dict "rpc_url" "http://not-for-fronts.invalid") (omit . "name" "rpc_url" "rpc_urls" "claim") }}
{{- include "sluice.toml.table" (dict "path" (printf "deployments.%s" .name) "table" $deployment) }}
{{- end }}
{{- $own := dict "listen" (printf "%s:8080" .Values.bindAddress) "ops_listen" (printf "%s:9080" .Values.bindAddress) }}
{{- with .Values.front.tls }}{{ if .enabled }}
{{- $files := dict "certificate" "/secrets/tls/tls.crt" "key" "/secrets/tls/tls.key" }}
{{- $_ := set $own "tls" (merge (dict "listen" (printf "%s:8443" $.Values.bindAddress)) $files) }}
{{- end }}{{ end }}
{{- with .Values.front.admin }}{{ if .enabled }}
{{- $_ := set $own "admin" (dict "user" .user "password_file" (printf "/secrets/admin/%s" .key)) }}
{{- end }}{{ end }}
{{- include "sluice.toml.table" (dict "path" "front" "table" (merge $own (deepCopy .Values.config.front))) }}
{{- include "sluice.config.telemetry" . }}
{{- end }}

{{- define "sluice.config.background" -}}
{{ include "sluice.config.database" (dict "root" . "role" "background") }}
{{- range .Values.config.deployments }}
{{- $deployment := omit . "name" }}
{{- if hasKey $.Values.rpcSecrets .name }}
{{- $deployment = merge (dict "rpc_url" "http://in-the-environment.invalid") $deployment }}
{{- end }}
{{- include "sluice.toml.table" (dict "path" (printf "deployments.%s" .name) "table" $deployment) }}
{{- end }}
{{- if .Values.queue.enabled }}
{{- $own := dict }}
{{- with .Values.queue }}
{{- if .existingSecret }}{{ $_ := set $own "url" "amqp://in-the-environment.invalid" }}{{ end }}
{{- if .password.existingSecret }}{{ $_ := set $own "password_file" (printf "/secrets/queue-password/%s" .password.key) }}{{ end }}
{{- if .tls.existingSecret }}{{ $_ := set $own "ca_file" "/secrets/queue-tls/ca.crt" }}{{ end }}
{{- if .tls.clientCertificate }}
{{- $_ := set $own "certificate" "/secrets/queue-tls/tls.crt" }}
{{- $_ := set $own "key" "/secrets/queue-tls/tls.key" }}
{{- end }}
{{- end }}
{{- include "sluice.toml.table" (dict "path" "queue" "table" (merge $own (deepCopy .Values.config.queue))) }}
{{- end }}
{{- include "sluice.config.telemetry" . }}
{{- $watcher := dict "ops_listen" (printf "%s:9080" .Values.bindAddress) }}
{{- include "sluice.toml.table" (dict "path" "watcher" "table" (merge $watcher (deepCopy .Values.config.watcher))) }}
{{- $wallet := dict "ops_listen" (printf "%s:9080" .Values.bindAddress) }}
{{- $_ := set $wallet "key_file" (printf "/secrets/wallet/%s" .Values.wallet.key.key) }}
{{- with .Values.wallet.key.passwordKey }}{{ $_ := set $wallet "password_file" (printf "/secrets/wallet/%s" .) }}{{ end }}
{{- include "sluice.toml.table" (dict "path" "wallet" "table" (merge $wallet (deepCopy .Values.config.wallet))) }}
{{- range $name, $outbound := .Values.config.outbound }}
{{- include "sluice.toml.table" (dict "path" (printf "outbound.%s" $name) "table" $outbound) }}
{{- end }}
{{- end }}
