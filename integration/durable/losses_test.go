package durable

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestMixedPoll: a topic that may not be read beside one that may. Upstream drops the good records that a poll returns
// together with an error, and later commits past them.
func TestMixedPoll(t *testing.T) {
	receivers(t, func(t *testing.T, receiver string, loses bool) {
		read := func(resource kmsg.ACLResourceType, name string) kfake.ACL {
			return kfake.ACL{
				Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral,
				Operation: kmsg.ACLOperationRead, Allow: true,
			}
		}
		kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{Options: []kfake.Opt{
			kfake.EnableSASL(), kfake.EnableACLs(),
			kfake.Superuser("PLAIN", "admin", "admin"),
			kfake.User("PLAIN", "reader", "reader", read(kmsg.ACLResourceTypeTopic, "good"), read(kmsg.ACLResourceTypeGroup, "group")),
		}})
		s := newSource(t, kafka, kgo.SASL(plain.Auth{User: "admin", Pass: "admin"}.AsMechanism()))
		s.createTopic(t, "good", 1)
		s.createTopic(t, "forbidden", 1)
		logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
		c := consumer{receiver: receiver, endpoint: logs.URL(), settings: fmt.Sprintf(
			"brokers: [%q], group_id: group, initial_offset: earliest, logs: {topics: [good, forbidden], encoding: otlp_proto}, "+
				"auth: {sasl: {mechanism: PLAIN, username: reader, password: reader}}, metadata: {refresh_interval: 5s}, "+
				"autocommit: {enable: false}, message_marking: {after: true, on_error: false}", kafka.Brokers()[0]) + backoff}
		c.start(t)

		// The error comes with each refresh of the metadata; a record meets it in a poll when it comes at the same time.
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			s.produce(t, "good", 0, 1, 1)
		}
		last := fmt.Sprintf("%q", fmt.Sprintf("seq=%d ", s.next-1))
		if !loses {
			eventually(t, func() bool { distinct, _ := s.count(t, logs); return distinct == s.next }, time.Minute, "everything arrives")
			return
		}
		eventually(t, func() bool {
			s.produce(t, "good", 0, 1, 1) // or the last one might be lost itself
			n, err := logs.Count(t.Context(), last)
			return err == nil && n > 0 || s.lost(t, logs) > 0
		}, time.Minute, "the consumer is through")
		assert.Positive(t, s.lost(t, logs), "of %d records", s.next)
	})
}

// TestShutdownInOutage: the backend is down, the consumer is stopped and started again. Upstream's settings that keep a
// partition from being stopped by an error (on_error) commit the rest of the fetch.
func TestShutdownInOutage(t *testing.T) {
	receivers(t, func(t *testing.T, receiver string, loses bool) {
		kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
		s := newSource(t, kafka)
		s.createTopic(t, "logs", 1)
		s.produce(t, "logs", 0, 3000, 1)
		logs, err := harness.NewVictoriaLogs(harness.VictoriaLogsOptions{Dir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, logs.Close()) })
		c := consumer{receiver: receiver, endpoint: logs.URL(), settings: fmt.Sprintf(
			"brokers: [%q], group_id: group, initial_offset: earliest, logs: {topics: [logs], encoding: otlp_proto}, "+
				"autocommit: {enable: false}, message_marking: {after: true, on_error: true}", kafka.Brokers()[0]) + backoff}
		first := c.start(t)
		eventually(t, func() bool { return bytes.Contains([]byte(first.LogTail(1000)), []byte("connection refused")) },
			30*time.Second, "a delivery is tried")
		require.NoError(t, first.Stop(t.Context()))
		require.NoError(t, logs.Start(t.Context()))
		c.start(t)

		s.produce(t, "logs", 0, 1, 1) // the last one shows that the consumer is through
		eventually(t, func() bool {
			n, err := logs.Count(t.Context(), fmt.Sprintf("%q", fmt.Sprintf("seq=%d ", s.next-1)))
			return err == nil && n > 0
		}, time.Minute, "the consumer reads on")
		missing := func() int64 { distinct, _ := s.count(t, logs); return s.next - distinct }
		if loses {
			assert.Positive(t, missing())
			return
		}
		eventually(t, func() bool { return missing() == 0 }, time.Minute, "everything arrives")
	})
}

// refused is in the records that the backend refuses for good.
const refused = "REFUSE-THIS"

// TestPermanentErrorInOnePartition: one message of one partition is refused for good. Upstream stops the partition
// until the next rebalance, or drops the message. Ours moves it to the dead letters and goes on.
func TestPermanentErrorInOnePartition(t *testing.T) {
	receivers(t, func(t *testing.T, receiver string, loses bool) {
		kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
		s := newSource(t, kafka)
		s.createTopic(t, "logs", 2)
		for partition := range int32(2) {
			s.produce(t, "logs", partition, 50, 10)
		}
		s.raw(t, "logs", 0, s.message(t, 1, refused))
		for partition := range int32(2) {
			s.produce(t, "logs", partition, 50, 10)
		}
		logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
		proxy := refusingProxy(t, logs.URL(), func(body []byte) bool { return bytes.Contains(body, []byte(refused)) })
		c := consumer{receiver: receiver, endpoint: proxy, dead: true, own: ", merge: {enabled: false}", settings: fmt.Sprintf(
			"brokers: [%q], group_id: group, initial_offset: earliest, logs: {topics: [logs], encoding: otlp_proto}, "+
				"autocommit: {enable: false}, message_marking: {after: true, on_error: false, on_permanent_error: false}", kafka.Brokers()[0]) + backoff}
		c.start(t)

		stored := func() int64 { distinct, _ := s.count(t, logs); return distinct }
		if loses {
			// It stops before what is behind the refused record, or, when that was fetched already, drops the record.
			eventually(t, func() bool { return stored() >= 1500 }, time.Minute, "the other partition goes on")
			never(t, func() bool { return stored() == s.next }, 5*time.Second, "the refused record is nowhere")
			return
		}
		eventually(t, func() bool { return stored() == s.next-1 }, time.Minute, "everything else arrives")
		letters := c.deadLetters(t)
		require.Len(t, letters, 1)
		assert.Contains(t, letters[0], refused)
	})
}

// TestPoison: undecodable messages among good ones.
func TestPoison(t *testing.T) {
	receivers(t, func(t *testing.T, receiver string, loses bool) {
		kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
		s := newSource(t, kafka)
		s.createTopic(t, "logs", 1)
		s.produce(t, "logs", 0, 50, 10)
		garbage := []byte("\xff\xfe not a protobuf")
		s.raw(t, "logs", 0, garbage)
		truncated := s.message(t, 1, "truncated")
		s.next--
		truncated = truncated[:len(truncated)/2]
		s.raw(t, "logs", 0, truncated)
		s.produce(t, "logs", 0, 50, 10)
		logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
		c := consumer{receiver: receiver, endpoint: logs.URL(), settings: fmt.Sprintf(
			"brokers: [%q], group_id: group, initial_offset: earliest, logs: {topics: [logs], encoding: otlp_proto}, "+
				"autocommit: {enable: false}, message_marking: {after: true, on_error: false, on_permanent_error: false}", kafka.Brokers()[0]) + backoff}
		c.start(t)

		stored := func() int64 { distinct, _ := s.count(t, logs); return distinct }
		if loses {
			eventually(t, func() bool { return stored() == 500 }, time.Minute, "what is before arrives")
			never(t, func() bool { return stored() > 500 }, 5*time.Second, "the partition is stopped")
			return
		}
		eventually(t, func() bool { return stored() == s.next }, time.Minute, "everything else arrives")
		assert.ElementsMatch(t, []string{string(garbage), string(truncated)}, c.deadLetters(t))
	})
}
