{{/* Names are fixed, because a cluster has one API of external metrics, and so one installation. */}}

{{/* Labels that select pods. They are the labels of config, so a release can take over an installation with kubectl. */}}
{{- define "ksmscale.selector" -}}
app.kubernetes.io/name: ksmscale
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "ksmscale.labels" -}}
app.kubernetes.io/part-of: ksmscale
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of objects that others select. Takes a list of the root, the component and labels of users. */}}
{{- define "ksmscale.componentLabels" -}}
{{- $ours := merge (include "ksmscale.selector" (index . 1) | fromYaml) (include "ksmscale.labels" (index . 0) | fromYaml) }}
{{- toYaml (merge $ours (index . 2)) }}
{{- end }}

{{/* The name of an image. Takes a list of the root and the image's own values. */}}
{{- define "ksmscale.image" -}}
{{- $all := (index . 0).Values.image }}{{ $image := index . 1 -}}
{{- $tag := $all.tag }}
{{- if not (or $tag $image.digest) }}{{ $tag = (index . 0).Chart.AppVersion }}{{ end }}
{{- $all.registry }}/{{ $image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The Secret of the adapter's certificate. cert-manager uses a separate Secret, and chooses its type. */}}
{{- define "ksmscale.certificateSecret" -}}
{{- if eq .Values.certificate.source "cert-manager" }}ksmscale-adapter-cert-manager{{ else }}ksmscale-adapter-certificate{{ end }}
{{- end }}

{{/* Metadata of pods. Takes a list of the component and its values. */}}
{{- define "ksmscale.podMetadata" -}}
{{- $values := index . 1 }}
labels:
  {{- toYaml (merge (include "ksmscale.selector" (index . 0) | fromYaml) $values.podLabels) | nindent 2 }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Fields of pods other than containers and volumes. Takes a list of the root, the component and its values. */}}
{{- define "ksmscale.podSpec" -}}
{{- $root := index . 0 }}{{ $values := index . 2 -}}
serviceAccountName: ksmscale-{{ index . 1 }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The first and the last fields of a component's container. They take a list of the root, the component and its values. */}}
{{- define "ksmscale.container" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
image: {{ include "ksmscale.image" (list $root $root.Values.image) | quote }}
{{- with $root.Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
command: [/{{ index . 1 }}]
{{- end }}

{{- define "ksmscale.containerLimits" -}}
{{- $values := index . 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Arguments of the controller that limit rollouts, without its defaults. Takes its values. */}}
{{- define "ksmscale.rolloutArgs" -}}
{{- if ne (int .maxConcurrent) 3 }}
- --max-concurrent-rollouts={{ .maxConcurrent }}
{{- end }}
{{- if ne (int .maxConcurrentPerKSMScale) 1 }}
- --max-concurrent-rollouts-per-ksmscale={{ .maxConcurrentPerKSMScale }}
{{- end }}
{{- end }}

{{/* Arguments of both components. Takes a list like the templates above. */}}
{{- define "ksmscale.commonArgs" -}}
{{- $root := index . 0 }}
{{- with $root.Values.logging.level }}
- --v={{ . }}
{{- end }}
{{- if ne $root.Values.logging.format "json" }}
- --logging-format={{ $root.Values.logging.format }}
{{- end }}
{{- range (index . 2).extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Metadata of the objects that helm test creates, except their own annotations. */}}
{{- define "ksmscale.test" }}
  name: ksmscale-test
  labels:
    {{- include "ksmscale.labels" . | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
