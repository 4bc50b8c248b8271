package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// oldGroup is the Group_Id of the aggregator, which integration/replay/testdata/takeover.yaml takes over.
const (
	oldGroup = "fluent-bit-logs-consumer"
	takeover = "integration/replay/testdata/takeover.yaml"
)

// TestTakeover is the second step of docs/migration.md: an aggregator of Fluent Bit has stored what it has committed, but
// for some records that it lost; the consumer takes its group over, and a replay adds what is missing and nothing else.
func TestTakeover(t *testing.T) {
	const (
		committed = 200 // messages of each partition
		all       = 300
	)
	// The aggregator commits on a timer: these were committed and never stored.
	lost := func(partition int32, i int) bool { return partition == 1 && i >= 150 && i < 190 }

	s := startParts(t, "configs/consumer.yaml", quick, takeover)
	var records []*kgo.Record
	var stored bytes.Buffer
	want, missing := map[string]int{}, map[string]int{}
	for i := range all {
		for partition := range int32(partitions) {
			text := fmt.Sprintf("fluent %d %d", partition, i)
			value := fmt.Appendf(nil, `{"@timestamp":%q,"log":%q,"stream":"stdout","service_name":"web","host_name":"edge","env":"test","site_name":"zrh-1","n":%d}`,
				at(i).Format("2006-01-02T15:04:05.000Z"), text, i)
			records = append(records, &kgo.Record{Topic: fluentBitTopic, Partition: partition, Value: value, Timestamp: at(i)})
			want[text]++
			switch {
			case lost(partition, i):
				missing[text]++
			case i < committed:
				stored.Write(bytes.TrimSuffix(value, []byte("}")))
				stored.WriteString(`,"consumer_name":"fluent-bit-kafka-consumer","pipeline":"kafka-to-victorialogs"}` + "\n")
			}
		}
	}
	require.NoError(t, s.client.Produce(t.Context(), records...))
	s.storeAsAggregator(t, &stored)
	var offsets kadm.Offsets
	for partition := range int32(partitions) {
		offsets.AddOffset(fluentBitTopic, partition, committed, -1)
	}
	require.NoError(t, s.client.Admin().CommitAllOffsets(t.Context(), oldGroup, offsets))

	s.startConsumer(t)
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	require.NoError(t, s.client.WaitLag(ctx, oldGroup, 0, fluentBitTopic))
	taken := map[string]int{}
	for text, n := range want {
		if missing[text] == 0 {
			taken[text] = n
		}
	}
	requireRows(t, s.logs, "fluent", taken) // from where the aggregator had stopped, and not from the beginning

	result := s.run(t, "fluent-bit", s.logs, "run", "-from", "start", "-yes")
	require.Zero(t, result.status)
	requireRows(t, s.logs, "fluent", want)
	assert.Len(t, missing, 40)
}

// storeAsAggregator sends lines as the output `http` of Fluent Bit does.
func (s *site) storeAsAggregator(t *testing.T, lines io.Reader) {
	args := url.Values{
		"_stream_fields": {"stream,service_name,service_namespace,host_name,env,site_name"},
		"_msg_field":     {"log"}, "_time_field": {"@timestamp"},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.logs.URL()+"/insert/jsonline?"+args.Encode(), lines)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/stream+json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, s.logs.Flush(t.Context()))
}
