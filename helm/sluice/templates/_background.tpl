{{/* What watchers and wallets have in common: nodes, the broker, and a rollout of which one stands by. */}}

{{- define "sluice.background" -}}
{{- $root := .root -}}
{{- $database := .root.Values.database.background -}}
{{- $queue := .root.Values.queue -}}
{{- $env := list (include "sluice.secretEnv" (dict "name" "SLUICE_DATABASE__URL" "secret" $database.existingSecret "key" $database.key)) -}}
{{- range $name, $rpc := .root.Values.rpcSecrets -}}
{{- $variable := printf "SLUICE_DEPLOYMENTS__%s__RPC_URL" (upper $name) -}}
{{- $env = append $env (include "sluice.secretEnv" (dict "name" $variable "secret" $rpc.existingSecret "key" $rpc.key)) -}}
{{- end -}}
{{- $mounts := .mounts | default list -}}
{{- $volumes := .volumes | default list -}}
{{- if $queue.enabled -}}
{{- if $queue.existingSecret -}}
{{- $env = append $env (include "sluice.secretEnv" (dict "name" "SLUICE_QUEUE__URL" "secret" $queue.existingSecret "key" $queue.key)) -}}
{{- end -}}
{{- with $queue.password.existingSecret -}}
{{- $mounts = append $mounts "queue-password" -}}
{{- $volumes = append $volumes (include "sluice.secretVolume" (dict "name" "queue-password" "secret" . "items" (list $queue.password.key))) -}}
{{- end -}}
{{- with $queue.tls.existingSecret -}}
{{- $mounts = append $mounts "queue-tls" -}}
{{- $volumes = append $volumes (include "sluice.secretVolume" (dict "name" "queue-tls" "secret" .)) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "root" $root "component" .component "replicas" (index $root.Values .component).replicas "config" "background" -}}
{{- $_ := set $own "strategy" (dict "maxSurge" 0 "maxUnavailable" 1) -}}
{{- $_ := set $own "grace" 30 -}}
{{- $_ := set $own "ports" (list (dict "name" "ops" "port" 9080)) -}}
{{- include "sluice.deployment" (merge $own (dict "env" $env "mounts" $mounts "volumes" $volumes)) -}}
{{- end }}
