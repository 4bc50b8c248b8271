package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"
)

// VMAlertOptions configures a vmalert.
type VMAlertOptions struct {
	Name string // "vmalert" by default
	Dir  string // log; a temporary directory by default
	// Rules are files of rules.
	Rules []string
	// URL is the base URL of the VictoriaMetrics that is asked, and that gets the
	// series ALERTS.
	URL    string
	Args   []string // further flags
	Binary string   // the cached build by default (package prepare)
}

// VMAlert is a vmalert on a loopback port. It notifies nobody; Alerts says what fires.
type VMAlert struct{ *httpServer }

// NewVMAlert takes a port and a directory for a vmalert and starts nothing.
func NewVMAlert(opts VMAlertOptions) (*VMAlert, error) {
	if opts.Name == "" {
		opts.Name = "vmalert"
	}
	binary, err := cachedBinary(opts.Binary, "vmalert", "-vmalert")
	if err != nil {
		return nil, err
	}
	place, err := newPlace(opts.Name, opts.Dir, 1)
	if err != nil {
		return nil, err
	}
	addr := Loopback(place.ports[0])
	client := hostClient(nil)
	flags := []string{
		"-httpListenAddr=" + addr,
		"-datasource.url=" + opts.URL,
		"-remoteWrite.url=" + opts.URL,
		"-notifier.blackhole",
		// By default a rule does not see the last 30 s.
		"-rule.evalDelay=0s",
		"-remoteWrite.flushInterval=1s",
	}
	for _, file := range opts.Rules {
		flags = append(flags, "-rule="+file)
	}
	return &VMAlert{&httpServer{
		Process: NewProcess(ProcessOptions{
			Name:    opts.Name,
			Path:    binary,
			Args:    append(flags, opts.Args...),
			Dir:     place.dir,
			LogFile: filepath.Join(place.dir, opts.Name+".log"),
			Ready:   httpReady(client, "http://"+addr+"/health"),
		}),
		place:  place,
		url:    "http://" + addr,
		client: client,
	}}, nil
}

// Alert is an alert that is pending or fires.
type Alert struct {
	Name        string            `json:"name"`
	State       string            `json:"state"` // "pending" or "firing"
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	ActiveAt    time.Time         `json:"activeAt"`
}

// Alerts returns the alerts that are pending or fire.
func (v *VMAlert) Alerts(ctx context.Context) ([]Alert, error) {
	body, err := httpGet(ctx, v.client, v.url+"/api/v1/alerts")
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var answer struct {
		Data struct {
			Alerts []Alert `json:"alerts"`
		} `json:"data"`
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("alerts of %s: %w", v.Name(), err)
	}
	return answer.Data.Alerts, nil
}
