package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Result is what one run has measured.
type Result struct {
	Variant     string
	Records     int
	Drain       time.Duration // from the first fetch answered to the last record taken by VictoriaLogs
	ConsumerCPU time.Duration // of the drain, without the start of the process
	PeakRSS     int64         // of the consumer, from its start
	BackendCPU  time.Duration // of VictoriaLogs, until all rows can be queried
}

// runTimeout bounds one run.
const runTimeout = 10 * time.Minute

// Run drains the backlog once into a VictoriaLogs of its own. It is an error when the rows that are stored in the end
// are not as many as the records of the backlog.
func (b *Backlog) Run(ctx context.Context, dir string, v Variant) (r Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	if dir, err = os.MkdirTemp(dir, v.Name+"-"); err != nil {
		return r, err
	}
	logs, err := harness.NewVictoriaLogs(harness.VictoriaLogsOptions{Dir: filepath.Join(dir, "victorialogs")})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, logs.Close(), os.RemoveAll(dir)) }()
	if err := logs.Start(ctx); err != nil {
		return r, err
	}
	if len(b.BackendCores) > 0 {
		if err := logs.SetAffinity(b.BackendCores); err != nil {
			return r, err
		}
	}
	drain := b.consume
	if len(v.Configs) == 0 {
		drain = b.generate
	}
	if r, err = drain(ctx, dir, v, logs); err != nil {
		return r, fmt.Errorf("%s: %w", v.Name, err)
	}
	return r, b.verify(ctx, logs)
}

// verify counts the rows, and what VictoriaLogs says to have dropped.
func (b *Backlog) verify(ctx context.Context, logs *harness.VictoriaLogs) error {
	rows, err := logs.Count(ctx, "*")
	if err != nil {
		return err
	}
	own, err := logs.Metrics(ctx)
	if err != nil {
		return err
	}
	dropped := own.Sum("vl_rows_dropped_total") + own.Sum("vl_too_long_lines_skipped_total")
	if want := int64(b.Workload.Records()); rows != want || dropped != 0 {
		return fmt.Errorf("%d rows are stored of %d records, VictoriaLogs dropped %g", rows, want, dropped)
	}
	return nil
}

// measure runs drain and takes what the backend uses for it.
func (b *Backlog) measure(ctx context.Context, v Variant, logs *harness.VictoriaLogs, drain func() error) (Result, error) {
	r := Result{Variant: v.Name, Records: b.Workload.Records()}
	before, err := logs.Usage()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := drain(); err != nil {
		return r, err
	}
	r.Drain = time.Since(start)
	if err := logs.Flush(ctx); err != nil {
		return r, err
	}
	after, err := logs.Usage()
	r.BackendCPU = after.CPU - before.CPU
	return r, err
}

// env is the environment of a consumer: that of the variant wins.
func (b *Backlog) env(v Variant, group string, env map[string]string) map[string]string {
	env["KAFKA_BROKERS"] = b.kafka.BootstrapServers()
	env["KAFKA_GROUP_ID"] = group
	maps.Copy(env, v.Env)
	return env
}

// consume runs a consumer process.
func (b *Backlog) consume(ctx context.Context, dir string, v Variant, logs *harness.VictoriaLogs) (r Result, err error) {
	group := filepath.Base(dir)
	env := b.env(v, group, map[string]string{"VICTORIALOGS_ENDPOINT": logs.URL()})
	consumer, err := harness.NewBreakwater(harness.BreakwaterOptions{
		Name: "consumer", Dir: filepath.Join(dir, "consumer"), Configs: v.Configs, Args: v.Args, Env: env,
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()

	b.gate.close()
	defer b.gate.open()
	if err := consumer.Start(ctx); err != nil {
		return r, err
	}
	if err := b.gate.waitHeld(ctx); err != nil {
		return r, err
	}
	if err := waitKnown(ctx, logs); err != nil {
		return r, err
	}
	before, err := consumer.Usage()
	if err != nil {
		return r, err
	}
	var after harness.Usage
	r, err = b.measure(ctx, v, logs, func() (err error) {
		b.gate.open()
		if v.Profile != "" {
			profiled := make(chan error, 1)
			go func() { profiled <- saveProfile(ctx, consumer.Env("PPROF_ENDPOINT"), v.Profile) }()
			defer func() { err = errors.Join(err, <-profiled) }()
		}
		if err := b.waitStored(ctx, logs); err != nil {
			return fmt.Errorf("%w\n%s", err, consumer.LogTail(20))
		}
		after, err = consumer.Usage()
		return err
	})
	r.ConsumerCPU = after.CPU - before.CPU
	r.PeakRSS = after.PeakRSS
	return r, err
}

// knownAfter is how long a backend has to be up before the durability extension can tell its process from the one before
// it. What is delivered earlier is delivered again, which a drain is not about.
const knownAfter = 4 * time.Second

func waitKnown(ctx context.Context, logs *harness.VictoriaLogs) error {
	return harness.Eventually(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		own, err := logs.Metrics(ctx)
		if err != nil {
			return err
		}
		if up := own.Sum("vm_app_uptime_seconds"); up < knownAfter.Seconds() {
			return fmt.Errorf("VictoriaLogs is up for %g s", up)
		}
		return nil
	})
}

// profileTime is how much of the drain a profile is of.
const profileTime = 3 * time.Second

// saveProfile writes a CPU profile of the consumer to a file.
func saveProfile(ctx context.Context, endpoint, file string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", endpoint, int(profileTime.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	profile, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, profile, 0o600)
}

// generate posts the rows of the backlog, as many requests at a time as the topic has partitions.
func (b *Backlog) generate(ctx context.Context, _ string, v Variant, logs *harness.VictoriaLogs) (Result, error) {
	bodies := make([][]byte, b.Workload.Messages)
	for message := range bodies {
		var err error
		if bodies[message], err = b.Workload.Rows(message); err != nil {
			return Result{}, err
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.Partitions()}}
	defer client.CloseIdleConnections()
	insert := logs.URL() + "/insert/jsonline?" + url.Values{"_stream_fields": {streamFields}}.Encode()
	return b.measure(ctx, v, logs, func() error {
		var posts sync.WaitGroup
		errs := make([]error, b.Partitions())
		for partition := range errs {
			posts.Go(func() {
				for message := partition; message < len(bodies) && errs[partition] == nil; message += len(errs) {
					errs[partition] = post(ctx, client, insert, bodies[message])
				}
			})
		}
		posts.Wait()
		return errors.Join(append(errs, b.waitStored(ctx, logs))...)
	})
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/stream+json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		return fmt.Errorf("POST %s: %s: %s", url, response.Status, text)
	}
	return nil
}
