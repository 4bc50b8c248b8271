package integration_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

func none(string) string { return "" }

func text(v string) *string { return &v }

func fakeKafka(t *testing.T, brokers int) (*harness.FakeKafka, *harness.KafkaClient) {
	t.Helper()
	f := harness.StartFakeKafka(t, harness.FakeKafkaOptions{Brokers: brokers})
	c, err := harness.NewKafkaClient(f.Brokers())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return f, c
}

func TestEnsureCreatesAndThenFindsTheTopics(t *testing.T) {
	t.Parallel()
	_, c := fakeKafka(t, 3)
	specs := topics.Defaults(none)

	report, err := topics.Verify(t.Context(), c.Client(), specs)
	require.NoError(t, err)
	assert.Len(t, report.Problems(), len(specs), "nothing is there, and Verify creates nothing")

	for _, state := range []topics.State{topics.Created, topics.Exists} {
		report, err = topics.Ensure(t.Context(), c.Client(), specs)
		require.NoError(t, err)
		assert.Empty(t, report.Problems())
		assert.Empty(t, report.AllWarnings())
		assert.Equal(t, 3, report.Brokers)
		for i, topic := range report.Topics {
			assert.Equal(t, specs[i], topic.Want)
			assert.Equal(t, state, topic.State)
			assert.Equal(t, specs[i].Partitions, topic.Partitions)
			assert.Equal(t, 3, topic.Replicas)
		}
	}
}

func TestEnsureOnFewBrokersWarns(t *testing.T) {
	t.Parallel()
	for brokers, minISR := range map[int]string{1: "1", 2: "1"} {
		_, c := fakeKafka(t, brokers)
		report, err := topics.Ensure(t.Context(), c.Client(), topics.Defaults(none))
		require.NoError(t, err)
		assert.Empty(t, report.Problems())
		assert.Len(t, report.AllWarnings(), 1, "once, not for each topic")
		for _, topic := range report.Topics {
			assert.Equal(t, brokers, topic.Replicas)
			assert.Equal(t, minISR, topic.Configs["min.insync.replicas"])
		}
	}
}

func TestEnsureReportsAWeakerTopicAndLeavesItAlone(t *testing.T) {
	t.Parallel()
	_, c := fakeKafka(t, 3)
	_, err := c.Admin().CreateTopic(t.Context(), 2, 1, map[string]*string{
		"min.insync.replicas": text("1"),
		"retention.ms":        text("3600000"),
		"max.message.bytes":   text("1000"),
		"cleanup.policy":      text("compact"),
	}, "otel-logs-v1")
	require.NoError(t, err)

	for range 2 {
		report, err := topics.Ensure(t.Context(), c.Client(), topics.Defaults(none))
		require.NoError(t, err)
		assert.Equal(t, []string{
			"topic otel-logs-v1: partitions is 2, want at least 6",
			"topic otel-logs-v1: replication factor is 1, want at least 3",
			"topic otel-logs-v1: min.insync.replicas is 1, want at least 2",
			"topic otel-logs-v1: retention.ms is 3600000 (1h), want at least 259200000 (72h)",
			"topic otel-logs-v1: max.message.bytes is 1000, want at least 10485760",
			"topic otel-logs-v1: cleanup.policy is compact, want delete",
		}, report.Problems())
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	t.Parallel()
	_, c := fakeKafka(t, 3)
	errs := make([]error, 8)
	var created sync.Map
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			report, err := topics.Ensure(t.Context(), c.Client(), topics.Defaults(none))
			errs[i] = errors.Join(err, errors.New(strings.Join(report.Problems(), "\n")))
			if err == nil && len(report.Problems()) == 0 {
				errs[i] = nil
			}
			for _, topic := range report.Topics {
				if topic.State == topics.Created {
					_, twice := created.LoadOrStore(topic.Want.Name, true)
					assert.False(t, twice, "%s was created twice", topic.Want.Name)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestEnsureHandlesATopicThatAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	f, c := fakeKafka(t, 3)
	specs := topics.Defaults(none)[:1]
	// The first look finds nothing; before the creation arrives, another client
	// has created the topic, and weaker.
	f.Cluster().ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.Cluster().SleepControl(func() {
			assert.NoError(t, f.Cluster().CreateTopic(specs[0].Name, 3, nil))
		})
		return nil, nil, false
	})
	report, err := topics.Ensure(t.Context(), c.Client(), specs)
	require.NoError(t, err)
	assert.Equal(t, topics.Exists, report.Topics[0].State)
	assert.Contains(t, report.Problems(), "topic otel-logs-v1: partitions is 3, want at least 6")
}

func TestEnsureNamesTheTopicThatCannotBeCreated(t *testing.T) {
	t.Parallel()
	f, c := fakeKafka(t, 3)
	f.Cluster().ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic = "otel-logs-v1"
		topic.ErrorCode = kerr.TopicAuthorizationFailed.Code
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	_, err := topics.Ensure(t.Context(), c.Client(), topics.Defaults(none))
	require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
	require.ErrorContains(t, err, "create topic otel-logs-v1")
}

// topicsCommand builds breakwater-topics once.
var topicsCommand = sync.OnceValues(func() (string, error) {
	root, err := harness.Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(binDir, "breakwater-topics")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/breakwater-topics")
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(output))
	}
	return path, nil
})

// binDir holds what the tests of this package build.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "breakwater-bin-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(binDir)
		return m.Run()
	}())
}

// runTopics runs breakwater-topics with nothing in its environment but env.
func runTopics(t *testing.T, env []string, args ...string) (stdout, stderr string, exitCode int) {
	t.Helper()
	path, err := topicsCommand()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append([]string{}, env...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func TestTopicsCommand(t *testing.T) {
	t.Parallel()
	f, c := fakeKafka(t, 1)
	brokers := "KAFKA_BROKERS=" + f.BootstrapServers()

	_, stderr, code := runTopics(t, []string{brokers}, "-check")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "breakwater-topics: error: topic otel-metrics-v1 does not exist\n")

	stdout, stderr, code := runTopics(t, []string{brokers, "KAFKA_DLQ_TOPIC=my-dead-letters"})
	assert.Zero(t, code, stderr)
	assert.Len(t, strings.Split(strings.TrimSpace(stdout), "\n"), 6, "a head and five topics:\n%s", stdout)
	assert.Regexp(t, `(?m)^my-dead-letters +6 +1 +1 +168h +11534336 +created$`, stdout)
	assert.Equal(t, 1, strings.Count(stderr, "breakwater-topics: warning: the cluster has 1 broker"), stderr)

	stdout, stderr, code = runTopics(t, []string{brokers, "KAFKA_DLQ_TOPIC=my-dead-letters"}, "-check")
	assert.Zero(t, code, stderr)
	assert.Regexp(t, `(?m)^otel-logs-v1 +6 +1 +1 +72h +10485760 +exists$`, stdout)

	_, err := c.Admin().CreateTopic(t.Context(), 1, 1, nil, "small")
	require.NoError(t, err)
	stdout, stderr, code = runTopics(t, []string{"KAFKA_LOGS_TOPIC=small", "KAFKA_DLQ_TOPIC=my-dead-letters"},
		"-brokers", f.BootstrapServers())
	assert.Equal(t, 1, code)
	assert.Regexp(t, `(?m)^small .*exists, weaker than wanted$`, stdout)
	assert.Contains(t, stderr, "breakwater-topics: error: topic small: partitions is 1, want at least 6\n")
}

func TestTopicsCommandWithoutKafka(t *testing.T) {
	t.Parallel()
	port, err := harness.FreePort()
	require.NoError(t, err)
	defer harness.ReleasePort(port)
	addr := harness.Loopback(port)

	_, stderr, code := runTopics(t, []string{"KAFKA_BROKERS=" + addr}, "-timeout=2s")
	assert.Equal(t, 1, code)
	assert.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
	assert.Contains(t, stderr, "KAFKA_BROKERS")
	assert.Contains(t, stderr, addr)
	assert.Contains(t, stderr, "connection refused")

	_, stderr, code = runTopics(t, []string{"KAFKA_BROKERS= ,"})
	assert.Equal(t, 1, code)
	assert.Equal(t, "breakwater-topics: error: no broker given: set KAFKA_BROKERS or -brokers\n", stderr)

	_, stderr, code = runTopics(t, []string{"KAFKA_BROKERS=not:a:port"}, "-timeout=1s")
	assert.Equal(t, 1, code)
	assert.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
	assert.Contains(t, stderr, "KAFKA_BROKERS")
}

// The same on real brokers, which judge configurations and replication for real.
func TestTopicsOnRealKafka(t *testing.T) {
	t.Parallel()
	k := harness.StartKafka(t, harness.KafkaOptions{Brokers: 1})
	c, err := harness.NewKafkaClient(k.Brokers())
	require.NoError(t, err)
	defer c.Close()

	for _, state := range []topics.State{topics.Created, topics.Exists} {
		report, err := topics.Ensure(t.Context(), c.Client(), topics.Defaults(none))
		require.NoError(t, err)
		assert.Empty(t, report.Problems())
		assert.Len(t, report.AllWarnings(), 1)
		for _, topic := range report.Topics {
			assert.Equal(t, state, topic.State)
			assert.Equal(t, 1, topic.Replicas)
			assert.Equal(t, "false", topic.Configs["unclean.leader.election.enable"])
			assert.Equal(t, strconv.Itoa(topic.Want.MaxMessageBytes), topic.Configs["max.message.bytes"])
			policy := "delete"
			if topic.Want.Compacted {
				policy = "compact"
			}
			assert.Equal(t, policy, topic.Configs["cleanup.policy"])
		}
		require.NoError(t, k.Restart(t.Context()))
	}
	_, err = c.Admin().CreateTopic(t.Context(), 6, 1, map[string]*string{
		"unclean.leader.election.enable": text("true"),
		"retention.bytes":                text("1000000"),
		"max.message.bytes":              text("10485760"),
	}, "unclean")
	require.NoError(t, err)
	specs := topics.Defaults(func(name string) string {
		return map[string]string{"KAFKA_LOGS_TOPIC": "unclean"}[name]
	})
	report, err := topics.Verify(t.Context(), c.Client(), specs)
	require.NoError(t, err)
	assert.Equal(t, []string{"topic unclean: unclean.leader.election.enable is true, want false"}, report.Problems())
	assert.Contains(t, strings.Join(report.AllWarnings(), "\n"), "retention.bytes is 1000000")
}
