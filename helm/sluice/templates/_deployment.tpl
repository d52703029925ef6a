{{/*
A Deployment: (dict "root" $ "component" "front" …) with
  replicas   none where something else says how many
  config     whose sluice.toml: "front" or "background"
  strategy   of the rollout
  grace      seconds between SIGTERM (or what comes before it) and SIGKILL
  preStop    seconds to sleep before SIGTERM
  ports, env, mounts, volumes: lists of YAML
*/}}
{{- define "sluice.deployment" -}}
{{- $root := .root -}}
{{- $values := index .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "sluice.metadata" . | nindent 2 }}
spec:
  {{- with .replicas }}
  replicas: {{ . }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    rollingUpdate:
      {{- toYaml .strategy | nindent 6 }}
  selector:
    matchLabels:
      {{- include "sluice.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "sluice.podLabels" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include (printf "sluice.config.%s" .config) $root | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "sluice.account" . }}
      {{- include "sluice.placement" . | nindent 6 }}
      {{- include "sluice.spread" . | trim | nindent 6 }}
      terminationGracePeriodSeconds: {{ .grace }}
      containers:
        - name: {{ .component }}
          {{- include "sluice.container" $root | nindent 10 }}
          command: [{{ .component }}]
          args: [--config, /etc/sluice/sluice.toml]
          env:
            - name: RUST_LOG
              value: {{ $values.log | quote }}
            {{- range .env }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            {{- range .ports }}
            - { name: {{ .name }}, containerPort: {{ .port }} }
            {{- end }}
          {{- include "sluice.probes" . | nindent 10 }}
          {{- with .preStop }}
          lifecycle:
            preStop:
              sleep:
                seconds: {{ . }}
          {{- end }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - name: config
              mountPath: /etc/sluice
              readOnly: true
            {{- if $root.Values.database.tls.existingSecret }}
            {{- include "sluice.secretMount" "database-tls" | nindent 12 }}
            {{- end }}
            {{- range .mounts }}
            {{- include "sluice.secretMount" . | nindent 12 }}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: config
          configMap:
            name: {{ include "sluice.fullname" $root }}-{{ .config }}
        {{- with include "sluice.databaseTls" $root }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- range .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
