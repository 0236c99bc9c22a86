{{/* The plurals of the kinds, from the CRDs, so that a new kind needs nothing here: all, removals or tenants. */}}
{{- define "rescind.plurals" -}}
{{- $found := list }}
{{- range $path, $_ := .root.Files.Glob "files/crds/*.yaml" }}
{{- $plural := ($.root.Files.Get $path | fromYaml).spec.names.plural }}
{{- $which := ternary "tenants" "removals" (hasSuffix "auth0tenants" $plural) }}
{{- if has $.which (list "all" $which) }}
{{- $found = append $found (printf "%s%s" $plural (default "" $.suffix)) }}
{{- end }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{/* What the operator does with objects and events. A test removes each verb in turn and sees it missed. */}}
{{- define "rescind.rules.objects" -}}
# get is for the last look before a removal leaves, when the watch has been silent, and after a write that conflicted.
- apiGroups: [rescind.dev]
  resources:
    {{- include "rescind.plurals" (dict "root" . "which" "all") | nindent 4 }}
  verbs: [get, list, watch]
- apiGroups: [rescind.dev]
  resources:
    {{- include "rescind.plurals" (dict "root" . "which" "all" "suffix" "/status") | nindent 4 }}
  verbs: [update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* RBAC knows no labels: the operator asks only for Secrets with the label rescind.dev/credentials=true. */}}
{{- define "rescind.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end }}

{{/* Creating cannot be limited to a name. A standby watches, to take over at once. */}}
{{- define "rescind.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [rescind-leader]
  verbs: [get, update, watch]
{{- end }}

{{/* Where Secrets are read: a list of namespaces, or the one entry "*". */}}
{{- define "rescind.secretNamespaces" -}}
{{- $secrets := .Values.secretNamespaces }}
{{- $watched := .Values.watchNamespaces }}
{{- range $secrets }}
{{- if and $watched (not (has . $watched)) }}
{{- fail (printf "secretNamespaces names %q, which watchNamespaces does not; an Auth0Tenant and its Secret are in one namespace" .) }}
{{- end }}
{{- end }}
{{- toYaml (default (default (list .Release.Namespace) $watched) $secrets) }}
{{- end }}

{{/* A role and its binding to the operator: dict "root" $ "name" "…" "namespace" "" (cluster) "rules" "…". */}}
{{- define "rescind.role" -}}
{{- $kind := ternary "Role" "ClusterRole" (ne .namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- include "rescind.metadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- include "rescind.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "rescind.serviceAccountName" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
