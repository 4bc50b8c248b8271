package monitoring

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
	pack "github.com/breakwater-otel/breakwater/monitoring"
)

var update = flag.Bool("update", false, "write monitoring/testdata/metrics.txt and docs/monitoring/*.svg anew")

// TestMonitoring breaks the parts of a running pipeline one after the other, sees each alert fire and clear, and then asks for
// every expression of every panel.
func TestMonitoring(t *testing.T) {
	rules, alerts := hastyRules(t)
	s := startSite(t)
	written := startWriter(t, "written", 100, 200)
	refused := startWriter(t, "refused", 1500, 1000)
	s.startAgents(t, written, refused)
	w := startWatch(t, harness.StartVMAlert(t, harness.VMAlertOptions{Rules: []string{rules}, URL: s.metrics.URL()}))
	began := time.Now()
	var faults []fault
	begin := func(name string) func() {
		from := time.Now()
		return func() { faults = append(faults, fault{name, from, time.Now()}) }
	}

	// Nobody has said where edge-2 is. Else all is well, and nothing fires that has nothing to say.
	require.NoError(t, written.Start())
	const always = "BreakwaterWatchdog"
	w.requireFired(t, always, "BreakwaterLabelsMissing{host_name=edge-2,label=site_name}", "BreakwaterLabelsMissing{host_name=edge-2,label=env}")
	s.requireFlowing(t)
	w.requireOnly(t, always, "BreakwaterLabelsMissing{host_name=edge-2}")

	// Of three messages of edge-3 the one in the middle does not get to the topic that is read.
	endWithheld := begin("a message of edge-3 is withheld")
	first, withheld, behind := s.stage(t, "first"), s.stage(t, "withheld"), s.stage(t, "behind")
	s.forward(t, first, first, behind) // and one does twice

	// What is not the pipeline's fault: a topic that refuses the logs of one agent, whose queue fills; messages and records
	// that nobody can store; an agent that is gone; a topic that fewer replicas have than have to.
	end := begin("a topic refuses the logs of edge-2")
	s.setTopic(t, refusedTopic, "max.message.bytes", "1000")
	s.setTopic(t, fluentBitTopic, "min.insync.replicas", "4")
	s.setTopic(t, logsTopic, "retention.ms", "43200000") // 12 h
	require.NoError(t, refused.Start())
	require.NoError(t, s.quiet.Kill())
	require.NoError(t, s.client.Produce(t.Context(), undecodable()))
	require.NoError(t, sendOTLP(t, 10*time.Second, s.agent, "metrics", deltaMetric()))
	require.NoError(t, sendOTLP(t, 10*time.Second, s.agent, "logs", conflictingLog()))
	s.insertWrong(t)
	w.requireFired(t,
		"BreakwaterDeadLetters{reason=undecodable,topic="+logsTopic+"}", "BreakwaterDeadLetters{reason=refused,signal=metrics}",
		"BreakwaterBackendDrops{job=breakwater/victorialogs,reason=too_big_timestamp}", "BreakwaterBackendDrops{job=breakwater/victoriametrics,reason=big_timestamp}",
		"BreakwaterBelowMinISR{topic="+fluentBitTopic+"}",
		"BreakwaterRefusedByKafka{answer=MESSAGE_TOO_LARGE,host_name=edge-2}",
		"BreakwaterLossyConfiguration{code=BW107,host_name=edge-2,job=breakwater/agent}",
		"BreakwaterLossyConfiguration{code=BW104,host_name=consumer-1,job=breakwater/consumer}",
		"BreakwaterQueueFilling{data_type=logs,host_name=edge-2}", "BreakwaterQueueFull{data_type=logs,host_name=edge-2}",
		"BreakwaterAgentSilent{env=test,host_name=edge-3,site_name=zrh}",
	)
	assert.False(t, w.hasFired("BreakwaterAgentSilent{host_name=edge-1}"))
	require.Error(t, sendOTLP(t, time.Second, s.refused, "logs", largeLog()), "the queue is full")
	require.NoError(t, refused.Stop())
	s.setTopic(t, refusedTopic, "max.message.bytes", "10485760")
	s.setTopic(t, fluentBitTopic, "min.insync.replicas", "2")
	s.setTopic(t, logsTopic, "retention.ms", "259200000")
	require.NoError(t, s.quiet.Start(t.Context()))
	end()

	// VictoriaLogs is killed and away, with messages behind it that Kafka deletes in two hours.
	end = begin("VictoriaLogs is away")
	require.NoError(t, s.logs.Kill())
	s.produceOld(t, 20, 70*time.Hour)
	w.requireFired(t, "BreakwaterBackendDown{backend=victorialogs}", "BreakwaterKafkaLag{topic="+fluentBitTopic+"}",
		"BreakwaterKafkaTimeToLoss{topic="+fluentBitTopic+"}")
	require.NoError(t, s.logs.Start(t.Context()))
	end()
	w.requireFired(t, "BreakwaterBackendRestarted{backend=victorialogs}", "BreakwaterReadAgain{cause=backend_restarted,topic="+logsTopic+"}")

	// The ledger has told of the one that is missing. Now it comes.
	const withheldGap = "BreakwaterLedgerGap{agent=edge-3,group=breakwater-consumer-logs,signal=logs}"
	w.requireFired(t, withheldGap)
	s.forward(t, withheld)
	endWithheld()

	// One broker of three.
	end = begin("a broker is away")
	require.NoError(t, s.kafka.KillBroker(3))
	w.requireFired(t, "BreakwaterBrokerDown", "BreakwaterUnderReplicated{topic="+logsTopic+"}")
	require.NoError(t, s.kafka.StartBroker(t.Context(), 3))
	end()
	w.requireCleared(t, withheldGap)

	// The consumer, for longer than Kafka keeps the logs. It is who asks Kafka, too.
	end = begin("the consumer is away, and Kafka deletes")
	require.NoError(t, s.consumer.Stop(t.Context()))
	w.requireFired(t, "BreakwaterConsumerSilent", "BreakwaterKafkaSilent")
	s.loseLogs(t)
	require.NoError(t, s.consumer.Start(t.Context()))
	end()
	// The one without a place goes. It is silent from here on, for a day.
	require.NoError(t, s.refused.Stop(t.Context()))
	w.requireFired(t, "BreakwaterDataLost{topic="+logsTopic+"}")
	const lostGap = "BreakwaterLedgerGap{agent=edge-1,group=breakwater-consumer-logs,signal=logs}"
	w.requireFired(t, lostGap)

	// All faults are over, and so are their alerts. What Kafka has deleted never comes, so that gap stays.
	w.requireOnly(t, always, "BreakwaterAgentSilent{host_name=edge-2}", lostGap)
	assert.True(t, w.firesNow(lostGap), lostGap)
	for _, alert := range alerts {
		assert.True(t, w.hasFired(alert), alert)
	}

	assert.Empty(t, w.unreadable())

	ended := time.Now()
	s.requirePanels(t, began, ended)
	if *update {
		s.writeMetrics(t)
		s.draw(t, began, ended, faults)
	}
}

// requireFlowing waits until all that is scraped has arrived.
func (s *site) requireFlowing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, harness.Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		for query, want := range map[string]int{
			`otelcol_process_uptime_total{job="breakwater/agent"}`:    3,
			`otelcol_process_uptime_total{job="breakwater/consumer"}`: 1,
			`kafka_brokers`: 1,
			`up{job=~"breakwater/victorialogs|breakwater/victoriametrics"} > 0`: 2,
			`otelcol_receiver_durable_kafka_settled_messages_total > 0`:         1,
		} {
			found, err := s.metrics.Query(ctx, query)
			if err != nil {
				return err
			}
			if len(found) < want {
				return fmt.Errorf("%s: %d series of at least %d", query, len(found), want)
			}
		}
		return nil
	}))
}

// forTest are Grafana's variables, with the time of a scrape that this test has.
var forTest = strings.NewReplacer("$__rate_interval", "5s", "$site", ".*", "$host", ".*")

// mayBeZero are panels about what has not happened in this test, whose series are there all the same.
var mayBeZero = map[string]bool{"Partitions that wait": true}

// requirePanels holds that every expression of every panel has had data, and that it was not nothing.
func (s *site) requirePanels(t *testing.T, from, to time.Time) {
	for _, d := range pack.Dashboards() {
		for _, p := range d.Panels() {
			for _, q := range p.Queries {
				series, err := s.metrics.QueryRange(t.Context(), forTest.Replace(q.Expr), from, to, time.Second)
				if !assert.NoError(t, err, "%s: %s", d.UID, p.Title) {
					continue
				}
				highest := math.Inf(-1)
				for _, one := range series {
					highest = max(highest, slices.Max(one.Values))
				}
				if assert.NotEmpty(t, series, "%s: %s has no data: %s", d.UID, p.Title, q.Expr) && !mayBeZero[p.Title] {
					assert.Positive(t, highest, "%s: %s is never anything: %s", d.UID, p.Title, q.Expr)
				}
			}
		}
	}
}

// writeMetrics records the names of all metrics, for the tests of the package monitoring.
func (s *site) writeMetrics(t *testing.T) {
	series, err := s.metrics.Series(t.Context(), `{__name__!~"system_.*"}`)
	require.NoError(t, err)
	var names []string
	for _, one := range series {
		names = append(names, one["__name__"])
	}
	slices.Sort(names)
	text := "# Metrics that VictoriaMetrics had of a running pipeline: integration/monitoring, -update.\n" +
		strings.Join(slices.Compact(names), "\n") + "\n"
	file := filepath.Join(root(t), "monitoring", "testdata", "metrics.txt")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644)) //nolint:gosec // it is committed
}
