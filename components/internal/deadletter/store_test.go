package deadletter

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

const dlq = "dlq"

func newKafka(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func clientOf(cluster *kfake.Cluster) func(...kgo.Opt) (*kgo.Client, error) {
	return func(extra ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, extra...)...)
	}
}

func newStore(t *testing.T, cfg Config, newClient func(...kgo.Opt) (*kgo.Client, error)) *KafkaOrFile {
	s, err := NewStore(cfg, newClient, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// readTopic returns all letters of the topic, which must be as many.
func readTopic(t *testing.T, cluster *kfake.Cluster, count int) []Letter {
	read := readAll(t, cluster)
	require.Len(t, read, count)
	return read
}

func readAll(t *testing.T, cluster *kfake.Cluster) []Letter {
	client, err := clientOf(cluster)(kgo.ConsumeTopics(dlq), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, dlq)
	require.NoError(t, err)
	total := 0
	ends.Each(func(o kadm.ListedOffset) { total += int(o.Offset) })
	var read []Letter
	for len(read) < total {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			l, err := letters.FromRecord(r)
			require.NoError(t, err)
			read = append(read, l)
		})
	}
	return read
}

func names(t *testing.T, directory string) []string {
	found, err := filepath.Glob(filepath.Join(directory, "*"+letters.FileSuffix))
	require.NoError(t, err)
	sort.Strings(found)
	return found
}

// readFiles returns all letters of the directory, without torn ones.
func readFiles(t *testing.T, directory string) []Letter {
	var read []Letter
	for _, name := range names(t, directory) {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for r := letters.NewReader(bytes.NewReader(content)); ; {
			l, err := r.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, letters.ErrTorn) {
				break
			}
			require.NoError(t, err)
			read = append(read, l)
		}
	}
	return read
}

func values(list []Letter) []string {
	out := make([]string, 0, len(list))
	for _, l := range list {
		out = append(out, string(l.Value))
	}
	return out
}

func letter(value string) Letter {
	return Letter{Reason: ReasonUndecodable, Error: "broken", Signal: SignalLogs, Encoding: "json", Topic: "t", Offset: 1, Value: []byte(value)}
}

func TestTopicHasTheLetter(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(2, dlq))
	s := newStore(t, Config{Topic: dlq}, clientOf(cluster))
	given := letter("v\x00\xff")
	given.Key = []byte("k")
	given.Headers = []Header{{Key: "traceparent", Value: []byte("x")}, {Key: HeaderReplays, Value: []byte("1")}}
	stored, err := s.Store(t.Context(), given)
	require.NoError(t, err)
	assert.Equal(t, Stored{InTopic: 1}, stored)

	read := readTopic(t, cluster, 1)[0]
	assert.WithinDuration(t, time.Now(), read.Time, time.Minute)
	given.Time, given.Last, given.Replays = read.Time, 1, 1
	assert.Equal(t, given, read)
}

func TestProducerWaitsForAllReplicas(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(1, dlq))
	var mu sync.Mutex
	var acks []int16
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		acks = append(acks, request.(*kmsg.ProduceRequest).Acks)
		return nil, nil, false
	})
	s := newStore(t, Config{Topic: dlq}, clientOf(cluster))
	require.NoError(t, s.Put(t.Context(), letter("v")))
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []int16{-1}, acks)
}

func TestConcurrentPuts(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(3, dlq))
	s := newStore(t, Config{Topic: dlq, Directory: t.TempDir()}, clientOf(cluster))
	var puts sync.WaitGroup
	var want []string
	for i := range 20 {
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
		want = append(want, a, b)
		puts.Go(func() { assert.NoError(t, s.Put(t.Context(), letter(a), letter(b))) })
	}
	puts.Wait()
	assert.ElementsMatch(t, want, values(readTopic(t, cluster, len(want))))
}

// What a broker refuses for good.
func refusals(t *testing.T) map[string]func() (*kfake.Cluster, string) {
	return map[string]func() (*kfake.Cluster, string){
		"unknown topic": func() (*kfake.Cluster, string) {
			return newKafka(t), kerr.UnknownTopicOrPartition.Message
		},
		"authorization": func() (*kfake.Cluster, string) {
			cluster := newKafka(t, kfake.SeedTopics(1, dlq))
			cluster.ControlKey(int16(kmsg.Produce), answerProduce(cluster, kerr.TopicAuthorizationFailed))
			return cluster, kerr.TopicAuthorizationFailed.Message
		},
		"too large": func() (*kfake.Cluster, string) {
			cluster := newKafka(t, kfake.SeedTopics(1, dlq))
			cluster.ControlKey(int16(kmsg.Produce), answerProduce(cluster, kerr.MessageTooLarge))
			return cluster, kerr.MessageTooLarge.Message
		},
	}
}

func answerProduce(cluster *kfake.Cluster, code *kerr.Error) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		produce := request.(*kmsg.ProduceRequest)
		response := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode = partition.Partition, code.Code
				answer.Partitions = append(answer.Partitions, p)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	}
}

func TestRefusedLettersGoToTheDirectory(t *testing.T) {
	for name, refuse := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			cluster, _ := refuse()
			directory := t.TempDir()
			s := newStore(t, Config{Topic: dlq, Directory: directory}, clientOf(cluster))
			stored, err := s.Store(t.Context(), letter("a"), letter("b"))
			require.NoError(t, err)
			assert.Equal(t, Stored{InFiles: 2}, stored)
			assert.Equal(t, []string{"a", "b"}, values(readFiles(t, directory)))
		})
	}
}

func TestRefusedLettersAreAnErrorWithoutADirectory(t *testing.T) {
	for name, refuse := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			cluster, message := refuse()
			s := newStore(t, Config{Topic: dlq}, clientOf(cluster))
			err := s.Put(t.Context(), letter("secret payload"))
			require.ErrorContains(t, err, "dead letter topic dlq refuses 1 of 1 letters: "+message)
			require.ErrorContains(t, err, "no `directory` is set")
			assert.NotContains(t, err.Error(), "payload")
		})
	}
}

func createTopic(t *testing.T, cluster *kfake.Cluster, maxMessageBytes string) {
	client, err := clientOf(cluster)()
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &maxMessageBytes}, dlq)
	require.NoError(t, err)
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return string(b)
}

func TestLettersShareNoFateForTheirSize(t *testing.T) {
	cluster := newKafka(t)
	createTopic(t, cluster, "100000")
	directory := t.TempDir()
	s := newStore(t, Config{Topic: dlq, Directory: directory}, clientOf(cluster))
	fits := []string{random(60_000), random(60_000), strings.Repeat("x", 1_000_000)}
	large := random(200_000)
	// One batch of all of them is over the limit; each of `fits` alone is not, the last
	// one since it is compressed.
	stored, err := s.Store(t.Context(), letter(fits[0]), letter(large), letter(fits[1]), letter(fits[2]))
	require.NoError(t, err)
	assert.Equal(t, Stored{InTopic: 3, InFiles: 1}, stored)
	assert.ElementsMatch(t, fits, values(readTopic(t, cluster, 3)))
	assert.Equal(t, []string{large}, values(readFiles(t, directory)))
}

func TestMoreThanTheProducerTakesGoesToTheDirectory(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(1, dlq))
	directory := t.TempDir()
	s := newStore(t, Config{Topic: dlq, Directory: directory}, clientOf(cluster))
	stored, err := s.Store(t.Context(), letter(strings.Repeat("x", maxBatchBytes+1)))
	require.NoError(t, err)
	assert.Equal(t, Stored{InFiles: 1}, stored)
	assert.Len(t, readFiles(t, directory), 1)
}

func TestAnOutageIsWaitedFor(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(1, dlq))
	var mu sync.Mutex
	down := true
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if down {
			return answerProduce(cluster, kerr.NotEnoughReplicas)(request)
		}
		return nil, nil, false
	})
	core, logs := observer.New(zapcore.WarnLevel)
	directory := t.TempDir()
	s, err := NewStore(Config{Topic: dlq, Directory: directory}, clientOf(cluster), zap.New(core))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Shutdown(context.Background())) }()
	s.slow = 20 * time.Millisecond

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Put(ctx, letter("a")) }()
	require.Eventually(t, func() bool { return logs.FilterMessageSnippet("does not answer").Len() > 0 }, 10*time.Second, 5*time.Millisecond)
	select {
	case err := <-result:
		t.Fatal("not waited for", err)
	default:
	}
	cancel()
	err = <-result
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "has not answered")

	go func() { result <- s.Put(t.Context(), letter("b")) }()
	mu.Lock()
	down = false
	mu.Unlock()
	require.NoError(t, <-result)
	assert.Contains(t, values(readAll(t, cluster)), "b", "the other one may be there as well: nobody knows")
	assert.Empty(t, readFiles(t, directory), "an outage is no refusal")
}

func TestAnEndedContextIsAnError(t *testing.T) {
	s := newStore(t, Config{Directory: t.TempDir()}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Put(ctx, letter("a")), context.Canceled)
}

func TestPutAfterShutdown(t *testing.T) {
	cluster := newKafka(t, kfake.SeedTopics(1, dlq))
	for _, cfg := range []Config{{Topic: dlq}, {Directory: t.TempDir()}} {
		s, err := NewStore(cfg, clientOf(cluster), zap.NewNop())
		require.NoError(t, err)
		require.NoError(t, s.Put(t.Context(), letter("a")))
		require.NoError(t, s.Shutdown(t.Context()))
		require.Error(t, s.Put(t.Context(), letter("b")))
		require.NoError(t, s.Shutdown(t.Context()))
	}
}

func TestNewStoreRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for want, cfg := range map[string]Config{
		"`topic` or `directory` must be set":    {},
		"`max_message_bytes` must be at least":  {Topic: dlq, MaxMessageBytes: 100},
		"`max_message_bytes` must not be over":  {Topic: dlq, MaxMessageBytes: 1 << 30},
		"`max_file_bytes` must not be negativ":  {Topic: dlq, MaxFileBytes: -1},
		"`directory`: " + file + " is not a di": {Directory: file},
		"`directory`: ":                         {Directory: filepath.Join(file, "sub")},
	} {
		_, err := NewStore(cfg, nil, zap.NewNop())
		require.ErrorContains(t, err, want)
	}
	_, err := NewStore(Config{Topic: dlq}, func(...kgo.Opt) (*kgo.Client, error) { return nil, errors.New("no broker") }, zap.NewNop())
	require.ErrorContains(t, err, "no broker")
}

func TestMetricReason(t *testing.T) {
	assert.Equal(t, "refused", MetricReason("refused"))
	assert.Equal(t, "undecodable", MetricReason("undecodable"))
	assert.Equal(t, "other", MetricReason("anything a client sends"))
}
