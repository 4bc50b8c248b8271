package remotewriteexporter

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The transport may go on reading a body after its request has failed; the next request must not be written over it.
func TestBodyInUseIsNotWrittenOver(t *testing.T) {
	var kept io.ReadCloser
	e := exporterWith(t, func(r *http.Request) (*http.Response, error) {
		if kept == nil {
			kept = r.Body
			return nil, errors.New("timeout")
		}
		drain(r)
		_ = r.Body.Close()
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	})
	require.Error(t, e.pushMetrics(t.Context(), gauges(2)))
	for range 10 {
		require.NoError(t, e.pushMetrics(t.Context(), gauges(1))) // fits into the same buffer
	}
	content, err := io.ReadAll(kept)
	require.NoError(t, err)
	decoded, err := snappy.Decode(nil, content)
	require.NoError(t, err)
	request := &prompb.WriteRequest{}
	require.NoError(t, request.Unmarshal(decoded))
	assert.Len(t, request.Timeseries, 2)

	require.NoError(t, kept.Close())
	_, err = kept.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestEncodedRequestIsThatOfTheLibrary(t *testing.T) {
	want := prompb.WriteRequest{}
	var encoded []byte
	for _, bytes := range []int{0, 1, 100, 127, 128, 20_000} {
		series := prompb.TimeSeries{
			Labels:  []prompb.Label{{Name: "n", Value: string(make([]byte, bytes))}},
			Samples: []prompb.Sample{{Value: 1, Timestamp: 2}},
		}
		want.Timeseries = append(want.Timeseries, series)
		before := len(encoded)
		inRequest, own := sizeOf(&series)
		var err error
		encoded, err = appendSeries(encoded, &series, own)
		require.NoError(t, err)
		assert.Equal(t, inRequest, len(encoded)-before)
	}
	text, err := want.Marshal()
	require.NoError(t, err)
	assert.Equal(t, text, encoded)
}

func TestLargeBuffersAreNotKept(t *testing.T) {
	b := buffers{encoded: make([]byte, maxKeptBytes+1), compressed: make([]byte, maxKeptBytes+1)}
	b.trim()
	assert.Nil(t, b.encoded)
	assert.Nil(t, b.compressed)
	b = buffers{encoded: make([]byte, 10), compressed: make([]byte, 10)}
	b.trim()
	assert.NotNil(t, b.encoded)
	assert.NotNil(t, b.compressed)
}
