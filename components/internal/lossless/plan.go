package lossless

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// Plan is what the surroundings are to be asked.
type Plan struct {
	Topics   []Topic
	Storages []Storage
	Backends []Backend
}

// Topic is one that the pipelines write or read.
type Topic struct {
	// Client is the path of the component whose settings reach the brokers, such as exporters::kafka.
	Client string
	Name   string
	// MessageBytes is the largest message that the component writes, 0 where it writes none.
	MessageBytes int
}

// Storage is a directory with queues or positions.
type Storage struct {
	// Extension is the ID of the file_storage.
	Extension string
	Directory string
	// QueueBytes is what all queues together may take; 0 where they are not bounded by bytes.
	QueueBytes int64
}

// Backend is one that says for how long it keeps data.
type Backend struct {
	// Exporter is the path of the exporter, such as exporters::victorialogs.
	Exporter string
	// MetricsURL is where its flags are.
	MetricsURL string
	// MaxPast is what the exporter takes for its retention. Over 0.
	MaxPast time.Duration
}

// NewPlan returns what is to be asked for a configuration. Topics that are patterns are left out.
func NewPlan(conf *confmap.Conf) Plan {
	c := newChecker(conf, Options{})
	return Plan{Topics: c.planTopics(), Storages: c.planStorages(), Backends: c.planBackends()}
}

func (c *checker) planTopics() []Topic {
	var all []Topic
	add := func(t Topic) {
		same := func(other Topic) bool {
			return other.Name == t.Name && slices.Equal(c.brokersOf(other.Client), c.brokersOf(t.Client))
		}
		if t.Name == "" || strings.HasPrefix(t.Name, "^") {
			return
		}
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i].MessageBytes = max(all[i].MessageBytes, t.MessageBytes)
			return
		}
		all = append(all, t)
	}
	for _, id := range c.keepers("kafka") {
		for _, p := range c.graph.before(id) {
			signal, _, _ := strings.Cut(p.id, "/")
			add(Topic{"exporters::" + id, c.exporters.text(id, signal, "topic"), int(c.exporters.number(id, "producer", "max_message_bytes"))})
		}
	}
	for _, id := range c.keepers("deadletterstore") {
		add(Topic{"exporters::" + id, c.exporters.text(id, "topic"), letterBytes(c.exporters.section(id))})
	}
	for _, id := range c.used(c.receivers, receiversOf, kafkaReceivers...) {
		for _, topic := range c.topicsOf(id) {
			add(Topic{"receivers::" + id, topic, 0})
		}
		letters := c.receivers.section(id, "dead_letter")
		add(Topic{"receivers::" + id, letters.text("topic"), letterBytes(letters)})
	}
	return all
}

// letterBytes is the largest message of dead letters; 0 in the configuration is 11 MiB.
func letterBytes(s settings) int {
	if n := int(s.number("max_message_bytes")); n != 0 {
		return n
	}
	return 11 * mebibyte
}

func (c *checker) brokersOf(path string) []string {
	section, id, _ := strings.Cut(path, "::")
	components := c.exporters
	if section == "receivers" {
		components = c.receivers
	}
	return slices.Sorted(slices.Values(components.list(id, "brokers")))
}

func (c *checker) planStorages() []Storage {
	bytes := map[string]int64{}
	for _, id := range c.keepers() {
		queue := c.exporters.section(id, "sending_queue")
		size := queue.number("queue_size")
		if !queue.inBytes(size, leastQueueBytes) {
			continue
		}
		signals := map[string]bool{} // there is a queue for each
		for _, p := range c.graph.before(id) {
			signal, _, _ := strings.Cut(p.id, "/")
			signals[signal] = true
		}
		bytes[queue.text("storage")] += size * int64(len(signals))
	}
	var all []Storage
	users := c.storageUsers()
	for _, id := range c.extensions.keys() {
		if len(users[id]) > 0 && isType(id, "filestorage") {
			all = append(all, Storage{Extension: id, Directory: c.extensions.text(id, "directory"), QueueBytes: bytes[id]})
		}
	}
	return all
}

func (c *checker) planBackends() []Backend {
	var all []Backend
	for _, id := range c.keepers("victorialogs", "remotewrite") {
		past := c.exporters.duration(id, "limits", "max_past")
		base := strings.TrimSuffix(strings.TrimSuffix(c.exporters.text(id, "endpoint"), "/"), "/api/v1/write")
		if past > 0 {
			all = append(all, Backend{Exporter: "exporters::" + id, MetricsURL: base + "/metrics", MaxPast: past})
		}
	}
	return all
}

// TopicState is what a topic has.
type TopicState struct {
	Missing  bool
	Replicas int
	// Configs are those of the topic by their names in Kafka.
	Configs map[string]string
}

// JudgeTopic returns what a topic guarantees too little.
func JudgeTopic(t Topic, has TopicState, backlog time.Duration) []Finding {
	var found []Finding
	report := func(rule *Rule, setting, value string) {
		found = append(found, Finding{Rule: rule, Setting: "topic " + t.Name + setting, Value: value})
	}
	if has.Missing {
		report(topicMissing, "", "of "+t.Client)
		return found
	}
	number := func(config string) (int64, bool) {
		var n int64
		_, err := fmt.Sscan(has.Configs[config], &n)
		return n, err == nil
	}
	if has.Replicas == 1 {
		report(topicReplicas, ": replication factor", "1")
	}
	if n, ok := number("min.insync.replicas"); ok && n < 2 {
		report(topicMinISR, ": min.insync.replicas", fmt.Sprint(n))
	}
	if has.Configs["unclean.leader.election.enable"] == "true" {
		report(topicUnclean, ": unclean.leader.election.enable", "true")
	}
	if n, ok := number("retention.ms"); ok && n >= 0 && time.Duration(n)*time.Millisecond < backlog {
		report(topicRetention, ": retention.ms", fmt.Sprintf("%s, and a backlog of %s", time.Duration(n)*time.Millisecond, backlog))
	}
	if n, ok := number("retention.bytes"); ok && n >= 0 {
		report(topicRetentionBytes, ": retention.bytes", fmt.Sprint(n))
	}
	if policy := has.Configs["cleanup.policy"]; strings.Contains(policy, "compact") {
		report(topicCompacted, ": cleanup.policy", policy)
	}
	if n, ok := number("max.message.bytes"); ok && n < int64(t.MessageBytes) {
		report(topicMessageBytes, ": max.message.bytes", fmt.Sprintf("%d, and %s sends up to %d", n, t.Client, t.MessageBytes))
	}
	return found
}

// StorageState is what the file system of a directory has.
type StorageState struct {
	// Bytes is what queues may still take: what they have and what is free.
	Bytes    int64
	Volatile bool
}

// JudgeStorage returns what is wrong with the place of a storage.
func JudgeStorage(s Storage, has StorageState) []Finding {
	var found []Finding
	setting := "extensions::" + s.Extension + "::directory"
	if has.Volatile {
		found = append(found, Finding{storageVolatile, setting, s.Directory})
	}
	if s.QueueBytes > has.Bytes {
		found = append(found, Finding{queueOverDisk, setting,
			fmt.Sprintf("%s: queues up to %d bytes, and room for %d", s.Directory, s.QueueBytes, has.Bytes)})
	}
	return found
}

// JudgeRetention returns what is wrong with the retention of a backend.
func JudgeRetention(b Backend, retention time.Duration) []Finding {
	if retention >= b.MaxPast {
		return nil
	}
	return []Finding{{retentionUnknown, b.Exporter + "::limits::max_past", fmt.Sprintf("%s, and the server keeps %s", b.MaxPast, retention)}}
}
