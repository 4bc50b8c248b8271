package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/featuregate"
	"golang.org/x/mod/modfile"
	"gopkg.in/yaml.v3"
)

const root = "../.."

// manifest is what this test reads of builder-config.yaml.
type manifest struct {
	Receivers  []entry `yaml:"receivers"`
	Processors []entry `yaml:"processors"`
	Exporters  []entry `yaml:"exporters"`
	Connectors []entry `yaml:"connectors"`
	Extensions []entry `yaml:"extensions"`
	Converters []entry `yaml:"converters"`
	Providers  []entry `yaml:"providers"`

	Replaces []string `yaml:"replaces"`
}

type entry struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import"`
}

func (e entry) module() (path, version string) {
	path, version, _ = strings.Cut(e.GoMod, " ")
	return path, version
}

func (e entry) importPath() string {
	if e.Import != "" {
		return e.Import
	}
	path, _ := e.module()
	return path
}

func readManifest(t *testing.T) manifest {
	text, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.Unmarshal(text, &m))
	return m
}

func readGoMod(t *testing.T) *modfile.File {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	file, err := modfile.Parse("go.mod", text, nil)
	require.NoError(t, err)
	return file
}

func (m manifest) kinds() map[string][]entry {
	return map[string][]entry{
		"receivers":  m.Receivers,
		"processors": m.Processors,
		"exporters":  m.Exporters,
		"connectors": m.Connectors,
		"extensions": m.Extensions,
	}
}

func imports(entries []entry) []string {
	paths := make([]string, 0, len(entries))
	for _, e := range entries {
		paths = append(paths, e.importPath())
	}
	slices.Sort(paths)
	return paths
}

// TestManifestIsWhatIsInTheBinary compares the manifest with the generated imports, one kind at a time.
func TestManifestIsWhatIsInTheBinary(t *testing.T) {
	m := readManifest(t)
	generated, err := os.ReadFile("components.go")
	require.NoError(t, err)
	factories, err := components()
	require.NoError(t, err)
	registered := map[string]int{
		"receivers":  len(distinct(factories.Receivers)),
		"processors": len(distinct(factories.Processors)),
		"exporters":  len(distinct(factories.Exporters)),
		"connectors": len(distinct(factories.Connectors)),
		"extensions": len(distinct(factories.Extensions)),
	}
	for kind, entries := range m.kinds() {
		assert.NotEmpty(t, entries, kind)
		assert.Equal(t, len(entries), registered[kind], "%s in the manifest and in the binary", kind)
		for _, path := range imports(entries) {
			assert.Contains(t, string(generated), `"`+path+`"`, "run `make generate`")
		}
	}
}

// distinct drops the entries under a deprecated type, which are the same factory once more.
func distinct[F component.Factory](factories map[component.Type]F) map[component.Type]struct{} {
	types := make(map[component.Type]struct{})
	for _, factory := range factories {
		types[factory.Type()] = struct{}{}
	}
	return types
}

// TestManifestAndGoModAgree holds that the binary is built from the versions that the manifest names.
func TestManifestAndGoModAgree(t *testing.T) {
	m, file := readManifest(t), readGoMod(t)
	required := make(map[string]string)
	for _, r := range file.Require {
		required[r.Mod.Path] = r.Mod.Version
	}
	all := append(slices.Concat(m.Receivers, m.Processors, m.Exporters, m.Connectors, m.Extensions, m.Converters), m.Providers...)
	for _, e := range all {
		path, version := e.module()
		if path == file.Module.Mod.Path {
			assert.Equal(t, "v0.0.0", version, "our own components are at the version of the tree: %s", e.Import)
			continue
		}
		assert.Equal(t, version, required[path], "%s in builder-config.yaml and in go.mod", path)
	}
	var replaces []string
	for _, r := range file.Replace {
		replaces = append(replaces, r.Old.Path+" => "+r.New.Path+" "+r.New.Version)
	}
	assert.ElementsMatch(t, m.Replaces, replaces)
}

// TestEveryComponentOfOursIsInTheManifest holds components/ and the manifest together.
func TestEveryComponentOfOursIsInTheManifest(t *testing.T) {
	m, module := readManifest(t), readGoMod(t).Module.Mod.Path
	kinds := m.kinds()
	kinds["converters"] = m.Converters
	kinds["providers"] = m.Providers
	for kind, entries := range kinds {
		files, err := filepath.Glob(filepath.Join(root, "components", strings.TrimSuffix(kind, "s"), "*", "*.go"))
		require.NoError(t, err)
		var want, got []string
		for _, file := range files {
			relative, err := filepath.Rel(root, filepath.Dir(file))
			require.NoError(t, err)
			if path := module + "/" + filepath.ToSlash(relative); !slices.Contains(want, path) {
				want = append(want, path)
			}
		}
		for _, path := range imports(entries) {
			if strings.HasPrefix(path, module+"/") {
				got = append(got, path)
			}
		}
		assert.ElementsMatch(t, want, got, "components/%s", kind)
	}
}

// TestProviders holds that no configuration comes over the network, and that main.go is of this manifest.
func TestProviders(t *testing.T) {
	main, err := os.ReadFile("main.go")
	require.NoError(t, err)
	m := readManifest(t)
	for _, path := range slices.Concat(imports(m.Providers), imports(m.Converters)) {
		assert.Contains(t, string(main), `"`+path+`"`, "run `make generate`")
	}
	assert.Equal(t, len(m.Providers)-1, strings.Count(string(main), "/confmap/provider/")/2, "an import and a module of each but ours")
	assert.Equal(t, []string{
		"github.com/breakwater-otel/breakwater/components/provider/secretfileprovider",
		"go.opentelemetry.io/collector/confmap/provider/envprovider",
		"go.opentelemetry.io/collector/confmap/provider/fileprovider",
		"go.opentelemetry.io/collector/confmap/provider/yamlprovider",
	}, imports(readManifest(t).Providers))
}

// TestDefaultConfigs holds that every component can be configured at all.
func TestDefaultConfigs(t *testing.T) {
	factories, err := components()
	require.NoError(t, err)
	check := func(kind string, factory component.Factory) {
		assert.NoError(t, confmap.New().Marshal(factory.CreateDefaultConfig()), "%s %s", kind, factory.Type())
	}
	for _, f := range factories.Receivers {
		check("receiver", f)
	}
	for _, f := range factories.Processors {
		check("processor", f)
	}
	for _, f := range factories.Exporters {
		check("exporter", f)
	}
	for _, f := range factories.Extensions {
		check("extension", f)
	}
}

func TestLosslessGatesAreOn(t *testing.T) {
	on := make(map[string]bool)
	featuregate.GlobalRegistry().VisitAll(func(gate *featuregate.Gate) { on[gate.ID()] = gate.IsEnabled() })
	for _, gate := range losslessGates {
		assert.True(t, on[gate], gate)
	}
}

// The go command puts a requirement that is new into a block of its kind, and makes another block when direct and
// indirect ones are mixed.
func TestRequirementsAreInBlocksOfOneKind(t *testing.T) {
	last := ""
	for _, r := range readGoMod(t).Require {
		if !r.Indirect {
			require.Empty(t, last, "%s is no indirect requirement, but after one", r.Mod.Path)
			continue
		}
		last = r.Mod.Path
	}
	require.NotEmpty(t, last)
}
