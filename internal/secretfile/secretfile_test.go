package secretfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, content string, mode os.FileMode) string {
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	require.NoError(t, os.Chmod(path, mode)) // whatever the umask
	return path
}

func TestRead(t *testing.T) {
	tests := map[string]struct{ content, want, err string }{
		"as it is":        {content: "hunter2", want: "hunter2"},
		"line feed":       {content: "hunter2\n", want: "hunter2"},
		"windows":         {content: "hunter2\r\n", want: "hunter2"},
		"blanks are kept": {content: " hunter 2 \n", want: " hunter 2 "},
		"yaml":            {content: "a: b # c", want: "a: b # c"},
		"number":          {content: "0x10", want: "0x10"},
		"empty":           {content: "", err: "is empty"},
		"a line feed":     {content: "\n", err: "is empty"},
		"blanks":          {content: "  \n", err: "is empty"},
		"two lines":       {content: "hunter2\nhunter3\n", err: "has more than one line"},
		"a blank line":    {content: "hunter2\n\n", err: "has more than one line"},
		"binary":          {content: "hunter\x002", err: "is no text"},
		"too large":       {content: strings.Repeat("hunter2", 10_000), err: "has more than 65536 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, test.content, 0o600)
			secret, err := Read(path)
			if test.err == "" {
				require.NoError(t, err)
				assert.Equal(t, Secret{Value: test.want}, secret)
				return
			}
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, test.err)
			assert.NotContains(t, err.Error(), "hunter", "nothing of the content")
		})
	}
}

func TestReadWhatIsNoFile(t *testing.T) {
	_, err := Read(t.TempDir())
	require.ErrorContains(t, err, "is a directory")
	_, err = Read(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestExposed(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o604: true} {
		secret, err := Read(write(t, "hunter2", mode))
		require.NoError(t, err)
		assert.Equal(t, want, secret.Exposed, "%o", mode)
	}
}

func TestReadVariable(t *testing.T) {
	path := write(t, "hunter2\n", 0o600)
	env := map[string]string{"THERE": path, "MISSING": path + "-missing"}
	getenv := func(name string) string { return env[name] }

	secret, err := ReadVariable("THERE", getenv)
	require.NoError(t, err)
	assert.Equal(t, "hunter2", secret.Value)
	_, err = ReadVariable("UNSET", getenv)
	require.EqualError(t, err, "UNSET is not set; it names the file with the secret")
	_, err = ReadVariable("MISSING", getenv)
	require.ErrorContains(t, err, "MISSING: open "+path)
}
