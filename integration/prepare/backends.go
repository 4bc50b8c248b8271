package prepare

import (
	"context"
	"path/filepath"
	"runtime"
)

// victoriaModule holds the backends and what goes between.
const victoriaModule = "github.com/VictoriaMetrics/VictoriaMetrics"

// Backends are the paths of the built binaries.
type Backends struct {
	VictoriaLogs    string
	VictoriaMetrics string
	VLAgent         string // forwards logs to VictoriaLogs
}

// Backends returns the binaries of the backends and builds those that are
// missing or out of date.
func (p *Preparer) Backends(ctx context.Context) (Backends, error) {
	b := Backends{
		VictoriaLogs:    p.cache("bin", "victoria-logs"),
		VictoriaMetrics: p.cache("bin", "victoria-metrics"),
		VLAgent:         p.cache("bin", "vlagent"),
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
		for _, binary := range []string{b.VictoriaLogs, b.VictoriaMetrics, b.VLAgent} {
			name := filepath.Base(binary)
			if err := p.build(ctx, buildSpec{
				module: module, pkg: victoriaModule + "/app/" + name, version: version, hash: hash, binary: binary,
				versionVar: victoriaModule + "/lib/buildinfo.Version=" + name + "-" + version,
				takes:      "about half a minute",
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return b, err
}
