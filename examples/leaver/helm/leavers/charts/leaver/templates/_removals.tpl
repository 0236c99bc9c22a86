{{/*
All removals of one person, as a stream of YAML documents.

Takes {leaver, root}. `leaver` is an item of `leavers` as values.yaml of the chart `leavers` describes it; `root` is the
root of the chart that uses this, for the namespace and for the values `options`, `labels` and `syncWaves`.
*/}}
{{- define "leaver.removals" -}}
{{- $root := .root -}}
{{- $leaver := .leaver -}}
{{- $roles := $leaver.roles | default list | uniq | sortAlpha -}}
{{- $permissions := include "leaver.permissions" $leaver | fromJsonArray -}}
{{- if not (or $leaver.organizations $roles $permissions) -}}
{{- fail (printf "%s loses nothing: name organizations, roles or permissions" $leaver.name) -}}
{{- end -}}
{{- range $user := $leaver.userIds | uniq -}}
{{- range $leaver.organizations -}}
{{- $organization := .id -}}
{{- with .roles | default list | uniq | sortAlpha -}}
{{- $target := dict "organizationId" $organization "userId" $user "roles" . -}}
{{- include "leaver.removal" (dict "root" $root "leaver" $leaver "kind" "OrgMemberRoleRemoval" "target" $target) -}}
{{- end -}}
{{- $target := dict "organizationId" $organization "members" (list $user) -}}
{{- include "leaver.removal" (dict "root" $root "leaver" $leaver "kind" "OrgMembershipRemoval" "target" $target) -}}
{{- end -}}
{{- with $roles -}}
{{- $target := dict "userId" $user "roles" . -}}
{{- include "leaver.removal" (dict "root" $root "leaver" $leaver "kind" "UserRoleRevocation" "target" $target) -}}
{{- end -}}
{{- with $permissions -}}
{{- $target := dict "userId" $user "permissions" . -}}
{{- include "leaver.removal" (dict "root" $root "leaver" $leaver "kind" "UserPermissionRevocation" "target" $target) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
One removal. Takes {root, leaver, kind, target}.

The name ends with a hash of the target, because a target cannot be changed: one more role in the list makes another
object, while the same list in another order does not.
*/}}
{{- define "leaver.removal" -}}
{{- $values := .root.Values -}}
{{- $times := pick .leaver "notBefore" "notAfter" -}}
{{- $spec := dict -}}
{{- range list $values.options .leaver.options $times .target -}}
{{- range $field, $value := . -}}
{{- $_ := set $spec $field $value -}}
{{- end -}}
{{- end }}
---
apiVersion: rescind.dev/v1alpha1
kind: {{ .kind }}
metadata:
  name: {{ .leaver.name }}-{{ .target | toJson | sha256sum | trunc 10 }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- merge (dict "identity/leaver" .leaver.name) ($values.labels | default dict) | toYaml | nindent 4 }}
  {{- if and $values.syncWaves (eq .kind "OrgMembershipRemoval") }}
  annotations: {argocd.argoproj.io/sync-wave: "1"}
  {{- end }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end -}}

{{/*
The permissions of a person as a JSON array, sorted, each once.
*/}}
{{- define "leaver.permissions" -}}
{{- $known := dict -}}
{{- range .permissions -}}
{{- $_ := set $known (list .resourceServerIdentifier .permissionName | toJson) . -}}
{{- end -}}
{{- $sorted := list -}}
{{- range keys $known | sortAlpha -}}
{{- $sorted = append $sorted (get $known .) -}}
{{- end -}}
{{- toJson $sorted -}}
{{- end -}}
