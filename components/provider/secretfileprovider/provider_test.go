package secretfileprovider

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolve returns the settings of a configuration that refers to the file in both ways.
func resolve(t *testing.T, logger *zap.Logger, path string) (*confmap.Conf, error) {
	t.Setenv("PASSWORD_FILE", path)
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: []string{"yaml:{a: '${secretfile:env:PASSWORD_FILE}', b: '${secretfile:" + path + "}', " +
			"c: 'x${secretfile:env:PASSWORD_FILE}y', d: '${secretfile:${env:PASSWORD_FILE}}'}"},
		ProviderFactories: []confmap.ProviderFactory{NewFactory(), yamlprovider.NewFactory(), envprovider.NewFactory()},
		ProviderSettings:  confmap.ProviderSettings{Logger: logger},
		DefaultScheme:     "env",
	})
	require.NoError(t, err)
	return resolver.Resolve(t.Context())
}

func write(t *testing.T, content string, mode os.FileMode) string {
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// TestSecretIsWhatIsInTheFile holds that nothing in a secret is taken for YAML, a reference or an escape.
func TestSecretIsWhatIsInTheFile(t *testing.T) {
	for i, secret := range []string{
		"hunter2", "12345", "1e3", "true", "null", "~", "0x10", "a: b", "- a", "{a: b}", "[a]", "'a'", `"a"`, "#a", "a #b", "*a", "&a", "!a", "%a", "|", ">",
		"${env:HOME}", "$${env:HOME}", "$$$$", "a$b", "a$$b", "$", "}", "${", "p${x}$", "${secretfile:/etc/passwd}", "\\n", "ä€😀", "\xff\xfe", " a ", "a:b",
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			conf, err := resolve(t, zap.NewNop(), write(t, secret+"\n", 0o600))
			require.NoError(t, err)
			var got struct {
				A configopaque.String `mapstructure:"a"`
				B string              `mapstructure:"b"`
				C string              `mapstructure:"c"`
				D string              `mapstructure:"d"`
			}
			require.NoError(t, conf.Unmarshal(&got))
			assert.Equal(t, secret, string(got.A))
			assert.Equal(t, secret, got.B)
			assert.Equal(t, "x"+secret+"y", got.C)
			assert.Equal(t, secret, got.D)
		})
	}
}

func TestErrorsNameTheVariableOrTheFile(t *testing.T) {
	_, err := resolve(t, zap.NewNop(), "")
	require.ErrorContains(t, err, "PASSWORD_FILE is not set; it names the file with the secret")
	path := write(t, "hunter2\nhunter3\n", 0o600)
	_, err = resolve(t, zap.NewNop(), path)
	require.ErrorContains(t, err, "PASSWORD_FILE: "+path+" has more than one line")
	assert.NotContains(t, err.Error(), "hunter")

	p := NewFactory().Create(confmap.ProviderSettings{Logger: zap.NewNop()})
	_, err = p.Retrieve(t.Context(), "secretfile:", nil)
	require.ErrorContains(t, err, "names no file")
	_, err = p.Retrieve(t.Context(), "file:x", nil)
	require.ErrorContains(t, err, "not supported")
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestExposedFileIsAWarning(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	path := write(t, "hunter2\n", 0o644)
	_, err := resolve(t, zap.New(core), path)
	require.NoError(t, err)
	entries := logs.FilterMessageSnippet("Every user of this machine may read").All()
	require.NotEmpty(t, entries)
	for _, entry := range entries {
		assert.NotContains(t, entry.ContextMap(), "hunter2")
	}

	_, err = resolve(t, zap.New(core), write(t, "hunter2\n", 0o640))
	require.NoError(t, err)
	assert.Equal(t, len(entries), logs.Len())
}
