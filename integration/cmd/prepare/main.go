// Command prepare provides the real parts of the integration tests: it builds
// VictoriaLogs, vlagent and VictoriaMetrics, resolves Apache Kafka and builds Loki, into
// .cache/ of the repository, and installs Chromium. What is there and up to date is left
// alone. Without flags it does what most tests need: all but vmalert, Chromium, and Loki,
// which takes minutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/breakwater-otel/breakwater/integration/prepare"
)

func main() {
	backends := flag.Bool("backends", false, "build VictoriaLogs and VictoriaMetrics")
	kafka := flag.Bool("kafka", false, "resolve Apache Kafka (needs Java 17 and Maven)")
	vmalert := flag.Bool("vmalert", false, "build vmalert and vmalert-tool")
	loki := flag.Bool("loki", false, "build Loki (5 to 10 minutes the first time)")
	chromium := flag.Bool("chromium", false, "install Chromium (as root on Debian)")
	flag.Parse()
	if !*backends && !*kafka && !*vmalert && !*loki && !*chromium {
		*backends, *kafka = true, true
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *backends, *kafka, *vmalert, *loki, *chromium); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, backends, kafka, vmalert, loki, chromium bool) error {
	root, err := prepare.Root()
	if err != nil {
		return err
	}
	p := &prepare.Preparer{
		Root:     root,
		Progress: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	}
	var errs []error
	if backends {
		b, err := p.Backends(ctx)
		if err == nil {
			fmt.Printf("VictoriaLogs: %s\nVictoriaMetrics: %s\n", b.VictoriaLogs, b.VictoriaMetrics)
		}
		errs = append(errs, err)
	}
	if kafka {
		k, err := p.Kafka(ctx)
		if err == nil {
			fmt.Printf("Apache Kafka %s: %s, run by %s\n", k.Version, k.Dir, k.Java)
		}
		errs = append(errs, err)
	}
	if vmalert {
		v, err := p.VMAlert(ctx)
		if err == nil {
			fmt.Printf("vmalert: %s\nvmalert-tool: %s\n", v.VMAlert, v.VMAlertTool)
		}
		errs = append(errs, err)
	}
	if loki {
		binary, err := p.Loki(ctx)
		if err == nil {
			fmt.Printf("Loki: %s\n", binary)
		}
		errs = append(errs, err)
	}
	if chromium {
		path, err := p.Chromium(ctx)
		if err == nil {
			fmt.Printf("Chromium: %s\n", path)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
