package harness

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAffinity(t *testing.T) {
	p := NewProcess(ProcessOptions{Name: "idle", Path: "/bin/sleep", Args: []string{"60"}, LogFile: t.TempDir() + "/idle.log"})
	require.Error(t, p.SetAffinity([]int{0}), "it was never started")
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { _ = p.Kill() })
	require.NoError(t, p.SetAffinity([]int{0}))
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/status")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(status), "Cpus_allowed_list:")
	line, _, _ := strings.Cut(rest, "\n")
	assert.Equal(t, "0", strings.TrimSpace(line))
	require.Error(t, p.SetAffinity([]int{-1}))
}
