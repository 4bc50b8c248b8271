package liveextension

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the metrics backend is asked. Both are by the labels that the agent stamps; timestamp() and a subquery say when the
// newest sample is from, in VictoriaMetrics and in Prometheus.
const (
	// An agent is a host that has sent host metrics, or its own, in the last hour.
	lastSeenQuery = `max_over_time(max by (site_name, env, host_name) (timestamp({__name__=~"system_cpu_load_average_1m|system_memory_usage(_bytes)?|otelcol_process_uptime(_seconds)?(_total)?", host_name!="", job!="breakwater/consumer"}))[1h:30s])`
	// The disk queues of agents that send their own metrics. Those of this process are known without.
	queueQuery    = `max by (__name__, site_name, env, host_name, exporter, data_type) ({__name__=~"otelcol_exporter_queue_(size|capacity)", host_name!="", job!="breakwater/consumer"})`
	queueGrowth   = `max by (site_name, env, host_name, exporter, data_type) (deriv({__name__="otelcol_exporter_queue_size", host_name!="", job!="breakwater/consumer"}[10m]))`
	maxQueryBytes = 16 << 20
)

// agentQuerier asks the metrics backend for agents.
type agentQuerier struct {
	client *http.Client
	base   string
	now    func() time.Time
}

// hostKey is the labels of an agent.
type hostKey struct{ site, env, host string }

// ask asks once.
func (q *agentQuerier) ask(ctx context.Context) (*Agents, error) {
	at := q.now()
	seen, err := q.query(ctx, lastSeenQuery, at)
	if err != nil {
		return nil, err
	}
	queues, err := q.query(ctx, queueQuery, at)
	if err != nil {
		return nil, err
	}
	growth, err := q.query(ctx, queueGrowth, at)
	if err != nil {
		return nil, err
	}
	byHost := map[hostKey]*Agent{}
	for _, s := range seen {
		key := hostOf(s)
		byHost[key] = &Agent{Site: key.site, Env: key.env, Host: key.host, LastSeen: time.UnixMilli(int64(s.value * 1000)).UTC()}
	}
	for _, s := range queues {
		agent := byHost[hostOf(s)]
		if agent == nil {
			continue // its last sample is older than an hour, or newer than the first answer
		}
		i := slices.IndexFunc(agent.Queues, func(q Queue) bool {
			return q.Exporter == s.labels["exporter"] && q.Signal == s.labels["data_type"]
		})
		if i < 0 {
			i = len(agent.Queues)
			agent.Queues = append(agent.Queues, Queue{Exporter: s.labels["exporter"], Signal: s.labels["data_type"]})
		}
		if s.labels["__name__"] == queueSize {
			agent.Queues[i].Size = s.value
		} else {
			agent.Queues[i].Capacity = s.value
		}
	}
	for _, s := range growth {
		if agent := byHost[hostOf(s)]; agent != nil {
			for i, queue := range agent.Queues {
				if queue.Exporter == s.labels["exporter"] && queue.Signal == s.labels["data_type"] {
					agent.Queues[i].FullInSeconds = fullIn(queue, s.value)
				}
			}
		}
	}
	agents := &Agents{Asked: at}
	for _, agent := range byHost {
		slices.SortFunc(agent.Queues, func(a, b Queue) int {
			return cmp.Or(cmp.Compare(a.Exporter, b.Exporter), cmp.Compare(a.Signal, b.Signal))
		})
		agents.Hosts = append(agents.Hosts, *agent)
	}
	slices.SortFunc(agents.Hosts, func(a, b Agent) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Env, b.Env))
	})
	return agents, nil
}

func hostOf(s sample) hostKey {
	return hostKey{s.labels["site_name"], s.labels["env"], s.labels["host_name"]}
}

// query is an instant query. Its errors hold neither the URL nor what was answered: both may have secrets.
func (q *agentQuerier) query(ctx context.Context, query string, at time.Time) ([]sample, error) {
	target := strings.TrimSuffix(q.base, "/") + "/api/v1/query?" + url.Values{
		"query": {query}, "time": {strconv.FormatInt(at.Unix(), 10)},
		// VictoriaMetrics hides the last 30 s by default, in which not all series may have their sample yet.
		"latency_offset": {"1ms"},
	}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, errors.New("the URL of queries is not one")
	}
	response, err := q.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxQueryBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer breaks off: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the query was answered with %d", response.StatusCode)
	case len(body) > maxQueryBytes:
		return nil, fmt.Errorf("the answer is over %s", size(maxQueryBytes))
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"` // time, value as text
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errors.New("the answer is not that of a query API of Prometheus")
	}
	samples := make([]sample, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		value, err := strconv.ParseFloat(strings.Trim(string(r.Value[1]), `"`), 64)
		if err != nil {
			return nil, errors.New("the answer has a value that is not a number")
		}
		samples = append(samples, sample{r.Metric, value})
	}
	return samples, nil
}

// withoutURL returns the error of a request without the URL, in which there may be a password.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
