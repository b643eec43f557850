{{- define "redraft.name" -}}
{{- printf "%s" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "redraft.labels" -}}
app.kubernetes.io/name: redraft
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* Call with (dict "root" $ "part" "gateway"). */ -}}
{{- define "redraft.selector" -}}
app.kubernetes.io/name: redraft
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "redraft.secretName" -}}
{{- .Values.secrets.existing | default (printf "%s-secrets" (include "redraft.name" .)) -}}
{{- end -}}

{{- define "redraft.keysName" -}}
{{- .Values.keys.existing | default (printf "%s-keys" (include "redraft.name" .)) -}}
{{- end -}}

{{- /* As many as there may ever be: those that are not there yet are dialled until they are. */ -}}
{{- define "redraft.nodeUrls" -}}
{{- $name := include "redraft.name" . -}}
{{- $count := .Values.node.autoscaling.enabled | ternary .Values.node.autoscaling.max .Values.node.replicas | int -}}
{{- $urls := list -}}
{{- range $i := until $count -}}
{{- $urls = append $urls (printf "ws://%s-node-%d.%s-node.%s.svc:9000" $name $i $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}

{{- define "redraft.store" -}}
{{- if .Values.redis.enabled -}}
redis://:$(REDIS_PASSWORD)@{{ include "redraft.name" . }}-redis:6379
{{- else -}}
{{- $url := urlParse .Values.redis.url -}}
{{ $url.scheme }}://:$(REDIS_PASSWORD)@{{ $url.host }}{{ $url.path }}
{{- end -}}
{{- end -}}

{{- define "redraft.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "redraft.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "redraft.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "redraft.selector" . | nindent 6 }}
{{- end -}}
