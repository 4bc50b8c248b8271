package durablejournalreceiver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/adapter"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
	"github.com/breakwater-otel/breakwater/components/receiver/durablejournalreceiver/internal/metadata"
)

const (
	// cursorKey is what the place is stored under.
	cursorKey = "cursor"
	// maxBatchBytes bounds a batch, if one record is not larger.
	maxBatchBytes = 1 << 20
	// restartPause keeps a journalctl that ends at once from becoming a hot loop.
	restartPause = time.Second
	// killDelay is how long journalctl has to end by itself.
	killDelay = 5 * time.Second
)

type journalReceiver struct {
	config    *Config
	set       receiver.Settings
	out       *handon.Logs
	telemetry *metadata.TelemetryBuilder

	path    string
	storage storage.Client
	cursor  string
	// reading ends at shutdown, delivering when what is under way then is given up on.
	reading    context.Context
	stop       context.CancelFunc
	delivering context.Context
	giveUp     context.CancelFunc
	running    sync.WaitGroup
}

func newReceiver(config *Config, set receiver.Settings, next consumer.Logs) (*journalReceiver, error) {
	out, err := handon.NewLogs(set, next, config.RetryOnFailure, "", "journal")
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &journalReceiver{config: config, set: set, out: out, telemetry: telemetry}, nil
}

// Start begins to read behind the last record that was taken.
func (r *journalReceiver) Start(ctx context.Context, host component.Host) error {
	path, err := exec.LookPath(r.config.JournalctlPath)
	if err != nil {
		return fmt.Errorf("`journalctl_path`: %w", err)
	}
	if r.config.Directory != "" {
		if _, err := os.ReadDir(r.config.Directory); err != nil {
			return fmt.Errorf("`directory`: %w", err)
		}
	}
	client, err := adapter.GetStorageClient(ctx, host, r.config.StorageID, r.set.ID)
	if err != nil {
		return fmt.Errorf("`storage`: %w", err)
	}
	cursor, err := client.Get(ctx, cursorKey)
	if err != nil {
		return errors.Join(fmt.Errorf("read the place in the journal: %w", err), client.Close(ctx))
	}
	r.path, r.storage, r.cursor = path, client, string(cursor)
	r.reading, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.delivering, r.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	r.running.Go(r.run)
	return nil
}

// run keeps journalctl running.
func (r *journalReceiver) run() {
	for {
		err := r.follow()
		if r.reading.Err() != nil {
			return
		}
		r.telemetry.ReceiverDurableJournalRestarts.Add(r.reading, 1)
		r.set.Logger.Error("journalctl ended, will be started again", zap.Error(err))
		select {
		case <-r.reading.Done():
			return
		case <-time.After(restartPause):
		}
	}
}

// follow runs journalctl until it ends or reading does.
func (r *journalReceiver) follow() error {
	command := exec.CommandContext(r.reading, r.path, r.config.args(r.cursor)...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = killDelay
	complaints := &tail{}
	command.Stderr = complaints
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	entries := make(chan entry)
	ended := make(chan struct{})
	var readErr error
	r.running.Go(func() {
		defer close(entries)
		from := bufio.NewReaderSize(output, 64<<10)
		for {
			e, err := readEntry(from)
			if err != nil {
				readErr = err
				return
			}
			select {
			case entries <- e:
			case <-ended:
				return
			}
		}
	})
	err = r.collect(entries)
	// Whatever ended it: what journalctl has written and nobody has taken, it writes again.
	close(ended)
	if err != nil {
		_ = command.Process.Kill()
	}
	for range entries {
		// Until the reader has ended.
	}
	return errors.Join(err, readErr, command.Wait(), complaints.err())
}

// collect hands entries on in batches, and stores the place behind each when it is taken.
func (r *journalReceiver) collect(entries <-chan entry) error {
	b := newBatch()
	linger := time.NewTimer(r.config.Linger)
	defer linger.Stop()
	for {
		full := false
		select {
		case <-r.reading.Done():
			return nil
		case e, more := <-entries:
			if !more {
				return r.deliver(b)
			}
			if b.records == 0 {
				linger.Reset(r.config.Linger)
			}
			b.add(e, pcommon.NewTimestampFromTime(time.Now()))
			full = b.records >= r.config.MaxBatchRecords || b.bytes >= maxBatchBytes
		case <-linger.C:
			full = b.records > 0
		}
		if full {
			if err := r.deliver(b); err != nil {
				return err
			}
			b = newBatch()
		}
	}
}

func (r *journalReceiver) deliver(b *batch) error {
	if b.records == 0 {
		return nil
	}
	if err := r.out.Deliver(r.delivering, b.logs); err != nil {
		return err
	}
	r.cursor = b.cursor
	if err := r.storage.Set(r.delivering, cursorKey, []byte(b.cursor)); err != nil {
		// The records are taken. After a restart they come again, unless a later place is stored.
		r.set.Logger.Error("cannot store the place in the journal", zap.Error(err))
	}
	return nil
}

// Shutdown waits until the batch that is being handed on is taken, up to the shutdown timeout. What is not, is read again.
func (r *journalReceiver) Shutdown(ctx context.Context) error {
	if r.storage == nil {
		return nil
	}
	r.stop()
	timer := time.AfterFunc(r.config.ShutdownTimeout, r.giveUp)
	r.running.Wait()
	timer.Stop()
	r.giveUp()
	r.telemetry.Shutdown()
	return r.storage.Close(ctx)
}

// tail keeps the end of what journalctl complains about.
type tail struct {
	text []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailBytes {
		t.text = append(t.text[:0], t.text[len(t.text)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) err() error {
	if len(t.text) == 0 {
		return nil
	}
	return fmt.Errorf("journalctl: %s", t.text)
}
