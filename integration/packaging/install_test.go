package packaging

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
)

// maxExposure is ten times what `systemd-analyze security` may say.
const maxExposure = 30

// site is a machine and what it sends to, each on a host of its own.
type site struct {
	machine *machine
	kafka   *harness.Kafka
	logs    *harness.VictoriaLogs
	metrics *harness.VictoriaMetrics
	writer  *harness.LogWriter
}

func newSite(t *testing.T, packageDir string) *site {
	lab, err := netlab.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	host := func(name string) *netlab.Host {
		h, err := lab.Host(name)
		require.NoError(t, err)
		return h
	}
	s := &site{}
	// One broker: what three are for is tested elsewhere, and takes three times as much of the machine.
	s.kafka = harness.StartKafka(t, harness.KafkaOptions{Brokers: 1, Hosts: []*netlab.Host{host("kafka")}})
	s.logs = harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Host: host("logs")})
	s.metrics = harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{Host: host("metrics")})

	// Log files that root alone may read, in a directory that root alone may search.
	logDir := t.TempDir()
	s.writer, err = harness.NewLogWriter(harness.LogWriterOptions{Dir: logDir, Name: "app"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.writer.Close()) })
	require.NoError(t, os.Chmod(filepath.Join(logDir, "app-0.log"), 0o600))
	require.NoError(t, os.Chmod(logDir, 0o700))

	s.machine = boot(t, host("machine"), logDir, packageDir)
	return s
}

// atThisSite replaces the guide's addresses, and sudo, which root does not need.
func (s *site) atThisSite(command string) string {
	return "sudo() { \"$@\"; }\n" + strings.NewReplacer(
		"kafka-1:9092,kafka-2:9092,kafka-3:9092", s.kafka.BootstrapServers(),
		"http://logs:9428", s.logs.URL(),
		"http://metrics:8428", s.metrics.URL(),
	).Replace(command)
}

// ownLogs are the rows of the test's log file; the agent reads the machine's other log files, too.
const ownLogs = `"log.file.path":="/var/log/app/app-0.log"`

// requireAllOnce waits until every line that was written is in VictoriaLogs, and holds that each is there once.
func (s *site) requireAllOnce(t *testing.T) {
	t.Helper()
	var report harness.TallyReport
	s.machine.eventually(t, 2*time.Minute, func(ctx context.Context) error {
		// The rows themselves: they are counted before the index of their stream is there, without which they are not shown.
		count := harness.NewTally()
		err := s.logs.QueryEach(ctx, ownLogs, func(row harness.LogRow) error {
			count.Add(row["_msg"])
			return nil
		})
		report = count.Compare(s.writer)
		return errors.Join(err, report.Err())
	})
	t.Log(report)
	require.True(t, report.Exact(), report.String())
}

// TestPackageOnDebian is the life of the packages on one machine, in the order in which it goes on.
func TestPackageOnDebian(t *testing.T) {
	requireMachine(t)
	dir := t.TempDir()
	this := buildPackages(t, root(t), shippedVersion(t), dir)
	next := buildPackages(t, nextTree(t), "99.0.0", dir)
	s := newSite(t, dir)
	m := s.machine
	step := func(name string, test func(*testing.T)) {
		if !t.Run(name, test) {
			t.FailNow() // each step begins where the one before has ended
		}
	}

	step("guide", func(t *testing.T) {
		commands := guideCommands(t)
		require.LessOrEqual(t, len(commands), 4, "commands of the guide")
		require.Contains(t, commands[0], "./"+this.deb)
		for _, command := range commands {
			if strings.HasPrefix(command, "breakwater-topics ") {
				// It gives up after 15 s, and may be repeated: a broker of a busy machine takes longer.
				m.eventually(t, 3*time.Minute, func(ctx context.Context) error {
					output, err := m.try(ctx, s.atThisSite(command))
					t.Logf("$ %s\n%s", command, output)
					return err
				})
				continue
			}
			t.Logf("$ %s\n%s", command, m.run(t, s.atThisSite(command)))
		}
		m.waitHealthy(t, "agent")
		m.waitHealthy(t, "consumer")
		require.NoError(t, s.writer.Write(t.Context(), 2000))
		s.requireAllOnce(t)
		rows, err := s.logs.Query(t.Context(), ownLogs+" | limit 1")
		require.NoError(t, err)
		require.Len(t, rows, 1)
		assert.Equal(t, `{env="prod",host_name="machine",site_name="zrh-1"}`, rows[0]["_stream"])
		m.eventually(t, 2*time.Minute, func(ctx context.Context) error {
			series, err := s.metrics.Series(ctx, `{__name__="system_memory_usage_bytes",host_name="machine",site_name="zrh-1"}`)
			if err == nil && len(series) == 0 {
				err = fmt.Errorf("no host metrics of the machine")
			}
			return err
		})
	})

	step("units", func(t *testing.T) {
		units := "breakwater@agent.service breakwater@consumer.service breakwater@standalone.service"
		assert.Empty(t, m.run(t, "systemd-analyze verify --man=no "+units))
		for _, unit := range strings.Fields(units) {
			output := m.run(t, fmt.Sprintf("systemd-analyze security --no-pager --offline=true --threshold=%d %s", maxExposure, unit))
			exposure := output[strings.LastIndex(output, "Overall exposure"):]
			t.Log(exposure)
			assert.Contains(t, exposure, unit)
		}
		// A threshold that everything passes would prove nothing.
		_, err := m.try(t.Context(), fmt.Sprintf("systemd-analyze security --no-pager --offline=true --threshold=%d getty@tty1.service", maxExposure))
		assert.Error(t, err)
	})

	step("confined", func(t *testing.T) {
		account := m.run(t, "id -u breakwater")
		// CAP_DAC_READ_SEARCH is bit 2 (linux/capability.h).
		for profile, capabilities := range map[string]string{"agent": "0000000000000004", "consumer": "0000000000000000"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.mainPID(t, profile)))
			require.NoError(t, err)
			status := string(text)
			assert.Equal(t, []string{account, account, account, account}, strings.Fields(statusField(status, "Uid")), profile)
			assert.Equal(t, capabilities, statusField(status, "CapEff"), profile)
			assert.Equal(t, capabilities, statusField(status, "CapBnd"), profile)
			assert.Equal(t, "1", statusField(status, "NoNewPrivs"), profile)
			assert.Equal(t, "2", statusField(status, "Seccomp"), profile)
			// What is asked for: a container's own limit may be lower, and systemd takes that then.
			assert.Equal(t, "65536", m.run(t, "systemctl show --value --property LimitNOFILE breakwater@"+profile))
			assert.Equal(t, "breakwater 700", m.run(t, "stat -c '%U %a' /var/lib/breakwater/"+profile))
		}
		for _, file := range []string{"agent.env", "consumer.env", "agent.yaml", "agent.d/syslog.yaml", "security.d/kafka-sasl.yaml"} {
			assert.Equal(t, "root:breakwater 640", m.run(t, "stat -c '%U:%G %a' /etc/breakwater/"+file))
		}
		assert.Equal(t, "Restart=always\nTimeoutStopUSec=1min", m.run(t, "systemctl show breakwater@agent --property Restart,TimeoutStopUSec | sort"))
	})

	step("killed", func(t *testing.T) {
		pid := m.mainPID(t, "agent")
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		m.eventually(t, time.Minute, func(ctx context.Context) error {
			restarts, err := m.try(ctx, "systemctl show --value --property NRestarts breakwater@agent")
			if err == nil && strings.TrimSpace(restarts) != "1" {
				err = fmt.Errorf("%s restarts", restarts)
			}
			return err
		})
		require.NotEqual(t, pid, m.waitHealthy(t, "agent"))
		require.NoError(t, s.writer.Write(t.Context(), 500))
		s.requireAllOnce(t)
	})

	// Without Kafka a stop waits for its limit. It is not the network that is cut: what the kernel had for Kafka at the kill would
	// arrive when it is whole again, beside what the queue has of it. The operator's own drop-in makes it short here, and has to
	// outlive every change of version.
	m.run(t, "mkdir -p /etc/systemd/system/breakwater@.service.d && "+
		"printf '[Service]\\nTimeoutStopSec=5s\\n' >/etc/systemd/system/breakwater@.service.d/site.conf && systemctl daemon-reload")

	step("upgrade and downgrade with a full queue", func(t *testing.T) {
		require.NoError(t, s.kafka.Kill())
		require.NoError(t, s.writer.Write(t.Context(), 2000))
		waitQueued(t, m)
		pid := m.mainPID(t, "agent")
		m.run(t, "dpkg --install ./"+next.deb)
		assert.Equal(t, next.version, m.run(t, "dpkg-query --show --showformat '${Version}' breakwater"))
		afterUpgrade := m.waitHealthy(t, "agent")
		assert.NotEqual(t, pid, afterUpgrade, "runs the new version")
		assert.Contains(t, m.run(t, "cat /etc/breakwater/agent.env"), s.kafka.BootstrapServers())
		assert.Contains(t, m.run(t, "tail -1 /etc/breakwater/consumer.yaml"), nextMark)
		require.NoError(t, s.writer.Write(t.Context(), 1000))
		waitQueued(t, m)

		m.run(t, "dpkg --install ./"+this.deb)
		assert.Equal(t, this.version, m.run(t, "dpkg-query --show --showformat '${Version}' breakwater"))
		assert.NotEqual(t, afterUpgrade, m.waitHealthy(t, "agent"))
		assert.Contains(t, m.run(t, "cat /etc/breakwater/agent.env"), s.kafka.BootstrapServers())
		assert.NotContains(t, m.run(t, "cat /etc/breakwater/consumer.yaml"), nextMark)
		require.NoError(t, s.kafka.Start(t.Context()))
		s.requireAllOnce(t)
	})

	step("removed and installed again", func(t *testing.T) {
		output := m.run(t, "apt-get remove -y breakwater")
		assert.Contains(t, output, "queue and positions are kept in /var/lib/breakwater")
		requireGone(t, m)
		m.run(t, "test -s /etc/breakwater/agent.env && test -d /var/lib/breakwater/agent")
		require.NoError(t, s.writer.Write(t.Context(), 500))
		m.run(t, "dpkg --install ./"+this.deb)
		assert.Empty(t, m.run(t, "systemctl list-units --no-legend --plain 'breakwater@*'"), "started by nobody")
		m.run(t, "systemctl enable --now breakwater@agent breakwater@consumer")
		m.waitHealthy(t, "agent")
		s.requireAllOnce(t)
	})

	step("purged", func(t *testing.T) {
		output := m.run(t, "apt-get purge -y breakwater")
		assert.Contains(t, output, "deleting queue and positions")
		requireGone(t, m)
		m.run(t, "test ! -e /etc/breakwater && test ! -e /var/lib/breakwater && test ! -e /usr/share/doc/breakwater")
	})

	step("rpm", func(t *testing.T) {
		// The same machine; rpm knows of none of its packages, and so --nodeps.
		rpm := "rpm --dbpath /var/lib/rpm-test --nodeps "
		m.run(t, rpm+"--install ./"+this.rpm)
		assert.Equal(t, "root:breakwater 640", m.run(t, "stat -c '%U:%G %a' /etc/breakwater/agent.env"))
		m.run(t, s.atThisSite(guideCommands(t)[1]))
		m.run(t, "systemctl enable --now breakwater@agent")
		pid := m.waitHealthy(t, "agent")
		m.run(t, rpm+"--upgrade ./"+next.rpm)
		assert.NotEqual(t, pid, m.waitHealthy(t, "agent"))
		assert.Contains(t, m.run(t, "cat /etc/breakwater/agent.env"), s.kafka.BootstrapServers())
		m.run(t, rpm+"--upgrade --oldpackage ./"+this.rpm)
		m.waitHealthy(t, "agent")
		m.run(t, rpm+"--erase breakwater")
		requireGone(t, m)
		m.run(t, "test -d /var/lib/breakwater/agent && grep -q KAFKA_BROKERS=10 /etc/breakwater/agent.env.rpmsave")
	})
}

// requireGone holds that nothing of the package runs, starts or lies about, but what was set and what is state.
func requireGone(t *testing.T, m *machine) {
	t.Helper()
	assert.Empty(t, m.run(t, "systemctl list-units --all --no-legend --plain 'breakwater@*'"))
	assert.Empty(t, m.run(t, "find /etc/systemd/system -name 'breakwater@*.service'"))
	assert.Empty(t, m.run(t, "ls -d /usr/bin/breakwater* /usr/lib/systemd/system/breakwater* 2>/dev/null || true"))
	assert.Empty(t, m.run(t, "pgrep -u breakwater || true"))
}

// waitQueued waits until the agent has records on its disk that it cannot hand over.
func waitQueued(t *testing.T, m *machine) {
	t.Helper()
	m.eventually(t, time.Minute, func(ctx context.Context) error {
		text, err := m.try(ctx, "exec 3<>/dev/tcp/127.0.0.1/8888; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3")
		if err != nil {
			return err
		}
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "otelcol_exporter_queue_size{") && strings.Contains(line, `data_type="logs"`) {
				size, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
				if err == nil && size == 0 {
					err = fmt.Errorf("the queue is empty")
				}
				return err
			}
		}
		return fmt.Errorf("no otelcol_exporter_queue_size of logs:\n%s", text)
	})
}
