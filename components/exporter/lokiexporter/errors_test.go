package lokiexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// Texts are those of Loki v3.7.8.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		status int
		text   string
		want   outcome
		kind   kind
	}{
		{status: 200, want: outcomeDelivered},
		{status: 204, want: outcomeDelivered},
		{status: 202, want: outcomeRetry},
		{status: 260, text: "ingestion blocked for user 'fake' until '2030-01-01' with status code '260'", want: outcomeRetry},
		{status: 302, want: outcomeRetry},
		{status: 400, text: tooOld, want: outcomeRefused, kind: kindTooOld},
		{status: 400, text: "3 errors like: " + tooNew, want: outcomeRefused, kind: kindTooNew},
		{status: 400, text: tooLong, want: outcomeRefused, kind: kindLineBytes},
		{status: 400, text: "Max entry size '262144' bytes exceeded for stream '{}'", want: outcomeRefused, kind: kindLineBytes},
		{status: 400, text: "entry too far behind, entry timestamp is: x, oldest acceptable timestamp is: y", want: outcomeRefused, kind: kindTooFarBehind},
		{status: 400, text: "entry out of order", want: outcomeRefused, kind: kindTooFarBehind},
		{status: 400, text: "entry for stream '{}' has 31 label names; limit 30", want: outcomeRefused, kind: kindLabels},
		{status: 400, text: "stream '{}' has label value too long: 'x'", want: outcomeRefused, kind: kindLabels},
		{status: 400, text: "stream '{}' has too many structured metadata labels: '129', limit: '128'", want: outcomeRefused, kind: kindStructuredMetadata},
		{status: 400, text: "unexpected EOF", want: outcomeRetry},
		{status: 400, text: "something else", want: outcomeRefused, kind: kindOther},
		{status: 401, text: "no org id", want: outcomeRetry},
		{status: 403, want: outcomeRetry},
		{status: 404, want: outcomeRetry},
		{status: 405, want: outcomeRetry},
		{status: 408, want: outcomeRetry},
		{status: 411, want: outcomeRefused, kind: kindOther},
		{status: 413, want: outcomeTooLarge, kind: kindTooLarge},
		{status: 415, want: outcomeRefused, kind: kindOther},
		{status: 422, text: "error at least one valid stream is required for ingestion", want: outcomeRefused, kind: kindLabels},
		{status: 429, text: "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec)", want: outcomeThrottled},
		{status: 429, text: "entry with timestamp x ignored, reason: 'Per stream rate limit exceeded (limit: 3MB/sec)'", want: outcomeThrottled},
		{status: 429, text: limited, want: outcomeRefused, kind: kindStreamLimit},
		{status: 429, text: "Maximum active stream limit exceeded", want: outcomeRefused, kind: kindStreamLimit},
		{status: 431, want: outcomeRefused, kind: kindOther},
		{status: 500, want: outcomeRetry},
		{status: 502, want: outcomeRetry},
		{status: 503, text: "at least 1 live replicas required, could only find 0", want: outcomeThrottled},
		{status: 503, text: "trying to send message larger than max (5 vs. 4)", want: outcomeTooLarge, kind: kindTooLarge},
		{status: 504, want: outcomeRetry},
	} {
		got := classify(c.status, c.text)
		assert.Equal(t, c.want, got, "%d %s", c.status, c.text)
		if (answer{outcome: got}).refused() {
			assert.Equal(t, c.kind, kindOf(answer{outcome: got, text: c.text}), "%d %s", c.status, c.text)
		}
	}
}

func TestHints(t *testing.T) {
	oldest := time.Date(2026, 1, 2, 3, 4, 15, 0, time.UTC)
	for text, want := range map[string]hint{
		tooOld:                        {oldest: oldest},
		tooLong:                       {maxLineBytes: 100},
		tooLong + "; " + tooOld:       {maxLineBytes: 100, oldest: oldest},
		tooNew:                        {},
		limited:                       {stream: true},
		"2 errors like: " + limited:   {},
		"has 31 label names; limit 3": {stream: true},
		"":                            {},
	} {
		got := hintOf(answer{text: text})
		assert.Equal(t, want.stream, got.stream, text)
		assert.Equal(t, want.maxLineBytes, got.maxLineBytes, text)
		assert.True(t, want.oldest.Equal(got.oldest), text)
	}
}

func TestTextOf(t *testing.T) {
	content, err := proto.Marshal(&spb.Status{Message: "said"})
	require.NoError(t, err)
	assert.Equal(t, "said", textOf(content))
	assert.Equal(t, "<html>", textOf([]byte("<html>")))
	assert.Empty(t, textOf(nil))
}
