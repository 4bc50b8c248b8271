// Package packaging installs the deb and the rpm on a machine and runs what is in
// them as systemd runs it, on real Kafka, VictoriaLogs and VictoriaMetrics.
//
// The machine is this one, seen through an overlay in namespaces of its own: its
// packages and its dpkg, with a systemd that is process 1 there, and nothing that is
// done to it is done to this machine. It is part of `make test`, and needs root, Debian
// and systemd's program; elsewhere it is skipped and says so, but as root on Debian it
// fails where only a program is missing (scripts/test-package-needs.sh installs them).
package packaging
