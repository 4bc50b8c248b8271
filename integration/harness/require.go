package harness

import (
	"os"
	"testing"

	"github.com/breakwater-otel/breakwater/integration/prepare"
)

// RequireBackends returns the cached binaries of the backends. It builds those
// that are missing or out of date, and fails the test when that fails.
func RequireBackends(tb testing.TB) prepare.Backends {
	tb.Helper()
	backends, err := preparer(tb).Backends(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return backends
}

// RequireVMAlert returns the cached binaries that evaluate and test alert rules. It
// builds those that are missing or out of date, and fails the test when that fails.
func RequireVMAlert(tb testing.TB) prepare.VMAlert {
	tb.Helper()
	binaries, err := preparer(tb).VMAlert(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return binaries
}

// RequireLoki returns the cached binary of Loki. It builds it if it is missing or out
// of date, which takes minutes, and fails the test when that fails.
func RequireLoki(tb testing.TB) string {
	tb.Helper()
	binary, err := preparer(tb).Loki(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return binary
}

// RequireChromium returns the path of a Chromium, which it installs where it may. When it cannot, the test fails with what
// to install.
func RequireChromium(tb testing.TB) string {
	tb.Helper()
	path, err := preparer(tb).Chromium(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// RequireKafka returns the cached Apache Kafka and fetches it if need be, Java
// and Maven included where it may install them. When it cannot, the test fails
// with what to install: a suite without its real Kafka must not look green. Only
// SKIP_KAFKA=1 skips the test, and says so.
func RequireKafka(tb testing.TB) prepare.Kafka {
	tb.Helper()
	if os.Getenv("SKIP_KAFKA") == "1" {
		tb.Skip("SKIPPED by SKIP_KAFKA=1: nothing was tested against real Kafka")
	}
	kafka, err := preparer(tb).Kafka(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return kafka
}

// RequireJournal returns systemd's tools for journals and installs them where it may.
// Without them the test fails with what to install.
func RequireJournal(tb testing.TB) prepare.Journal {
	tb.Helper()
	journal, err := preparer(tb).Journal(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return journal
}

func preparer(tb testing.TB) *prepare.Preparer {
	tb.Helper()
	root, err := Root()
	if err != nil {
		tb.Fatal(err)
	}
	return &prepare.Preparer{Root: root, Progress: tb.Logf}
}
