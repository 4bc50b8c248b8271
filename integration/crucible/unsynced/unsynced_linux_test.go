package unsynced

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func here(do func() error) error { return do() }

func mount(t *testing.T) (*Disk, string) {
	t.Helper()
	if err := Supported(); err != nil {
		t.Skipf("no disk can be mounted: %v", err)
	}
	dir := t.TempDir()
	disk, err := Mount(dir, here)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, disk.Close()) })
	return disk, dir
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestItIsAFileSystem(t *testing.T) {
	disk, dir := mount(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	path := filepath.Join(dir, "sub", "file")
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, got)

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	mapped, err := unix.Mmap(int(f.Fd()), 0, 1<<16, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("new"), 5000)
	require.NoError(t, err)
	// Read by the kernel: a page fault in this process, which serves the disk, could wait for itself.
	r, w, err := os.Pipe()
	require.NoError(t, err)
	_, err = w.Write(mapped[5000:5003])
	require.NoError(t, err)
	seen := make([]byte, 3)
	_, err = r.Read(seen)
	require.NoError(t, errors.Join(err, r.Close(), w.Close()))
	assert.Equal(t, "new", string(seen), "what is mapped sees what is written")
	require.NoError(t, unix.Munmap(mapped))
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	require.NoError(t, f.Truncate(10))
	require.NoError(t, f.Truncate(20))
	require.NoError(t, f.Close())
	got, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, append([]byte("0123456789"), make([]byte, 10)...), got)

	other := filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, nil, 0o640))
	require.NoError(t, os.Rename(path, other))
	require.NoFileExists(t, path)
	require.NoError(t, os.Chmod(other, 0o600))
	info, err := os.Stat(other)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	assert.EqualValues(t, 20, info.Size())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Equal(t, "other", entries[0].Name())
	assert.True(t, entries[1].IsDir())
	require.NoError(t, os.RemoveAll(dir+"/sub"))
	require.ErrorIs(t, os.Remove(dir+"/sub"), os.ErrNotExist)
	assert.NotZero(t, disk.Unsynced())
	var space unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &space))
	assert.NotZero(t, space.Bavail)
}

func TestWhatWasSyncedSurvivesAndTheRestIsByChance(t *testing.T) {
	disk, dir := mount(t)
	path := filepath.Join(dir, "file")
	const blocks = 64
	old := bytes.Repeat([]byte("o"), blocks*blockSize)
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = f.Write(old)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	assert.Zero(t, disk.Unsynced())
	_, err = f.WriteAt(bytes.Repeat([]byte("n"), blocks/2*blockSize), 0)
	require.NoError(t, err)
	assert.EqualValues(t, blocks/2*blockSize, disk.Unsynced())
	require.NoError(t, f.Close())

	disk.CutPower(rng(1))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, got, len(old))
	assert.Equal(t, old[blocks/2*blockSize:], got[blocks/2*blockSize:], "what was synced and not written again")
	var lost, kept, torn int
	for i := range blocks / 2 {
		block := got[i*blockSize : (i+1)*blockSize]
		switch bytes.Count(block, []byte("n")) {
		case 0:
			lost++
		case blockSize:
			kept++
		default:
			torn++
			assert.Zero(t, bytes.Count(block, []byte("n"))%sectorSize)
		}
	}
	assert.Greater(t, lost, 5)
	assert.Greater(t, kept, 5)
	assert.NotZero(t, torn)
	assert.Zero(t, disk.Unsynced(), "a second cut loses nothing more")
	disk.CutPower(rng(2))
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, got, again)
}

func TestTheSameSeedLosesTheSame(t *testing.T) {
	t.Parallel()
	cut := func(seed uint64) string {
		tree := newTree()
		n := tree.add(tree.nodes[rootID], "file", modeFile)
		n.write(0, bytes.Repeat([]byte("a"), 10*blockSize))
		n.truncate(3 * blockSize)
		n.write(blockSize/2, bytes.Repeat([]byte("b"), 2*blockSize))
		tree.cutPower(rng(seed))
		return string(n.live)
	}
	assert.Equal(t, cut(1), cut(1))
	assert.NotEqual(t, cut(1), cut(2))
}
