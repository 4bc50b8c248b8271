package otlpzerocopyencodingextension

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/components/extension/otlpzerocopyencodingextension/internal/metadata"
)

// TestReceiverSees holds what a receiver asks of an extension that it takes for an encoding.
func TestReceiverSees(t *testing.T) {
	factory := NewFactory()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), factory.CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { assert.NoError(t, ext.Shutdown(t.Context())) }()

	_, ok := ext.(pmetric.Unmarshaler)
	assert.False(t, ok, "metrics are not decoded here")
	unmarshaler, ok := ext.(plog.Unmarshaler)
	require.True(t, ok)

	want := plog.NewLogs()
	want.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("line")
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(want)
	require.NoError(t, err)
	got, err := unmarshaler.UnmarshalLogs(data)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	_, err = unmarshaler.UnmarshalLogs(data[:len(data)-1])
	assert.Error(t, err)
}
