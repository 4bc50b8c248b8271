package durablekafkareceiver

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/breakwater-otel/breakwater/components/internal/otlpview"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver/internal/metadata"
)

// benchReceiver is a receiver with one session that nothing is fetched for: records
// are pushed as the poll loop does, and announced without a broker.
func benchReceiver(b *testing.B, encoding string, next consumer.Logs) (*kafkaReceiver, *session) {
	config := createDefaultConfig().(*Config)
	config.Logs.Encoding = encoding
	config.MaxInFlightBytes = 1 << 40
	config.Merge.Linger = 0
	set := receivertest.NewNopSettings(metadata.Type)
	r, err := newReceiver(config, config.Logs, set, nil)
	require.NoError(b, err)
	r.host = componenttest.NewNopHost()
	r.signal, err = newLogsSignal(config, set, r.host, next)
	require.NoError(b, err)
	s := r.newSession(topicPartition{"logs", 0})
	s.place(commitOf{offset: -1, epoch: -1}, location{startAt: -1, until: -1}, time.Now())
	r.add([]*session{s})
	return r, s
}

func benchmarkDelivery(b *testing.B, encoding string, value []byte, recordsPerMessage, batch int) {
	var taken, want atomic.Int64
	all := make(chan struct{}, 1)
	next, err := consumer.NewLogs(func(_ context.Context, logs plog.Logs) error {
		if taken.Add(int64(logs.LogRecordCount())) == want.Load() {
			all <- struct{}{}
		}
		return nil
	})
	require.NoError(b, err)
	r, s := benchReceiver(b, encoding, next)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.commits.wanted:
			}
			if i := s.intend(time.Now(), false); i != nil {
				i.committed(time.Now())
			}
		}
	}()
	records := make([]*kgo.Record, batch)
	b.SetBytes(int64(len(value) * batch))
	b.ReportAllocs()
	offset := int64(0)
	for b.Loop() {
		for i := range records {
			records[i] = &kgo.Record{Topic: "logs", Value: value, Offset: offset, Timestamp: time.UnixMilli(offset)}
			offset++
		}
		want.Store(offset * int64(recordsPerMessage))
		s.push(records, offset, time.Now())
		<-all
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch*recordsPerMessage), "ns/record")
}

// BenchmarkOTLP is messages of 2,000 records.
func BenchmarkOTLP(b *testing.B) {
	benchmarkDelivery(b, encodingOTLPProto, otlpLogs(b, "a message of some length, as they are", 2000), 2000, 4)
}

// BenchmarkDecodeOTLP is what BenchmarkOTLP cannot do without.
func BenchmarkDecodeOTLP(b *testing.B) {
	value := otlpLogs(b, "a message of some length, as they are", 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := otlpview.UnmarshalLogs(value); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2000), "ns/record")
}

// BenchmarkOneRecordMessages is small JSON messages, merged.
func BenchmarkOneRecordMessages(b *testing.B) {
	message := []byte(fmt.Sprintf(`{"date":1700000000.5,"log":"%s","stream":"stdout","host":"node-1","app":"checkout"}`, "a message of some length, as they are"))
	b.Run("json", func(b *testing.B) { benchmarkDelivery(b, encodingJSON, message, 1, 8192) })
	b.Run("raw", func(b *testing.B) { benchmarkDelivery(b, encodingRaw, message, 1, 8192) })
}
