{{/* What the Pods of all components have in common. */}}

{{/* An item of a Secret as a variable: (dict "name" "X" "secret" "s" "key" "k"). */}}
{{- define "sluice.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}

{{/* A Secret as files: (dict "name" "tls" "secret" "s"), mounted at /secrets/NAME. */}}
{{- define "sluice.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- range . }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
    {{- end }}
{{- end }}

{{- define "sluice.secretMount" -}}
- name: {{ . }}
  mountPath: /secrets/{{ . }}
  readOnly: true
{{- end }}

{{/* What the files that a database's address names are in, if there are any. */}}
{{- define "sluice.databaseTls" -}}
{{- with .Values.database.tls.existingSecret -}}
{{ include "sluice.secretVolume" (dict "name" "database-tls" "secret" .) }}
{{- end -}}
{{- end }}

{{/* Where and as whom a Pod runs: (dict "root" $ "component" "front"). */}}
{{- define "sluice.placement" -}}
{{- $values := index .root.Values .component -}}
automountServiceAccountToken: false
# Kubernetes would set SLUICE_… variables for Services that are called so.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A container's image and confinement. */}}
{{- define "sluice.container" -}}
image: {{ include "sluice.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* Replicas over zones and hosts; of an old and a new version each for itself. */}}
{{- define "sluice.spread" -}}
{{- $unsatisfiable := (index .root.Values .component).topologySpread -}}
{{- if $unsatisfiable }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $unsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "sluice.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}

{{/* The second port's three answers. Liveness depends on nothing, so it may be asked rarely and believed slowly. */}}
{{- define "sluice.probes" -}}
startupProbe:
  httpGet: { path: /startupz, port: ops }
  periodSeconds: 2
  # A front waits for a database that is away; it is not to be started again meanwhile.
  failureThreshold: 150
readinessProbe:
  httpGet: { path: /readyz, port: ops }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: { path: /livez, port: ops }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
