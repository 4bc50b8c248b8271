package replay

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// messages is how many there are in each partition of the logs topics when the replays begin.
const messages = 1200

// TestReplay runs one consumer and one after the other what the command promises of it.
func TestReplay(t *testing.T) {
	s := startSite(t)
	p := &produced{otlp: map[string]int{}, fluentBit: map[string]int{}}
	s.produce(t, p, 0, messages)
	s.produceMetrics(t, 300)
	require.NoError(t, s.client.Produce(t.Context(), &kgo.Record{Topic: fluentBitTopic, Value: []byte(`{"broken`), Timestamp: at(messages)}))
	s.settled(t)
	requireRows(t, s.logs, "otlp", p.otlp)
	requireRows(t, s.logs, "fluent", p.fluentBit)
	other := startLogs(t, "other")

	ok := t.Run("into the same backends", func(t *testing.T) { sameBackend(t, s, p) })
	ok = ok && t.Run("a range of times into an empty one", func(t *testing.T) { emptyBackend(t, s, p, other) })
	ok = ok && t.Run("interrupted", func(t *testing.T) { interrupted(t, s, p, other) })
	if ok {
		t.Run("deleted by retention", func(t *testing.T) { deleted(t, s) })
	}
}

// together runs what does not depend on each other at the same time.
func together(runs ...func()) {
	var all sync.WaitGroup
	for _, run := range runs {
		all.Go(run)
	}
	all.Wait()
}

// What VictoriaLogs has already is not stored again, and the live consumer does not notice.
func sameBackend(t *testing.T, s *site, p *produced) {
	before := s.live(t)
	plan := s.run(t, "logs", s.logs, "run", "-from", "start")
	var logs, fluent, metrics result
	together(
		func() { logs = s.run(t, "logs", s.logs, "run", "-from", "start", "-yes") },
		func() { fluent = s.run(t, "fluent-bit", s.logs, "run", "-from", "start", "-yes") },
		func() { metrics = s.run(t, "metrics", s.logs, "run", "-from", "start", "-yes") },
	)
	for source, r := range map[string]result{"logs": logs, "fluent-bit": fluent, "metrics": metrics, "plan": plan} {
		require.Zero(t, r.status, source)
	}
	assert.Equal(t, before, s.live(t), "the live groups stay where they are")

	assert.Zero(t, logs.number(t, "rows stored"))
	assert.Equal(t, total(p.otlp), logs.number(t, "rows already there"))
	assert.Equal(t, partitions*messages, logs.number(t, "messages settled"))
	n, _, records := plan.planned(t)
	assert.Equal(t, partitions*messages, n)
	assert.Equal(t, total(p.otlp), records)

	assert.Zero(t, fluent.number(t, "rows stored"))
	assert.Equal(t, total(p.fluentBit), fluent.number(t, "rows already there"))
	assert.Equal(t, 1, fluent.number(t, "messages dead-lettered"), "the broken one, again")
	assert.Equal(t, 300, metrics.number(t, "data points sent"))

	requireRows(t, s.logs, "otlp", p.otlp)
	requireRows(t, s.logs, "fluent", p.fluentBit)
	require.NoError(t, s.metrics.Flush(t.Context()))
	series, err := s.metrics.Query(t.Context(), "count_over_time(replayed[2h])")
	require.NoError(t, err)
	require.Len(t, series, 1)
	assert.EqualValues(t, 300, series[0].Value)

	// The live consumer goes on.
	s.produce(t, p, messages, messages+20)
	s.settled(t)
	requireRows(t, s.logs, "otlp", p.otlp)
	requireRows(t, s.logs, "fluent", p.fluentBit)
	groups, err := s.client.Admin().ListGroups(t.Context())
	require.NoError(t, err)
	for _, group := range groups.Groups() {
		assert.NotContains(t, group, "replay", "the groups of replays are deleted")
	}
}

// An empty VictoriaLogs gets exactly the records of the range, those that are the same as another one included; of a wider
// range it gets the rest.
func emptyBackend(t *testing.T, s *site, p *produced, other *harness.VictoriaLogs) {
	bounds := func(from, to int) []string {
		return []string{"run", "-from", at(from).Format(time.RFC3339Nano), "-to", at(to).Format(time.RFC3339Nano)}
	}
	for _, step := range []struct{ from, to, storedFrom int }{
		{200, 800, 200},
		{100, 790, 100}, // the first hundred is new
	} {
		var logs, fluent result
		args := bounds(step.from, step.to)
		plan := s.run(t, "logs", other, args...)
		together(
			func() { logs = s.run(t, "logs", other, append(args, "-yes")...) },
			func() { fluent = s.run(t, "fluent-bit", other, append(args, "-yes")...) },
		)
		require.Zero(t, plan.status)
		require.Zero(t, logs.status)
		require.Zero(t, fluent.status)
		requireRows(t, other, "otlp", count(p.otlpAt, step.storedFrom, 800))
		requireRows(t, other, "fluent", count(p.fluentBitAt, step.storedFrom, 800))
		n, _, records := plan.planned(t)
		assert.Equal(t, n, logs.number(t, "messages settled"))
		assert.Equal(t, n, logs.number(t, "messages read"))
		assert.Equal(t, records, logs.number(t, "rows stored")+logs.number(t, "rows already there"))
		assert.Equal(t, total(count(p.otlpAt, step.from, step.to)), records)
	}
	requireRows(t, s.logs, "otlp", p.otlp)
}

// A replay that is interrupted is known, and goes on.
func interrupted(t *testing.T, s *site, p *produced, other *harness.VictoriaLogs) {
	args := []string{"run", "-offsets", "0:0-,1:0-,2:0-", "-name", "all", "-yes"}
	first := s.start(t, "fluent-bit", other, args...)
	// Sent, and not on disk.
	require.Eventually(t, func() bool { return strings.Contains(first.output.String(), "messages sent, ") }, arriveTimeout, 50*time.Millisecond)
	first.interrupt(t)
	r := first.wait(t)
	assert.Equal(t, 1, r.status)
	assert.Contains(t, r.output, "replay all is not done")
	list := s.run(t, "fluent-bit", other, "list")
	assert.Contains(t, list.output, "interrupted")

	again := s.run(t, "fluent-bit", other, append(args, "-count")...)
	require.Zero(t, again.status)
	assert.Contains(t, again.output, "goes on with replay all")
	requireRows(t, other, "fluent", p.fluentBit)
	assert.Contains(t, s.run(t, "fluent-bit", other, "list").output, "no replay")
}

// What Kafka has deleted is told, and stops the replay unless it may be missing.
func deleted(t *testing.T, s *site) {
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: logsTopic, Partition: 1, At: 700})
	_, err := s.client.Admin().DeleteRecords(t.Context(), gone)
	require.NoError(t, err)
	empty := startLogs(t, "empty")
	for _, c := range []struct{ args, missing string }{
		{"-offsets 1:650-720", "partition 1: Kafka has deleted offsets 650 to 699, 50 of 71 messages"},
		{"-from " + at(650).Format(time.RFC3339Nano) + " -to " + at(721).Format(time.RFC3339Nano), "partition 1: Kafka has deleted everything before offset 700"},
	} {
		args := append([]string{"run"}, strings.Fields(c.args)...)
		for _, yes := range [][]string{nil, {"-yes"}} {
			r := s.run(t, "logs", empty, append(args, yes...)...)
			assert.Equal(t, 1, r.status)
			assert.Contains(t, r.output, c.missing)
		}
		assert.Zero(t, s.run(t, "logs", empty, append(args, "-allow-missing")...).status)
	}
	require.Empty(t, rows(t, empty, "otlp"), "nothing was sent")
	r := s.run(t, "logs", empty, "run", "-offsets", "1:650-720", "-allow-missing", "-yes")
	require.Zero(t, r.status)
	assert.Equal(t, 21, r.number(t, "messages settled"))
}
