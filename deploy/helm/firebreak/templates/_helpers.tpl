{{- define "firebreak.name" -}}
{{- $name := default "firebreak" .Values.nameOverride -}}
{{- if contains $name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ $name }}{{ end -}}
{{- end -}}

{{- define "firebreak.selector" -}}
app.kubernetes.io/name: firebreak
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end -}}

{{- define "firebreak.labels" -}}
{{ include "firebreak.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "firebreak.config" -}}
{{- if .Values.existingConfig }}{{ .Values.existingConfig }}{{ else }}{{ include "firebreak.name" . }}-config{{ end -}}
{{- end -}}

{{- define "firebreak.secret" -}}
{{- required "secrets.existing names the Secret with api-keys, admin-key and database" .Values.secrets.existing -}}
{{- end -}}

{{/* One pod of a service: {root, service, stable, env}. `stable`: its name survives a restart, so that it takes its partitions back. */}}
{{- define "firebreak.pod" -}}
{{- $root := .root }}
{{- $values := index $root.Values .service }}
metadata:
  labels:
    {{- include "firebreak.labels" . | nindent 4 }}
  # No checksum of the configuration: processes take a changed one themselves, and refuse a broken one, which no new pod could.
  {{- with $root.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  # Or a Service named firebreak in the namespace would set FIREBREAK_PORT to an address.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "firebreak.selector" . | nindent 8 }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
  - name: {{ .service }}
    image: {{ with $root.Values.image.registry }}{{ . }}/{{ end }}firebreak-{{ .service }}:{{ coalesce $values.tag $root.Values.image.tag $root.Chart.AppVersion }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: [run, {{ .service }}]
    env:
    - {name: FIREBREAK_LOG, value: kafka}
    - {name: FIREBREAK_KAFKA_BOOTSTRAP, value: {{ required "kafka.bootstrap is host:port of your brokers" $root.Values.kafka.bootstrap | quote }}}
    - {name: FIREBREAK_KAFKA_REPLICATION, value: {{ $root.Values.kafka.replication | quote }}}
    - {name: FIREBREAK_PARTITIONS, value: {{ $root.Values.kafka.partitions | quote }}}
    - {name: FIREBREAK_KAFKA_PREFIX, value: {{ $root.Values.kafka.prefix | quote }}}
    - {name: FIREBREAK_KAFKA_SECURITY_PROTOCOL, value: {{ $root.Values.kafka.securityProtocol }}}
    {{- if hasPrefix "SASL" $root.Values.kafka.securityProtocol }}
    - {name: FIREBREAK_KAFKA_SASL_MECHANISM, value: {{ $root.Values.kafka.saslMechanism }}}
    - {name: FIREBREAK_KAFKA_SASL_USER, value: {{ required "kafka.saslUser is needed with SASL" $root.Values.kafka.saslUser | quote }}}
    - name: FIREBREAK_KAFKA_SASL_PASSWORD
      valueFrom: {secretKeyRef: {name: {{ include "firebreak.secret" $root }}, key: kafka-sasl-password}}
    {{- end }}
    {{- if $root.Values.kafka.caSecret }}
    - {name: FIREBREAK_KAFKA_CA_FILE, value: /etc/firebreak-kafka/ca.crt}
    {{- end }}
    - {name: FIREBREAK_HOST, value: 0.0.0.0}
    - {name: FIREBREAK_PORT, value: {{ $root.Values.service.port | quote }}}
    {{- if .stable }}
    - name: FIREBREAK_INSTANCE
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    {{- end }}
    {{- with .env }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- range $name, $value := $values.env }}
    - {name: FIREBREAK_{{ $name }}, value: {{ $value | quote }}}
    {{- end }}
    ports:
    - {name: http, containerPort: {{ $root.Values.service.port }}}
    # Live: makes progress. Ready: can do its work. A broker that is away is no reason to be restarted.
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
    startupProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 2
      timeoutSeconds: 5
      failureThreshold: 60
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
    - {name: config, mountPath: /etc/firebreak, readOnly: true}
    - {name: tmp, mountPath: /tmp}
    - {name: scratch, mountPath: /var/lib/firebreak}
    {{- if $root.Values.kafka.caSecret }}
    - {name: kafka-ca, mountPath: /etc/firebreak-kafka, readOnly: true}
    {{- end }}
  volumes:
  - name: config
    configMap: {name: {{ include "firebreak.config" $root }}}
  # Nothing that matters is written: all of it is in Kafka and PostgreSQL.
  # The scorer unpacks its language model there when it starts.
  - name: tmp
    emptyDir: {sizeLimit: 256Mi}
  - name: scratch
    emptyDir: {sizeLimit: 64Mi}
  {{- with $root.Values.kafka.caSecret }}
  - name: kafka-ca
    secret: {secretName: {{ . }}}
  {{- end }}
{{- end -}}

{{- define "firebreak.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "firebreak.name" .root }}-{{ .service }}
  labels:
    {{- include "firebreak.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "firebreak.selector" . | nindent 6 }}
{{- end -}}

{{- define "firebreak.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "firebreak.name" .root }}-{{ .service }}
  labels:
    {{- include "firebreak.labels" . | nindent 4 }}
spec:
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  selector:
    {{- include "firebreak.selector" . | nindent 4 }}
  ports:
  - {name: http, port: {{ .root.Values.service.port }}, targetPort: http}
{{- end -}}
