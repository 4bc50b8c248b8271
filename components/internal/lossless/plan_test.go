package lossless

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/confmap"
)

// pipelinesConf is an agent and a consumer in one, as far as a plan looks at them.
func pipelinesConf() *confmap.Conf {
	queue := func(bytes int) map[string]any {
		return map[string]any{"storage": "file_storage", "sizer": "bytes", "queue_size": bytes}
	}
	return confmap.NewFromStringMap(map[string]any{
		"receivers": map[string]any{
			"file_log": map[string]any{"storage": "file_storage"},
			"otlp":     map[string]any{},
			"durable_kafka": map[string]any{
				"brokers":     []any{"a:1", "b:1"},
				"logs":        map[string]any{"topics": []any{"logs", "^pattern"}},
				"metrics":     map[string]any{"topics": []any{"not-read"}},
				"dead_letter": map[string]any{"topic": "dlq"},
			},
		},
		"exporters": map[string]any{
			"kafka": map[string]any{
				"brokers":       []any{"b:1", "a:1"},
				"logs":          map[string]any{"topic": "logs"},
				"metrics":       map[string]any{"topic": "metrics"},
				"producer":      map[string]any{"max_message_bytes": 1000},
				"sending_queue": queue(10),
			},
			"dead_letter_store": map[string]any{"brokers": []any{"a:1", "b:1"}, "topic": "dlq", "max_message_bytes": 5000},
			"victorialogs": map[string]any{
				"endpoint": "http://vl:9428/", "limits": map[string]any{"max_past": time.Hour}, "sending_queue": queue(7),
			},
			"remote_write": map[string]any{"endpoint": "http://vm:8428/api/v1/write", "limits": map[string]any{"max_past": time.Minute}},
			"debug":        map[string]any{"sending_queue": queue(1000)},
		},
		"extensions": map[string]any{
			"file_storage":        map[string]any{"directory": "/queue"},
			"file_storage/unused": map[string]any{"directory": "/unused"},
		},
		"service": map[string]any{"pipelines": map[string]any{
			"logs":      map[string]any{"receivers": []any{"file_log"}, "exporters": []any{"kafka", "debug"}},
			"logs/2":    map[string]any{"receivers": []any{"otlp"}, "exporters": []any{"kafka"}},
			"metrics":   map[string]any{"receivers": []any{"otlp"}, "exporters": []any{"kafka", "remote_write"}},
			"logs/back": map[string]any{"receivers": []any{"durable_kafka"}, "exporters": []any{"victorialogs", "dead_letter_store"}},
		}},
	})
}

func TestPlan(t *testing.T) {
	plan := NewPlan(pipelinesConf())
	assert.Equal(t, []Topic{
		{"exporters::kafka", "logs", 1000},
		{"exporters::kafka", "metrics", 1000},
		{"exporters::dead_letter_store", "dlq", 11 << 20}, // the receiver writes larger ones
	}, plan.Topics)
	assert.Equal(t, []Storage{{"file_storage", "/queue", 10*2 + 7}}, plan.Storages, "a queue for each signal")
	assert.Equal(t, []Backend{
		{"exporters::remote_write", "http://vm:8428/metrics", time.Minute},
		{"exporters::victorialogs", "http://vl:9428/metrics", time.Hour},
	}, plan.Backends)
}

// TestSizers holds that a sizer that upstream has lost is told from the size.
func TestSizers(t *testing.T) {
	for name, test := range map[string]struct {
		sizer any
		size  int64
		want  bool
	}{
		"written":     {"bytes", 10, true},
		"requests":    {"requests", 1 << 40, false},
		"lost, large": {map[string]any{}, 1_000_000, true},
		"lost, small": {map[string]any{}, 999_999, false},
		"none, small": {nil, 1000, false},
	} {
		assert.Equal(t, test.want, settings{"sizer": test.sizer}.inBytes(test.size, leastQueueBytes), name)
	}
}

func codesOf(findings []Finding) []string {
	var codes []string
	for _, f := range findings {
		codes = append(codes, f.Rule.Code)
	}
	return codes
}

func TestJudgeTopic(t *testing.T) {
	strong := map[string]string{
		"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "retention.ms": "86400000",
		"retention.bytes": "-1", "cleanup.policy": "delete", "max.message.bytes": "1000",
	}
	topic := Topic{Client: "exporters::kafka", Name: "logs", MessageBytes: 1000}
	judge := func(replicas int, change map[string]string) []string {
		configs := maps.Clone(strong)
		maps.Copy(configs, change)
		return codesOf(JudgeTopic(topic, TopicState{Replicas: replicas, Configs: configs}, 24*time.Hour))
	}
	assert.Empty(t, judge(3, nil))
	assert.Empty(t, judge(2, map[string]string{"retention.ms": "-1"}), "for ever")
	assert.Equal(t, []string{"BW101"}, judge(1, nil))
	for code, change := range map[string]map[string]string{
		"BW102": {"min.insync.replicas": "1"},
		"BW103": {"unclean.leader.election.enable": "true"},
		"BW104": {"retention.ms": "86399999"},
		"BW105": {"retention.bytes": "1000000000"},
		"BW106": {"cleanup.policy": "compact,delete"},
		"BW107": {"max.message.bytes": "999"},
	} {
		assert.Equal(t, []string{code}, judge(3, change))
	}
	missing := JudgeTopic(topic, TopicState{Missing: true}, time.Hour)
	assert.Equal(t, []string{"BW100"}, codesOf(missing))
	assert.Equal(t, "topic logs", missing[0].Setting)
}

func TestJudgeStorage(t *testing.T) {
	storage := Storage{Extension: "file_storage", Directory: "/queue", QueueBytes: 100}
	assert.Empty(t, JudgeStorage(storage, StorageState{Bytes: 100}))
	assert.Equal(t, []string{"BW110"}, codesOf(JudgeStorage(storage, StorageState{Bytes: 99})))
	assert.Equal(t, []string{"BW111"}, codesOf(JudgeStorage(storage, StorageState{Bytes: 100, Volatile: true})))
}

func TestJudgeRetention(t *testing.T) {
	backend := Backend{Exporter: "exporters::victorialogs", MaxPast: 24 * time.Hour}
	assert.Empty(t, JudgeRetention(backend, 24*time.Hour))
	found := JudgeRetention(backend, 23*time.Hour)
	assert.Equal(t, []string{"BW114"}, codesOf(found))
	assert.Equal(t, "exporters::victorialogs::limits::max_past", found[0].Setting)
	assert.Equal(t, "24h0m0s, and the server keeps 23h0m0s", found[0].Value)
}

// TestTypesThatAreNotInTheBinary has components of other distributions, and names that upstream has given up.
func TestTypesThatAreNotInTheBinary(t *testing.T) {
	conf := func(processor string) *confmap.Conf {
		return confmap.NewFromStringMap(map[string]any{
			"receivers":  map[string]any{"otlp": map[string]any{}},
			"processors": map[string]any{processor: map[string]any{}},
			"exporters":  map[string]any{"somewhere": map[string]any{}},
			"service": map[string]any{
				"pipelines": map[string]any{"traces": map[string]any{
					"receivers": []any{"otlp"}, "processors": []any{processor}, "exporters": []any{"somewhere"},
				}},
				"telemetry": map[string]any{"metrics": map[string]any{"readers": []any{map[string]any{"pull": nil}}}},
			},
		})
	}
	for processor, code := range map[string]string{
		"probabilistic_sampler": "BW031", "tail_sampling/2": "BW031", "logdedup": "BW031", "interval": "BW031", "groupbytrace": "BW030",
	} {
		assert.Equal(t, []string{code}, codesOf(Check(conf(processor), Options{})), processor)
	}
	assert.Empty(t, Check(conf("resource"), Options{}))
}

// TestReadersAndLoki has those that read with a position, and Loki, which may forget, too.
func TestReadersAndLoki(t *testing.T) {
	conf := func(receiver string, s map[string]any) *confmap.Conf {
		return confmap.NewFromStringMap(map[string]any{
			"receivers":  map[string]any{receiver: s},
			"extensions": map[string]any{"durability": map[string]any{"backends": map[string]any{"loki": map[string]any{"type": "loki", "endpoint": "http://loki:3100"}}}},
			"connectors": map[string]any{"dead_letter": map[string]any{"primary": []any{"logs/loki"}, "dead_letter": []any{"logs/letters"}}},
			"exporters": map[string]any{
				"loki": map[string]any{"endpoint": "http://loki:3100"}, "dead_letter_store": map[string]any{},
			},
			"service": map[string]any{
				"pipelines": map[string]any{
					"logs":         map[string]any{"receivers": []any{receiver}, "exporters": []any{"dead_letter"}},
					"logs/loki":    map[string]any{"receivers": []any{"dead_letter"}, "exporters": []any{"loki"}},
					"logs/letters": map[string]any{"receivers": []any{"dead_letter"}, "exporters": []any{"dead_letter_store"}},
				},
				"telemetry": map[string]any{"metrics": map[string]any{"readers": []any{map[string]any{"pull": nil}}}},
			},
		})
	}
	for _, receiver := range []string{"record_file/docker", "durable_journal"} {
		right := map[string]any{"storage": "memory", "start_at": "beginning", "exclude_older_than": 24 * time.Hour}
		check := func(key string, value any) []string {
			s := maps.Clone(right)
			s[key] = value
			return codesOf(Check(conf(receiver, s), Options{Backlog: 24 * time.Hour}))
		}
		const around = "BW069" // the way to Loki is without Kafka
		assert.Equal(t, []string{around, "BW073"}, check("storage", "memory"), receiver)
		assert.Equal(t, []string{"BW001", around}, check("storage", nil), receiver)
		assert.Equal(t, []string{"BW002", around, "BW073"}, check("start_at", "end"), receiver)
		assert.Equal(t, []string{"BW005", around, "BW073"}, check("exclude_older_than", time.Hour), receiver)
	}
	watching := func(backends ...any) map[string]any {
		return map[string]any{"dead_letter": map[string]any{}, "durability": map[string]any{"extension": "durability", "backends": backends}}
	}
	assert.Empty(t, Check(conf("durable_kafka", watching("loki")), Options{}))
	assert.Equal(t, []string{"BW026"}, codesOf(Check(conf("durable_kafka", watching("other")), Options{})))
}

// TestCyclesEnd has connectors that feed each other, which the Collector refuses later.
func TestCyclesEnd(t *testing.T) {
	conf := confmap.NewFromStringMap(map[string]any{
		"connectors": map[string]any{"forward/a": nil, "forward/b": nil},
		"exporters":  map[string]any{"victorialogs": map[string]any{}},
		"service": map[string]any{"pipelines": map[string]any{
			"logs/1": map[string]any{"receivers": []any{"forward/a"}, "exporters": []any{"forward/b"}},
			"logs/2": map[string]any{"receivers": []any{"forward/b"}, "exporters": []any{"forward/a", "victorialogs"}},
		}},
	})
	assert.NotPanics(t, func() {
		Check(conf, Options{})
		NewPlan(conf)
	})
}
