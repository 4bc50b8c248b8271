package harness

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/breakwater-otel/breakwater/integration/prepare"
)

// Root returns the root directory of the repository, found from the working
// directory upwards.
func Root() (string, error) { return prepare.Root() }

// BinaryPath returns the path of bin/breakwater, or of BREAKWATER_BIN when that
// is set (a packaged binary can be tested with the same tests). It is an error,
// and says so, when the binary has not been built.
func BinaryPath() (string, error) {
	path := os.Getenv("BREAKWATER_BIN")
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "breakwater")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run `make build` first", path)
	}
	return path, nil
}
