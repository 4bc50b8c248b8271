package topics

import (
	"bytes"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var logs = Spec{
	Name: "logs", Partitions: 6, ReplicationFactor: 3, MinISR: 2,
	Retention: 72 * time.Hour, MaxMessageBytes: 10 << 20,
}

func TestDefaultsAreTheContract(t *testing.T) {
	none := func(string) string { return "" }
	want := map[string]time.Duration{
		"otel-logs-v1":       72 * time.Hour,
		"otel-metrics-v1":    24 * time.Hour,
		"fluent-bit-logs-v1": 72 * time.Hour,
		"otel-dlq-v1":        7 * 24 * time.Hour,

		"breakwater-ledger-v1": 0,
	}
	specs := Defaults(none)
	require.Len(t, specs, len(want))
	for i, s := range specs {
		assert.Equal(t, want[s.Name], s.Retention, s.Name)
		wanted := int32(6)
		if i == Ledger {
			wanted = 1
		}
		assert.Equal(t, wanted, s.Partitions, s.Name)
		assert.Equal(t, i == Ledger, s.Compacted)
		assert.EqualValues(t, 3, s.ReplicationFactor)
		assert.Equal(t, 2, s.MinISR)
		largest := 10485760
		switch i {
		case DeadLetters:
			largest = 11534336
		case Ledger:
			largest = 1048576
		}
		assert.Equal(t, largest, s.MaxMessageBytes, s.Name)
	}
}

func TestNamesComeFromTheEnvironment(t *testing.T) {
	t.Setenv("KAFKA_LOGS_TOPIC", "a")
	t.Setenv("KAFKA_METRICS_TOPIC", "b")
	t.Setenv("KAFKA_FLUENTBIT_TOPIC", "c")
	t.Setenv("KAFKA_DLQ_TOPIC", "d")
	t.Setenv("KAFKA_LEDGER_TOPIC", "e")
	assert.Equal(t, []string{"a", "b", "c", "d", "e"}, names(Defaults(os.Getenv)))
}

func TestFitToFewBrokers(t *testing.T) {
	for _, c := range []struct {
		brokers  int
		replicas int16
		minISR   int
		warning  string
	}{
		{1, 1, 1, "1 broker: replication factor 1 and min.insync.replicas 1 instead of 3 and 2"},
		{2, 2, 1, "2 brokers: replication factor 2 and min.insync.replicas 1 instead of 3 and 2"},
		{3, 3, 2, ""},
		{5, 3, 2, ""},
	} {
		got, warning := fit(logs, c.brokers)
		assert.Equal(t, c.replicas, got.ReplicationFactor, "%d brokers", c.brokers)
		assert.Equal(t, c.minISR, got.MinISR, "%d brokers", c.brokers)
		if c.warning == "" {
			assert.Empty(t, warning)
		} else {
			assert.Contains(t, warning, c.warning)
			assert.Contains(t, warning, "lost", "it says what the guarantee was")
		}
	}
}

func TestCompare(t *testing.T) {
	asWanted := func() existing {
		configs := map[string]string{}
		for name, value := range logs.configs() {
			configs[name] = *value
		}
		return existing{partitions: 6, replicas: 3, configs: configs}
	}
	config := func(name, value string) func(*existing) {
		return func(e *existing) { e.configs[name] = value }
	}
	for _, c := range []struct {
		name    string
		change  func(*existing)
		weaker  string // "" : as strong as wanted
		warning string
	}{
		{"as wanted", func(*existing) {}, "", ""},
		{"fewer partitions", func(e *existing) { e.partitions = 3 }, "partitions is 3, want at least 6", ""},
		{"more partitions", func(e *existing) { e.partitions = 12 }, "", ""},
		{"fewer replicas", func(e *existing) { e.replicas = 2 }, "replication factor is 2, want at least 3", "equals the replication factor"},
		{"more replicas", func(e *existing) { e.replicas = 4 }, "", ""},
		{"lower min ISR", config(minInsync, "1"), "min.insync.replicas is 1, want at least 2", ""},
		{"min ISR of all", config(minInsync, "3"), "", "equals the replication factor (3)"},
		{"impossible min ISR", config(minInsync, "4"), "min.insync.replicas is 4, want at most the 3 replicas: no write can succeed", ""},
		{"shorter retention", config(retentionMillis, "3600000"), "retention.ms is 3600000 (1h), want at least 259200000 (72h)", ""},
		{"longer retention", config(retentionMillis, "604800000"), "", ""},
		{"retention for ever", config(retentionMillis, "-1"), "", ""},
		{"no retention at all", config(retentionMillis, "0"), "retention.ms is 0 (0h), want at least 259200000 (72h)", ""},
		{"smaller messages", config(maxMessage, "1048588"), "max.message.bytes is 1048588, want at least 10485760", ""},
		{"larger messages", config(maxMessage, "20971520"), "", ""},
		{"compaction", config(cleanupPolicy, "compact"), "cleanup.policy is compact, want delete", ""},
		{"compaction too", config(cleanupPolicy, "compact,delete"), "cleanup.policy is compact,delete, want delete", ""},
		{"unclean elections", config(uncleanElections, "true"), "unclean.leader.election.enable is true, want false", ""},
		{"unknown to the broker", func(e *existing) { delete(e.configs, uncleanElections) }, "", ""},
		{"bound by size", config(retentionBytes, "1000"), "", "retention.bytes is 1000"},
		{"not told", func(e *existing) { delete(e.configs, maxMessage) }, `max.message.bytes is "", want a number`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := asWanted()
			c.change(&have)
			weaker, warnings := compare(logs, have)
			if c.weaker == "" {
				assert.Empty(t, weaker)
			} else if assert.Len(t, weaker, 1) {
				assert.Equal(t, c.weaker, weaker[0].String())
			}
			if c.warning == "" {
				assert.Empty(t, warnings)
			} else if assert.Len(t, warnings, 1) {
				assert.Contains(t, warnings[0], c.warning)
			}
		})
	}
}

func TestCompareCompacted(t *testing.T) {
	spec := Defaults(func(string) string { return "" })[Ledger]
	have := existing{partitions: 1, replicas: 3, configs: map[string]string{}}
	for name, value := range spec.configs() {
		have.configs[name] = *value
	}
	weaker, warnings := compare(spec, have)
	assert.Empty(t, weaker)
	assert.Empty(t, warnings)
	have.configs[cleanupPolicy], have.configs[retentionMillis] = "delete", "3600000"
	weaker, _ = compare(spec, have)
	assert.Equal(t, []Weakness{{cleanupPolicy, "delete", "compact"}}, weaker)
}

func TestReport(t *testing.T) {
	configs := map[string]string{minInsync: "1", retentionMillis: "259200000", maxMessage: "10485760"}
	forEver := maps.Clone(configs)
	forEver[retentionMillis] = "-1"
	report := Report{
		Brokers: 3,
		Topics: []Result{
			{Want: Spec{Name: "a"}, State: Created, Partitions: 6, Replicas: 3, Configs: configs},
			{Want: Spec{Name: "b"}, State: Exists, Partitions: 6, Replicas: 3, Configs: forEver,
				Weaker: []Weakness{{minInsync, "1", "at least 2"}}, Warnings: []string{"odd"}},
			{Want: Spec{Name: "c"}, State: Missing},
		},
		Warnings: []string{"few"},
	}
	assert.Equal(t, []string{
		"topic b: min.insync.replicas is 1, want at least 2",
		"topic c does not exist",
	}, report.Problems())
	assert.Equal(t, []string{"few", "topic b: odd"}, report.AllWarnings())
	var table bytes.Buffer
	require.NoError(t, report.WriteTable(&table))
	assert.Equal(t, `TOPIC  PARTITIONS  REPLICAS  MIN ISR  RETENTION  MAX MESSAGE  STATE
a      6           3         1        72h        10485760     created
b      6           3         1        for ever   10485760     exists, weaker than wanted
c      -           -         -        -          -            missing
`, table.String())
}
