package preflightconverter

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func convert(t *testing.T, extensions map[string]any, inUse ...any) error {
	conf := confmap.NewFromStringMap(map[string]any{
		"extensions": extensions,
		"service":    map[string]any{"extensions": inUse},
	})
	before := conf.ToStringMap()
	err := NewFactory().Create(confmap.ConverterSettings{Logger: zap.NewNop()}).Convert(context.Background(), conf)
	assert.Equal(t, before, conf.ToStringMap(), "the configuration is as it was")
	return err
}

func storage(directory any, create bool) map[string]any {
	return map[string]any{"directory": directory, "create_directory": create}
}

func TestConvert(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	missing := filepath.Join(dir, "a", "b")

	tests := map[string]struct {
		storage map[string]any
		want    string
	}{
		"there":               {storage: storage(dir, false)},
		"to be made":          {storage: storage(missing, true)},
		"default":             {storage: map[string]any{}},
		"empty":               {storage: storage("", true), want: "`extensions::file_storage::directory` (BREAKWATER_STORAGE_DIR in the shipped profiles): must not be empty"},
		"null":                {storage: storage(nil, true), want: "must not be empty"},
		"missing":             {storage: storage(missing, false), want: missing + " does not exist, and `create_directory` is off"},
		"a file":              {storage: storage(file, true), want: file + " is not a directory"},
		"below a file":        {storage: storage(filepath.Join(file, "x"), true), want: file + " is not a directory"},
		"deep below a file":   {storage: storage(filepath.Join(file, "x", "y"), true), want: file + " is not a directory"},
		"nothing but a slash": {storage: storage("/no-such-directory-here", false), want: "does not exist"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := convert(t, map[string]any{"file_storage": test.storage}, "file_storage")
			if test.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.want)
		})
	}
	assert.NoDirExists(t, missing, "looking makes nothing")
}

func TestEveryExtensionInUse(t *testing.T) {
	extensions := map[string]any{
		"file_storage":        storage("", true),
		"file_storage/second": storage("", true),
		"file_storage/unused": storage("", true),
		"health_check":        nil,
	}
	err := convert(t, extensions, "health_check", "file_storage/second", "file_storage")
	require.ErrorContains(t, err, "`extensions::file_storage::directory`")
	require.ErrorContains(t, err, "`extensions::file_storage/second::directory`")
	assert.NotContains(t, err.Error(), "unused")
}

// TestPermissionIsAWarning holds that a configuration is valid whoever looks at it.
func TestPermissionIsAWarning(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	conf := confmap.NewFromStringMap(map[string]any{
		"extensions": map[string]any{"file_storage": storage("/proc/1/fd/breakwater", true)},
		"service":    map[string]any{"extensions": []any{"file_storage"}},
	})
	err := NewFactory().Create(confmap.ConverterSettings{Logger: zap.New(core)}).Convert(context.Background(), conf)
	require.NoError(t, err)
	// Root may write anywhere; integration/pipeline runs the binary as somebody else.
	want := 1
	if os.Getuid() == 0 {
		want = 0
	}
	require.Equal(t, want, logged.Len())
	for _, warning := range logged.All() {
		assert.Contains(t, warning.Message, "`extensions::file_storage::directory` (BREAKWATER_STORAGE_DIR in the shipped profiles): cannot use")
	}
}

func TestRemoteWriteEndpoint(t *testing.T) {
	for endpoint, valid := range map[string]bool{
		"http://127.0.0.1:8428/api/v1/write": true,
		"https://metrics.example.com/write":  true,
		"/api/v1/write":                      false, // VICTORIAMETRICS_ENDPOINT is empty
		"localhost:8428/api/v1/write":        false,
		"http:///api/v1/write":               false,
		"":                                   false,
		"http://user:secret@[/api/v1/write":  false,
	} {
		conf := confmap.NewFromStringMap(map[string]any{
			"exporters": map[string]any{"prometheusremotewrite/one": map[string]any{"endpoint": endpoint}},
		})
		err := NewFactory().Create(confmap.ConverterSettings{Logger: zap.NewNop()}).Convert(context.Background(), conf)
		if valid {
			assert.NoError(t, err, endpoint)
			continue
		}
		require.ErrorContains(t, err, "`exporters::prometheusremotewrite/one::endpoint` (VICTORIAMETRICS_ENDPOINT", endpoint)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestNoExtensions(t *testing.T) {
	assert.NoError(t, NewFactory().Create(confmap.ConverterSettings{Logger: zap.NewNop()}).Convert(context.Background(), confmap.New()))
}
