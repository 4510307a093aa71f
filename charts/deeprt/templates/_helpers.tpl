{{- define "deeprt.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* A digest says more than a tag, and stands in its place. */}}
{{- define "deeprt.image" -}}
{{- with .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Labels of everything; call with a dict of root and component. */}}
{{- define "deeprt.labels" -}}
{{ include "deeprt.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "deeprt.selector" -}}
app.kubernetes.io/name: deeprt
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "deeprt.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "deeprt.tlsSecret" -}}
{{ .Values.tls.secretName | default (printf "%s-agent-tls" (include "deeprt.name" .)) }}
{{- end -}}

{{/* What tells a pool of agents from the others; nothing of the first. */}}
{{- define "deeprt.pool" -}}
{{- with .name }}
deeprt.dev/pool: {{ . }}
{{- end }}
{{- end -}}
