package prepare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// rootModule is the module line that marks the root of the repository.
const rootModule = "module github.com/breakwater-otel/breakwater"

// Root returns the root directory of the repository: the nearest directory, from
// the working directory upwards, whose go.mod declares the root module.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if declaresRoot(filepath.Join(dir, "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the Breakwater repository: no go.mod of its root module in this directory or above")
		}
		dir = parent
	}
}

func declaresRoot(goMod string) bool {
	data, err := os.ReadFile(goMod)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) == rootModule {
			return true
		}
	}
	return false
}
