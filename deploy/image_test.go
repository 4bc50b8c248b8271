package deploy

import (
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// image is what a Dockerfile of one stage from scratch makes.
type image struct {
	root       string
	user       string
	entrypoint []string
	cmd        []string
}

// context lays out the build context with the script that the Makefile lays it out with.
func buildContext(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "image")
	output, err := run(t, nil, "../scripts/image-context.sh", dir)
	require.NoError(t, err, output)
	return dir
}

// build does what a builder does with the instructions that the Dockerfile may have; others fail the test.
func build(t *testing.T, context string) image {
	file, err := os.Open(filepath.Join(context, "Dockerfile"))
	require.NoError(t, err)
	defer file.Close()
	parsed, err := parser.Parse(file)
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	stages, args, err := instructions.Parse(parsed.AST, nil)
	require.NoError(t, err)
	require.Empty(t, args)
	require.Len(t, stages, 1)
	require.Equal(t, "scratch", stages[0].BaseName)

	built := image{root: t.TempDir()}
	require.NoError(t, os.Chmod(built.root, 0o755))
	for _, command := range stages[0].Commands {
		switch command := command.(type) {
		case *instructions.CopyCommand:
			copyInto(t, context, built.root, command)
		case *instructions.UserCommand:
			built.user = command.User
		case *instructions.EntrypointCommand:
			require.False(t, command.PrependShell, "there is no shell")
			built.entrypoint = command.CmdLine
		case *instructions.CmdCommand:
			require.False(t, command.PrependShell, "there is no shell")
			built.cmd = command.CmdLine
		case *instructions.ExposeCommand:
		default:
			t.Fatalf("the test does not know what %s does", command)
		}
	}
	return built
}

// copyInto is COPY: the content of a directory, or files, with root as owner unless --chown says otherwise.
func copyInto(t *testing.T, context, root string, command *instructions.CopyCommand) {
	require.Empty(t, command.From)
	target := filepath.Join(root, command.DestPath)
	uid := 0
	if command.Chown != "" {
		var err error
		uid, err = strconv.Atoi(strings.Split(command.Chown, ":")[0])
		require.NoError(t, err, "by number: the image's users are not the builder's")
	}
	for _, source := range command.SourcePaths {
		path := filepath.Join(context, source)
		info, err := os.Stat(path)
		require.NoError(t, err, "COPY %s", source)
		switch {
		case info.IsDir():
			require.NoError(t, os.CopyFS(target, os.DirFS(path)))
		case strings.HasSuffix(command.DestPath, "/"):
			copyFile(t, path, filepath.Join(target, filepath.Base(source)), info.Mode())
		default:
			copyFile(t, path, target, info.Mode())
		}
	}
	if command.Chmod != "" {
		mode, err := strconv.ParseUint(command.Chmod, 8, 32)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(target, os.FileMode(mode)))
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(target, uid, uid))
	}
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, mode))
}

func TestImage(t *testing.T) {
	img := build(t, buildContext(t))
	assert.Equal(t, "10001:10001", img.user)
	for _, program := range []string{"breakwater", "breakwater-topics", "breakwater-deadletters", "breakwater-replay"} {
		path := filepath.Join(img.root, "usr/bin", program)
		binary, err := elf.Open(path)
		require.NoError(t, err)
		for _, segment := range binary.Progs {
			assert.NotEqual(t, elf.PT_INTERP, segment.Type, "%s is linked dynamically", program)
		}
		require.NoError(t, binary.Close())
		info, err := buildinfo.ReadFile(path)
		require.NoError(t, err)
		for _, setting := range info.Settings {
			if setting.Key == "CGO_ENABLED" {
				assert.Equal(t, "0", setting.Value, program)
			}
		}
	}
	certificates, err := os.ReadFile(filepath.Join(img.root, "etc/ssl/certs/ca-certificates.crt"))
	require.NoError(t, err)
	assert.Greater(t, strings.Count(string(certificates), "BEGIN CERTIFICATE"), 50)

	t.Run("run", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED, the image was not run: it needs root")
		}
		// As its user, with nothing but the image's files.
		start := func(args ...string) (string, error) {
			cmd := exec.CommandContext(t.Context(), img.entrypoint[0], args...)
			cmd.Env = []string{"PATH=/usr/bin"}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: img.root, Credential: &syscall.Credential{Uid: 10001, Gid: 10001}}
			output, err := cmd.CombinedOutput()
			return string(output), err
		}
		output, err := start(append([]string{"validate"}, img.cmd...)...)
		require.NoError(t, err, output)
		output, err = start("validate", "--config", "/etc/breakwater/consumer.yaml", "--config", "/etc/breakwater/security.d/kafka-tls.yaml")
		require.NoError(t, err, output)
		output, err = start("validate", "--config", "/etc/breakwater/agent.yaml", "--config", "/etc/breakwater/agent.d/prometheus.yaml")
		require.NoError(t, err, output)
		// The state directory is the user's own, and the only place that is.
		info, err := os.Stat(filepath.Join(img.root, "var/lib/breakwater"))
		require.NoError(t, err)
		assert.Equal(t, "drwx------ 10001", fmt.Sprint(info.Mode(), " ", info.Sys().(*syscall.Stat_t).Uid))
		require.NoError(t, filepath.Walk(img.root, func(path string, info os.FileInfo, err error) error {
			if err == nil && !strings.HasPrefix(path, filepath.Join(img.root, "var/lib/breakwater")) {
				assert.Zero(t, info.Sys().(*syscall.Stat_t).Uid, path)
				assert.Zero(t, info.Mode()&0o022, path)
			}
			return err
		}))
	})
}
