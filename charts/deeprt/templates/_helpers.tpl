{{- define "deeprt.name" -}}
{{- /* What is named by it must begin with a letter, have no dots, and end with neither. */}}
{{- $name := .Values.fullnameOverride | default .Release.Name | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "deeprt-%s" $name }}{{ end -}}
{{- $name | trunc 40 | trimAll "-" -}}
{{- end -}}

{{/* A digest says more than a tag, and stands in its place. */}}
{{- define "deeprt.image" -}}
{{- with .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Where agents run. */}}
{{- define "deeprt.agentNamespace" -}}
{{- .Values.agent.namespace | default .Release.Namespace -}}
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
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "deeprt.tlsSecret" -}}
{{ .Values.tls.secretName | default (printf "%s-agent-tls" (include "deeprt.name" .)) }}
{{- end -}}

{{- define "deeprt.operatorTlsSecret" -}}
{{ .Values.tls.operatorSecretName | default (printf "%s-operator-tls" (include "deeprt.name" .)) }}
{{- end -}}

{{/* Not empty where who reads metrics and pages has to show a token. */}}
{{- define "deeprt.reviewed" -}}
{{- if eq .Values.monitoring.readers "review" -}}
{{- if not .Values.tls.enabled }}{{ fail "monitoring.readers: review needs tls.enabled, since tokens are shown over HTTPS only" }}{{ end -}}
true
{{- end -}}
{{- end -}}

{{/* What asking the API server who reads takes. */}}
{{- define "deeprt.reviews" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{/* What tells a pool of agents from the others; nothing of the first. */}}
{{- define "deeprt.pool" -}}
{{- with .name }}
deeprt.dev/pool: {{ . }}
{{- end }}
{{- end -}}
