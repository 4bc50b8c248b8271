{{- define "breakwater.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "breakwater.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "breakwater.name" . -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The three below take a dict: root, component ("agent", "consumer", "topics"). */}}
{{- define "breakwater.selectorLabels" -}}
app.kubernetes.io/name: {{ include "breakwater.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "breakwater.labels" -}}
{{ include "breakwater.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "breakwater.serviceAccountName" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "breakwater.fullname" .root) .component) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{- define "breakwater.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "breakwater.brokers" -}}
{{- required "kafka.brokers must be set: [kafka-0.kafka:9092, …]" (join "," .Values.kafka.brokers) -}}
{{- end -}}

{{- define "breakwater.kafkaSecret" -}}
{{- .Values.kafka.sasl.existingSecret | default (printf "%s-kafka" (include "breakwater.fullname" .)) -}}
{{- end -}}

{{/* Where Kafka is and who we are there, as every container is told: the environment contract of the README. */}}
{{- define "breakwater.kafkaEnv" -}}
- {name: KAFKA_BROKERS, value: {{ include "breakwater.brokers" . | quote }}}
- {name: KAFKA_LOGS_TOPIC, value: {{ .Values.kafka.topics.logs | quote }}}
- {name: KAFKA_METRICS_TOPIC, value: {{ .Values.kafka.topics.metrics | quote }}}
- {name: KAFKA_FLUENTBIT_TOPIC, value: {{ .Values.kafka.topics.fluentBit | quote }}}
- {name: KAFKA_DLQ_TOPIC, value: {{ .Values.kafka.topics.deadLetters | quote }}}
- {name: KAFKA_LEDGER_TOPIC, value: {{ .Values.kafka.topics.ledger | quote }}}
{{- with .Values.kafka.sasl }}
{{- if .enabled }}
- {name: KAFKA_SASL_MECHANISM, value: {{ .mechanism }}}
- name: KAFKA_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ include "breakwater.kafkaSecret" $ }}, key: {{ .usernameKey }}}}
- {name: KAFKA_SASL_PASSWORD_FILE, value: /etc/kafka/sasl/{{ .passwordKey }}}
{{- end }}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if .enabled }}
- {name: KAFKA_TLS, value: "true"}
{{- if .caSecret }}
- {name: KAFKA_TLS_CA_FILE, value: /etc/kafka/ca/{{ .caKey }}}
{{- end }}
{{- if .clientSecret }}
- {name: KAFKA_TLS_CERT_FILE, value: /etc/kafka/client/tls.crt}
- {name: KAFKA_TLS_KEY_FILE, value: /etc/kafka/client/tls.key}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The arguments for them: files of the image, each of which gives its settings to all clients of Kafka. */}}
{{- define "breakwater.kafkaArgs" -}}
{{- if .Values.kafka.sasl.enabled }}
- --config=/etc/breakwater/security.d/kafka-sasl.yaml
{{- end }}
{{- if .Values.kafka.tls.enabled }}
- --config=/etc/breakwater/security.d/kafka-tls.yaml
{{- end }}
{{- end -}}

{{- define "breakwater.kafkaVolumes" -}}
{{- if .Values.kafka.sasl.enabled }}
- {name: kafka-sasl, secret: {secretName: {{ include "breakwater.kafkaSecret" . }}, defaultMode: 0440}}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if and .enabled .caSecret }}
- {name: kafka-ca, secret: {secretName: {{ .caSecret }}}}
{{- end }}
{{- if and .enabled .clientSecret }}
- {name: kafka-client, secret: {secretName: {{ .clientSecret }}, defaultMode: 0440}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "breakwater.kafkaVolumeMounts" -}}
{{- if .Values.kafka.sasl.enabled }}
- {name: kafka-sasl, mountPath: /etc/kafka/sasl, readOnly: true}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if and .enabled .caSecret }}
- {name: kafka-ca, mountPath: /etc/kafka/ca, readOnly: true}
{{- end }}
{{- if and .enabled .clientSecret }}
- {name: kafka-client, mountPath: /etc/kafka/client, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of a container that is not root. */}}
{{- define "breakwater.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The end of a peer, "host:9092" or "http://host:8428/path", for a network policy. */}}
{{- define "breakwater.port" -}}
{{- $hostPort := regexReplaceAll "^[a-z]+://" . "" | regexFind "^[^/]+" -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $hostPort) | default (hasPrefix "https:" . | ternary "443" "80") -}}
{{- end -}}

{{- define "breakwater.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{- define "breakwater.kafkaEgress" -}}
{{- $ports := list -}}
{{- range .Values.kafka.brokers }}{{ $ports = append $ports (include "breakwater.port" .) }}{{ end -}}
- ports:
{{- range uniq $ports }}
    - {port: {{ . }}, protocol: TCP}
{{- end }}
{{- end -}}
