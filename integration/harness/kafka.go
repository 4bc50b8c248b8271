package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/netlab"
	"github.com/breakwater-otel/breakwater/integration/prepare"
)

// KafkaOptions configures an Apache Kafka cluster.
type KafkaOptions struct {
	Name    string // "kafka" by default
	Dir     string // data and logs; a temporary directory by default
	Brokers int    // 3 by default
	// Dist is the Kafka to run, from prepare.Preparer.Kafka; StartKafka fills it in.
	Dist prepare.Kafka
	// Properties are added to server.properties of every broker and win over the
	// harness' own.
	Properties map[string]string
	// Clients is a second listener, for the clients of the pipeline under test;
	// the harness' own and the brokers among themselves keep to the first one.
	Clients *KafkaListener
	// Mutual is a third listener, whose clients show a certificate: their user is its
	// subject, such as User:CN=agent.
	Mutual *KafkaTLS
	// Hosts are where the brokers run, one for each; by default they are on the
	// loopback of the machine.
	Hosts []*netlab.Host
	// DiskBytes puts the data of each broker on a disk of that size, which needs
	// Hosts.
	DiskBytes int64
	// JVMArgs are added after the harness' own, such as "-Xmx1g".
	JVMArgs []string
}

// KafkaListener is a listener whose clients are treated otherwise.
type KafkaListener struct {
	// Advertised gives the address that clients of broker i are told; ListenAddr(i)
	// by default. It is asked at every start, so a proxy can be put in between that
	// needs to know ListenAddr.
	Advertised func(broker int) string
	// SASL makes clients log in by SCRAM-SHA-256 and be authorized by ACLs. Who
	// uses the first listener is a super user.
	SASL bool
	// TLS makes it a listener with TLS; with SASL, PLAIN and SCRAM-SHA-512 are taken
	// there, too.
	TLS *KafkaTLS
	// Plain are the users of PLAIN, with their passwords.
	Plain map[string]string
}

// KafkaTLS is what a listener with TLS needs: a file with the broker's key and
// certificate, and one with the authorities of client certificates, all in PEM.
type KafkaTLS struct{ KeyStoreFile, ClientCAFile string }

// Kafka is a cluster of real Apache Kafka brokers on loopback. Every node is
// broker and controller (KRaft): one node is a cluster that works, three nodes
// survive the loss of one. Topics are not created by use.
//
// Brokers are numbered from 1, which is also their node id.
type Kafka struct {
	opts  KafkaOptions
	place *place
	nodes []*Process     // of broker i at [i-1]
	disks []*netlab.Disk // as nodes
}

const (
	brokerStartTimeout = 4 * time.Minute
	brokerStopTimeout  = 30 * time.Second
	// When all stop together, the last ones may lose their quorum first and would
	// then wait minutes for their controlled shutdown.
	clusterStopTimeout = 20 * time.Second
)

// NewKafka takes ports and a directory for a cluster and starts nothing.
// opts.Dist comes from package prepare or from RequireKafka.
func NewKafka(opts KafkaOptions) (*Kafka, error) {
	if opts.Name == "" {
		opts.Name = "kafka"
	}
	if opts.Brokers == 0 {
		opts.Brokers = 3
	}
	if opts.Dist.Java == "" || opts.Dist.Dir == "" {
		return nil, errors.New("KafkaOptions.Dist is empty: it comes from RequireKafka or prepare.Preparer.Kafka")
	}
	if len(opts.Hosts) != 0 && len(opts.Hosts) != opts.Brokers {
		return nil, fmt.Errorf("KafkaOptions.Hosts has %d hosts for %d brokers", len(opts.Hosts), opts.Brokers)
	}
	place, err := newPlace(opts.Name, opts.Dir, portsPerBroker*opts.Brokers)
	if err != nil {
		return nil, err
	}
	k := &Kafka{opts: opts, place: place}
	for i := 1; i <= opts.Brokers; i++ {
		if err := os.MkdirAll(k.nodeDir(i), 0o755); err != nil {
			return nil, errors.Join(err, place.release())
		}
		disk, err := place.mount(k.host(i), k.dataDir(i), opts.DiskBytes)
		if err != nil {
			return nil, errors.Join(err, place.release())
		}
		k.disks = append(k.disks, disk)
		k.nodes = append(k.nodes, NewProcess(ProcessOptions{
			Name:         fmt.Sprintf("%s-%d", opts.Name, i),
			Path:         opts.Dist.Java,
			Args:         append(k.javaArgs(), "kafka.Kafka", k.propertiesFile(i)),
			Env:          []string{"PATH=" + os.Getenv("PATH"), "HOME=" + place.dir},
			Dir:          k.nodeDir(i),
			LogFile:      filepath.Join(k.nodeDir(i), "broker.log"),
			Ready:        func(ctx context.Context) error { return k.brokerReady(ctx, i) },
			StartTimeout: brokerStartTimeout,
			StopTimeout:  brokerStopTimeout,
			Within:       withinHost(k.host(i)),
		}))
	}
	return k, nil
}

// Name returns the name of the cluster in messages.
func (k *Kafka) Name() string { return k.opts.Name }

// Brokers returns the addresses of all brokers, which do not change.
func (k *Kafka) Brokers() []string {
	addrs := make([]string, 0, len(k.nodes))
	for i := range k.nodes {
		addrs = append(addrs, k.addr(i+1))
	}
	return addrs
}

// BootstrapServers returns Brokers joined by commas, as in KAFKA_BROKERS.
func (k *Kafka) BootstrapServers() string { return strings.Join(k.Brokers(), ",") }

// ListenAddr returns the address of the second listener of broker i, from 1 on.
func (k *Kafka) ListenAddr(i int) string { return hostAddr(k.host(i), k.port(i, clientPort)) }

// MutualBrokers returns the addresses of the third listener.
func (k *Kafka) MutualBrokers() []string {
	addrs := make([]string, 0, len(k.nodes))
	for i := range k.nodes {
		addrs = append(addrs, hostAddr(k.host(i+1), k.port(i+1, mutualPort)))
	}
	return addrs
}

// ClientBrokers returns the addresses that the second listener advertises.
func (k *Kafka) ClientBrokers() []string {
	addrs := make([]string, 0, len(k.nodes))
	for i := range k.nodes {
		addrs = append(addrs, k.advertised(i+1))
	}
	return addrs
}

// NewClient makes a client of the first listener, which reaches the brokers
// whatever the links of their hosts do.
func (k *Kafka) NewClient(opts ...kgo.Opt) (*KafkaClient, error) {
	return NewKafkaClient(k.Brokers(), append(k.dialOpts(), opts...)...)
}

func (k *Kafka) dialOpts() []kgo.Opt {
	if len(k.opts.Hosts) == 0 {
		return nil
	}
	return []kgo.Opt{kgo.Dialer(k.opts.Hosts[0].Lab().DialContext)}
}

// Disk returns the disk of broker i, from 1 on; nil without DiskBytes.
func (k *Kafka) Disk(i int) *netlab.Disk { return k.disks[i-1] }

// Broker returns the process of broker i, from 1 on, for its signals and its log.
func (k *Kafka) Broker(i int) *Process { return k.nodes[i-1] }

// Start starts all brokers that do not run and returns when every one of them
// knows all the others. Storage is formatted the first time.
func (k *Kafka) Start(ctx context.Context) error {
	if err := k.format(ctx); err != nil {
		return err
	}
	for _, node := range k.nodes {
		if node.Running() {
			continue
		}
		if err := node.Launch(); err != nil {
			return err
		}
	}
	// None becomes ready before a quorum of them runs.
	for _, node := range k.nodes {
		if err := node.WaitReady(ctx); err != nil {
			return err
		}
	}
	return k.Ready(ctx)
}

// Stop stops all brokers that run. Those that lose their quorum while they stop
// are killed when the grace is over, which is no error: Kafka recovers its log at
// the next start.
func (k *Kafka) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterStopTimeout)
	defer cancel()
	return k.all(func(node *Process) error {
		err := node.Stop(ctx)
		if errors.Is(err, ErrStopTimeout) {
			return nil
		}
		return err
	})
}

// Kill kills all brokers at once.
func (k *Kafka) Kill() error { return k.all((*Process).Kill) }

// all does the same to all brokers at once.
func (k *Kafka) all(do func(*Process) error) error {
	errs := make([]error, len(k.nodes))
	var wg sync.WaitGroup
	for i, node := range k.nodes {
		wg.Go(func() { errs[i] = do(node) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Restart stops all brokers and starts them again.
func (k *Kafka) Restart(ctx context.Context) error {
	if err := k.Stop(ctx); err != nil {
		return err
	}
	return k.Start(ctx)
}

// StartBroker starts broker i and returns when it has joined the cluster.
func (k *Kafka) StartBroker(ctx context.Context, i int) error { return k.Broker(i).Start(ctx) }

// StopBroker stops broker i in order: it hands its partitions over first.
func (k *Kafka) StopBroker(ctx context.Context, i int) error { return k.Broker(i).Stop(ctx) }

// KillBroker kills broker i at once. The cluster notices after the broker's
// session timeout (9 s by default).
func (k *Kafka) KillBroker(i int) error { return k.Broker(i).Kill() }

// LogTail returns the last lines of every broker's log, at most n of each.
func (k *Kafka) LogTail(n int) string {
	var b strings.Builder
	for _, node := range k.nodes {
		fmt.Fprintf(&b, "-- %s --\n%s\n", node.Name(), node.LogTail(n))
	}
	return b.String()
}

// Close stops all brokers and removes what the harness made for them. Nothing is
// kept, so nothing has to be handed over: the brokers are killed.
func (k *Kafka) Close() error {
	var errs []error
	for _, node := range k.nodes {
		if run := node.current(); run != nil && run.done() {
			errs = append(errs, node.endError(run))
		}
	}
	return errors.Join(append(errs, k.Kill(), k.place.release())...)
}

// The ports of a broker.
const (
	brokerPort = iota
	controllerPort
	clientPort
	mutualPort
	portsPerBroker
)

func (k *Kafka) port(i, which int) int       { return k.place.ports[portsPerBroker*(i-1)+which] }
func (k *Kafka) addr(i int) string           { return hostAddr(k.host(i), k.port(i, brokerPort)) }
func (k *Kafka) controllerAddr(i int) string { return hostAddr(k.host(i), k.port(i, controllerPort)) }

func (k *Kafka) advertised(i int) string {
	if k.opts.Clients != nil && k.opts.Clients.Advertised != nil {
		return k.opts.Clients.Advertised(i)
	}
	return k.ListenAddr(i)
}

func (k *Kafka) host(i int) *netlab.Host {
	if len(k.opts.Hosts) == 0 {
		return nil
	}
	return k.opts.Hosts[i-1]
}

func (k *Kafka) nodeDir(i int) string {
	return filepath.Join(k.place.dir, fmt.Sprintf("broker-%d", i))
}
func (k *Kafka) dataDir(i int) string { return filepath.Join(k.nodeDir(i), "data") }

// dataPath is where this process sees dataDir, which may be on a disk of the host.
func (k *Kafka) dataPath(i int) string {
	if disk := k.disks[i-1]; disk != nil {
		return disk.Path()
	}
	return k.dataDir(i)
}

func (k *Kafka) propertiesFile(i int) string { return filepath.Join(k.nodeDir(i), "server.properties") }
