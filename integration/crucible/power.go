package crucible

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/breakwater-otel/breakwater/integration/crucible/unsynced"
)

// storageDir is where an agent keeps its queue and its positions.
func (s *site) storageDir(name string) string { return filepath.Join(s.dir, name, "storage") }

// mountUnsynced puts the storage of an agent on a disk that forgets what was not synced.
func (s *site) mountUnsynced(name string) error {
	host, err := s.lane.host(name)
	if err != nil {
		return err
	}
	if host == nil {
		return fmt.Errorf("%s has no disk of its own: this machine allows no namespaces", name)
	}
	dir := s.storageDir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	disk, err := unsynced.Mount(dir, host.Run)
	if err != nil {
		return err
	}
	s.unsynced[name] = disk
	s.closers = append(s.closers, disk.Close)
	return nil
}

// losePower kills an agent and loses what it had not synced. Its log files are not touched: their writers live on.
func (s *site) losePower(name string) (healing, error) {
	disk := s.unsynced[name]
	if disk == nil {
		return nil, fmt.Errorf("the power of %s cannot be cut", name)
	}
	heal, err := s.down(name, process.Kill)
	if err != nil {
		return nil, err
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))
	s.say("%d bytes were not synced", disk.Unsynced())
	disk.CutPower(rand.New(rand.NewPCG(s.seed, hash.Sum64()))) //nolint:gosec // G404: repeatable
	return heal, nil
}
