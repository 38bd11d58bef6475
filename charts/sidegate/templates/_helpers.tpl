{{/*
One release of Sidegate per cluster: an annotation can have only one meaning. So the names are fixed, and a second release is refused by
Helm itself (the cluster-wide objects belong to the first). src/injector/names.ts holds the names that the controller relies on.
*/}}
{{- define "sidegate.webhookService" -}}sidegate-webhook{{- end -}}
{{- define "sidegate.controller" -}}sidegate-controller{{- end -}}
{{- define "sidegate.source" -}}sidegate-profiles{{- end -}}
{{- define "sidegate.accepted" -}}sidegate-profiles-accepted{{- end -}}

{{- define "sidegate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "sidegate.serviceAccount" -}}
{{ .Values.controller.serviceAccount.name | default (include "sidegate.controller" .) }}
{{- end -}}

{{- define "sidegate.certificateSecret" -}}
{{- $certificates := .Values.webhook.certificates -}}
{{ $certificates.secret | default (ternary "sidegate-ca" "sidegate-webhook-tls" (eq $certificates.mode "self")) }}
{{- end -}}

{{/* The mode as a string: YAML reads a bare `off` as false. */}}
{{- define "sidegate.networkPolicyMode" -}}
{{- if kindIs "bool" .Values.networkPolicy.mode -}}off{{- else -}}{{ .Values.networkPolicy.mode }}{{- end -}}
{{- end -}}

{{- define "sidegate.selector" -}}
app.kubernetes.io/name: sidegate
app.kubernetes.io/component: controller
{{- end -}}

{{- define "sidegate.labels" -}}
app.kubernetes.io/name: sidegate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: sidegate
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Namespaces that are never touched, as a YAML list. */}}
{{- define "sidegate.excludedNamespaces" -}}
{{- toYaml (concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq) -}}
{{- end -}}

{{/* What the NetworkPolicy of a namespace says; the controller makes the same (src/injector/network-policy.ts; a test compares them). */}}
{{- define "sidegate.networkPolicySpec" -}}
podSelector:
  matchLabels:
    sidegate.dev/injected: "true"
  # In the other interceptions the sidecar has the app's own port number, and the kernel is the lock.
  matchExpressions:
    - { key: sidegate.dev/interception, operator: NotIn, values: [loopback, redirect] }
policyTypes:
  - Ingress
  {{- if not (kindIs "invalid" .Values.networkPolicy.egress) }}
  - Egress
  {{- end }}
ingress:
  - ports:
      - { protocol: TCP, port: 15001, endPort: 15016 }
    {{- with .Values.networkPolicy.from }}
    from:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- with .Values.networkPolicy.healthFrom }}
  - ports:
      - { protocol: TCP, port: 15020 }
    from:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- if not (kindIs "invalid" .Values.networkPolicy.egress) }}
egress:
  {{- toYaml .Values.networkPolicy.egress | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The controller's file: docs/controller.md. JSON, keys sorted: the same bytes each time. */}}
{{- define "sidegate.controllerConfig" -}}
{{- $values := .Values -}}
{{- $certificates := $values.webhook.certificates -}}
{{- $sidecar := dict
  "image" (include "sidegate.image" .)
  "imagePullPolicy" $values.image.pullPolicy
  "imagePullSecrets" $values.sidecar.imagePullSecrets
  "resources" $values.sidecar.resources
  "interception" $values.sidecar.interception
  "labels" $values.sidecar.labels
  "runAsUser" $values.sidecar.runAsUser -}}
{{- if ne $values.sidecar.native "auto" -}}{{- $_ := set $sidecar "nativeSidecar" (eq $values.sidecar.native "always") -}}{{- end -}}
{{- /* A value set to null is gone by now: no CPU limit has to be said. */ -}}
{{- if not (hasKey $values.sidecar.resources.limits "cpu") -}}{{- $_ := set $sidecar "resources" (dict "requests" $values.sidecar.resources.requests "limits" (merge (dict "cpu" nil) $values.sidecar.resources.limits)) -}}{{- end -}}
{{- if not $values.sidecar.redirect.allowed -}}{{- $_ := set $sidecar "redirect" (dict "image" nil) -}}{{- end -}}
{{- $config := dict
  "namespace" .Release.Namespace
  "webhook" (dict "bind" (printf ":%d" (int $values.controller.securePort)) "configuration" "sidegate" "service" (include "sidegate.webhookService" .))
  "health" (dict "bind" (printf ":%d" (int $values.controller.healthPort)))
  "source" (dict "configMap" (include "sidegate.source" .))
  "networkPolicy" (dict "mode" (include "sidegate.networkPolicyMode" .) "from" $values.networkPolicy.from "healthFrom" $values.networkPolicy.healthFrom "egress" $values.networkPolicy.egress)
  "cleanup" (dict "after" $values.controller.cleanupAfter)
  "admission" (dict "deadline" (printf "%dms" (sub (mul 1000 (int $values.webhook.timeoutSeconds)) (ternary 2000 500 (gt (int $values.webhook.timeoutSeconds) 2)))))
  "owners" (dict "clusterRole" (include "sidegate.controller" .) "serviceAccount" (include "sidegate.serviceAccount" .))
  "events" $values.controller.events
  "log" (dict "level" $values.controller.logLevel)
  "sidecar" $sidecar -}}
{{- if eq $certificates.mode "self" -}}
{{- $_ := set $config "certificates" (dict "mode" "self" "secret" (include "sidegate.certificateSecret" .) "caValidity" $certificates.caValidity "leafValidity" $certificates.leafValidity "overlap" $certificates.overlap) -}}
{{- else -}}
{{- $_ := set $config "certificates" (dict "mode" $certificates.mode "directory" "/etc/sidegate-tls") -}}
{{- end -}}
{{- toPrettyJson $config -}}
{{- end -}}

{{/* A duration in milliseconds. */}}
{{- define "sidegate.milliseconds" -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000) (regexFind "[a-z]+$" .) | default 0) -}}
{{- end -}}

{{/* A quantity as a number, in cores or bytes, to be compared. */}}
{{- define "sidegate.amount" -}}
{{- $unit := regexFind "(m|k|M|G|T|Ki|Mi|Gi|Ti)$" . -}}
{{- $factors := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- mulf (trimSuffix $unit . | float64) (get $factors $unit | default 1.0) -}}
{{- end -}}

{{/* Combinations that cannot work or would leave a hole: refused with the reason. */}}
{{- define "sidegate.guards" -}}
{{- $values := .Values -}}
{{- if eq .Release.Namespace "kube-system" -}}
{{- fail "sidegate: install it in a namespace of its own (sidegate-system), not in kube-system: the release namespace is left out of injection and holds the authority's key." -}}
{{- end -}}
{{- if and (eq $values.webhook.failurePolicy "Ignore") (not $values.admissionPolicy.enabled) -}}
{{- fail "sidegate: webhook.failurePolicy Ignore without admissionPolicy.enabled would start annotated pods without their sidecar whenever the webhook does not answer. Set failurePolicy to Fail, or enable admissionPolicy." -}}
{{- end -}}
{{- $mode := include "sidegate.networkPolicyMode" . -}}
{{- if and (eq $mode "off") (eq $values.sidecar.interception "port") -}}
{{- fail "sidegate: networkPolicy.mode off with sidecar.interception port leaves the app's own port open to every pod. Choose interception loopback or redirect, or networkPolicy.mode manage." -}}
{{- end -}}
{{- if and $values.networkPolicy.namespaces (ne $mode "require") -}}
{{- fail (printf "sidegate: networkPolicy.namespaces is only for mode require; with mode %s the chart would render policies that the controller manages or that nobody wants. Empty the list or set the mode to require." $mode) -}}
{{- end -}}
{{- if and (eq $values.sidecar.interception "redirect") (not $values.sidecar.redirect.allowed) -}}
{{- fail "sidegate: sidecar.interception is redirect, but sidecar.redirect.allowed is false. Allow it or choose another default." -}}
{{- end -}}
{{- if eq (int $values.controller.securePort) (int $values.controller.healthPort) -}}
{{- fail (printf "sidegate: controller.securePort and controller.healthPort are both %d; they need two ports." (int $values.controller.securePort)) -}}
{{- end -}}
{{- if and (not $values.controller.serviceAccount.create) (not $values.controller.serviceAccount.name) -}}
{{- fail "sidegate: controller.serviceAccount.create is false, so controller.serviceAccount.name must name the service account to use." -}}
{{- end -}}
{{- if and (eq $values.webhook.certificates.mode "provided") (not $values.webhook.certificates.secret) -}}
{{- fail "sidegate: webhook.certificates.mode provided needs webhook.certificates.secret: the Secret with tls.crt, tls.key and ca.crt." -}}
{{- end -}}
{{- $certificates := $values.webhook.certificates -}}
{{- if eq $certificates.mode "self" -}}
{{- $together := add (include "sidegate.milliseconds" $certificates.leafValidity | int64) (include "sidegate.milliseconds" $certificates.overlap | int64) -}}
{{- if lt (include "sidegate.milliseconds" $certificates.caValidity | int64) (mul 3 $together) -}}
{{- fail (printf "sidegate: webhook.certificates.caValidity %s must be at least three times leafValidity %s and overlap %s together, so that the next authority is trusted before the old one ends." $certificates.caValidity $certificates.leafValidity $certificates.overlap) -}}
{{- end -}}
{{- end -}}
{{- $resources := $values.sidecar.resources -}}
{{- range $name, $request := $resources.requests -}}
{{- $limit := get $resources.limits $name -}}
{{- if and $limit (gt (include "sidegate.amount" $request | float64) (include "sidegate.amount" $limit | float64)) -}}
{{- fail (printf "sidegate: sidecar.resources.requests.%s %s is more than sidecar.resources.limits.%s %s: no pod could have the sidecar. Raise the limit or lower the request." $name $request $name $limit) -}}
{{- end -}}
{{- end -}}
{{- range $where, $labels := dict "commonLabels" $values.commonLabels "controller.podLabels" $values.controller.podLabels -}}
{{- range $label, $_ := $labels -}}
{{- if regexMatch "^(app\\.kubernetes\\.io|helm\\.sh)/" $label -}}{{- fail (printf "sidegate: %s has %s, which the chart sets itself. Use another label." $where $label) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := $values.files -}}
{{- if or (hasSuffix ".json" $name) (has $name (list "issuers" "profiles" "." "..")) -}}{{- fail (printf "sidegate: files has %q, a name that the chart uses itself (issuers, profiles, and all that end in .json). Use another name." $name) -}}{{- end -}}
{{- end -}}
{{- if has $values.tests.namespace (concat (list "kube-system" .Release.Namespace) $values.webhook.excludedNamespaces) -}}
{{- fail (printf "sidegate: tests.namespace %s is left out of injection; the test's app must be in a namespace that is not." $values.tests.namespace) -}}
{{- end -}}
{{- $names := list -}}
{{- range $index, $issuer := $values.issuers -}}
{{- if has $issuer.name $names -}}{{- fail (printf "sidegate: two issuers are named %q; names must be unique." $issuer.name) -}}{{- end -}}
{{- $names = append $names $issuer.name -}}
{{- end -}}
{{- range $profile, $body := $values.profiles -}}
{{- range $name := (default (dict) $body).issuers -}}
{{- if not (has $name $names) -}}{{- fail (printf "sidegate: profiles.%s.issuers names %q, but there is no such issuer; known: %s." $profile $name (join ", " $names | default "none")) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* src/injector/names.ts and annotations.ts; a test compares them. */}}
{{- define "sidegate.knownAnnotations" -}}
["sidegate.dev/inject", "sidegate.dev/profile", "sidegate.dev/ports", "sidegate.dev/interception", "sidegate.dev/mode", "sidegate.dev/cpu-request", "sidegate.dev/cpu-limit", "sidegate.dev/memory-request", "sidegate.dev/memory-limit", "sidegate.dev/original"]
{{- end -}}
