package lossless

import (
	"fmt"
	"slices"
)

func (c *checker) checkProcessors() {
	for _, id := range c.used(c.processors, processorsOf, "batch", "groupbytrace") {
		if !c.onlyDatagrams(id) {
			c.report(batches, "processors::"+id, "")
		}
	}
	for _, id := range c.used(c.processors, processorsOf, "filter", "probabilisticsampler", "tailsampling", "logdedup", "interval") {
		c.report(drops, "processors::"+id, "")
	}
	for _, id := range c.used(c.processors, processorsOf, "memorylimiter") {
		for _, p := range c.graph.kept(processorsOf, id) {
			if i := slices.IndexFunc(p.receivers, func(r string) bool { return isType(r, scrapers...) }); i >= 0 {
				c.report(limiterBehindScraper, "service::pipelines::"+p.id+"::processors", id+" behind "+p.receivers[i])
			}
		}
	}
	for _, id := range c.used(c.processors, processorsOf, "labelpreserve") {
		c.checkLabels(id, c.processors.section(id))
	}
}

// onlyDatagrams says whether all that gets to a processor are datagrams: of these the acknowledgement goes to nobody, and
// what a batch of them loses is part of what is said of the receiver.
func (c *checker) onlyDatagrams(processor string) bool {
	for _, p := range c.graph.kept(processorsOf, processor) {
		if slices.ContainsFunc(c.graph.sources(p.id), func(r string) bool {
			return !isType(r, "syslog") || !c.receivers.has(r, "udp")
		}) {
			return false
		}
	}
	return true
}

func (c *checker) checkLabels(id string, s settings) {
	at := "processors::" + id
	if s.text("limits", "overflow") == "drop" {
		c.report(attributesDropped, at+"::limits::overflow", "drop")
	}
	kept := true
	for _, p := range c.graph.kept(processorsOf, id) {
		// durable_kafka keeps what is refused: it tries again, without end.
		kept = kept && (c.graph.covered(p.id, map[string]bool{}) || !slices.ContainsFunc(c.graph.sources(p.id), func(r string) bool {
			return !isType(r, "durablekafka")
		}))
	}
	for i, label := range s.sections("labels") {
		if label.text("on_missing") == "reject" && !kept {
			c.report(rejectsToNobody, fmt.Sprintf("%s::labels[%d]::on_missing", at, i), label.text("name")+": reject")
		}
	}
}

func (c *checker) checkConnectors() {
	for _, id := range c.graph.connectors.keys() {
		var kept bool
		for _, p := range c.graph.before(id) {
			kept = kept || c.graph.keeping[p.id]
		}
		if !kept {
			continue
		}
		at := "connectors::" + id
		if isType(id, "failover") {
			c.report(failsOver, at, "")
		}
		if c.graph.connectors.has(id, "sending_queue") {
			c.report(connectorQueues, at+"::sending_queue", "")
		}
		for _, letters := range c.graph.connectors.list(id, "dead_letter") {
			if isType(id, "deadletter") && !c.graph.keeping[letters] {
				c.report(lettersDiscarded, at+"::dead_letter", letters)
			}
		}
	}
}
