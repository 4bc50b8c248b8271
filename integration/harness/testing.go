package harness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// part is what the helpers below need of a part.
type part interface {
	Name() string
	Start(context.Context) error
	Close() error
	LogTail(n int) string
}

// failureLogLines is how much of each part's log a failed test shows.
const failureLogLines = 60

// StartVictoriaLogs starts a VictoriaLogs for one test. It builds the binary if
// need be.
func StartVictoriaLogs(tb testing.TB, opts VictoriaLogsOptions) *VictoriaLogs {
	tb.Helper()
	if opts.Binary == "" {
		opts.Binary = RequireBackends(tb).VictoriaLogs
	}
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "victorialogs")
	v, err := NewVictoriaLogs(opts)
	return start(tb, v, err)
}

// StartVictoriaMetrics starts a VictoriaMetrics for one test. It builds the
// binary if need be.
func StartVictoriaMetrics(tb testing.TB, opts VictoriaMetricsOptions) *VictoriaMetrics {
	tb.Helper()
	if opts.Binary == "" {
		opts.Binary = RequireBackends(tb).VictoriaMetrics
	}
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "victoriametrics")
	v, err := NewVictoriaMetrics(opts)
	return start(tb, v, err)
}

// StartVLAgent starts a vlagent for one test. It builds the binary if need be.
func StartVLAgent(tb testing.TB, opts VLAgentOptions) *VLAgent {
	tb.Helper()
	if opts.Binary == "" {
		opts.Binary = RequireBackends(tb).VLAgent
	}
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "vlagent")
	v, err := NewVLAgent(opts)
	return start(tb, v, err)
}

// StartVMAlert starts a vmalert for one test. It builds the binary if need be.
func StartVMAlert(tb testing.TB, opts VMAlertOptions) *VMAlert {
	tb.Helper()
	if opts.Binary == "" {
		opts.Binary = RequireVMAlert(tb).VMAlert
	}
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "vmalert")
	v, err := NewVMAlert(opts)
	return start(tb, v, err)
}

// StartLoki starts a Loki for one test. It builds the binary if need be.
func StartLoki(tb testing.TB, opts LokiOptions) *Loki {
	tb.Helper()
	if opts.Binary == "" {
		opts.Binary = RequireLoki(tb)
	}
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "loki")
	l, err := NewLoki(opts)
	return start(tb, l, err)
}

// StartFakeKafka starts an in-process Kafka for one test.
func StartFakeKafka(tb testing.TB, opts FakeKafkaOptions) *FakeKafka {
	tb.Helper()
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "fakekafka")
	f, err := NewFakeKafka(opts)
	return start(tb, f, err)
}

// StartKafka starts an Apache Kafka for one test, of three brokers unless opts
// says otherwise. It fetches Kafka if need be, or skips the test: see RequireKafka.
func StartKafka(tb testing.TB, opts KafkaOptions) *Kafka {
	tb.Helper()
	if opts.Dist.Dir == "" {
		opts.Dist = RequireKafka(tb)
	}
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "kafka")
	k, err := NewKafka(opts)
	return start(tb, k, err)
}

// StartBreakwater starts a bin/breakwater for one test.
func StartBreakwater(tb testing.TB, opts BreakwaterOptions) *Breakwater {
	tb.Helper()
	b := PrepareBreakwater(tb, opts)
	if err := b.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return b
}

// PrepareBreakwater is StartBreakwater without the start: for Validate and Run,
// and for what is expected to fail or to wait (Launch).
func PrepareBreakwater(tb testing.TB, opts BreakwaterOptions) *Breakwater {
	tb.Helper()
	opts.Dir = testDir(tb, opts.Dir, opts.Name, "breakwater")
	b, err := NewBreakwater(opts)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, b)
	return b
}

// start is given the results of a constructor.
func start[P part](tb testing.TB, p P, err error) P {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, p)
	if err := p.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return p
}

func closeAtEnd(tb testing.TB, p part) {
	tb.Cleanup(func() {
		// Tests give a directory of their own (testDir), so the log is still there
		// after Close; what the part said while it stopped is part of it.
		if err := p.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		if tb.Failed() {
			tb.Logf("---- end of the log of %s ----\n%s", p.Name(), p.LogTail(failureLogLines))
		}
	})
}

// testDir chooses the directory of a part: the given one, or one of this test
// that is removed with it, or one below BREAKWATER_TEST_DIR that stays.
func testDir(tb testing.TB, given, name, kind string) string {
	tb.Helper()
	if given != "" {
		return given
	}
	if name == "" {
		name = kind
	}
	keep := os.Getenv("BREAKWATER_TEST_DIR")
	if keep == "" {
		return tb.TempDir()
	}
	base := filepath.Join(keep, strings.ReplaceAll(tb.Name(), "/", "_"))
	if err := os.MkdirAll(base, 0o755); err != nil {
		tb.Fatal(err)
	}
	// Not the same directory twice: it would bring the data of an earlier run.
	dir, err := os.MkdirTemp(base, name+"-") //nolint:usetesting // it has to outlive the test
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// BuildCommand builds a command of the product module for one test, without symbols: that links faster. It returns the
// path of the binary.
func BuildCommand(tb testing.TB, name string) string {
	tb.Helper()
	root, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), name)
	build := exec.CommandContext(tb.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "./cmd/"+name)
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(build.Args, " "), err, output)
	}
	return path
}
