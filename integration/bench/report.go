package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Results are those of all runs of a suite.
type Results []Result

// of returns a figure of the runs of a variant, in their order.
func (rs Results) of(variant string, figure func(Result) float64) []float64 {
	var values []float64
	for _, r := range rs {
		if r.Variant == variant {
			values = append(values, figure(r))
		}
	}
	return values
}

// median of a figure over all runs of a variant.
func (rs Results) median(variant string, figure func(Result) float64) float64 {
	return median(rs.of(variant, figure))
}

// ratio is the median of the ratios of a figure of ours to that of another variant, round by round. The machine may be faster or slower by
// a third a few minutes later; what the two have in one round they have on the same machine. NaN when one was not run.
func (rs Results) ratio(against string, figure func(Result) float64) float64 {
	return medianRatio(rs.of(Ours, figure), rs.of(against, figure))
}

func medianRatio(values, others []float64) float64 {
	if len(values) != len(others) {
		return math.NaN()
	}
	ratios := make([]float64, len(values))
	for round := range ratios {
		ratios[round] = values[round] / others[round]
	}
	return median(ratios)
}

func median[N int | int64 | float64 | time.Duration](values []N) N {
	var none N
	if len(values) == 0 {
		return none
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func consumerMicros(r Result) float64 { return micros(r.ConsumerCPU) / float64(r.Records) }
func backendMicros(r Result) float64  { return micros(r.BackendCPU) / float64(r.Records) }
func peakMegabytes(r Result) float64  { return float64(r.PeakRSS) / 1e6 }
func drainRate(r Result) float64      { return float64(r.Records) / r.Drain.Seconds() }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// String is a line for the terminal.
func (r Result) String() string {
	return fmt.Sprintf("consumer %5.2f µs a record, %4.0f MB; VictoriaLogs %5.1f µs a row; %4.0f k records/s",
		consumerMicros(r), peakMegabytes(r), backendMicros(r), drainRate(r)/1e3)
}

// Table returns the medians as Markdown, with the range of the runs where it says how noisy they are.
func (rs Results) Table(variants []Variant) string {
	var b strings.Builder
	b.WriteString("| | consumer CPU a record | consumer peak RSS | VictoriaLogs CPU a row | drain |\n|---|---|---|---|---|\n")
	for _, v := range variants {
		cpu, rss := "", ""
		if len(v.Configs) > 0 {
			cpu = fmt.Sprintf("%.2f µs (%s)", rs.median(v.Name, consumerMicros), rs.spread(v.Name, consumerMicros))
			rss = fmt.Sprintf("%.0f MB", rs.median(v.Name, peakMegabytes))
		}
		fmt.Fprintf(&b, "| %s: %s | %s | %s | %.1f µs | %.0f k records/s |\n", v.Name, v.What, cpu, rss,
			rs.median(v.Name, backendMicros), rs.median(v.Name, drainRate)/1e3)
	}
	return b.String()
}

func (rs Results) spread(variant string, figure func(Result) float64) string {
	values := rs.of(variant, figure)
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f–%.2f", slices.Min(values), slices.Max(values))
}

// Target is a ratio and the bound that it has to keep.
type Target struct {
	What    string
	Ratio   float64
	Bound   float64
	AtLeast bool // the bound is the least that will do, not the most
}

// Passed tells whether the ratio keeps its bound.
func (t Target) Passed() bool {
	if t.AtLeast {
		return t.Ratio >= t.Bound
	}
	return t.Ratio <= t.Bound
}

// Targets are those that the consumer is held to.
func (rs Results) Targets() []Target {
	return []Target{
		{What: "consumer CPU a record, ours / rival", Ratio: rs.ratio(Rival, consumerMicros), Bound: 0.9},
		{What: "consumer peak RSS, ours / rival", Ratio: rs.ratio(Rival, peakMegabytes), Bound: 0.5},
		{What: "VictoriaLogs CPU a row, ours / rival", Ratio: rs.ratio(Rival, backendMicros), Bound: 1},
		{What: "consumer CPU a record, ours / with upstream's receiver", Ratio: rs.ratio(Upstream, consumerMicros), Bound: 1.05},
		{What: "drain, ours / with upstream's receiver", Ratio: rs.ratio(Upstream, drainRate), Bound: 1 / 1.05, AtLeast: true},
		{What: "drain, ours / generator", Ratio: rs.ratio(Generator, drainRate), Bound: 0.9, AtLeast: true},
	}
}

// FluentBitTargets are those for messages of one record.
func (rs Results) FluentBitTargets() []Target {
	perSecond := func(r Result) float64 { return 1e6 / consumerMicros(r) }
	return []Target{
		{What: "records a CPU-second, ours / rival", Ratio: rs.ratio(Rival, perSecond), Bound: 3, AtLeast: true},
		{What: "records a CPU-second, ours / Fluent Bit's 75 k", Ratio: rs.median(Ours, perSecond) / fluentBitPerSecond, Bound: 3, AtLeast: true},
	}
}

// fluentBitPerSecond is what Fluent Bit 5.1.1 read from Kafka a CPU-second with the article's configuration, on the
// machine that these targets were set on. It is not part of this benchmark; the ratio to the rival travels.
const fluentBitPerSecond = 75_000

// MaxConsumerBytes is what a consumer with the shipped profile may take, however much is queued in Kafka.
const MaxConsumerBytes = 256 << 20

// MemoryTarget holds the peak of all runs against MaxConsumerBytes.
func MemoryTarget(rs Results) Target {
	var peak int64
	for _, r := range rs {
		peak = max(peak, r.PeakRSS)
	}
	return Target{What: "consumer peak RSS / 256 MiB", Ratio: float64(peak) / MaxConsumerBytes, Bound: 1}
}

// TargetTable returns the targets as Markdown.
func TargetTable(targets []Target) string {
	var b strings.Builder
	b.WriteString("| | ratio | target | |\n|---|---|---|---|\n")
	for _, t := range targets {
		sign, verdict := "at most", "miss"
		if t.AtLeast {
			sign = "at least"
		}
		digits := 2
		if t.Bound < 0.1 {
			digits = 4
		}
		if t.Passed() {
			verdict = "pass"
		}
		fmt.Fprintf(&b, "| %s | %.*f | %s %.*f | %s |\n", t.What, digits, t.Ratio, sign, digits, t.Bound, verdict)
	}
	return b.String()
}
