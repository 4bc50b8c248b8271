package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/prepare"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

// pipeline is all parts of the demo. Parts that are not started are nil.
type pipeline struct {
	dir    string
	writer *harness.LogWriter
	files  []string // log files of this machine that are read, too

	kafka    *harness.FakeKafka
	client   *harness.KafkaClient
	logs     *harness.VictoriaLogs
	metrics  *harness.VictoriaMetrics
	agent    *harness.Breakwater
	consumer *harness.Breakwater
}

// The labels of the demo. host_name is left to the agent, which takes the name of the machine.
var labels = map[string]string{
	"SITE_NAME":         "demo-site",
	"DEPLOY_ENV":        "demo",
	"SERVICE_NAME":      "demo-app",
	"SERVICE_NAMESPACE": "breakwater",
}

// start starts all parts. The pipeline is to be closed even when an error is returned.
func start(ctx context.Context) (*pipeline, error) {
	p := &pipeline{}
	var err error
	if p.dir, err = os.MkdirTemp("", "breakwater-demo-"); err != nil {
		return p, err
	}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"backends: building VictoriaLogs and VictoriaMetrics from their Go modules (a minute or two, once)", p.prepareBackends},
		{"VictoriaLogs", p.startVictoriaLogs},
		{"VictoriaMetrics", p.startVictoriaMetrics},
		{"Kafka, in this process", p.startKafka},
		{"topics", p.createTopics},
		{"log files", p.startWriter},
		{"consumer: bin/breakwater --config configs/consumer.yaml", p.startConsumer},
		{"agent: bin/breakwater --config configs/agent.yaml", p.startAgent},
	}
	for i, step := range steps {
		say("[%d/%d] %s", i+1, len(steps), step.what)
		if err := step.do(ctx); err != nil {
			return p, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return p, nil
}

func (p *pipeline) prepareBackends(ctx context.Context) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	preparer := prepare.Preparer{Root: root, Progress: func(format string, args ...any) { say("      "+format, args...) }}
	_, err = preparer.Backends(ctx)
	return err
}

func (p *pipeline) startVictoriaLogs(ctx context.Context) (err error) {
	if p.logs, err = harness.NewVictoriaLogs(harness.VictoriaLogsOptions{Dir: filepath.Join(p.dir, "victorialogs")}); err != nil {
		return err
	}
	return p.logs.Start(ctx)
}

func (p *pipeline) startVictoriaMetrics(ctx context.Context) (err error) {
	if p.metrics, err = harness.NewVictoriaMetrics(harness.VictoriaMetricsOptions{Dir: filepath.Join(p.dir, "victoriametrics")}); err != nil {
		return err
	}
	return p.metrics.Start(ctx)
}

func (p *pipeline) startKafka(ctx context.Context) (err error) {
	if p.kafka, err = harness.NewFakeKafka(harness.FakeKafkaOptions{Dir: filepath.Join(p.dir, "kafka")}); err != nil {
		return err
	}
	if err := p.kafka.Start(ctx); err != nil {
		return err
	}
	p.client, err = harness.NewKafkaClient(p.kafka.Brokers())
	return err
}

func (p *pipeline) createTopics(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(p.kafka.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	report, err := topics.Ensure(ctx, client, topics.Defaults(noEnv))
	if err != nil {
		return err
	}
	if problems := report.Problems(); len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	for _, warning := range report.AllWarnings() {
		say("      %s", warning)
	}
	return nil
}

func noEnv(string) string { return "" }

// linesPerSecond is what the writer of the demo writes.
const linesPerSecond = 500

func (p *pipeline) startWriter(context.Context) (err error) {
	p.writer, err = harness.NewLogWriter(harness.LogWriterOptions{
		Name:  "demo",
		Dir:   filepath.Join(p.dir, "log"),
		Files: 3,
		Rate:  linesPerSecond,
		Payload: func(seq int64) string {
			return fmt.Sprintf(`level=info msg="order %d placed" customer=Zoë price=%d.%02d€ took=%dms`, seq, seq%90+10, seq%100, seq%250)
		},
	})
	if err != nil {
		return err
	}
	p.files = machineLogs("/var/log")
	say("      %d lines a second into %s, and %d log files of this machine", linesPerSecond, p.writer.Glob(), len(p.files))
	return p.writer.Start()
}

// Bounds of what the demo reads of the machine's own log files.
const (
	maxMachineLogs     = 20
	maxMachineLogBytes = 1 << 20
)

// machineLogs returns log files of this machine that the demo can read whole in no time.
func machineLogs(dir string) []string {
	var found []string
	// Directories that cannot be read are none of the demo's business.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || len(found) == maxMachineLogs {
			return nil //nolint:nilerr // the walk goes on without what cannot be read
		}
		// LOG_INCLUDE is a list with commas, of patterns.
		if !entry.Type().IsRegular() || filepath.Ext(path) != ".log" || strings.ContainsAny(path, `,*?[]{}\`) {
			return nil
		}
		if info, err := entry.Info(); err != nil || info.Size() == 0 || info.Size() > maxMachineLogBytes {
			return nil //nolint:nilerr // the same
		}
		if file, err := os.Open(path); err == nil && file.Close() == nil {
			found = append(found, path)
		}
		return nil
	})
	return found
}

func (p *pipeline) startConsumer(ctx context.Context) (err error) {
	p.consumer, err = harness.NewBreakwater(harness.BreakwaterOptions{
		Name:    "consumer",
		Dir:     filepath.Join(p.dir, "consumer"),
		Configs: []string{"configs/consumer.yaml"},
		Env: map[string]string{
			"KAFKA_BROKERS":            p.kafka.BootstrapServers(),
			"VICTORIALOGS_ENDPOINT":    p.logs.URL(),
			"VICTORIAMETRICS_ENDPOINT": p.metrics.URL(),
		},
	})
	if err != nil {
		return err
	}
	return p.consumer.Start(ctx)
}

func (p *pipeline) startAgent(ctx context.Context) (err error) {
	env := map[string]string{
		"KAFKA_BROKERS": p.kafka.BootstrapServers(),
		"LOG_INCLUDE":   strings.Join(append([]string{p.writer.Glob()}, p.files...), ","),
	}
	for name, value := range labels {
		env[name] = value
	}
	p.agent, err = harness.NewBreakwater(harness.BreakwaterOptions{
		Name:    "agent",
		Dir:     filepath.Join(p.dir, "agent"),
		Configs: []string{"configs/agent.yaml"},
		Env:     env,
	})
	if err != nil {
		return err
	}
	return p.agent.Start(ctx)
}

// close stops what was started, the source first, and removes all data.
func (p *pipeline) close() error {
	var errs []error
	stop := time.Now()
	if p.writer != nil {
		errs = append(errs, p.writer.Close())
	}
	if p.agent != nil {
		errs = append(errs, p.agent.Close())
	}
	if p.consumer != nil {
		errs = append(errs, p.consumer.Close())
	}
	if p.client != nil {
		p.client.Close()
	}
	if p.kafka != nil {
		errs = append(errs, p.kafka.Close())
	}
	if p.logs != nil {
		errs = append(errs, p.logs.Close())
	}
	if p.metrics != nil {
		errs = append(errs, p.metrics.Close())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	say("stopped in %s, nothing is left behind", time.Since(stop).Round(100*time.Millisecond))
	return errors.Join(errs...)
}
