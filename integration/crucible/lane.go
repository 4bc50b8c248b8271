package crucible

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
	"github.com/breakwater-otel/breakwater/integration/prepare"
)

const (
	brokerCount = 3
	// brokerDisk is a disk in memory, so that it can be full. The log directories of all cases of a lane are on it, each
	// only for the time of the case.
	brokerDisk = 512 << 20
	// sessionLifetime is after how long a client has to log in again, in the secure cases.
	sessionLifetime = 3 * time.Second
	// healTimeout is how long the brokers may take to be in sync again.
	healTimeout = 90 * time.Second
)

// lane is a cluster of brokers, and the machine around it. Cases run in it one after the other.
type lane struct {
	dir    string
	links  links
	kafka  *harness.Kafka
	client *harness.KafkaClient
	cases  int
}

// newLane starts a cluster.
func newLane(ctx context.Context, dir string, seed uint64, loopback bool, dist prepare.Kafka) (l *lane, err error) {
	l = &lane{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return l, err
	}
	opts := harness.KafkaOptions{
		Name: "broker", Dir: filepath.Join(dir, "kafka"), Brokers: brokerCount, Dist: dist,
		Properties: map[string]string{
			// Deleted topics of earlier cases make room at once.
			"log.segment.delete.delay.ms":     "1000",
			"log.retention.check.interval.ms": "5000",
			// On a machine that is busy with other work a start takes longer than the minute of the default.
			"initial.broker.registration.timeout.ms":          "300000",
			"listener.name.clients.connections.max.reauth.ms": fmt.Sprint(sessionLifetime.Milliseconds()),
		},
	}
	if l.links, err = newLinks(seed, loopback, &opts); err != nil {
		return l, err
	}
	if l.kafka, err = harness.NewKafka(opts); err != nil {
		return l, err
	}
	if err := l.links.attach(l.kafka); err != nil {
		return l, err
	}
	if err := l.kafka.Start(ctx); err != nil {
		return l, err
	}
	if l.client, err = l.kafka.NewClient(); err != nil {
		return l, err
	}
	return l, nil
}

// host is where a part runs; nil for the loopback of the machine.
func (l *lane) host(name string) (*netlab.Host, error) { return l.links.host(name) }

// heal brings the cluster back to what it was before a case.
func (l *lane) heal(ctx context.Context, topics ...string) error {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	l.links.heal()
	for i := range brokerCount {
		if disk := l.kafka.Disk(i + 1); disk != nil {
			if err := disk.Free(); err != nil {
				return err
			}
		}
		broker := l.kafka.Broker(i + 1)
		if !broker.Running() {
			_, _ = broker.Wait(ctx) // the end of a broker was meant, or is told by its case
		}
	}
	if err := l.kafka.Start(ctx); err != nil {
		return err
	}
	return l.client.WaitISR(ctx, brokerCount, topics...)
}

// allow makes the users of the secure cases and lets them do what agents and consumers do.
func (l *lane) allow(ctx context.Context) error {
	if err := l.setPasswords(ctx, agentUser, consumerUser); err != nil {
		return err
	}
	for _, acl := range []*kadm.ACLBuilder{agentACL(), consumerACL()} {
		results, err := l.client.Admin().CreateACLs(ctx, acl)
		if err != nil {
			return err
		}
		for _, r := range results {
			if r.Err != nil {
				return r.Err
			}
		}
	}
	return nil
}

// agentACL lets the agents write to every topic.
func agentACL() *kadm.ACLBuilder {
	return kadm.NewACLs().Topics("*").ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpWrite, kadm.OpDescribe).Allow("User:" + agentUser).AllowHosts("*")
}

func consumerACL() *kadm.ACLBuilder {
	return kadm.NewACLs().Topics("*").Groups("*").ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpRead, kadm.OpWrite, kadm.OpDescribe).Allow("User:" + consumerUser).AllowHosts("*")
}

func (l *lane) setPasswords(ctx context.Context, users ...string) error {
	var upserts []kadm.UpsertSCRAM
	for _, user := range users {
		upserts = append(upserts, kadm.UpsertSCRAM{
			User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password(user),
		})
	}
	altered, err := l.client.Admin().AlterUserSCRAMs(ctx, nil, upserts)
	return errors.Join(err, altered.Error())
}

func (l *lane) deletePasswords(ctx context.Context, users ...string) error {
	var deletes []kadm.DeleteSCRAM
	for _, user := range users {
		deletes = append(deletes, kadm.DeleteSCRAM{User: user, Mechanism: kadm.ScramSha256})
	}
	altered, err := l.client.Admin().AlterUserSCRAMs(ctx, deletes, nil)
	return errors.Join(err, altered.Error())
}

// offsets are the positions in the partitions of topics.
type offsets map[string]map[int32]int64

func (o offsets) set(topic string, partition int32, at int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = max(o[topic][partition], at)
}

// missing is how many offsets of o are beyond those of done.
func (o offsets) missing(done offsets) int64 {
	var n int64
	for topic, partitions := range o {
		for partition, at := range partitions {
			n += max(0, at-done[topic][partition])
		}
	}
	return n
}

// ends are the ends of topics.
func (l *lane) ends(ctx context.Context, topics ...string) (offsets, error) {
	listed, err := l.client.Admin().ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, listed.Error()); err != nil {
		return nil, err
	}
	ends := offsets{}
	listed.Each(func(o kadm.ListedOffset) { ends.set(o.Topic, o.Partition, o.Offset) })
	return ends, nil
}

// committed is what the groups of a prefix have committed. A group may add to the prefix, such as the name of a signal.
func (l *lane) committed(ctx context.Context, prefix string) (offsets, error) {
	groups, err := l.client.Admin().ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	done := offsets{}
	for _, name := range groups.Groups() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		of, err := l.client.Committed(ctx, name)
		if err != nil {
			return nil, err
		}
		for topic, partitions := range of {
			for partition, at := range partitions {
				done.set(topic, partition, at)
			}
		}
	}
	return done, nil
}

// lag is how many messages of the topics no group of a prefix has committed.
func (l *lane) lag(ctx context.Context, prefix string, topics ...string) (int64, error) {
	ends, err := l.ends(ctx, topics...)
	if err != nil {
		return 0, err
	}
	done, err := l.committed(ctx, prefix)
	return ends.missing(done), err
}

// deleteTopics makes room for the next case.
func (l *lane) deleteTopics(ctx context.Context, topics ...string) error {
	_, err := l.client.Admin().DeleteTopics(ctx, topics...)
	return err
}

func (l *lane) close() error {
	var errs []error
	if l.client != nil {
		l.client.Close()
	}
	if l.kafka != nil {
		errs = append(errs, l.kafka.Close())
	}
	if l.links != nil {
		errs = append(errs, l.links.close())
	}
	return errors.Join(errs...)
}
