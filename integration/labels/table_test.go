// Package labels proves at real backends that the labels of the source arrive: a table of what applications say, through
// the shipped profiles and Apache Kafka, and what VictoriaMetrics and VictoriaLogs then have. The same table goes through
// upstream processors, for comparison; docs/labels.md has the result.
package labels

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

var update = flag.Bool("update", false, "write the table in docs/labels.md anew")

// arriveTimeout is how long the last row may take, on a loaded machine.
const arriveTimeout = 90 * time.Second

// dir is relative to the root of the repository, where the processes run.
const dir = "integration/labels/testdata/"

// variant is two agents, a consumer and backends of their own, on the cluster of both.
type variant struct {
	name                     string
	kafka                    *harness.Kafka
	agent, bareAgent, reader string // configurations; without bareAgent there is none
	// processors are those of the consumer, for the exponential histograms; empty for a test without any.
	processors string

	logs     *harness.VictoriaLogs
	metrics  *harness.VictoriaMetrics
	byOTLP   *harness.VictoriaMetrics // for exponential histograms
	stamped  *harness.Breakwater
	bare     *harness.Breakwater
	consumer *harness.Breakwater
}

func (v *variant) env() map[string]string {
	return map[string]string{
		"KAFKA_BROKERS":       v.kafka.BootstrapServers(),
		"KAFKA_LOGS_TOPIC":    v.name + "-logs",
		"KAFKA_METRICS_TOPIC": v.name + "-metrics",
		"KAFKA_GROUP_ID":      v.name,
		// The processes' own metrics pass by the same processors: always, and not only in a test that takes long enough.
		"METRICS_INTERVAL": "1s",
	}
}

func (v *variant) start(t *testing.T) {
	env := v.env()
	client, err := kgo.NewClient(kgo.SeedBrokers(v.kafka.Brokers()...))
	require.NoError(t, err)
	defer client.Close()
	_, err = topics.Ensure(t.Context(), client, topics.Defaults(func(name string) string { return env[name] }))
	require.NoError(t, err)

	v.logs = harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: v.name + "-logs"})
	v.metrics = harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{Name: v.name + "-metrics"})
	configs := []string{v.reader}
	if v.processors != "" {
		configs = append(configs, dir+"exponential.yaml")
	}
	v.byOTLP = harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{Name: v.name + "-exponential"})
	v.consumer = harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: v.name + "-consumer", Configs: configs,
		Env: with(env, map[string]string{
			"VICTORIALOGS_ENDPOINT":    v.logs.URL(),
			"VICTORIAMETRICS_ENDPOINT": v.metrics.URL(),
			"EXPONENTIAL_ENDPOINT":     v.byOTLP.URL(),
			"LABEL_PROCESSORS":         v.processors,
			// Of the consumer's own metrics, and of nothing else.
			"SITE_NAME":  "central",
			"DEPLOY_ENV": "operations",
		}),
	})
	none := map[string]string{"LOG_INCLUDE": filepath.Join(t.TempDir(), "*.log")}
	v.stamped = harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: v.name + "-agent", Configs: []string{v.agent}, Env: with(env, none, stampEnv),
	})
	if v.bareAgent != "" {
		v.bare = harness.StartBreakwater(t, harness.BreakwaterOptions{
			Name: v.name + "-bare-agent", Configs: []string{v.bareAgent}, Env: with(env, none),
		})
	}
}

func (v *variant) send(ctx context.Context, all []row) error {
	for _, r := range all {
		agent := v.bare
		if r.stamped {
			agent = v.stamped
		}
		if err := sendRow(ctx, agent.OTLPHTTP(), r); err != nil {
			return fmt.Errorf("%s: %w", r.id, err)
		}
	}
	return nil
}

// ask returns what is wrong with each row at the backends, by its ID: nothing for one that is right.
func (v *variant) ask(ctx context.Context, all []row) (map[string][]string, error) {
	if err := v.metrics.Flush(ctx); err != nil {
		return nil, err
	}
	if err := v.logs.Flush(ctx); err != nil {
		return nil, err
	}
	if err := v.byOTLP.Flush(ctx); err != nil {
		return nil, err
	}
	found := make(map[string][]string)
	series, err := v.metrics.Series(ctx, `{__name__=~"labels_.*"}`)
	if err != nil {
		return nil, err
	}
	exponential, err := v.byOTLP.Series(ctx, `{__name__=~"labels_.*"}`)
	if err != nil {
		return nil, err
	}
	records, err := v.logs.Query(ctx, "*")
	if err != nil {
		return nil, err
	}
	for i := range all {
		r := &all[i]
		faults := make(map[string]bool)
		there := 0
		if r.kind == logRecord {
			for _, record := range records {
				if record["_msg"] != r.id {
					continue
				}
				there++
				for _, fault := range r.faults(record) {
					faults[fault] = true
				}
				if stream := record["_stream"]; stream != r.wantStream() && len(faults) == 0 {
					faults[fmt.Sprintf("stream %s, not %s", stream, r.wantStream())] = true
				}
			}
		} else {
			of := series
			if r.kind == expHistogram {
				of = exponential
			}
			for _, s := range of {
				if !strings.HasPrefix(s["__name__"], r.id) {
					continue
				}
				there++
				for _, fault := range r.faults(s) {
					faults[fault] = true
				}
			}
		}
		if there == 0 {
			faults["not there"] = true
		}
		if len(faults) > 0 {
			found[r.id] = sortedKeys(faults)
		}
	}
	return found, nil
}

// settle asks until nothing is wrong or, for a variant that is never right, until the answer has been the same for a while.
func (v *variant) settle(ctx context.Context, all []row, still time.Duration) (map[string][]string, error) {
	var last map[string][]string
	var since time.Time
	for {
		found, err := v.ask(ctx, all)
		if err != nil {
			return last, err
		}
		if fmt.Sprint(found) != fmt.Sprint(last) || last == nil {
			last, since = found, time.Now()
		}
		if len(found) == 0 || time.Since(since) > still {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// TestLabels sends the table through the shipped profiles, and beside it through the upstream processors.
func TestLabels(t *testing.T) {
	all := rows()
	require.GreaterOrEqual(t, len(all), 25)
	kafka := harness.StartKafka(t, harness.KafkaOptions{})
	ours := &variant{
		name: "shipped", kafka: kafka,
		agent: "configs/agent.yaml", bareAgent: "configs/agent.yaml", reader: "configs/consumer.yaml",
		processors: "[label_preserve]",
	}
	theirs := &variant{
		name: "article", kafka: kafka,
		agent: dir + "article-agent.yaml", bareAgent: dir + "article-agent-bare.yaml", reader: dir + "article-consumer.yaml",
		processors: "[attributes/preserve, transform/labels]",
	}
	var wg sync.WaitGroup
	results := make([]map[string][]string, 2)
	for _, v := range []*variant{ours, theirs} {
		v.start(t)
		require.NoError(t, v.send(t.Context(), all))
	}
	for i, v := range []*variant{ours, theirs} {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
			defer cancel()
			// Longer than the retries of Kafka consumers that have just joined their group.
			found, err := v.settle(ctx, all, 20*time.Second)
			assert.NoError(t, err, v.name)
			results[i] = found
		})
	}
	wg.Wait()

	for _, r := range all {
		assert.Empty(t, results[0][r.id], "%s: %s", r.id, r.name)
	}
	dropped, err := ours.metrics.Metrics(t.Context())
	require.NoError(t, err)
	assert.Zero(t, dropped.Sum("vm_rows_ignored_total"), "series that VictoriaMetrics drops behind a 2xx")
	wrong := 0
	for _, r := range all {
		if len(results[1][r.id]) > 0 {
			wrong++
		}
	}
	t.Logf("%d rows; %d wrong with the shipped profiles, %d with the upstream processors", len(all), len(results[0]), wrong)
	checkDocs(t, table(all, results[0], results[1]))
}

// table is that of docs/labels.md.
func table(all []row, ours, theirs map[string][]string) string {
	cell := func(faults []string) string {
		if len(faults) == 0 {
			return "right"
		}
		text := strings.Join(faults, "; ")
		return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "\n", " ")
	}
	wrong := func(found map[string][]string) (wrong, onlyJob int) {
		for _, r := range all {
			if len(found[r.id]) > 0 {
				wrong++
			}
			if strings.Join(found[r.id], ";") == "no job" {
				onlyJob++
			}
		}
		return wrong, onlyJob
	}
	var b strings.Builder
	ourWrong, _ := wrong(ours)
	theirWrong, onlyJob := wrong(theirs)
	fmt.Fprintf(&b, "%d rows. Wrong with the shipped profiles: **%d**. Wrong with the upstream processors: **%d**, in %d of them nothing but `job` is missing.\n\n",
		len(all), ourWrong, theirWrong, onlyJob)
	b.WriteString("| | what the source says | type | shipped profiles | upstream processors |\n|---|---|---|---|---|\n")
	for i, r := range all {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", i+1, r.name, r.kind, cell(ours[r.id]), cell(theirs[r.id]))
	}
	return b.String()
}

const (
	tableBegin = "<!-- table: begin, written by `make label-table` -->\n"
	tableEnd   = "<!-- table: end -->\n"
)

// checkDocs holds the table in docs/labels.md to what the run has found, or writes it.
func checkDocs(t *testing.T, text string) {
	root, err := harness.Root()
	require.NoError(t, err)
	name := filepath.Join(root, "docs", "labels.md")
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), tableBegin)
	require.True(t, found, "docs/labels.md has no %q", tableBegin)
	old, after, found := strings.Cut(rest, tableEnd)
	require.True(t, found, "docs/labels.md has no %q", tableEnd)
	t.Log("\n" + text)
	if *update {
		require.False(t, t.Failed(), "the table is not written from a run that failed")
		require.NoError(t, os.WriteFile(name, []byte(before+tableBegin+text+tableEnd+after), 0o644))
		return
	}
	assert.Equal(t, text, old, "docs/labels.md is not what the run has found: run `make label-table`")
}
