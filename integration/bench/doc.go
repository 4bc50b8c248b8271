// Package bench measures the consumer end to end: an in-process Kafka that holds a backlog of OTLP messages → a
// consumer process → a real VictoriaLogs. CPU and memory are those of each process by itself, so that what the
// benchmark and its Kafka use is not in them.
package bench
