{{/* The plurals of the kinds, read from the CRDs, so that a new kind needs no change here. "which" is all, removals,
tenants (the namespaced kind) or cluster (the other one). */}}
{{- define "rescind.plurals" -}}
{{- $found := list }}
{{- range $path, $_ := .root.Files.Glob "files/crds/*.yaml" }}
{{- $spec := ($.root.Files.Get $path | fromYaml).spec }}
{{- $plural := $spec.names.plural }}
{{- $which := ternary "tenants" "removals" (hasSuffix "auth0tenants" $plural) }}
{{- $which = ternary "cluster" $which (eq $spec.scope "Cluster") }}
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
    {{- include "rescind.plurals" (dict "root" . "which" "removals") | nindent 4 }}
    {{- include "rescind.plurals" (dict "root" . "which" "tenants") | nindent 4 }}
  verbs: [get, list, watch]
- apiGroups: [rescind.dev]
  resources:
    {{- include "rescind.plurals" (dict "root" . "which" "removals" "suffix" "/status") | nindent 4 }}
    {{- include "rescind.plurals" (dict "root" . "which" "tenants" "suffix" "/status") | nindent 4 }}
  verbs: [update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What serving ClusterAuth0Tenant takes beyond that. Of a namespace only the metadata is read. */}}
{{- define "rescind.rules.clusterTenants" -}}
- apiGroups: [rescind.dev]
  resources:
    {{- include "rescind.plurals" (dict "root" . "which" "cluster") | nindent 4 }}
  verbs: [get, list, watch]
- apiGroups: [rescind.dev]
  resources:
    {{- include "rescind.plurals" (dict "root" . "which" "cluster" "suffix" "/status") | nindent 4 }}
  verbs: [update]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}

{{/* Whether ClusterAuth0Tenant is served: true or false. */}}
{{- define "rescind.clusterTenants" -}}
{{- $enabled := (.Values.clusterTenants).enabled }}
{{- if and $enabled .Values.watchNamespaces }}
{{- fail "clusterTenants.enabled needs rights in the whole cluster; leave watchNamespaces empty" }}
{{- end }}
{{- if kindIs "invalid" $enabled }}
{{- $enabled = and (empty .Values.watchNamespaces) (or (empty .Values.secretNamespaces) (has "*" .Values.secretNamespaces)) }}
{{- end }}
{{- $enabled }}
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

{{/* The policy that enforces who asked, and its binding, by their name: a list of one name needs no right to the others. */}}
{{- define "rescind.rules.requester" -}}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  resourceNames: [{{ include "rescind.requesterPolicy" . }}]
  verbs: [list, watch]
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

{{/* The namespaces in which the operator may read Secrets: with ClusterAuth0Tenant always its own, too. */}}
{{- define "rescind.readableNamespaces" -}}
{{- $secrets := include "rescind.secretNamespaces" . | fromYamlArray }}
{{- if and (eq (include "rescind.clusterTenants" .) "true") (not (has "*" $secrets)) }}
{{- $secrets = append $secrets .Release.Namespace | uniq }}
{{- end }}
{{- toYaml $secrets }}
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
