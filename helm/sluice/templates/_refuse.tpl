{{/* What each value for itself cannot say: combinations that cannot work are refused before anything is changed. */}}

{{- define "sluice.refuse" -}}
{{- $problems := list -}}
{{- range list "database" "deployments" "routes" "secrets" "front" "test" -}}
{{- $problems = concat $problems (include (printf "sluice.refuse.%s" .) $ | fromJsonArray) -}}
{{- end -}}
{{- with $problems -}}
{{- fail (printf "these values cannot work:\n  %s" (join "\n  " .)) -}}
{{- end -}}
{{- end }}

{{- define "sluice.refuse.database" -}}
{{- $problems := list -}}
{{- range $role := list "front" "background" "migration" -}}
{{- if not (index $.Values.database $role).existingSecret -}}
{{- $problems = append $problems (printf "database.%s.existingSecret: name the Secret that has the database's address" $role) -}}
{{- end -}}
{{- end -}}
{{- with .Values.database -}}
{{- $fronts := mul (include "sluice.front.most" $) (add .front.poolSize 3) -}}
{{- $background := mul (add $.Values.watcher.replicas $.Values.wallet.replicas) (add .background.poolSize 3) -}}
{{- $migration := ternary 1 0 $.Values.migration.enabled -}}
{{- $most := add $fronts $background $migration -}}
{{- $left := sub .maxConnections .reservedConnections -}}
{{- if gt $most $left -}}
{{- $sum := printf "fronts %d, watchers and wallets %d, migration %d" $fronts $background $migration -}}
{{- $problems = append $problems (printf "database.maxConnections: %d connections may be open (%s), but the server has %d for us" $most $sum $left) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "sluice.refuse.deployments" -}}
{{- $problems := list -}}
{{- $names := list -}}
{{- range $index, $deployment := .Values.config.deployments -}}
{{- $key := printf "config.deployments[%d]" $index -}}
{{- if has .name $names -}}
{{- $problems = append $problems (printf "%s.name: there is another `%s`" $key .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if not (or .rpc_url (hasKey $.Values.rpcSecrets .name)) -}}
{{- $problems = append $problems (printf "%s.rpc_url: needed, or a Secret with it as rpcSecrets.%s" $key .name) -}}
{{- end -}}
{{- range concat (list (.rpc_url | default "")) (.rpc_urls | default list) -}}
{{- if regexMatch "://[^/]*@" . -}}
{{- $problems = append $problems (printf "%s.rpc_url: a password does not belong into values; put the address into a Secret, and that into rpcSecrets.%s" $key $deployment.name) -}}
{{- end -}}
{{- end -}}
{{- $window := mul .challenge_period (.fastest_block_s | default 1) -}}
{{- $budget := .safety_budget_s | default 120 -}}
{{- if ge (int64 $budget) (int64 $window) -}}
{{- $problems = append $problems (printf "%s.safety_budget_s: %d s leave nothing of the %d s challenge period (challenge_period x fastest_block_s)" $key (int64 $budget) $window) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.rpcSecrets -}}
{{- if not (has $name $names) -}}
{{- $problems = append $problems (printf "rpcSecrets.%s: there is no such deployment" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.config.wallet.keys -}}
{{- if not (has $name $names) -}}
{{- $problems = append $problems (printf "config.wallet.keys.%s: there is no such deployment" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $outbound := .Values.config.outbound -}}
{{- if not (has .deployment $names) -}}
{{- $problems = append $problems (printf "config.outbound.%s.deployment: there is no deployment `%s`" $name .deployment) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "sluice.refuse.routes" -}}
{{- $problems := list -}}
{{- $names := list -}}
{{- range .Values.config.deployments }}{{ $names = append $names .name }}{{ end -}}
{{- $places := list -}}
{{- range $index, $route := .Values.config.front.routes -}}
{{- $key := printf "config.front.routes[%d]" $index -}}
{{- $place := pick . "path" "prefix" "regex" -}}
{{- if ne (len $place) 1 -}}
{{- $problems = append $problems (printf "%s: exactly one of path, prefix and regex is needed" $key) -}}
{{- else if has $place $places -}}
{{- $problems = append $problems (printf "%s: another route has the same %s" $key (keys $place | first)) -}}
{{- end -}}
{{- $places = append $places $place -}}
{{- if ne (pick . "upstream" "file" "folder" | len) 1 -}}
{{- $problems = append $problems (printf "%s: exactly one of upstream, file and folder is needed" $key) -}}
{{- end -}}
{{- if .deployment -}}
{{- if not (has .deployment $names) -}}
{{- $problems = append $problems (printf "%s.deployment: there is no deployment `%s`" $key .deployment) -}}
{{- end -}}
{{- else if and (gt (len $names) 1) (ne (toString .price) "0") -}}
{{- $problems = append $problems (printf "%s.deployment: name one of %s" $key (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "sluice.refuse.secrets" -}}
{{- $problems := list -}}
{{- $key := .Values.wallet.key.existingSecret -}}
{{- if not $key -}}
{{- $problems = append $problems "wallet.key.existingSecret: name the Secret that has the payee's key" -}}
{{- end -}}
{{- range $component := list "front" "watcher" -}}
{{- $values := index $.Values $component -}}
{{- if and $key (contains (printf "%q" $key) (toJson (list $values.extraVolumes $values.extraEnv))) -}}
{{- $problems = append $problems (printf "%s.extraVolumes, extraEnv: the wallet's key (Secret `%s`) is for wallets alone" $component $key) -}}
{{- end -}}
{{- end -}}
{{- if and $key (eq $key .Values.database.tls.existingSecret) -}}
{{- $problems = append $problems (printf "database.tls.existingSecret: the wallet's key (Secret `%s`) is for wallets alone" $key) -}}
{{- end -}}
{{- $accounts := dict -}}
{{- range $component := list "front" "watcher" "wallet" -}}
{{- $account := (index $.Values $component).serviceAccount -}}
{{- if not (or $account.create $account.name) -}}
{{- $problems = append $problems (printf "%s.serviceAccount.name: needed where none is created" $component) -}}
{{- end -}}
{{- $name := include "sluice.account" (dict "root" $ "component" $component) -}}
{{- if hasKey $accounts $name -}}
{{- $problems = append $problems (printf "%s.serviceAccount.name: `%s` is that of the %s; each needs one of its own" $component $name (get $accounts $name)) -}}
{{- end -}}
{{- $_ := set $accounts $name $component -}}
{{- end -}}
{{- with .Values.queue -}}
{{- if .enabled -}}
{{- if not (or .existingSecret $.Values.config.queue.url) -}}
{{- $problems = append $problems "queue.existingSecret: name the Secret that has the broker's address, or set queue.enabled to false" -}}
{{- end -}}
{{- range concat (list ($.Values.config.queue.url | default "")) ($.Values.config.queue.urls | default list) -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" . -}}
{{- $problems = append $problems "config.queue.url: a password does not belong into values; use queue.existingSecret or queue.password" -}}
{{- end -}}
{{- end -}}
{{- if and .tls.clientCertificate (not .tls.existingSecret) -}}
{{- $problems = append $problems "queue.tls.existingSecret: name the Secret that has the certificate" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "sluice.refuse.front" -}}
{{- $problems := list -}}
{{- with .Values.front -}}
{{- if and .tls.enabled (not .tls.existingSecret) -}}
{{- $problems = append $problems "front.tls.existingSecret: name the Secret that has tls.crt and tls.key" -}}
{{- end -}}
{{- if and .admin.enabled (not .admin.existingSecret) -}}
{{- $problems = append $problems "front.admin.existingSecret: name the Secret that has the password" -}}
{{- end -}}
{{- if and .service.externalTrafficPolicy (eq .service.type "ClusterIP") -}}
{{- $problems = append $problems "front.service.externalTrafficPolicy: needs the type NodePort or LoadBalancer" -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.hosts) -}}
{{- $problems = append $problems "front.ingress.hosts: name at least one" -}}
{{- end -}}
{{- with .autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $problems = append $problems (printf "front.autoscaling.minReplicas: %d is more than maxReplicas, %d" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.config.front.proxy_protocol (not .Values.config.front.trusted_proxies) -}}
{{- $problems = append $problems "config.front.proxy_protocol: needs config.front.trusted_proxies" -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{- define "sluice.refuse.test" -}}
{{- $problems := list -}}
{{- with .Values.helmTest -}}
{{- $route := first $.Values.config.front.routes -}}
{{- if and .enabled (not (or .path $route.path $route.prefix)) -}}
{{- $problems = append $problems "helmTest.path: needed, since the first route is found by regex" -}}
{{- end -}}
{{- if and .enabled .paid.enabled -}}
{{- if not .paid.existingSecret -}}
{{- $problems = append $problems "helmTest.paid.existingSecret: name the Secret that has a payer's key" -}}
{{- end -}}
{{- if not (include "sluice.test.deployment" $) -}}
{{- $problems = append $problems (printf "helmTest.paid.deployment: there is no deployment `%s`" .paid.deployment) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}
