package recordfilereceiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/adapter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer/attrs"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer/matcher"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/helper"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
	"github.com/breakwater-otel/breakwater/components/receiver/recordfilereceiver/internal/metadata"
)

// fileReceiver reads files with upstream's file reader, which finds, follows and remembers them, and cuts them itself.
type fileReceiver struct {
	config    *Config
	set       receiver.Settings
	out       *handon.Logs
	telemetry *metadata.TelemetryBuilder
	tracer    tracer
	sources   *sources
	files     *fileconsumer.Manager
	pool      *assemblerPool

	positions *positions
	// delivering ends when what is under way at shutdown is given up on.
	delivering context.Context
	giveUp     context.CancelFunc
}

func newReceiver(config *Config, set receiver.Settings, next consumer.Logs) (*fileReceiver, error) {
	out, err := handon.NewLogs(set, next, config.RetryOnFailure, "", config.Format)
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	tracer, err := newTracer(config.Multiline)
	if err != nil {
		return nil, err
	}
	sources, err := newSources(config)
	if err != nil {
		return nil, err
	}
	r := &fileReceiver{
		config: config, set: set, out: out, telemetry: telemetry,
		tracer: tracer, sources: sources,
		pool: newAssemblerPool(config.Format, tracer),
	}
	splitter := &splitter{tracer: tracer, maxBytes: config.MaxRecordBytes, pool: newDecoderPool(config.Format)}
	r.files, err = fileConfig(config).Build(set.TelemetrySettings, r.emit, fileconsumer.WithSplitFunc(splitter.split))
	return r, err
}

// chunkBytes is the size up to which a chunk is cut, if records are not longer. The file reader holds up to 100 chunks of
// each file that it is reading.
const chunkBytes = 16 << 10

func fileConfig(config *Config) *fileconsumer.Config {
	files := fileconsumer.NewConfig()
	files.Criteria = matcher.Criteria{Include: config.Include, Exclude: config.Exclude, ExcludeOlderThan: config.ExcludeOlderThan}
	files.Resolver = attrs.Resolver{IncludeFileName: true, IncludeFilePath: true}
	files.StartAt = config.StartAt
	files.PollInterval = config.PollInterval
	files.FlushPeriod = config.ForceFlushPeriod
	files.MaxLogSize = helper.ByteSize(config.MaxRecordBytes)
	files.InitialBufferSize = chunkBytes
	files.MaxConcurrentFiles = config.MaxConcurrentFiles
	// Bytes as they are: the other encodings replace what is not UTF-8.
	files.Encoding = "utf8-raw"
	files.TrimConfig.PreserveLeading = true
	files.TrimConfig.PreserveTrailing = true
	// The default skips what is written to a truncated file until it is longer than it was.
	files.OnTruncate = fileconsumer.OnTruncateReadWholeFile
	return files
}

// Start begins to read.
func (r *fileReceiver) Start(ctx context.Context, host component.Host) error {
	client, err := adapter.GetStorageClient(ctx, host, r.config.StorageID, r.set.ID)
	if err != nil {
		return fmt.Errorf("`storage`: %w", err)
	}
	r.positions = &positions{Client: client}
	r.delivering, r.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	return r.files.Start(r.positions)
}

// Shutdown waits until what was read is handed on, up to the shutdown timeout. What is not, is read again.
func (r *fileReceiver) Shutdown(ctx context.Context) error {
	if r.positions == nil {
		return nil
	}
	timer := time.AfterFunc(r.config.ShutdownTimeout, func() {
		r.positions.freeze()
		r.giveUp()
	})
	err := r.files.Stop()
	timer.Stop()
	r.giveUp()
	r.telemetry.Shutdown()
	return errors.Join(err, r.positions.Close(ctx))
}
