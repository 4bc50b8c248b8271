package crucible

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/netlab"
	"github.com/breakwater-otel/breakwater/integration/netlab/proxy"
)

// proxyLinks are proxies on the loopback of the machine. There is one from each agent and consumer to each backend. Kafka
// tells all its clients the same addresses, so there is one to each broker, for all of them.
type proxyLinks struct {
	seed uint64

	mu    sync.Mutex
	byWay map[way]*proxy.TCPProxy
	set   map[way]proxy.Impairment
}

// way is from a client to a server. Everybody is the client of a broker.
type way struct{ from, to string }

const everybody = "*"

func newProxyLinks(seed uint64, opts *harness.KafkaOptions) *proxyLinks {
	l := &proxyLinks{seed: seed, byWay: map[way]*proxy.TCPProxy{}, set: map[way]proxy.Impairment{}}
	opts.Clients = &harness.KafkaListener{SASL: true, Advertised: func(broker int) string {
		return l.byWay[way{everybody, brokerName(broker)}].Addr()
	}}
	return l
}

func (l *proxyLinks) attach(k *harness.Kafka) error {
	for i := range brokerCount {
		if _, err := l.address(everybody, brokerName(i+1), k.ListenAddr(i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (*proxyLinks) host(string) (*netlab.Host, error) { return nil, nil } //nolint:nilnil // nil is the loopback

func (l *proxyLinks) address(from, to, addr string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.byWay[way{from, to}]; ok {
		return p.Addr(), nil // a part that takes the place of one before
	}
	p, err := proxy.New(addr, l.seed+uint64(len(l.byWay)))
	if err != nil {
		return "", err
	}
	l.byWay[way{from, to}] = p
	return p.Addr(), nil
}

func (*proxyLinks) brokers(k *harness.Kafka, _ bool) []string { return k.ClientBrokers() }

func (*proxyLinks) secure() bool { return true }

func (*proxyLinks) dialOpts() []kgo.Opt { return nil }

// isBroker tells whether a name is that of a broker or of all of them.
func isBroker(name string) bool { return name == Brokers || strings.HasPrefix(name, "broker-") }

// ways returns those that have the part at one end; those of the brokers are everybody's.
func (l *proxyLinks) ways(name string) []way {
	var found []way
	for w := range l.byWay {
		if slices.Contains(members(name), w.to) || w.from == name || w.from == everybody && !isBroker(name) && !isBackend(name) {
			found = append(found, w)
		}
	}
	return found
}

func isBackend(name string) bool {
	return name == VictoriaLogs || name == VictoriaMetrics || name == Loki
}

// between returns the ways of two parts, and whether data of from goes towards the server.
func (l *proxyLinks) between(from, to string) (ways []way, toServer bool) {
	client, server := from, to
	toServer = isBroker(to) || isBackend(to)
	if !toServer {
		client, server = to, from
	}
	for w := range l.byWay {
		if slices.Contains(members(server), w.to) && (w.from == client || w.from == everybody) {
			ways = append(ways, w)
		}
	}
	return ways, toServer
}

// change changes what is wrong with some ways.
func (l *proxyLinks) change(ways []way, change func(*proxy.Impairment)) {
	for _, w := range ways {
		i := l.set[w]
		change(&i)
		l.set[w] = i
		l.byWay[w].Set(i)
	}
}

func (l *proxyLinks) both(name string, d proxy.Direction) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(l.ways(name), func(i *proxy.Impairment) { *i = proxy.Both(d) })
	return nil
}

func (l *proxyLinks) isolate(name string) error { return l.both(name, proxy.Direction{Cut: true}) }

func (l *proxyLinks) lose(name string) error { return l.both(name, proxy.Direction{Loss: lossShare}) }

func (l *proxyLinks) delay(name string) error {
	return l.both(name, proxy.Direction{Delay: delayTime / 2})
}

func (l *proxyLinks) oneWay(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ways, toServer := l.between(from, to)
	l.change(ways, func(i *proxy.Impairment) {
		if toServer {
			i.ToTarget.Cut = true
		} else {
			i.ToClient.Cut = true
		}
	})
	return nil
}

func (l *proxyLinks) reset(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ways, _ := l.between(from, to)
	for _, w := range ways {
		l.byWay[w].Reset(1)
	}
	return nil
}

func (l *proxyLinks) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w, p := range l.byWay {
		p.Set(proxy.Impairment{})
		p.Reset(0)
		delete(l.set, w)
	}
}

func (*proxyLinks) emulated(f Fault) string {
	var texts []string
	switch f.Kind {
	case Loss:
		texts = append(texts, "in the place of lost packets, connections stall and are reset")
	case Cut, OneWay, Reset, Delay:
	default:
		return ""
	}
	for _, name := range []string{f.Target, f.Peer} {
		if name != "" && !isBroker(name) && !isBackend(name) {
			texts = append(texts, "towards the brokers it concerns all agents and consumers")
			break
		}
	}
	return strings.Join(texts, "; ")
}

// forget closes the proxies of the backends.
func (l *proxyLinks) forget() error {
	return l.closeAll(func(w way) bool { return w.from != everybody })
}

func (l *proxyLinks) close() error { return l.closeAll(func(way) bool { return true }) }

func (l *proxyLinks) closeAll(which func(way) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for w, p := range l.byWay {
		if which(w) {
			errs = append(errs, p.Close())
			delete(l.byWay, w)
			delete(l.set, w)
		}
	}
	return errors.Join(errs...)
}
