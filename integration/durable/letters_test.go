package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

// deadLetters returns the values of the dead letters of a consumer.
func (c *consumer) deadLetters(t *testing.T) []string {
	files, err := filepath.Glob(filepath.Join(c.deadDir(), "*"+letters.FileSuffix))
	require.NoError(t, err)
	var values []string
	for _, name := range files {
		file, err := os.Open(name)
		require.NoError(t, err)
		reader := letters.NewReader(file)
		for {
			letter, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			values = append(values, string(letter.Value))
		}
		require.NoError(t, file.Close())
	}
	return values
}
