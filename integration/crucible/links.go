package crucible

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
)

const (
	lossShare = 0.3
	delayTime = 500 * time.Millisecond // there and back
)

// links are the ways between the parts, by the names of the parts.
type links interface {
	// attach is told of the brokers before they are started.
	attach(k *harness.Kafka) error
	// host is where a part runs; nil is the loopback of the machine.
	host(name string) (*netlab.Host, error)
	// address is where one part reaches the listener of another.
	address(from, to, addr string) (string, error)
	// brokers are the addresses of the brokers for agents and consumers.
	brokers(k *harness.Kafka, secure bool) []string
	// secure tells whether agents and consumers have to log in in every case.
	secure() bool
	// dialOpts let a client of this process reach the brokers.
	dialOpts() []kgo.Opt

	isolate(name string) error
	oneWay(from, to string) error
	lose(name string) error
	delay(name string) error
	reset(from, to string) error
	heal()
	// emulated says what a fault is instead of what its name says; empty when it is just that.
	emulated(f Fault) string

	// forget is called when the parts of a case are gone.
	forget() error
	close() error
}

// newLinks makes hosts where the machine allows it, and sets where the brokers run.
func newLinks(seed uint64, loopback bool, opts *harness.KafkaOptions) (links, error) {
	if !loopback && netlab.Supported() == nil {
		return newLabLinks(seed, opts)
	}
	return newProxyLinks(seed, opts), nil
}

// labLinks are those of hosts in namespaces.
type labLinks struct{ lab *netlab.Lab }

func newLabLinks(seed uint64, opts *harness.KafkaOptions) (*labLinks, error) {
	lab, err := netlab.New(netlab.WithSeed(seed))
	if err != nil {
		return nil, err
	}
	l := &labLinks{lab: lab}
	if opts.Hosts, err = l.hosts(Brokers); err != nil {
		return l, err
	}
	opts.DiskBytes = brokerDisk
	opts.Clients = &harness.KafkaListener{SASL: true}
	return l, nil
}

func (*labLinks) attach(*harness.Kafka) error { return nil }

func (l *labLinks) host(name string) (*netlab.Host, error) { return l.lab.Host(name) }

func (*labLinks) address(_, _, addr string) (string, error) { return addr, nil }

func (*labLinks) brokers(k *harness.Kafka, secure bool) []string {
	if secure {
		return k.ClientBrokers()
	}
	return k.Brokers()
}

func (*labLinks) secure() bool { return false }

func (l *labLinks) dialOpts() []kgo.Opt { return []kgo.Opt{kgo.Dialer(l.lab.DialContext)} }

// hosts returns the hosts of a part or of all brokers.
func (l *labLinks) hosts(name string) ([]*netlab.Host, error) {
	var hosts []*netlab.Host
	for _, name := range members(name) {
		host, err := l.lab.Host(name)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// each calls do for every link from one of the hosts to one of the others.
func (l *labLinks) each(from, to string, do func(*netlab.Link)) error {
	sources, err := l.hosts(from)
	if err != nil {
		return err
	}
	targets, err := l.hosts(to)
	if err != nil {
		return err
	}
	for _, source := range sources {
		for _, target := range targets {
			do(l.lab.Link(source, target))
		}
	}
	return nil
}

func (l *labLinks) impair(name string, i netlab.Impairment) error {
	hosts, err := l.hosts(name)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		l.lab.Impair(host, i)
	}
	return nil
}

func (l *labLinks) isolate(name string) error { return l.impair(name, netlab.Impairment{Cut: true}) }

func (l *labLinks) lose(name string) error { return l.impair(name, netlab.Impairment{Loss: lossShare}) }

func (l *labLinks) delay(name string) error {
	return l.impair(name, netlab.Impairment{Delay: delayTime / 2})
}

func (l *labLinks) oneWay(from, to string) error {
	return l.each(from, to, func(link *netlab.Link) { link.Set(netlab.Impairment{Cut: true}) })
}

func (l *labLinks) reset(from, to string) error {
	return l.each(from, to, func(link *netlab.Link) { link.Reset(1) })
}

func (l *labLinks) heal() { l.lab.Heal() }

func (*labLinks) emulated(Fault) string { return "" }

func (*labLinks) forget() error { return nil }

func (l *labLinks) close() error { return l.lab.Close() }
