package lossless

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const year = 365 * 24 * time.Hour

// storageUsers returns who uses a storage, by its ID.
func (c *checker) storageUsers() map[string][]string {
	users := map[string][]string{}
	for _, id := range c.used(c.receivers, receiversOf) {
		if storage := c.receivers.text(id, "storage"); storage != "" {
			users[storage] = append(users[storage], "receivers::"+id)
		}
	}
	for _, id := range c.keepers() {
		if storage := c.exporters.text(id, "sending_queue", "storage"); storage != "" {
			users[storage] = append(users[storage], "exporters::"+id)
		}
	}
	return users
}

func (c *checker) checkStorage() {
	users := c.storageUsers()
	started := c.service.list("extensions")
	for _, id := range slices.Sorted(maps.Keys(users)) {
		if !slices.Contains(started, id) {
			c.report(storageMissing, "service::extensions", fmt.Sprintf("%s, used by %s", id, strings.Join(users[id], ", ")))
		}
		if !isType(id, "filestorage") || !c.extensions.has(id) {
			continue
		}
		s, at := c.extensions.section(id), "extensions::"+id
		if !s.yes("fsync") {
			c.report(noFsync, at+"::fsync", "false")
		}
		if s.yes("recreate") {
			c.report(recreates, at+"::recreate", "true")
		}
		compacts := s.yes("compaction", "on_start") || s.yes("compaction", "on_rebound")
		if directory := s.text("compaction", "directory"); compacts && !sameDevice(s.text("directory"), directory) {
			c.report(compactsElsewhere, at+"::compaction::directory", directory)
		}
	}
}

// sameDevice says whether two directories are on one device, as far as they are there.
func sameDevice(a, b string) bool {
	a, b = filepath.Clean(a), filepath.Clean(b)
	if a == b {
		return true
	}
	deviceA, okA := deviceOf(existing(a))
	deviceB, okB := deviceOf(existing(b))
	return okA && okB && deviceA == deviceB
}

// existing returns the part of the path that is there.
func existing(path string) string {
	for ; ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
	}
}

// checkWatched looks for backends behind a receiver whose restarts nobody sees.
func (c *checker) checkWatched(receiver string) {
	at := "receivers::" + receiver + "::durability"
	watched := c.receivers.section(receiver, "durability")
	for _, exporter := range c.graph.exportersOf(receiver) {
		if !isType(exporter, forgetful...) {
			continue
		}
		if watched == nil {
			c.report(epochNotWatched, at, "not set, and it writes to "+exporter)
			continue
		}
		backends := c.extensions.section(watched.text("extension"), "backends")
		names := watched.list("backends")
		if len(names) == 0 {
			names = backends.keys()
		}
		if !slices.ContainsFunc(names, func(name string) bool {
			return watches(backends.section(name), exporter, c.exporters.section(exporter))
		}) {
			c.report(backendNotWatched, at+"::backends", strings.Join(names, ", ")+", and it writes to "+exporter)
		}
	}
}

// watches says whether the backend is the one that the exporter writes to. The nodes of a cluster are not at the
// endpoint that is written to; then the type has to do.
func watches(backend settings, exporter string, written settings) bool {
	kinds := []string{"victoriametrics", "prometheus"}
	if isType(exporter, "victorialogs", "loki") {
		kinds = []string{typeOf(exporter)}
	}
	if !slices.Contains(kinds, backend.text("type")) {
		return false
	}
	return len(backend.list("endpoints")) > 0 || hostOf(backend.text("endpoint")) == hostOf(written.text("endpoint"))
}

func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	return u.Host
}

// measuredWindow is the default of the durability extension for backends that answer before they write.
const measuredWindow = 15 * time.Second

func (c *checker) checkDurability() {
	for _, receiver := range c.used(c.receivers, receiversOf, "durablekafka") {
		id := c.receivers.text(receiver, "durability", "extension")
		backends := c.extensions.section(id, "backends")
		for _, name := range backends.keys() {
			window := backends.duration(name, "flush_window")
			if strings.HasPrefix(backends.text(name, "type"), "victoria") && window < measuredWindow {
				c.report(windowTooShort, "extensions::"+id+"::backends::"+name+"::flush_window", window.String())
			}
		}
	}
}
