package prepare

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// world is a repository and a PATH with nothing real in them. Every tool notes its
// calls in the file "calls".
type world struct {
	*Preparer
	t    *testing.T
	bin  string
	said []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, bin: filepath.Join(dir, "bin")}
	w.Preparer = &Preparer{
		Root:     filepath.Join(dir, "repo"),
		Progress: func(format string, _ ...any) { w.said = append(w.said, format) },
	}
	for _, d := range []string{w.bin, w.source("kafka"), w.source("backends"), w.source("loki")} {
		require.NoError(t, os.MkdirAll(d, 0o755))
	}
	w.pom("9.9.1")
	w.goMod("v9.9.1")
	t.Setenv("PATH", w.bin)
	t.Setenv("JAVA_HOME", "")
	t.Setenv("CALLS", filepath.Join(dir, "calls"))
	return w
}

func (w *world) write(path, text string, mode os.FileMode) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(path, []byte(text), mode))
}

func (w *world) pom(version string) {
	w.write(w.source("kafka", "pom.xml"),
		"<project><properties><kafka.version>"+version+"</kafka.version></properties></project>", 0o644)
}

func (w *world) goMod(version string) {
	w.write(w.source("backends", "go.mod"), "require "+victoriaModule+" "+version+"\n", 0o644)
	w.write(w.source("backends", "go.sum"), "", 0o644)
	w.write(w.source("loki", "go.mod"), "require "+lokiModule+" "+version+"\n", 0o644)
	w.write(w.source("loki", "go.sum"), "", 0o644)
}

// tool puts a shell script into PATH.
func (w *world) tool(name, script string) {
	w.write(filepath.Join(w.bin, name), "#!/bin/sh\necho "+name+" >> $CALLS\n"+script+"\n", 0o755)
}

func (w *world) java(version string) {
	w.tool("java", `echo 'openjdk version "`+version+`" 2025-04-15' >&2`)
}

const goodMaven = `for arg; do case $arg in -DoutputDirectory=*) out=${arg#*=};; esac; done
/bin/mkdir -p $out && echo jar > $out/kafka.jar`

const goodBuild = `while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done; echo binary > $out`

// calls returns how often a tool was called.
func (w *world) calls(name string) int {
	data, err := os.ReadFile(os.Getenv("CALLS"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	require.NoError(w.t, err)
	return strings.Count(string(data), name+"\n")
}

func TestKafkaIsResolvedOnceForEachPom(t *testing.T) {
	w := newWorld(t)
	w.java("17.0.15")
	w.tool("mvn", goodMaven)
	for range 2 {
		k, err := w.Kafka(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "9.9.1", k.Version)
		assert.FileExists(t, filepath.Join(k.Dir, "kafka.jar"))
		assert.Equal(t, filepath.Join(w.bin, "java"), k.Java)
	}
	assert.Equal(t, 1, w.calls("mvn"))

	require.NoError(t, os.Remove(filepath.Join(w.bin, "mvn")))
	_, err := w.Kafka(t.Context())
	require.NoError(t, err, "Maven is not needed for what is cached")

	w.tool("mvn", goodMaven)
	w.pom("9.9.2")
	k, err := w.Kafka(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "9.9.2", k.Version)
	assert.Equal(t, 2, w.calls("mvn"))
}

func TestAHalfDownloadIsNotTakenForDone(t *testing.T) {
	w := newWorld(t)
	w.java("17.0.15")
	w.tool("mvn", goodMaven+"\necho 'no route to the repository'; exit 1")
	for range 2 {
		_, err := w.Kafka(t.Context())
		require.ErrorContains(t, err, "no route to the repository")
	}
	// A directory without the stamp: of a process that was killed.
	require.NoError(t, os.MkdirAll(w.cache("kafka-9.9.1"), 0o755))
	w.tool("mvn", goodMaven)
	k, err := w.Kafka(t.Context())
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(k.Dir, "kafka.jar"))
}

func TestWithoutJavaTheErrorSaysWhatToInstall(t *testing.T) {
	const advice = "apt-get install openjdk-17-jre-headless maven; or skip what needs it with SKIP_KAFKA=1"
	for name, c := range map[string]struct {
		tools  func(*world)
		reason string
	}{
		"nothing":  {func(*world) {}, "there is no java, there is no mvn"},
		"old":      {func(w *world) { w.java("11.0.2"); w.tool("mvn", goodMaven) }, "is Java 11"},
		"ancient":  {func(w *world) { w.java("1.8.0_412"); w.tool("mvn", goodMaven) }, "is Java 8"},
		"broken":   {func(w *world) { w.tool("java", "exit 1"); w.tool("mvn", goodMaven) }, "does not run"},
		"no maven": {func(w *world) { w.java("21") }, "there is no mvn"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.tools(w)
			_, err := w.Kafka(t.Context())
			require.ErrorContains(t, err, c.reason)
			require.ErrorContains(t, err, advice)
			assert.NotContains(t, err.Error(), "\n", "one line")
		})
	}
}

func TestJavaIsInstalledWhereItMayBe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root installs")
	}
	w := newWorld(t)
	script := `echo 'echo "openjdk version \"17.0.1\"" >&2' > ` + w.bin + `/java; /bin/chmod +x ` + w.bin + `/java`
	w.tool("apt-get", `[ "$1" = update ] || { echo "$@" >> $CALLS; `+strings.Replace(script, "echo '", "echo '#!/bin/sh\n", 1)+`; }`)
	w.tool("mvn", goodMaven)
	_, err := w.Kafka(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, w.calls("install -q -y --no-install-recommends openjdk-17-jre-headless"), "only what is missing")
	assert.Contains(t, w.said, "installing %s with apt-get")

	w = newWorld(t)
	w.tool("apt-get", "echo 'E: no network'; exit 100")
	_, err = w.Kafka(t.Context())
	require.ErrorContains(t, err, "SKIP_KAFKA=1")
	require.ErrorContains(t, err, "E: no network")
}

func TestChromiumIsFoundOrInstalled(t *testing.T) {
	w := newWorld(t)
	w.tool("google-chrome", "")
	path, err := w.Chromium(t.Context())
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(w.bin, "google-chrome"), path)

	w = newWorld(t)
	_, err = w.Chromium(t.Context())
	require.ErrorContains(t, err, "apt-get install chromium")
	if os.Geteuid() != 0 {
		return // only root installs
	}
	w.tool("apt-get", "echo 'E: no network'; exit 100")
	_, err = w.Chromium(t.Context())
	require.ErrorContains(t, err, "E: no network")
	w.tool("apt-get", `[ "$1" = update ] || { echo > `+w.bin+`/chromium; /bin/chmod +x `+w.bin+`/chromium; }`)
	path, err = w.Chromium(t.Context())
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(w.bin, "chromium"), path)
}

func TestBackendsAreBuiltOnceForEachGoMod(t *testing.T) {
	w := newWorld(t)
	w.tool("go", goodBuild)
	for range 2 {
		b, err := w.Backends(t.Context())
		require.NoError(t, err)
		assert.FileExists(t, b.VictoriaLogs)
		assert.FileExists(t, b.VictoriaMetrics)
		assert.FileExists(t, b.VLAgent)
	}
	assert.Equal(t, 3, w.calls("go"), "once for each")

	w.goMod("v9.9.2")
	w.tool("go", "echo 'does not compile'; exit 1")
	_, err := w.Backends(t.Context())
	require.ErrorContains(t, err, "does not compile", "the old binary is not taken for the new one")
	w.tool("go", goodBuild)
	_, err = w.Backends(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 7, w.calls("go"))
}

func TestLokiIsBuiltOnceForEachGoMod(t *testing.T) {
	w := newWorld(t)
	w.tool("go", goodBuild)
	for range 2 {
		binary, err := w.Loki(t.Context())
		require.NoError(t, err)
		assert.FileExists(t, binary)
	}
	assert.Equal(t, 1, w.calls("go"))
	w.goMod("v9.9.2")
	_, err := w.Loki(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, w.calls("go"))
	assert.Contains(t, w.said, "building %s %s (%s the first time)")
}

func TestTheShippedVersionsCanBeRead(t *testing.T) {
	version, err := pomKafkaVersion(filepath.Join("..", "kafka", "pom.xml"))
	require.NoError(t, err)
	assert.Regexp(t, `^4\.\d+\.\d+$`, version)
	version, err = requiredVersion(filepath.Join("..", "backends", "go.mod"), victoriaModule)
	require.NoError(t, err)
	assert.Regexp(t, `^v\d+\.\d+\.\d+$`, version)
	version, err = requiredVersion(filepath.Join("..", "loki", "go.mod"), lokiModule)
	require.NoError(t, err)
	assert.Regexp(t, `^v3\.\d+\.\d+$`, version)
}
