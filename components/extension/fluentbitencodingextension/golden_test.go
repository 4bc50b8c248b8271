package fluentbitencodingextension

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/pdata/plog"
)

var update = flag.Bool("update", false, "write the expected results anew")

// arrived is the timestamp of the messages.
var arrived = time.Date(2024, 11, 22, 11, 41, 0, 1, time.UTC)

// testConfig returns the defaults with the settings over them.
func testConfig(t testing.TB, settings map[string]any) *Config {
	t.Helper()
	config := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(settings).Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))
	return config
}

// TestCorpus decodes messages as Fluent Bit and others write them: the directory of a case has the message, what is not
// as by default in the configuration, and what is to come of it.
func TestCorpus(t *testing.T) {
	cases, err := filepath.Glob("testdata/corpus/*")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			settings := confmap.New()
			if path := filepath.Join(dir, "config.yaml"); fileExists(path) {
				settings, err = confmaptest.LoadConf(path)
				require.NoError(t, err)
			}
			message, err := os.ReadFile(filepath.Join(dir, "message.json"))
			require.NoError(t, err)
			u := newExtension(testConfig(t, settings.ToStringMap())).NewLogsUnmarshaler()

			err = u.Append(message, arrived)
			logs := u.Logs()
			if strings.HasPrefix(filepath.Base(dir), "refused_") {
				require.Error(t, err)
				assert.Zero(t, logs.ResourceLogs().Len())
				assert.NotContains(t, err.Error(), "secret")
				assertText(t, filepath.Join(dir, "error.txt"), err.Error()+"\n")
				return
			}
			require.NoError(t, err)
			path := filepath.Join(dir, "logs.yaml")
			if *update {
				require.NoError(t, golden.WriteLogsToFile(path, logs))
			}
			want, err := golden.ReadLogs(path)
			require.NoError(t, err)
			assert.NoError(t, plogtest.CompareLogs(want, logs))

			one, err := newExtension(testConfig(t, settings.ToStringMap())).UnmarshalLogs(message)
			require.NoError(t, err)
			assert.NoError(t, plogtest.CompareLogs(want, one, plogtest.IgnoreObservedTimestamp(), plogtest.IgnoreTimestamp()))
		})
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func assertText(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// allMessages returns the messages of the corpus that the default configuration has records of.
func allMessages(t testing.TB) [][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*/message.json")
	require.NoError(t, err)
	var messages [][]byte
	for _, path := range paths {
		message, err := os.ReadFile(path)
		require.NoError(t, err)
		u := newExtension(testConfig(t, nil)).NewLogsUnmarshaler()
		if u.Append(message, arrived) == nil {
			messages = append(messages, message)
		}
	}
	require.Greater(t, len(messages), 20)
	return messages
}

// encoded returns the request as bytes, which two requests have in common only if all is the same in them.
func encoded(t testing.TB, logs plog.Logs) string {
	t.Helper()
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return string(data)
}
