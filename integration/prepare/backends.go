package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// victoriaModule holds both backends.
const victoriaModule = "github.com/VictoriaMetrics/VictoriaMetrics"

// Backends are the paths of the built binaries.
type Backends struct {
	VictoriaLogs    string
	VictoriaMetrics string
}

// Backends returns the binaries of the backends and builds those that are
// missing or out of date.
func (p *Preparer) Backends(ctx context.Context) (Backends, error) {
	b := Backends{
		VictoriaLogs:    p.cache("bin", "victoria-logs"),
		VictoriaMetrics: p.cache("bin", "victoria-metrics"),
	}
	module := p.source("backends")
	modFiles := []string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")}
	hash, err := hashOf(modFiles, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return b, err
	}
	version, err := requiredVersion(modFiles[0], victoriaModule)
	if err != nil {
		return b, err
	}
	err = p.locked(ctx, "backends", func() error {
		for _, binary := range []string{b.VictoriaLogs, b.VictoriaMetrics} {
			if err := p.buildBackend(ctx, module, version, hash, binary); err != nil {
				return err
			}
		}
		return nil
	})
	return b, err
}

func (p *Preparer) buildBackend(ctx context.Context, module, version, hash, binary string) error {
	name := filepath.Base(binary)
	stamp := filepath.Join(filepath.Dir(binary), "."+name+".stamp")
	if _, err := os.Stat(binary); err == nil && stamped(stamp, hash) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	p.say("building %s %s (about half a minute the first time)", name, version)
	begin := time.Now()
	tmp := binary + ".tmp"
	err := run(ctx, module,
		// GOFLAGS and GOWORK of the caller are for other modules.
		[]string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"},
		"go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X "+victoriaModule+"/lib/buildinfo.Version="+name+"-"+version,
		"-o", tmp, victoriaModule+"/app/"+name)
	if err != nil {
		return err
	}
	// The old stamp must not vouch for the new binary, nor the new one for the old.
	if err := os.Remove(stamp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, binary); err != nil {
		return err
	}
	if err := os.WriteFile(stamp, []byte(hash), 0o644); err != nil {
		return err
	}
	p.say("built %s in %s", name, time.Since(begin).Round(100*time.Millisecond))
	return nil
}

// requiredVersion reads the version of a module from a go.mod.
func requiredVersion(goMod, module string) (string, error) {
	data, err := os.ReadFile(goMod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == module {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", goMod, module)
}
