package load

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

func startKafka(t *testing.T, maxBytes string) (*harness.FakeKafka, *harness.KafkaClient) {
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = client.Admin().CreateTopic(t.Context(), 3, 1, map[string]*string{"max.message.bytes": &maxBytes}, "topic")
	require.NoError(t, err)
	return kafka, client
}

func TestFluentBitMessages(t *testing.T) {
	kafka, client := startKafka(t, "1000000")
	denied := 0
	kafka.Cluster().ControlKey(0, func(req kmsg.Request) (kmsg.Response, error, bool) {
		// The accident with the ACL: each partition is refused for a while.
		if denied++; denied > 3 {
			return nil, nil, false
		}
		kafka.Cluster().KeepControl()
		return refuse(req.(*kmsg.ProduceRequest), kerr.TopicAuthorizationFailed.Code), nil, true
	})
	w, err := NewFluentBit(KafkaOptions{
		Common: Common{Name: "fb", Rate: 200}, Brokers: kafka.Brokers(), Topic: "topic",
		Fields: map[string]string{"service_name": "shop"},
	})
	require.NoError(t, err)
	require.NoError(t, w.Start())
	require.Eventually(t, func() bool { return w.Written() > 20 }, 30*time.Second, time.Millisecond)
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	account := accounts[0]
	assert.Equal(t, account.Next, account.Written)
	assert.Empty(t, account.Resent, "it was said that nothing was stored")

	seen := map[int64]int{}
	records, err := client.ConsumeAll(t.Context(), "topic")
	require.NoError(t, err)
	for _, r := range records {
		var message struct {
			Time        time.Time `json:"@timestamp"`
			Log         string    `json:"log"`
			ServiceName string    `json:"service_name"`
		}
		require.NoError(t, json.Unmarshal(r.Value, &message))
		assert.False(t, message.Time.IsZero())
		assert.Equal(t, "shop", message.ServiceName)
		_, seq, err := harness.ParseLine(message.Log)
		require.NoError(t, err)
		assert.Equal(t, account.Record(seq).Text, message.Log)
		seen[seq]++
	}
	assert.Len(t, seen, int(account.Written))
	assert.Len(t, records, int(account.Written))
}

func refuse(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range req.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, code
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

func TestPoisonThatTheTopicRefuses(t *testing.T) {
	kafka, client := startKafka(t, "100000")
	w, err := NewPoison(KafkaOptions{
		Common:  Common{Name: "p", Seed: 4, LargeEvery: 5, LargeBytes: 1 << 20},
		Brokers: kafka.Brokers(), Topic: "topic", Client: []kgo.Opt{kgo.ProducerBatchCompression(kgo.NoCompression())},
	})
	require.NoError(t, err)
	require.NoError(t, w.writeMessages(t.Context(), 12))
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	account := accounts[0]
	assert.EqualValues(t, 12, account.Next)
	assert.EqualValues(t, 10, account.Written)
	assert.Equal(t, []harness.SeqRange{{First: 4, Last: 4}, {First: 9, Last: 9}}, account.Refused)
	want := map[string]bool{}
	for seq := range account.Next {
		if account.Acknowledged(seq) {
			want[account.Record(seq).Text] = true
		}
	}
	records, err := client.ConsumeAll(t.Context(), "topic")
	require.NoError(t, err)
	got := map[string]bool{}
	for _, r := range records {
		got[string(r.Value)] = true
	}
	assert.Equal(t, want, got)
}

// TestProducerStopsWithoutBrokers holds that Stop ends with its context, whatever the client still hopes for.
func TestProducerStopsWithoutBrokers(t *testing.T) {
	kafka, _ := startKafka(t, "1000000")
	w, err := NewFluentBit(KafkaOptions{Common: Common{Name: "fb", Rate: 100}, Brokers: kafka.Brokers(), Topic: "topic"})
	require.NoError(t, err)
	require.NoError(t, w.Start())
	require.Eventually(t, func() bool { return w.Written() > 5 }, 30*time.Second, time.Millisecond)
	require.NoError(t, kafka.Stop(t.Context()))
	written := w.Written()
	// Some of what comes now is under way for good.
	require.Eventually(t, func() bool { return w.client.BufferedProduceRecords() > 0 }, 30*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	accounts, err := w.Stop(ctx)
	require.NoError(t, err)
	account := accounts[0]
	assert.GreaterOrEqual(t, account.Written, written)
	assert.NotEmpty(t, account.Unanswered)
	var unanswered int64
	for _, r := range account.Unanswered {
		unanswered += r.Last - r.First + 1
	}
	assert.Equal(t, account.Next, account.Written+unanswered)
}
