package security

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// complete is an environment in which everything of configs/security.d is set.
func complete(t *testing.T) map[string]string {
	s := &site{dir: t.TempDir()}
	authority, err := harness.NewAuthority(s.dir, "right")
	require.NoError(t, err)
	own := s.issue(t, authority, "own", harness.IssueOptions{})
	env := map[string]string{
		"KAFKA_SASL_USERNAME": agentUser, "KAFKA_SASL_PASSWORD_FILE": s.secret(t, "kafka", agentPassword),
		"OTLP_TLS_CLIENT_CA_FILE": authority.CAFile,
	}
	for _, party := range []string{"KAFKA", "VICTORIALOGS", "VICTORIAMETRICS", "LOKI", "OTLP"} {
		env[party+"_TLS_CERT_FILE"], env[party+"_TLS_KEY_FILE"] = own.CertFile, own.KeyFile
		if party == "OTLP" {
			continue
		}
		env[party+"_TLS_CA_FILE"], env[party+"_TLS_SERVER_NAME"] = authority.CAFile, "name.example"
		if party != "KAFKA" {
			env[party+"_ENDPOINT"] = "https://127.0.0.1:1"
			env[party+"_USERNAME"], env[party+"_PASSWORD_FILE"] = logsUser, s.secret(t, party, logsPassword)
			env[party+"_TOKEN_FILE"] = s.secret(t, party+"-token", token)
		}
	}
	return env
}

// overlays are the files of configs/security.d but for those that say the same otherwise.
func overlays(t *testing.T, without string) []string {
	root, err := harness.Root()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(root, "configs", "security.d", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var kept []string
	for _, file := range files {
		if !strings.HasSuffix(file, without+".yaml") {
			kept = append(kept, file)
		}
	}
	return kept
}

// TestOverlaysAreValid holds that every profile takes all files of configs/security.d at once, in one order and the other,
// and that validate prints no secret.
func TestOverlaysAreValid(t *testing.T) {
	root, err := harness.Root()
	require.NoError(t, err)
	profiles, err := filepath.Glob(filepath.Join(root, "configs", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, profiles)
	env := complete(t)
	for _, profile := range profiles {
		for _, without := range []string{"-basic", "-bearer"} {
			t.Run(filepath.Base(profile)+without, func(t *testing.T) {
				t.Parallel()
				configs := append([]string{profile}, overlays(t, without)...)
				b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: configs, Env: env})
				args := []string{"validate"}
				for _, config := range configs {
					args = append(args, "--config="+config)
				}
				result, err := b.Run(t.Context(), args...)
				require.NoError(t, err)
				assert.Zero(t, result.ExitCode, result.Output)
				requireClean(t, "validate", result.Output)
			})
		}
	}
}

// TestMistakesEndTheStart is about what is set by half or cannot be used: the process does not start, and says which
// setting it is.
func TestMistakesEndTheStart(t *testing.T) {
	agent := []string{"configs/agent.yaml", "configs/security.d/kafka-sasl.yaml", "configs/security.d/kafka-tls.yaml", "configs/security.d/otlp-tls.yaml"}
	consumer := []string{
		"configs/consumer.yaml", "configs/security.d/kafka-sasl.yaml", "configs/security.d/kafka-tls.yaml", "configs/security.d/backends-tls.yaml",
		"configs/security.d/victorialogs-basic.yaml", "configs/security.d/victoriametrics-bearer.yaml",
	}
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	env := complete(t)
	tests := map[string]struct {
		configs []string
		change  map[string]string
		want    string
	}{
		"no user":             {agent, map[string]string{"KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME"},
		"no password file":    {agent, map[string]string{"KAFKA_SASL_PASSWORD_FILE": ""}, "KAFKA_SASL_PASSWORD_FILE is not set"},
		"empty password":      {agent, map[string]string{"KAFKA_SASL_PASSWORD_FILE": empty}, "KAFKA_SASL_PASSWORD_FILE: " + empty + " is empty"},
		"no key":              {agent, map[string]string{"KAFKA_TLS_KEY_FILE": ""}, "KAFKA_TLS_KEY_FILE"},
		"missing CA":          {agent, map[string]string{"OTLP_TLS_CLIENT_CA_FILE": empty + "-not"}, "OTLP_TLS_CLIENT_CA_FILE"},
		"mechanism":           {agent, map[string]string{"KAFKA_SASL_MECHANISM": "SCRAM"}, "KAFKA_SASL_MECHANISM"},
		"file not added":      {agent[:2], nil, "add --config kafka-tls.yaml"},
		"backend: no user":    {consumer, map[string]string{"VICTORIALOGS_USERNAME": ""}, "VICTORIALOGS_USERNAME"},
		"backend: no token":   {consumer, map[string]string{"VICTORIAMETRICS_TOKEN_FILE": ""}, "VICTORIAMETRICS_TOKEN_FILE"},
		"backend: clear text": {consumer, map[string]string{"VICTORIALOGS_ENDPOINT": "http://127.0.0.1:1"}, "VICTORIALOGS_TLS_CA_FILE is set"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := maps.Clone(env)
			maps.Copy(changed, test.change)
			b := harness.PrepareBreakwater(t, harness.BreakwaterOptions{Configs: test.configs, Env: changed})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := make([]string, 0, len(test.configs))
			for _, config := range test.configs {
				args = append(args, "--config="+config)
			}
			result, err := b.Run(ctx, args...)
			require.NoError(t, err)
			assert.NotZero(t, result.ExitCode)
			assert.Contains(t, result.Output, test.want)
			requireClean(t, "the log", result.Output)
		})
	}
}
