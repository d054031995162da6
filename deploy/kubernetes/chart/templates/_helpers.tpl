{{- define "name" -}}
{{- if contains "influxdb-backup" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-influxdb-backup{{ end }}
{{- end }}
{{- define "selector" -}}
app.kubernetes.io/name: influxdb-backup
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
{{- define "jobs" -}}
{{ .Values.existingJobs | default (printf "%s-jobs" (include "name" .)) }}
{{- end }}
