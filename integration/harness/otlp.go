package harness

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// CountLogRecords returns how many log records the messages of a topic hold, which are OTLP protobuf.
func (c *KafkaClient) CountLogRecords(ctx context.Context, topic string) (int64, error) {
	var unmarshaler plog.ProtoUnmarshaler
	return c.countOTLP(ctx, topic, func(message []byte) (int, error) {
		logs, err := unmarshaler.UnmarshalLogs(message)
		if err != nil {
			return 0, err
		}
		return logs.LogRecordCount(), nil
	})
}

// CountDataPoints returns how many data points of metrics whose names begin with prefix the messages of a topic hold, which
// are OTLP protobuf.
func (c *KafkaClient) CountDataPoints(ctx context.Context, topic, prefix string) (int64, error) {
	var unmarshaler pmetric.ProtoUnmarshaler
	return c.countOTLP(ctx, topic, func(message []byte) (int, error) {
		metrics, err := unmarshaler.UnmarshalMetrics(message)
		if err != nil {
			return 0, err
		}
		for _, resource := range metrics.ResourceMetrics().All() {
			for _, scope := range resource.ScopeMetrics().All() {
				scope.Metrics().RemoveIf(func(m pmetric.Metric) bool { return !strings.HasPrefix(m.Name(), prefix) })
			}
		}
		return metrics.DataPointCount(), nil
	})
}

func (c *KafkaClient) countOTLP(ctx context.Context, topic string, count func(message []byte) (int, error)) (int64, error) {
	var sum int64
	err := c.ConsumeEach(ctx, topic, func(record *kgo.Record) error {
		n, err := count(record.Value)
		if err != nil {
			return fmt.Errorf("%s, partition %d, offset %d: %w", topic, record.Partition, record.Offset, err)
		}
		sum += int64(n)
		return nil
	})
	return sum, err
}
