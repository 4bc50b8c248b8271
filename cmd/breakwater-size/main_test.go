package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		status int
		stdout []string
		stderr []string
	}{
		"plan": {
			args:   []string{"-rate", "500", "-outage", "4h", "-hosts", "40"},
			stdout: []string{"BREAKWATER_QUEUE_BYTES", "retention.ms, logs", "catch up in"},
		},
		"nothing given": {status: 1, stderr: []string{"-rate must be positive", "-outage must be positive"}},
		"nonsense": {
			args: []string{"-rate", "1", "-outage", "1h", "-headroom", "0.5", "-brokers", "1"}, status: 1,
			stderr: []string{"-headroom must be at least 1", "-brokers must be at least -replicas"},
		},
		"no duration":     {args: []string{"-rate", "1", "-outage", "4"}, status: 1, stderr: []string{"-outage"}},
		"a word too many": {args: []string{"-rate", "1", "-outage", "1h", "now"}, status: 1, stderr: []string{`"now"`}},
		"never catches up": {
			args: []string{"-rate", "1000", "-outage", "1h", "-hosts", "100", "-consumers", "1"}, status: 1,
			stdout: []string{"warning: the consumers never catch up"},
		},
		"help": {args: []string{"-help"}, stderr: []string{"-outage"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, c.status, run(c.args, &stdout, &stderr))
			for _, text := range c.stdout {
				assert.Contains(t, stdout.String(), text)
			}
			for _, text := range c.stderr {
				assert.Contains(t, stderr.String(), text)
			}
		})
	}
}

// TestGuide holds the output that docs/operations.md prints.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	const call = "$ make size-buffers RATE=500 OUTAGE=4h SIZE='-hosts 40'\n"
	_, printed, found := strings.Cut(string(guide), call)
	require.True(t, found, call)
	printed, _, _ = strings.Cut(printed, "```")
	var stdout, stderr bytes.Buffer
	require.Zero(t, run([]string{"-rate", "500", "-outage", "4h", "-hosts", "40"}, &stdout, &stderr), stderr.String())
	assert.Equal(t, stdout.String(), printed)
}
