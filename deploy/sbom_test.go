package deploy

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSBOM holds that each bill of materials names the modules that are linked into its binary, and no other.
func TestSBOM(t *testing.T) {
	built(t, "tools/cyclonedx-gomod")
	dir := t.TempDir()
	// The module proxy and the caches are not asked: what is linked is in the binary.
	output, err := run(t, []string{"VERSION=1.2.3", "SBOM_FLAGS=", "GOFLAGS=-mod=mod", "GOPROXY=off"}, "../scripts/sbom.sh", dir)
	require.NoError(t, err, output)
	for _, name := range []string{"breakwater", "breakwater-topics", "breakwater-deadletters", "breakwater-replay"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".cdx.json"))
		require.NoError(t, err)
		type component struct{ Name, Version, PURL string }
		var bom struct {
			BOMFormat  string
			Metadata   struct{ Component component }
			Components []component
		}
		require.NoError(t, json.Unmarshal(text, &bom))
		assert.Equal(t, "CycloneDX", bom.BOMFormat)
		assert.Equal(t, "v1.2.3", bom.Metadata.Component.Version)

		info, err := buildinfo.ReadFile(built(t, name))
		require.NoError(t, err)
		linked := map[string]string{"std": info.GoVersion}
		for _, module := range info.Deps {
			if module.Replace != nil {
				module = module.Replace
			}
			linked[module.Path] = module.Version
		}
		named := map[string]string{}
		for _, c := range bom.Components {
			named[c.Name] = c.Version
			assert.NotEmpty(t, c.PURL, c.Name)
		}
		require.NotEmpty(t, named)
		assert.Equal(t, linked, named, name)
	}
}
