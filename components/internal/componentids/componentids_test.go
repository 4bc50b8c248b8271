package componentids

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/confmap"
)

func TestOfTypes(t *testing.T) {
	conf := confmap.NewFromStringMap(map[string]any{"receivers": map[string]any{
		"kafka/b": map[string]any{"brokers": "b"}, "kafka": nil, "kafkametrics": map[string]any{}, "otlp": nil,
	}})
	ids, settings := []string{}, []map[string]any{}
	for id, of := range OfTypes(conf, "receivers", "kafka", "otlp") {
		ids, settings = append(ids, id), append(settings, of)
	}
	assert.Equal(t, []string{"kafka", "kafka/b", "otlp"}, ids)
	assert.Equal(t, []map[string]any{nil, {"brokers": "b"}, nil}, settings)

	for range OfTypes(conf, "exporters", "kafka") {
		t.Fatal("there is no such section")
	}
	for id := range OfTypes(conf, "receivers", "kafka") {
		assert.Equal(t, "kafka", id)
		break
	}
}
