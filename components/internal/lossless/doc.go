// Package lossless finds the ways in which a configuration of the Collector can lose data.
//
// It looks at the effective configuration, with the defaults of all components in it, as the Collector gives it to an
// extension (extensioncapabilities.ConfigWatcher). What is looked at depends on the graph of the pipelines: only what
// lies on the way to an exporter that keeps data counts, and what is safe behind a file may be a mistake behind Kafka.
//
// Check does no I/O but to compare the devices of two directories. What only the surroundings can say (topics, disks,
// the flags of backends) is Plan, which names what is to be asked for.
package lossless // import "github.com/breakwater-otel/breakwater/components/internal/lossless"
