{{/* The plurals of the kinds, read from the CRDs, so that a new kind needs no change here. "which" is all, removals or
tenants. */}}
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

{{/* Permissions on the kinds and on events. A test removes each verb in turn and checks that the operator misses it. */}}
{{- define "rescind.rules.objects" -}}
# get: for the preflight check when the watch has been silent, and after a conflicting status write.
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

{{/* RBAC cannot select by label, but the operator lists and watches only Secrets with rescind.dev/credentials=true. */}}
{{- define "rescind.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end }}

{{/* RBAC cannot limit create to a name. A standby watches the Lease, to take over at once. */}}
{{- define "rescind.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "rescind.leaseName" . }}]
  verbs: [get, update, watch]
{{- end }}

{{/* The namespaces to read Secrets from: a list, or the one entry "*" for all. */}}
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
