{{- define "deeprt.name" -}}
{{- /* What is named by it must begin with a letter, have no dots, and end with neither. */}}
{{- $name := .Values.fullnameOverride | default .Release.Name | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "deeprt-%s" $name }}{{ end -}}
{{- $name | trunc 40 | trimAll "-" -}}
{{- end -}}

{{/* A digest says more than a tag, and stands in its place; call with a dict of root and, where pods have their own, image. */}}
{{- define "deeprt.image" -}}
{{- $own := .image | default dict -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) $own -}}
{{- if and $own.tag (not $own.digest) }}{{ $_ := set $image "digest" "" }}{{ end -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* What does nothing, or refuses everybody, without TLS. */}}
{{- define "deeprt.checked" -}}
{{- if not .Values.tls.enabled -}}
{{- if eq .Values.senders.mode "enforce" }}{{ fail "senders.mode: enforce needs tls.enabled, since tokens and keys are taken over HTTPS only" }}{{ end -}}
{{- if .Values.senders.clientCa }}{{ fail "senders.clientCa needs tls.enabled, since certificates are shown over HTTPS only" }}{{ end -}}
{{- if .Values.tls.certManager.enabled }}{{ fail "tls.certManager.enabled needs tls.enabled" }}{{ end -}}
{{- end -}}
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
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "deeprt.selector" -}}
app.kubernetes.io/name: deeprt
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
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
deeprt.dev/pool: {{ . | quote }}
{{- end }}
{{- end -}}
