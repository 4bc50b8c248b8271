package fluentbitencodingextension

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// TestReadme holds that the example is a configuration, and that each setting is described.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := string(data)
	_, example, ok := strings.Cut(text, "```yaml\n")
	require.True(t, ok)
	example, _, ok = strings.Cut(example, "```")
	require.True(t, ok)
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(example))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	settings, err := conf.Sub("extensions::fluent_bit_encoding")
	require.NoError(t, err)
	assert.Len(t, testConfig(t, settings.ToStringMap()).Tags, 2)

	for field := range reflect.TypeFor[Config]().Fields() {
		assert.Contains(t, text, "| `"+field.Tag.Get("mapstructure")+"` |")
	}
	for _, label := range createDefaultConfig().(*Config).Labels {
		assert.Contains(t, text, "`"+label+"`")
	}
}
