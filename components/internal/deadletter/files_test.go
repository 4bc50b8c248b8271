package deadletter

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "a", "b")
	s := newStore(t, Config{Directory: directory}, nil)
	assert.Empty(t, names(t, directory), "no file before there is a letter")
	require.NoError(t, s.Put(t.Context(), letter("v")))
	for path, mode := range map[string]os.FileMode{directory: 0o700 | os.ModeDir, names(t, directory)[0]: 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode())
	}
}

func TestARestartBeginsAFileAndTouchesNoOther(t *testing.T) {
	directory := t.TempDir()
	first := newStore(t, Config{Directory: directory}, nil)
	require.NoError(t, first.Put(t.Context(), letter("a")))
	torn := names(t, directory)[0]
	file, err := os.OpenFile(torn, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"reason":"undeco`) // what a SIGKILL in mid-write leaves
	require.NoError(t, err)
	require.NoError(t, file.Close())
	before, err := os.ReadFile(torn)
	require.NoError(t, err)

	second := newStore(t, Config{Directory: directory}, nil)
	require.NoError(t, second.Put(t.Context(), letter("b"), letter("c")))
	assert.Len(t, names(t, directory), 2)
	assert.ElementsMatch(t, []string{"a", "b", "c"}, values(readFiles(t, directory)))
	after, err := os.ReadFile(torn)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestFilesRotate(t *testing.T) {
	directory := t.TempDir()
	s := newStore(t, Config{Directory: directory, MaxFileBytes: 2000}, nil)
	want := []string{}
	for range 10 {
		value := strings.Repeat("v", 600) // 800 in base64, and the names
		want = append(want, value)
		require.NoError(t, s.Put(t.Context(), letter(value)))
	}
	assert.Equal(t, want, values(readFiles(t, directory)))
	assert.Len(t, names(t, directory), 5)
}

func TestADeletedFileIsNotWrittenTo(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "d")
	s := newStore(t, Config{Directory: directory}, nil)
	require.NoError(t, s.Put(t.Context(), letter("a")))
	require.NoError(t, os.Remove(names(t, directory)[0]))
	require.NoError(t, s.Put(t.Context(), letter("b")))
	assert.Equal(t, []string{"b"}, values(readFiles(t, directory)))

	require.NoError(t, os.RemoveAll(directory))
	require.NoError(t, s.Put(t.Context(), letter("c")))
	assert.Equal(t, []string{"c"}, values(readFiles(t, directory)))
}

func TestAFailedSyncIsAnErrorAndLeavesNothingHalf(t *testing.T) {
	directory := t.TempDir()
	s := newStore(t, Config{Directory: directory}, nil)
	require.NoError(t, s.Put(t.Context(), letter("a")))
	s.files.sync = func(*os.File) error { return syscall.EIO }
	for range 3 {
		err := s.Put(t.Context(), letter("b"))
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorContains(t, err, directory)
	}
	assert.Len(t, names(t, directory), 1, "failures do not pile up files")
	s.files.sync = (*os.File).Sync
	require.NoError(t, s.Put(t.Context(), letter("b")))
	assert.ElementsMatch(t, []string{"a", "b"}, values(readFiles(t, directory)))
}

func TestEveryPutIsSynced(t *testing.T) {
	s := newStore(t, Config{Directory: t.TempDir()}, nil)
	var synced []int64
	s.files.sync = func(file *os.File) error {
		info, err := file.Stat()
		synced = append(synced, info.Size())
		return errors.Join(err, file.Sync())
	}
	for i := range 3 {
		require.NoError(t, s.Put(t.Context(), letter("v")))
		require.Len(t, synced, i+1)
		assert.Equal(t, s.files.size, synced[i], "all that was written was there to be synced")
	}
}
