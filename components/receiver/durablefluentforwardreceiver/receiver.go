package durablefluentforwardreceiver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/handon"
	"github.com/breakwater-otel/breakwater/components/receiver/durablefluentforwardreceiver/internal/metadata"
)

type fluentReceiver struct {
	config    *Config
	set       receiver.Settings
	out       *handon.Logs
	telemetry *metadata.TelemetryBuilder
	chunks    *chunks

	listener net.Listener
	// delivering ends when what is under way at shutdown is given up on.
	delivering context.Context
	giveUp     context.CancelFunc
	serving    sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	stopping bool
}

func newReceiver(config *Config, set receiver.Settings, next consumer.Logs) (*fluentReceiver, error) {
	out, err := handon.NewLogs(set, next, config.RetryOnFailure, string(config.Transport), "fluent_forward")
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &fluentReceiver{
		config: config, set: set, out: out, telemetry: telemetry,
		chunks: newChunks(), conns: make(map[net.Conn]struct{}),
	}, nil
}

// Start listens.
func (r *fluentReceiver) Start(ctx context.Context, _ component.Host) error {
	var tlsConfig *tls.Config
	if r.config.TLS.HasValue() {
		var err error
		if tlsConfig, err = r.config.TLS.Get().LoadTLSConfig(ctx); err != nil {
			return err
		}
	}
	listener, err := r.config.Listen(ctx)
	if err != nil {
		return err
	}
	if tlsConfig != nil {
		listener = tls.NewListener(listener, tlsConfig)
	}
	r.listener = listener
	r.delivering, r.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	r.serving.Go(r.accept)
	return nil
}

// acceptPause keeps a lack of file descriptors from becoming a hot loop.
const acceptPause = 100 * time.Millisecond

func (r *fluentReceiver) accept() {
	for {
		conn, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.set.Logger.Error("cannot take a connection", zap.Error(err))
			time.Sleep(acceptPause)
			continue
		}
		if !r.add(conn) {
			_ = conn.Close()
			continue
		}
		r.serving.Go(func() {
			defer r.remove(conn)
			c := connection{fluentReceiver: r, conn: conn, frames: frames{from: conn, maxBytes: r.config.MaxMessageBytes}}
			c.serve(r.delivering)
		})
	}
}

func (r *fluentReceiver) add(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[conn] = struct{}{}
	return !r.stopping
}

func (r *fluentReceiver) remove(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, conn)
	_ = conn.Close()
}

// Shutdown reads no more, and waits until what was read is handed on and answered for, up to the shutdown timeout.
func (r *fluentReceiver) Shutdown(context.Context) error {
	r.mu.Lock()
	if r.listener == nil || r.stopping {
		r.mu.Unlock()
		return nil
	}
	r.stopping = true
	err := r.listener.Close()
	for conn := range r.conns {
		err = errors.Join(err, conn.SetReadDeadline(time.Now()))
	}
	r.mu.Unlock()
	timer := time.AfterFunc(r.config.ShutdownTimeout, r.giveUp)
	r.serving.Wait()
	timer.Stop()
	r.giveUp()
	r.telemetry.Shutdown()
	return err
}
