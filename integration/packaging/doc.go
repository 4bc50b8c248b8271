// Package packaging installs the deb and the rpm on a machine and runs what is in
// them as systemd runs it, on real Kafka, VictoriaLogs and VictoriaMetrics.
//
// The machine is this one, seen through an overlay in namespaces of its own: its
// packages and its dpkg, with a systemd that is process 1 there, and nothing that is
// done to it is done to this machine. It needs root, Debian and systemd's program;
// where one is missing the tests are skipped and say so, but as root on Debian they
// fail (`make test` installs what they need).
package packaging
