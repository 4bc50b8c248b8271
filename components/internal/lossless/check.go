package lossless

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/featuregate"
)

// Options of Check.
type Options struct {
	// Backlog is how long an outage behind Kafka the pipeline has to bridge. 0: not looked at.
	Backlog time.Duration
}

// Check returns what it finds in the effective configuration, in the order of codes and settings.
func Check(conf *confmap.Conf, options Options) []Finding {
	c := newChecker(conf, options)
	c.checkReceivers()
	c.checkKafkaReceivers()
	c.checkProcessors()
	c.checkConnectors()
	c.checkExporters()
	c.checkStorage()
	c.checkDurability()
	c.checkTelemetry()
	c.checkGates()
	return sorted(c.findings)
}

func newChecker(conf *confmap.Conf, options Options) *checker {
	return &checker{
		options:    options,
		receivers:  sectionOf(conf, "receivers"),
		processors: sectionOf(conf, "processors"),
		exporters:  sectionOf(conf, "exporters"),
		extensions: sectionOf(conf, "extensions"),
		service:    sectionOf(conf, "service"),
		graph:      newGraph(conf),
	}
}

type checker struct {
	options                                               Options
	receivers, processors, exporters, extensions, service settings
	graph                                                 *graph
	findings                                              []Finding
}

// report adds a finding. The value is what is set, and no secret.
func (c *checker) report(rule *Rule, setting, value string) {
	c.findings = append(c.findings, Finding{Rule: rule, Setting: setting, Value: value})
}

// used returns the IDs of the receivers, processors or exporters that are on the way to an exporter that keeps
// data, in order.
func (c *checker) used(section settings, uses func(pipeline) []string, types ...string) []string {
	var ids []string
	for _, id := range section.keys() {
		if (len(types) == 0 || isType(id, types...)) && len(c.graph.kept(uses, id)) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func receiversOf(p pipeline) []string  { return p.receivers }
func processorsOf(p pipeline) []string { return p.processors }
func exportersOf(p pipeline) []string  { return p.exporters }

// keepers returns the exporters in use that keep data.
func (c *checker) keepers(types ...string) []string {
	return slices.DeleteFunc(c.used(c.exporters, exportersOf, types...), func(id string) bool { return isType(id, discarding...) })
}

// sourcesOf returns the receivers whose data gets to the exporter.
func (c *checker) sourcesOf(exporter string) []string {
	var all []string
	for _, p := range c.graph.before(exporter) {
		all = append(all, c.graph.sources(p.id)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// keepingGates are those of upstream that are off by default, and by what they matter to.
var keepingGates = map[string]struct {
	section string
	types   []string
}{
	"exporter.prometheusremotewritexporter.RetryOn429": {"exporters", []string{"prometheusremotewrite"}},
	"stanza.synchronousLogEmitter":                     {"receivers", []string{"filelog", "journald", "syslog"}},
}

func (c *checker) checkGates() {
	off := map[string]bool{}
	featuregate.GlobalRegistry().VisitAll(func(gate *featuregate.Gate) { off[gate.ID()] = !gate.IsEnabled() })
	for gate, matters := range keepingGates {
		used := c.used(c.exporters, exportersOf, matters.types...)
		if matters.section == "receivers" {
			used = c.used(c.receivers, receiversOf, matters.types...)
		}
		if off[gate] && len(used) > 0 {
			c.report(gateOff, "--feature-gates", "-"+gate)
		}
	}
}

func (c *checker) checkTelemetry() {
	const metrics = "service::telemetry::metrics"
	level := c.service.text("telemetry", "metrics", "level")
	switch {
	case isLevel(level, "none"):
		c.report(dropsNotCounted, metrics+"::level", level)
	case len(c.service.sections("telemetry", "metrics", "readers")) == 0:
		c.report(dropsNotCounted, metrics+"::readers", "none")
	}
	if logs := c.service.text("telemetry", "logs", "level"); slices.ContainsFunc([]string{"error", "dpanic", "panic", "fatal"},
		func(muted string) bool { return isLevel(logs, muted) }) {
		c.report(sourcesMuted, "service::telemetry::logs::level", logs)
	}
}
