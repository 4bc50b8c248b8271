// Package secretfile reads a secret from a file, the one way for the collector and the commands.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxBytes is more than any password or token has.
const maxBytes = 64 << 10

// othersMayRead are the bits of a mode that let more than the owner and the group read.
const othersMayRead = 0o004

// Secret is the content of a file.
type Secret struct {
	Value string
	// Exposed says that every user of the machine may read the file.
	Exposed bool
}

// Read returns the one line of the file, without its line break; blanks are kept. An error says what is wrong with
// the file and holds nothing of its content.
func Read(path string) (Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return Secret{}, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return Secret{}, err
	}
	if info.IsDir() {
		return Secret{}, fmt.Errorf("%s is a directory", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return Secret{}, err
	}
	if len(data) > maxBytes {
		return Secret{}, fmt.Errorf("%s has more than %d bytes, which is no password or token", path, maxBytes)
	}
	value, found := strings.CutSuffix(string(data), "\n")
	if found {
		value = strings.TrimSuffix(value, "\r")
	}
	switch {
	case strings.TrimSpace(value) == "":
		return Secret{}, fmt.Errorf("%s is empty", path)
	case strings.ContainsAny(value, "\r\n"):
		return Secret{}, fmt.Errorf("%s has more than one line", path)
	case strings.ContainsRune(value, 0):
		return Secret{}, fmt.Errorf("%s is no text", path)
	}
	return Secret{Value: value, Exposed: Exposed(info)}, nil
}

// Exposed says that every user of the machine may read the file.
func Exposed(info os.FileInfo) bool { return info.Mode().Perm()&othersMayRead != 0 }

// ErrNotSet says that the variable that names the file is empty.
var ErrNotSet = errors.New("is not set; it names the file with the secret")

// ReadVariable is Read of the file that the environment variable names. Its errors begin with the variable.
func ReadVariable(name string, getenv func(string) string) (Secret, error) {
	path := getenv(name)
	if path == "" {
		return Secret{}, fmt.Errorf("%s %w", name, ErrNotSet)
	}
	secret, err := Read(path)
	if err != nil {
		return Secret{}, fmt.Errorf("%s: %w", name, err)
	}
	return secret, nil
}
