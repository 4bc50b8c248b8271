package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// document is where the tables are, relative to the root of the repository.
const document = "docs/benchmarks.md"

// WriteSection replaces what is between the markers of a section in docs/benchmarks.md.
func WriteSection(section, text string) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	path := filepath.Join(root, filepath.FromSlash(document))
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := replaceSection(string(old), section, text)
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644) //nolint:gosec // G306: a document, not a secret
}

func replaceSection(document, section, text string) (string, error) {
	begin := "<!-- bench:" + section + " begin -->\n"
	end := "<!-- bench:" + section + " end -->\n"
	before, rest, found := strings.Cut(document, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("no section between %q and %q", begin, end)
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}
