package prepare

import (
	"context"
	"path/filepath"
	"runtime"
)

// VMAlert are the paths of what evaluates and tests alert rules.
type VMAlert struct {
	VMAlert     string // evaluates rules on a backend
	VMAlertTool string // runs unit tests of rules
}

// VMAlert returns the binaries and builds those that are missing or out of date. They
// are of the module of the backends, and have a module of their own here, because
// they require what the backends do not.
func (p *Preparer) VMAlert(ctx context.Context) (VMAlert, error) {
	v := VMAlert{VMAlert: p.cache("bin", "vmalert"), VMAlertTool: p.cache("bin", "vmalert-tool")}
	module := p.source("vmalert")
	modFiles := []string{filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")}
	hash, err := hashOf(modFiles, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return v, err
	}
	version, err := requiredVersion(modFiles[0], victoriaModule)
	if err != nil {
		return v, err
	}
	err = p.locked(ctx, "vmalert", func() error {
		for _, binary := range []string{v.VMAlert, v.VMAlertTool} {
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
	return v, err
}
