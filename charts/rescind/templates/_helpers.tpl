{{/* Fills in the values that the release does not have: with `--reuse-values` they are those of an older chart. Every
template begins with this. A value whose default is null needs no filling in. */}}
{{- define "rescind.defaults" -}}
{{- $values := .Values }}
{{- range $path, $default := .Files.Get "files/defaults.json" | fromJson }}
{{- $keys := splitList "." $path }}
{{- $block := $values }}
{{- range initial $keys }}
{{- if not (kindIs "map" (get $block .)) }}
{{- $_ := set $block . dict }}
{{- end }}
{{- $block = get $block . }}
{{- end }}
{{- if not (hasKey $block (last $keys)) }}
{{- $_ := set $block (last $keys) $default }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rescind.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A release that is named like the chart does not repeat the name. 45 characters leave room for our suffixes in 63. */}}
{{- define "rescind.fullname" -}}
{{- $name := include "rescind.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- end }}

{{- define "rescind.leaseName" -}}
{{- default (include "rescind.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{/* The name of the admission policy that enforces who asked, and of its binding. */}}
{{- define "rescind.requesterPolicy" -}}
{{- include "rescind.fullname" . }}-requested-by
{{- end }}

{{/* A security context; on OpenShift without what the platform chooses. */}}
{{- define "rescind.securityContext" -}}
{{- toYaml (ternary (omit .context "runAsUser" "runAsGroup" "fsGroup") .context .root.Values.openshift) }}
{{- end }}

{{- define "rescind.serviceAccountName" -}}
{{- $default := ternary (include "rescind.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $default .Values.serviceAccount.name }}
{{- end }}

{{/* These must never change, because the selector of a Deployment is immutable. */}}
{{- define "rescind.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rescind.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rescind.labels" -}}
{{- $own := include "rescind.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") }}
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{/* Name and labels of an object: dict "root" $ "name" "…" "namespace" "…" "labels" dict "annotations" dict. */}}
{{- define "rescind.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- toYaml (merge (include "rescind.labels" .root | fromYaml) (default dict .labels)) | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "rescind.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}
