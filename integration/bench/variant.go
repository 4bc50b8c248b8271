package bench

import "fmt"

// Variant is one way to get the backlog into VictoriaLogs.
type Variant struct {
	Name string
	What string // for the table

	// Configs and Env are those of the consumer process. Without Configs there is none: the rows are posted by the
	// benchmark itself, encoded beforehand.
	Configs []string
	Env     map[string]string
	Args    []string
	Profile string // file for a CPU profile of the consumer while it drains; none when empty
}

const consumerConfig = "configs/consumer.yaml"

// Names of the variants that targets are about.
const (
	Ours      = "ours"
	Rival     = "rival"
	Upstream  = "kafka"
	Generator = "generator"
)

// ours is the shipped profile with further settings on top, such as `yaml:receivers::durable_kafka/logs::max_fetch_size: 1048576`.
func ours(name, what string, settings ...string) Variant {
	v := Variant{Name: name, What: what, Configs: []string{consumerConfig}}
	for _, setting := range settings {
		v.Configs = append(v.Configs, "yaml:"+setting)
	}
	return v
}

// rivalConfig is the same work done by upstream components, as safe as they can be: synchronous, without a queue.
const rivalConfig = `yaml:
receivers:
  kafka:
    brokers: ${env:KAFKA_BROKERS}
    group_id: ${env:KAFKA_GROUP_ID}-logs
    logs: {topics: ["${env:KAFKA_LOGS_TOPIC:-otel-logs-v1}"], encoding: otlp_proto}
    initial_offset: earliest
    session_timeout: 30s
    autocommit: {enable: false}
    message_marking: {after: true, on_error: false, on_permanent_error: false}
    error_backoff: {enabled: true, initial_interval: 1s, max_interval: 30s, multiplier: 1.5, randomization_factor: 0.5, max_elapsed_time: 0s}
    max_fetch_size: 33554432
    max_partition_fetch_size: 33554432
exporters:
  otlp_http:
    logs_endpoint: ${env:VICTORIALOGS_ENDPOINT}/insert/opentelemetry/v1/logs
    compression: none
    headers: {VL-Stream-Fields: "` + streamFields + `"}
    sending_queue: {enabled: false}
extensions:
  health_check: {endpoint: "${env:HEALTH_ENDPOINT}"}
  pprof: {endpoint: "${env:PPROF_ENDPOINT}"}
service:
  extensions: [health_check, pprof]
  pipelines:
    logs: {receivers: [kafka], exporters: [otlp_http]}
  telemetry:
    metrics:
      level: normal
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:METRICS_PORT}"}}}}]
`

// upstreamReceiver is the shipped profile with the upstream Kafka receiver in place of ours: what the receiver costs.
const upstreamReceiver = `
receivers:
  kafka:
    brokers: ${env:KAFKA_BROKERS}
    group_id: ${env:KAFKA_GROUP_ID}-logs
    logs: {topics: ["${env:KAFKA_LOGS_TOPIC:-otel-logs-v1}"], encoding: otlp_zero_copy_encoding}
    initial_offset: earliest
    session_timeout: 30s
    autocommit: {enable: false}
    message_marking: {after: true, on_error: false, on_permanent_error: false}
    error_backoff: {enabled: true, initial_interval: 1s, max_interval: 30s, multiplier: 1.5, randomization_factor: 0.5, max_elapsed_time: 0s}
    max_fetch_size: 1048576
    max_partition_fetch_size: 524288
extensions:
  otlp_zero_copy_encoding:
service:
  extensions: [durability, fluent_bit_encoding, ledger, otlp_zero_copy_encoding, health_check, pprof, zpages]
  pipelines:
    logs/otlp: {receivers: [kafka]}
`

// fluentBitRival reads Fluent Bit's messages with upstream components. They can only be fast by acknowledging at once
// what the batch processor then holds in memory.
const fluentBitRival = `yaml:
receivers:
  kafka:
    brokers: ${env:KAFKA_BROKERS}
    group_id: ${env:KAFKA_GROUP_ID}-fluent-bit
    logs: {topics: ["${env:KAFKA_FLUENTBIT_TOPIC:-fluent-bit-logs-v1}"], encoding: json}
    initial_offset: earliest
processors:
  batch: {send_batch_size: 8192, timeout: 200ms}
exporters:
  otlp_http:
    logs_endpoint: ${env:VICTORIALOGS_ENDPOINT}/insert/opentelemetry/v1/logs
    compression: none
    headers: {VL-Stream-Fields: "` + streamFields + `"}
    sending_queue: {enabled: false}
extensions:
  health_check: {endpoint: "${env:HEALTH_ENDPOINT}"}
  pprof: {endpoint: "${env:PPROF_ENDPOINT}"}
service:
  extensions: [health_check, pprof]
  pipelines:
    logs: {receivers: [kafka], processors: [batch], exporters: [otlp_http]}
  telemetry:
    metrics:
      level: normal
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:METRICS_PORT}"}}}}]
`

// streamFields are those of configs/consumer.yaml.
const streamFields = "stream,service_name,service_namespace,host_name,env,site_name"

// CompareVariants are what the targets are about.
func CompareVariants() []Variant {
	return []Variant{
		ours(Ours, "`configs/consumer.yaml` as shipped"),
		{Name: Rival, What: "upstream `kafka` + `otlp_http`, no compression, 32 MiB fetches", Configs: []string{rivalConfig}},
		ours(Upstream, "ours with upstream's `kafka` receiver, safe settings, the same fetches", upstreamReceiver),
		{Name: Generator, What: "load generator, rows encoded beforehand"},
	}
}

// CompressionVariants are what the default of `compression` was chosen from.
func CompressionVariants() []Variant {
	return []Variant{
		ours(Ours, "`configs/consumer.yaml` as shipped"),
		ours("zstd", "ours with `compression: zstd`", "exporters::victorialogs::compression: zstd"),
		ours("gzip", "ours with `compression: gzip`", "exporters::victorialogs::compression: gzip"),
	}
}

// FluentBitVariants read messages of one record of JSON.
func FluentBitVariants() []Variant {
	return []Variant{
		ours(Ours, "`configs/consumer.yaml` as shipped"),
		{Name: Rival, What: "upstream `kafka` (json) + `batch` + `otlp_http`, which acknowledges before it delivers", Configs: []string{fluentBitRival}},
	}
}

// TuneVariants are the shipped profile with other settings for fetches and the garbage collector, which have to be
// chosen together: what is fetched is what lives on the heap, and GOGC is a percentage of that.
func TuneVariants() []Variant {
	const kib = 1 << 10
	variants := []Variant{ours(Ours, "as shipped")}
	for _, size := range []struct{ fetch, partition int }{
		{512 * kib, 256 * kib}, {1024 * kib, 512 * kib}, {1024 * kib, 1024 * kib}, {2048 * kib, 1024 * kib}, {8192 * kib, 2048 * kib}, {32768 * kib, 32768 * kib},
	} {
		v := ours(fmt.Sprintf("fetch%dk", size.fetch/kib),
			fmt.Sprintf("`max_fetch_size` %d KiB, `max_partition_fetch_size` %d KiB", size.fetch/kib, size.partition/kib),
			fmt.Sprintf("receivers::durable_kafka/logs::max_fetch_size: %d", size.fetch),
			fmt.Sprintf("receivers::durable_kafka/logs::max_partition_fetch_size: %d", size.partition))
		if size.partition < size.fetch {
			v.Name += fmt.Sprintf("-%dk", size.partition/kib)
		}
		variants = append(variants, v)
	}
	for _, env := range []map[string]string{
		{"GOGC": "100"}, {"GOGC": "200"}, {"GOGC": "400"}, {"GOGC": "400", "GOMEMLIMIT": "128MiB"},
	} {
		v := ours("gogc"+env["GOGC"], "`GOGC="+env["GOGC"]+"`")
		if limit := env["GOMEMLIMIT"]; limit != "" {
			v.Name, v.What = "gomemlimit", v.What+", `GOMEMLIMIT="+limit+"`"
		}
		v.Env = env
		variants = append(variants, v)
	}
	variants = append(variants, Variant{
		Name: "rival-gogc100", What: "upstream `kafka` + `otlp_http` with `GOGC=100`",
		Configs: []string{rivalConfig}, Env: map[string]string{"GOGC": "100"},
	})
	pooled := ours("pooling", "`--feature-gates=pdata.enableRefCounting,pdata.useProtoPooling`")
	pooled.Args = []string{"--feature-gates=pdata.enableRefCounting,pdata.useProtoPooling"}
	return append(variants, pooled)
}
