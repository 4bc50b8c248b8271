package prepare

import (
	"context"
	"path/filepath"
	"runtime"
)

const (
	lokiModule = "github.com/grafana/loki/v3"
	// lokiBuildInfo is the package that tells the version.
	lokiBuildInfo = lokiModule + "/pkg/util/build"
)

// Loki returns the path of the binary of Loki and builds it when it is missing or
// out of date. It has a module of its own, because it requires hundreds of others.
func (p *Preparer) Loki(ctx context.Context) (string, error) {
	binary := p.cache("bin", "loki")
	module := p.source("loki")
	modFiles := []string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")}
	hash, err := hashOf(modFiles, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return "", err
	}
	version, err := requiredVersion(modFiles[0], lokiModule)
	if err != nil {
		return "", err
	}
	err = p.locked(ctx, "loki", func() error {
		return p.build(ctx, buildSpec{
			module: module, pkg: lokiModule + "/cmd/loki", version: version, hash: hash, binary: binary,
			versionVar: lokiBuildInfo + ".Version=" + version,
			takes:      "5 to 10 minutes",
		})
	})
	return binary, err
}
