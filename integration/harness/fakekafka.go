package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// FakeKafkaOptions configures a FakeKafka. The zero value will do.
type FakeKafkaOptions struct {
	Name    string // "fakekafka" by default
	Dir     string // data and log; a temporary directory by default
	Brokers int    // 1 by default
	// SyncWrites calls fsync for every batch, as far as a fake can be durable.
	SyncWrites bool
	// Options are passed on to kfake, such as kfake.EnableSASL().
	Options []kfake.Opt
}

// FakeKafka is an in-process Kafka (kfake) on loopback ports that keeps its data
// on disk: after Stop and Start topics, records, committed offsets and ports are
// the same. It is for unit tests and the demo; what is said about durability is
// tested with Kafka.
type FakeKafka struct {
	opts  FakeKafkaOptions
	place *place

	mu      sync.Mutex
	cluster *kfake.Cluster // nil while stopped
	log     *os.File
}

// NewFakeKafka takes ports and a directory for a FakeKafka and starts nothing.
func NewFakeKafka(opts FakeKafkaOptions) (*FakeKafka, error) {
	if opts.Name == "" {
		opts.Name = "fakekafka"
	}
	if opts.Brokers == 0 {
		opts.Brokers = 1
	}
	place, err := newPlace(opts.Name, opts.Dir, opts.Brokers)
	if err != nil {
		return nil, err
	}
	return &FakeKafka{opts: opts, place: place}, nil
}

// Name returns the name of the cluster in messages.
func (f *FakeKafka) Name() string { return f.opts.Name }

// Start starts all brokers, with the data of the last stop.
func (f *FakeKafka) Start(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cluster != nil {
		return fmt.Errorf("%s is already running", f.opts.Name)
	}
	log, err := os.OpenFile(f.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	opts := []kfake.Opt{
		kfake.Ports(f.place.ports...),
		kfake.DataDir(filepath.Join(f.place.dir, "data")),
		kfake.WithLogger(kfake.BasicLogger(log, kfake.LogLevelInfo)),
	}
	if f.opts.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(append(opts, f.opts.Options...)...)
	if err != nil {
		_ = log.Close()
		return fmt.Errorf("start %s: %w", f.opts.Name, err)
	}
	f.cluster, f.log = cluster, log
	return nil
}

// Stop saves the state to disk and stops all brokers. It does nothing when they
// are stopped.
func (f *FakeKafka) Stop(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cluster == nil {
		return nil
	}
	f.cluster.Close()
	err := f.log.Close()
	f.cluster, f.log = nil, nil
	return err
}

// Restart stops the brokers and starts them again.
func (f *FakeKafka) Restart(ctx context.Context) error {
	return errors.Join(f.Stop(ctx), f.Start(ctx))
}

// Cluster returns the kfake cluster, for fault injection (Control, Fault); nil
// while stopped. Every Start makes a new one.
func (f *FakeKafka) Cluster() *kfake.Cluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cluster
}

// Brokers returns the addresses of all brokers, which do not change.
func (f *FakeKafka) Brokers() []string {
	addrs := make([]string, 0, len(f.place.ports))
	for _, port := range f.place.ports {
		addrs = append(addrs, Loopback(port))
	}
	return addrs
}

// BootstrapServers returns Brokers joined by commas, as in KAFKA_BROKERS.
func (f *FakeKafka) BootstrapServers() string { return strings.Join(f.Brokers(), ",") }

// LogTail returns the last lines of the log, at most n.
func (f *FakeKafka) LogTail(n int) string { return fileTail(f.logFile(), n) }

// Close stops the brokers and removes what the harness made for them.
func (f *FakeKafka) Close() error {
	return errors.Join(f.Stop(context.Background()), f.place.release())
}

func (f *FakeKafka) logFile() string { return filepath.Join(f.place.dir, f.opts.Name+".log") }
