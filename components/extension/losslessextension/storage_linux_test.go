package losslessextension

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

func TestQueueLargerThanTheDisk(t *testing.T) {
	cluster := newCluster(t, map[string]*string{"min.insync.replicas": ptr("2")}, 3)
	conf := agentConf(t.TempDir(), cluster.ListenAddrs()[0], map[string]any{"sending_queue": map[string]any{
		"storage": "file_storage", "sizer": "bytes", "queue_size": int64(1) << 60, "block_on_overflow": true,
		"batch": map[string]any{"sizer": "bytes", "max_size": 900000},
	}})
	s := start(t, withMode(lossless.Enforce, lossless.Enforce), conf)
	require.ErrorContains(t, s.err, "BW110 `extensions::file_storage::directory`")
}

// TestStorageState holds that what queues have already is room for them.
func TestStorageState(t *testing.T) {
	const size = 8 << 20
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "queue"), make([]byte, size), 0o600))
	free := func() int64 {
		var stat unix.Statfs_t
		require.NoError(t, unix.Statfs(directory, &stat))
		return int64(stat.Bavail) * stat.Bsize
	}
	// Others write to this disk, too: what counts is between two looks at what is free.
	require.Eventually(t, func() bool {
		before := free()
		has, err := storageState(directory)
		require.NoError(t, err)
		after := free()
		return has.Bytes >= min(before, after)+size && has.Bytes < max(before, after)+2*size
	}, 10*time.Second, 10*time.Millisecond)

	_, err := storageState(filepath.Join(directory, "missing"))
	require.ErrorContains(t, err, "missing")
}

func TestStorageInMemory(t *testing.T) {
	var stat unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &stat); err != nil || stat.Type != unix.TMPFS_MAGIC {
		t.Skip("no tmpfs at /dev/shm")
	}
	directory, err := os.MkdirTemp("/dev/shm", "breakwater-") //nolint:usetesting // t.TempDir is on a disk
	require.NoError(t, err)
	defer func() { assert.NoError(t, os.RemoveAll(directory)) }()
	has, err := storageState(directory)
	require.NoError(t, err)
	assert.True(t, has.Volatile)
}
