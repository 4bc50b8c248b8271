package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseUsage(t *testing.T) {
	cpu, err := parseStatCPU([]byte("42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 30 7 8 20 0 9 0 1234 5678\n"))
	require.NoError(t, err)
	assert.Equal(t, 2800*time.Millisecond, cpu, "children (7, 8) are not counted")
	_, err = parseStatCPU([]byte("42 (a) S 1"))
	require.Error(t, err)

	peak, err := parseStatusBytes([]byte("Name:\ta\nVmPeak:\t  999 kB\nVmHWM:\t   12 kB\n"), "VmHWM")
	require.NoError(t, err)
	assert.EqualValues(t, 12<<10, peak)
	_, err = parseStatusBytes([]byte("Name:\ta\n"), "VmHWM")
	require.Error(t, err)
}

func TestUsageOfAProcess(t *testing.T) {
	p := NewProcess(ProcessOptions{
		Name: "busy", Path: "/bin/sh", Args: []string{"-c", "while :; do :; done"}, LogFile: t.TempDir() + "/busy.log",
	})
	_, err := p.Usage()
	require.Error(t, err, "it was never started")
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { _ = p.Kill() })
	require.Eventually(t, func() bool {
		u, err := p.Usage()
		return err == nil && u.CPU > 0 && u.PeakRSS > 0 && u.ResidentSet > 0
	}, 10*time.Second, 10*time.Millisecond)
}
