package lossless

import (
	"fmt"
	"slices"
	"strings"
)

// readers are the receivers of stanza, which have the same base.
var readers = []string{"filelog", "journald", "syslog"}

// positioned are the receivers that have a place in what they read.
var positioned = []string{"filelog", "recordfile", "journald", "durablejournal"}

const (
	mebibyte = 1 << 20
	// The limits that the otlp receiver has where none is set: grpc-go's and confighttp's.
	defaultRecvMiB     = 4
	defaultRequestBody = 20 * mebibyte
)

func isLevel(level, name string) bool { return strings.EqualFold(level, name) }

func (c *checker) checkReceivers() {
	for _, id := range c.used(c.receivers, receiversOf, positioned...) {
		c.checkPosition("receivers::"+id, c.receivers.section(id))
	}
	for _, id := range c.used(c.receivers, receiversOf, readers...) {
		c.checkReader(id, c.receivers.section(id))
	}
	for _, id := range c.used(c.receivers, receiversOf, "filelog") {
		c.checkFiles("receivers::"+id, c.receivers.section(id))
	}
	for _, id := range c.used(c.receivers, receiversOf, "syslog") {
		if c.receivers.has(id, "udp") {
			c.report(datagrams, "receivers::"+id+"::udp", "")
		}
	}
	for _, id := range c.used(c.receivers, receiversOf, "fluentforward") {
		c.report(forwardIgnoresErrors, "receivers::"+id, "")
	}
	for _, id := range c.used(c.receivers, receiversOf, "otlp") {
		c.checkRequests(id)
	}
}

func (c *checker) checkPosition(at string, s settings) {
	if s.text("storage") == "" {
		c.report(positionsNotStored, at+"::storage", "not set")
	}
	if s.text("start_at") != "beginning" {
		c.report(startAtEnd, at+"::start_at", s.text("start_at"))
	}
	if age := s.duration("exclude_older_than"); age != 0 && (age < c.options.Backlog || c.options.Backlog == 0) {
		c.report(oldFilesExcluded, at+"::exclude_older_than", fmt.Sprintf("%s, and a backlog of %s", age, c.options.Backlog))
	}
}

func (c *checker) checkReader(id string, s settings) {
	at := "receivers::" + id + "::"
	if !s.yes("retry_on_failure", "enabled") {
		c.report(readerDoesNotRetry, at+"retry_on_failure::enabled", "false")
	} else if limit := s.duration("retry_on_failure", "max_elapsed_time"); limit != 0 {
		c.report(readerGivesUp, at+"retry_on_failure::max_elapsed_time", limit.String())
	}
	if strings.HasPrefix(s.text("on_error"), "drop") {
		c.report(operatorDrops, at+"on_error", s.text("on_error"))
	}
	for i, operator := range s.sections("operators") {
		if builder := operator.section("builder"); builder != nil {
			operator = builder
		}
		setting := fmt.Sprintf("%soperators[%d]", at, i)
		switch kind := operator.text("type"); kind {
		case "filter":
			c.report(operatorDrops, setting, kind)
		case "recombine", "container": // which joins what docker and the CRI have cut
			c.report(operatorHolds, setting, kind)
		}
		if strings.HasPrefix(operator.text("on_error"), "drop") {
			c.report(operatorDrops, setting+"::on_error", operator.text("on_error"))
		}
	}
}

func (c *checker) checkFiles(at string, s settings) {
	if s.text("max_log_size_behavior") == "truncate" {
		c.report(longLinesCut, at+"::max_log_size_behavior", "truncate")
	}
	if on := s.text("on_truncate"); on != "read_whole_file" {
		c.report(truncationMissed, at+"::on_truncate", on)
	}
	if s.yes("delete_after_read") {
		c.report(deletedAfterRead, at+"::delete_after_read", "true")
	}
	if encoding := s.text("encoding"); encoding != "utf8-raw" && encoding != "nop" {
		c.report(bytesReplaced, at+"::encoding", encoding)
	}
	for _, setting := range []string{"preserve_leading_whitespaces", "preserve_trailing_whitespaces"} {
		if !s.yes(setting) {
			c.report(blanksTrimmed, at+"::"+setting, "false")
		}
	}
}

// checkRequests compares what an otlp receiver takes with what Kafka takes. A record is never cut in two.
func (c *checker) checkRequests(id string) {
	var limit int64
	for _, exporter := range c.graph.exportersOf(id) {
		if n := c.exporters.number(exporter, "producer", "max_message_bytes"); isType(exporter, kafkaExporters...) && (limit == 0 || n < limit) {
			limit = n
		}
	}
	if limit == 0 {
		return
	}
	protocols := c.receivers.section(id, "protocols")
	if protocols.has("grpc") {
		mib := protocols.number("grpc", "max_recv_msg_size_mib")
		if mib == 0 {
			mib = defaultRecvMiB
		}
		if mib*mebibyte > limit {
			c.report(requestTooLarge, "receivers::"+id+"::protocols::grpc::max_recv_msg_size_mib", fmt.Sprintf("%d MiB over %d bytes", mib, limit))
		}
	}
	if protocols.has("http") {
		bytes := protocols.number("http", "max_request_body_size")
		if bytes == 0 {
			bytes = defaultRequestBody
		}
		if bytes > limit {
			c.report(requestTooLarge, "receivers::"+id+"::protocols::http::max_request_body_size", fmt.Sprintf("%d over %d bytes", bytes, limit))
		}
	}
}

func (c *checker) checkKafkaReceivers() {
	for _, id := range c.used(c.receivers, receiversOf, kafkaReceivers...) {
		at := "receivers::" + id
		if c.receivers.text(id, "initial_offset") == "latest" {
			c.report(latest, at+"::initial_offset", "latest")
		}
		if isType(id, "kafka") {
			c.checkUpstreamKafka(at, c.receivers.section(id))
			continue
		}
		if !c.receivers.has(id, "dead_letter") {
			c.report(noDeadLetters, at+"::dead_letter", "not set")
		}
		c.checkWatched(id)
	}
	c.checkGroups()
}

func (c *checker) checkUpstreamKafka(at string, s settings) {
	c.report(upstreamKafka, at, "")
	if !s.yes("message_marking", "after") {
		c.report(marksBefore, at+"::message_marking::after", "false")
	}
	for _, on := range []string{"on_error", "on_permanent_error"} {
		if s.yes("message_marking", on) {
			c.report(marksErrors, at+"::message_marking::"+on, "true")
		}
	}
	if !s.yes("error_backoff", "enabled") {
		c.report(kafkaGivesUp, at+"::error_backoff::enabled", "false")
	} else if limit := s.duration("error_backoff", "max_elapsed_time"); limit != 0 {
		c.report(kafkaGivesUp, at+"::error_backoff::max_elapsed_time", limit.String())
	}
}

// topicsOf returns the topics that a receiver reads for the signals of its pipelines.
func (c *checker) topicsOf(receiver string) []string {
	var topics []string
	for _, p := range c.graph.behind(receiver) {
		signal, _, _ := strings.Cut(p.id, "/")
		topics = append(topics, c.receivers.list(receiver, signal, "topics")...)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

func (c *checker) checkGroups() {
	type place struct{ brokers, group, topic string }
	first := map[place]string{}
	for _, id := range c.used(c.receivers, receiversOf, kafkaReceivers...) {
		brokers := c.receivers.list(id, "brokers")
		slices.Sort(brokers)
		for _, topic := range c.topicsOf(id) {
			at := place{strings.Join(brokers, ","), c.receivers.text(id, "group_id"), topic}
			if other, taken := first[at]; taken {
				c.report(topicShared, "receivers::"+id+"::group_id", fmt.Sprintf("%s, topic %s, as receivers::%s", at.group, topic, other))
				continue
			}
			first[at] = id
		}
	}
}
