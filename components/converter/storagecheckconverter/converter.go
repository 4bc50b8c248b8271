// Package storagecheckconverter looks, while the configuration is read, whether the directories of the file_storage
// extensions can be used. It changes nothing. Without it the first error is that of a mkdir or of an open somewhere in
// a receiver, which names neither the setting nor the variable that it comes from.
package storagecheckconverter // import "github.com/breakwater-otel/breakwater/components/converter/storagecheckconverter"

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
)

// extensionType is the type of the extension whose directories are looked at.
const extensionType = "file_storage"

// variable is where the shipped profiles take the directory from.
const variable = "BREAKWATER_STORAGE_DIR"

// NewFactory returns the factory of the converter.
func NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(set confmap.ConverterSettings) confmap.Converter {
		return &converter{logger: set.Logger}
	})
}

type converter struct {
	logger *zap.Logger
}

// Convert returns an error that names the setting of each file_storage extension in use whose directory nobody can
// use. A directory that this user may not write to is a warning, since `validate` is often run by another user than
// the one of the service; the start fails behind it.
func (c *converter) Convert(_ context.Context, conf *confmap.Conf) error {
	inUse, _ := conf.Get("service::extensions").([]any)
	extensions, _ := conf.Get("extensions").(map[string]any)
	ids := make([]string, 0, len(extensions))
	for id := range extensions {
		if kind, _, _ := strings.Cut(id, "/"); kind == extensionType && slices.Contains(inUse, any(id)) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var errs []error
	for _, id := range ids {
		settings, _ := extensions[id].(map[string]any)
		directory, isSet := settings["directory"]
		if !isSet {
			continue // the default of the extension
		}
		create, _ := settings["create_directory"].(bool)
		path, _ := directory.(string)
		err := check(path, create)
		if err != nil {
			err = fmt.Errorf("`extensions::%s::directory` (%s): %w", id, variable, err)
		}
		if errors.Is(err, fs.ErrPermission) {
			c.logger.Warn(err.Error())
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// check says why the directory cannot be used. With create it, and what is above it, need not exist.
func check(path string, create bool) error {
	if path == "" {
		return errors.New("must not be empty")
	}
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("cannot use %s: %s is not a directory", path, at)
		case err == nil:
			if err := writable(at); err != nil {
				return fmt.Errorf("cannot use %s: %s is not writable by this user: %w", path, at, err)
			}
			return nil
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("cannot use %s: %w", path, err)
		case !create || at == filepath.Dir(at):
			return fmt.Errorf("%s does not exist, and `create_directory` is off", path)
		}
	}
}
