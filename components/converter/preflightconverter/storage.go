package preflightconverter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/componentids"
)

// storageType is the type of the extension whose directories are looked at.
const storageType = "file_storage"

// checkStorage returns an error for each file_storage extension in use whose directory nobody can use. A directory that
// this user may not write to is a warning, since `validate` is often run by another user than the one of the service;
// the start fails behind it.
func checkStorage(conf *confmap.Conf, logger *zap.Logger) error {
	inUse, _ := conf.Get("service::extensions").([]any)
	var errs []error
	for id, settings := range componentids.OfTypes(conf, "extensions", storageType) {
		directory, isSet := settings["directory"]
		if !isSet || !slices.Contains(inUse, any(id)) {
			continue
		}
		create, _ := settings["create_directory"].(bool)
		path, _ := directory.(string)
		err := check(path, create)
		if err != nil {
			err = fmt.Errorf("`extensions::%s::directory` (BREAKWATER_STORAGE_DIR in the shipped profiles): %w", id, err)
		}
		if errors.Is(err, fs.ErrPermission) {
			logger.Warn(err.Error())
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
