package packaging

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// packages is one version of both packages.
type packages struct {
	version  string
	dir      string
	deb, rpm string // names in dir
}

// shippedVersion is what the Makefile says.
func shippedVersion(t *testing.T) string {
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "version")
	cmd.Dir = root(t)
	output, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(output))
}

// buildPackages makes the packages with the script that the Makefile makes them with, of the files below tree.
func buildPackages(t *testing.T, tree, version, dir string) packages {
	cmd := exec.CommandContext(t.Context(), filepath.Join(tree, "scripts", "package.sh"), dir)
	cmd.Env = append(os.Environ(), "VERSION="+version, "PACKAGE_ARCH=amd64", "SOURCE_DATE_EPOCH=1700000000")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\nis everything built? `make test-package` does it", output)
	return packages{
		version: version,
		dir:     dir,
		deb:     "breakwater_" + version + "_amd64.deb",
		rpm:     "breakwater-" + version + "-1.x86_64.rpm",
	}
}

// nextTree is a copy of what the packages are made of, in which a later version has another consumer.yaml.
func nextTree(t *testing.T) string {
	tree := t.TempDir()
	for _, dir := range []string{"scripts", "distributions/packaging", "configs"} {
		require.NoError(t, os.CopyFS(filepath.Join(tree, dir), os.DirFS(filepath.Join(root(t), dir))))
	}
	require.NoError(t, os.Mkdir(filepath.Join(tree, "docs"), 0o755))
	for _, file := range []string{"LICENSE", "CHANGELOG.md", "docs/install.md"} {
		text, err := os.ReadFile(filepath.Join(root(t), file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(tree, file), text, 0o644))
	}
	require.NoError(t, os.Symlink(filepath.Join(root(t), "bin"), filepath.Join(tree, "bin")))
	file, err := os.OpenFile(filepath.Join(tree, "configs", "consumer.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = io.Copy(file, bytes.NewBufferString("# "+nextMark+"\n"))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return tree
}

// nextMark is what the later version's consumer.yaml has at its end.
const nextMark = "of the next version"

func root(t *testing.T) string {
	path, err := harness.Root()
	require.NoError(t, err)
	return path
}

// guideCommands are the commands of the guide that lead from nothing to a running agent and consumer.
func guideCommands(t *testing.T) []string {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "install.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "From nothing to a running agent and consumer:\n\n```sh\n")
	require.True(t, found, "the guide's block of commands")
	block, _, found := strings.Cut(rest, "\n```")
	require.True(t, found)
	return strings.Split(block, "\n\n")
}
