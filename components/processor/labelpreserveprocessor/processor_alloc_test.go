//go:build !race

// The race detector makes sync.Pool drop values at random.

package labelpreserveprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNoAllocationWhenInPlace(t *testing.T) {
	lp := startedProcessor(t, loadConfig(t, "label_preserve/consumer"))
	logs := benchLogs(100, true)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, err := lp.processLogs(t.Context(), logs)
		require.NoError(t, err)
	}))
	metrics := benchMetrics(100, true)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, err := lp.processMetrics(t.Context(), metrics)
		require.NoError(t, err)
	}))
}
