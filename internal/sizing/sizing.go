// Package sizing says how large the buffers of the pipeline have to be for an
// outage: the disk queue of an agent, the topics, and the consumers that catch up
// afterwards.
//
// What a record takes is measured: the constants below are held to the real thing
// by TestSizing of integration/sizing, and those of the consumer are in
// docs/benchmarks.md.
package sizing

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	// RecordBytes is what a log line of the agent takes in its disk queue beside the
	// line itself, as OTLP: labels on the record and on the resource, name and path of
	// the file, times.
	RecordBytes = 265
	// PointBytes is what a data point of the host metrics takes there.
	PointBytes = 260
	// DiskFactor is how much more the files of the queue take than what is in them
	// (go.etcd.io/bbolt: whole pages, and those that are free).
	DiskFactor = 1.3
	// Compression is how many times smaller a batch of log lines is in Kafka, with
	// snappy: most of a record are labels that all of them have.
	Compression = 3
	// HostPoints are the data points of host metrics a second, of a host of few disks
	// and interfaces: 120 every 15 s.
	HostPoints = 8

	// MinQueueBytes is the least that BREAKWATER_QUEUE_BYTES may be: a batch of long
	// lines has to fit.
	MinQueueBytes = 256_000_000

	// ConsumerRate is how many records a second one consumer brings into VictoriaLogs
	// out of a backlog: two thirds of what was measured on two cores that the two share
	// (docs/benchmarks.md, "Memory": 75,000).
	ConsumerRate = 50_000
	// ConsumerBytes is the most memory that a consumer takes with the largest messages
	// that an agent sends, 8 MB (docs/benchmarks.md, "Memory": 215 MB, and half as much
	// again).
	ConsumerBytes = 330_000_000
	// AgentRate is how many lines a second an agent takes out of its queue into Kafka
	// after an outage. It is an assumption, a careful one: TestSizing logs what it is on
	// the machine at hand, and holds nobody to it.
	AgentRate = 5_000

	// LogsRetention is that of `make topics`.
	LogsRetention = 72 * time.Hour
	// MetricsRetention is that of `make topics`.
	MetricsRetention = 24 * time.Hour
)

// Need is what the buffers have to bridge.
type Need struct {
	Hosts     int
	Lines     float64 // log lines a second of one host
	LineBytes int     // of a line, on average
	Points    float64 // data points a second of one host

	KafkaOutage   time.Duration // how long the agents have to do without Kafka
	BackendOutage time.Duration // how long Kafka has to do without consumer or backend, for logs
	MetricsOutage time.Duration // the same for metrics, which are worth less when they are old
	Headroom      float64       // by which everything is multiplied: bursts, growth, the weekend

	Compression float64 // how many times smaller a batch is in Kafka
	Partitions  int     // of a topic
	Replicas    int     // of a partition, and no fewer brokers
	Brokers     int

	Consumers    int     // 0: as many as catch up within the outage
	ConsumerRate float64 // records a second of one consumer
	AgentRate    float64 // lines a second that an agent takes out of its queue
}

// Default is a host of a few services, an afternoon without Kafka, a weekend without a
// backend.
func Default() Need {
	return Need{
		Hosts: 1, LineBytes: 200, Points: HostPoints,
		BackendOutage: 48 * time.Hour, MetricsOutage: 16 * time.Hour, Headroom: 1.5,
		Compression: Compression, Partitions: 6, Replicas: 3, Brokers: 3,
		ConsumerRate: ConsumerRate, AgentRate: AgentRate,
	}
}

// Validate names every figure that makes no sense by its flag.
func (n *Need) Validate() error {
	var errs []error
	check := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	check(n.Lines > 0, "-rate must be positive: log lines a second of one host")
	check(n.KafkaOutage > 0, "-outage must be positive: how long the agents have to do without Kafka, such as 4h")
	check(n.BackendOutage > 0, "-backend-outage must be positive")
	check(n.MetricsOutage > 0, "-metrics-outage must be positive")
	check(n.Hosts > 0, "-hosts must be positive")
	check(n.LineBytes > 0, "-line-bytes must be positive")
	check(n.Points >= 0, "-points must not be negative")
	check(n.Headroom >= 1, "-headroom must be at least 1")
	check(n.Compression >= 1, "-compression must be at least 1")
	check(n.Partitions > 0, "-partitions must be positive")
	check(n.Replicas > 0, "-replicas must be positive")
	check(n.Brokers >= n.Replicas, "-brokers must be at least -replicas")
	check(n.Consumers >= 0, "-consumers must not be negative")
	check(n.ConsumerRate > 0, "-consumer-rate must be positive")
	check(n.AgentRate > 0, "-agent-rate must be positive")
	return errors.Join(errs...)
}

// Plan is how large everything has to be.
type Plan struct {
	Need Need

	QueueBytes   int64 // BREAKWATER_QUEUE_BYTES
	OutageBytes  int64 // what the outage puts on the disk of an agent, logs and metrics
	DiskBytes    int64 // what both queues take when they are full
	AgentCatchUp time.Duration

	LogsRetention, MetricsRetention time.Duration
	LogsPartition, MetricsPartition int64 // bytes of a partition at the end of its retention
	BrokerBytes                     int64 // of both topics, on one broker

	Consumers       int
	ConsumerBytes   int64 // memory of one, at most
	Backlog         int64 // records in Kafka after the backend's outage
	ConsumerCatchUp time.Duration
	Warnings        []string
}

// Size says how large everything has to be.
func Size(n Need) Plan {
	p := Plan{Need: n, ConsumerBytes: ConsumerBytes}
	lineBytes := float64(n.LineBytes + RecordBytes)

	outage := n.KafkaOutage.Seconds() * n.Headroom
	logs, metrics := n.Lines*lineBytes*outage, n.Points*PointBytes*outage
	p.QueueBytes = max(roundUp(max(logs, metrics), 100_000_000), MinQueueBytes)
	p.OutageBytes = int64(DiskFactor * (logs + metrics))
	// The bound is that of each of the two queues.
	p.DiskBytes = int64(DiskFactor * 2 * float64(p.QueueBytes))
	p.AgentCatchUp = catchUp(n.Lines*n.KafkaOutage.Seconds(), n.AgentRate, n.Lines)

	bridge := func(outage time.Duration) time.Duration {
		return time.Duration(math.Ceil(outage.Hours()*n.Headroom)) * time.Hour
	}
	p.LogsRetention, p.MetricsRetention = max(bridge(n.BackendOutage), LogsRetention), max(bridge(n.MetricsOutage), MetricsRetention)
	hosts := float64(n.Hosts)
	logsTopic := hosts * n.Lines * lineBytes / n.Compression * p.LogsRetention.Seconds()
	metricsTopic := hosts * n.Points * PointBytes / n.Compression * p.MetricsRetention.Seconds()
	p.LogsPartition, p.MetricsPartition = int64(logsTopic)/int64(n.Partitions), int64(metricsTopic)/int64(n.Partitions)
	p.BrokerBytes = int64((logsTopic + metricsTopic) * float64(n.Replicas) / float64(n.Brokers))

	rate := hosts * n.Lines
	backlog := rate * n.BackendOutage.Seconds()
	p.Backlog = int64(backlog)
	if p.Consumers = n.Consumers; p.Consumers == 0 {
		// Twice the rate, and the backlog is gone in the time that it took to grow.
		p.Consumers = int(math.Ceil(2 * rate / n.ConsumerRate))
	}
	p.ConsumerCatchUp = catchUp(backlog, float64(p.Consumers)*n.ConsumerRate, rate)
	p.warn()
	return p
}

// catchUp is how long a backlog takes that is drained at one rate while it grows at another; negative: it never ends.
func catchUp(backlog, drain, grow float64) time.Duration {
	if drain <= grow {
		return -1
	}
	return time.Duration(backlog / (drain - grow) * float64(time.Second)).Round(time.Second)
}

func (p *Plan) warn() {
	if p.Consumers > p.Need.Partitions {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d consumers for %d partitions: only as many as there are partitions have work; make more partitions",
			p.Consumers, p.Need.Partitions))
	}
	if p.ConsumerCatchUp < 0 {
		p.Warnings = append(p.Warnings, "the consumers never catch up: they are slower than what comes in")
	}
	if p.AgentCatchUp < 0 {
		p.Warnings = append(p.Warnings, "an agent never catches up: it takes lines out of its queue more slowly than they are written")
	}
	// The first record of the outage has waited for as long as it took, the last one waits until all others are read.
	if p.ConsumerCatchUp > p.LogsRetention {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the last record of the outage is read %s after it was written, and the topic keeps %s: part of the backlog is deleted before it is read",
			Duration(p.ConsumerCatchUp), Duration(p.LogsRetention)))
	}
}

func roundUp(value float64, unit int64) int64 {
	return int64(math.Ceil(value/float64(unit))) * unit
}

// Text is the plan as an operator reads it, with what it assumes.
func (p *Plan) Text() string {
	n := p.Need
	var out strings.Builder
	line := func(name, value, why string) { fmt.Fprintf(&out, "  %-24s %-16s %s\n", name, value, why) }
	fmt.Fprintf(&out, "each agent, %s without Kafka at %g lines/s of %d bytes and %g data points/s\n", Duration(n.KafkaOutage), n.Lines, n.LineBytes, n.Points)
	line("BREAKWATER_QUEUE_BYTES", fmt.Sprint(p.QueueBytes), "for logs and for metrics each")
	line("disk", Bytes(p.OutageBytes), "what the outage fills")
	line("", Bytes(p.DiskBytes), "what both queues can take at most; with less, the lossless check warns")
	line("catches up in", Duration(p.AgentCatchUp), fmt.Sprintf("at %g lines/s", n.AgentRate))

	fmt.Fprintf(&out, "Kafka, %s (metrics: %s) without consumer or backend, %d %s\n", Duration(n.BackendOutage), Duration(n.MetricsOutage), n.Hosts, plural(n.Hosts, "host"))
	line("retention.ms, logs", fmt.Sprint(p.LogsRetention.Milliseconds()), retentionNote(p.LogsRetention, LogsRetention))
	line("retention.ms, metrics", fmt.Sprint(p.MetricsRetention.Milliseconds()), retentionNote(p.MetricsRetention, MetricsRetention))
	line("a partition of logs", Bytes(p.LogsPartition), fmt.Sprintf("of %d, at the end of its retention", n.Partitions))
	line("a partition of metrics", Bytes(p.MetricsPartition), "the same")
	line("disk of a broker", Bytes(p.BrokerBytes), fmt.Sprintf("%d replicas on %d brokers", n.Replicas, n.Brokers))

	out.WriteString("consumers\n")
	line("consumers", fmt.Sprint(p.Consumers), fmt.Sprintf("at %g records/s each", n.ConsumerRate))
	line("memory", Bytes(p.ConsumerBytes), "of each, at most")
	line("catch up in", Duration(p.ConsumerCatchUp), fmt.Sprintf("%d records", p.Backlog))

	fmt.Fprintf(&out, "assumed: %d bytes of OTLP around a line and %d a data point, %gx as much on the disk of an agent, batches %gx smaller in\n"+
		"Kafka, everything %gx as large as the outage alone asks for. Records and disk are measured by integration/sizing,\n"+
		"consumers in docs/benchmarks.md, on two cores; the rate of an agent is a guess (-agent-rate). Measure your own lines: docs/operations.md, \"Size the buffers\".\n",
		RecordBytes, PointBytes, DiskFactor, n.Compression, n.Headroom)
	for _, warning := range p.Warnings {
		fmt.Fprintf(&out, "warning: %s\n", warning)
	}
	return out.String()
}

func retentionNote(want, usual time.Duration) string {
	if want <= usual {
		return fmt.Sprintf("%s, as `make topics` sets it", Duration(want))
	}
	return fmt.Sprintf("%s: more than the %s of `make topics`", Duration(want), Duration(usual))
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// Bytes writes a size in units of 1000, as disks are sold.
func Bytes(n int64) string {
	value, unit := float64(n), "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if value < 10 && unit != "B" {
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}

// Duration leaves out what is zero.
func Duration(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
