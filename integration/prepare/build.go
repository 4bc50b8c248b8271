package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// buildSpec is a program to be built from one of the modules of integration/.
type buildSpec struct {
	module  string // directory of the go.mod
	pkg     string // import path of the program
	version string
	hash    string // of what it is built from
	binary  string // where it goes

	versionVar string // for the linker: the variable that tells the version, and its value
	takes      string // how long it takes the first time
}

// build builds a program unless it is there and up to date.
func (p *Preparer) build(ctx context.Context, s buildSpec) error {
	name := filepath.Base(s.binary)
	stamp := filepath.Join(filepath.Dir(s.binary), "."+name+".stamp")
	if _, err := os.Stat(s.binary); err == nil && stamped(stamp, s.hash) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.binary), 0o755); err != nil {
		return err
	}
	p.say("building %s %s (%s the first time)", name, s.version, s.takes)
	begin := time.Now()
	tmp := s.binary + ".tmp"
	err := run(ctx, s.module,
		// GOFLAGS and GOWORK of the caller are for other modules.
		[]string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"},
		"go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X "+s.versionVar,
		"-o", tmp, s.pkg)
	if err != nil {
		return err
	}
	// The old stamp must not vouch for the new binary, nor the new one for the old.
	if err := os.Remove(stamp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, s.binary); err != nil {
		return err
	}
	if err := os.WriteFile(stamp, []byte(s.hash), 0o644); err != nil {
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
