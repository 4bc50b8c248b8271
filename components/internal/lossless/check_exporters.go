package lossless

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// refusing are the exporters of backends that return the records they refuse, for a dead_letter connector.
var refusing = []string{"victorialogs", "remotewrite", "loki"}

// forgetful are the exporters of backends that answer before the data is on their disk for good.
var forgetful = []string{"victorialogs", "loki", "remotewrite", "prometheusremotewrite"}

// minQueueBytes is what a batch of 100 lines of 1 MiB, the largest of file_log, has room in with what is around it.
const minQueueBytes = 256_000_000

// Sizes from which on a batch or a queue is one of bytes where its sizer is not known: nobody makes batches of so many
// records, and the default of a queue is 1,000 requests.
const (
	leastBatchBytes = 100_000
	leastQueueBytes = 1_000_000
)

func (c *checker) checkExporters() {
	for _, id := range c.keepers() {
		s := c.exporters.section(id)
		at := "exporters::" + id
		c.checkRetries(at, s)
		c.checkQueue(id, s.section("sending_queue"))
	}
	for _, id := range c.keepers("kafka") {
		c.checkProducer("exporters::"+id, c.exporters.section(id))
	}
	for _, id := range c.keepers("victorialogs") {
		c.checkVictoriaLogs("exporters::"+id, c.exporters.section(id))
	}
	for _, id := range c.keepers("remotewrite") {
		c.checkRemoteWrite("exporters::"+id, c.exporters.section(id))
	}
	for _, id := range c.keepers("prometheusremotewrite") {
		c.checkUpstreamRemoteWrite("exporters::"+id, c.exporters.section(id))
	}
	for _, id := range c.keepers("otlphttp") {
		for _, setting := range []string{"endpoint", "logs_endpoint"} {
			if strings.Contains(c.exporters.text(id, setting), "/insert/opentelemetry") {
				c.report(otlpPathDrops, "exporters::"+id+"::"+setting, "")
			}
		}
	}
	for _, id := range c.keepers("file") {
		c.report(fileExporter, "exporters::"+id, "")
	}
	for _, id := range c.keepers(refusing...) {
		if slices.ContainsFunc(c.graph.before(id), func(p pipeline) bool { return !c.graph.covered(p.id, map[string]bool{}) }) {
			c.report(refusalsLost, "exporters::"+id, "")
		}
	}
	for _, id := range c.keepers(forgetful...) {
		others := slices.DeleteFunc(c.sourcesOf(id), func(r string) bool {
			return isType(r, kafkaReceivers...) || isType(r, scrapers...)
		})
		if len(others) > 0 {
			c.report(noRedoLog, "exporters::"+id, "from "+strings.Join(others, ", "))
		}
	}
}

func (c *checker) checkRetries(at string, s settings) {
	if !s.has("retry_on_failure") {
		return
	}
	if !s.yes("retry_on_failure", "enabled") {
		c.report(exporterDoesNotRetry, at+"::retry_on_failure::enabled", "false")
	} else if limit := s.duration("retry_on_failure", "max_elapsed_time"); limit != 0 {
		c.report(exporterGivesUp, at+"::retry_on_failure::max_elapsed_time", limit.String())
	}
}

func (c *checker) checkQueue(id string, queue settings) {
	if queue == nil {
		return
	}
	at := "exporters::" + id + "::sending_queue"
	if sources := c.sourcesOf(id); isFrom(sources, kafkaReceivers...) {
		c.report(queueBehindKafka, at, "from "+strings.Join(sources, ", "))
		return // what else may be wrong with it goes with it
	}
	if queue.text("storage") == "" {
		c.report(memoryQueue, at+"::storage", "not set")
	}
	if !queue.yes("block_on_overflow") {
		c.report(overflowDrops, at+"::block_on_overflow", "false")
	}
	if size := queue.number("queue_size"); queue.inBytes(size, leastQueueBytes) && size < minQueueBytes {
		c.report(queueTooSmall, at+"::queue_size", fmt.Sprintf("%d bytes", size))
	}
}

func (c *checker) checkProducer(at string, s settings) {
	if acks := s.number("producer", "required_acks"); acks != -1 {
		c.report(acksOfLeader, at+"::producer::required_acks", fmt.Sprint(acks))
	}
	if s.yes("producer", "allow_auto_topic_creation") {
		c.report(topicsAutoCreated, at+"::producer::allow_auto_topic_creation", "true")
	}
	limit, batch := s.number("producer", "max_message_bytes"), s.section("sending_queue", "batch")
	if !s.has("sending_queue") {
		return
	}
	switch size := batch.number("max_size"); {
	case batch == nil:
		c.report(messageTooLarge, at+"::sending_queue::batch", "not set")
	case size != 0 && !batch.inBytes(size, leastBatchBytes):
		c.report(messageTooLarge, at+"::sending_queue::batch::sizer", fmt.Sprintf("not bytes: a max_size of %d", size))
	case size == 0 || size >= limit:
		c.report(messageTooLarge, at+"::sending_queue::batch::max_size", fmt.Sprintf("%d, and a message at most %d", size, limit))
	}
}

func (c *checker) checkVictoriaLogs(at string, s settings) {
	violations := s.section("on_violation")
	for _, limit := range violations.keys() {
		if violations.text(limit) == "truncate" {
			c.report(recordsCut, at+"::on_violation::"+limit, "truncate")
		}
	}
	c.checkLimits(at, s)
	fields := s.section("fields")
	for _, source := range fields.keys() {
		for _, setting := range []string{"include", "exclude"} {
			if globs := fields.list(source, setting); len(globs) > 0 {
				c.report(fieldsLeftOut, at+"::fields::"+source+"::"+setting, strings.Join(globs, ", "))
			}
		}
	}
}

func (c *checker) checkRemoteWrite(at string, s settings) {
	c.checkLimits(at, s)
	for setting, dropped := range map[string]string{"exponential_histograms": "native", "nan": "send"} {
		if s.text(setting) == dropped {
			c.report(serverDrops, at+"::"+setting, dropped)
		}
	}
}

// checkLimits looks for limits that are turned off, and for a backend that keeps less than Kafka.
func (c *checker) checkLimits(at string, s settings) {
	limits := s.section("limits")
	for _, limit := range slices.Sorted(maps.Keys(limits)) {
		if limits.duration(limit) == 0 {
			c.report(limitNotLookedAt, at+"::limits::"+limit, "0")
		}
	}
	if past := limits.duration("max_past"); past > 0 && past < c.options.Backlog {
		c.report(backendRetention, at+"::limits::max_past", fmt.Sprintf("%s, and a backlog of %s", past, c.options.Backlog))
	}
}

func (c *checker) checkUpstreamRemoteWrite(at string, s settings) {
	c.report(upstreamRemoteWrite, at, "")
	// An hour is no outage yet; what is meant is without end, which it cannot say.
	if timeout := s.duration("timeout"); timeout > 0 && timeout < year {
		c.report(remoteWriteTimesOut, at+"::timeout", timeout.String())
	}
	if s.yes("remote_write_queue", "enabled") {
		c.report(remoteWriteQueue, at+"::remote_write_queue::enabled", "true")
	}
	if s.has("wal") {
		c.report(remoteWriteQueue, at+"::wal", "")
	}
}
