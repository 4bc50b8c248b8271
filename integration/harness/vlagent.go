package harness

import "path/filepath"

// VLAgentOptions configures a vlagent.
type VLAgentOptions struct {
	Name string // "vlagent" by default
	Dir  string // data and log; a temporary directory by default
	// RemoteURL is the base URL of the VictoriaLogs that it forwards to.
	RemoteURL string
	Args      []string // further flags
	Binary    string   // the cached build by default (package prepare)
}

// VLAgent is a vlagent on a loopback port: it takes logs as VictoriaLogs does, and
// forwards them from a queue on its disk.
type VLAgent struct{ *httpServer }

// NewVLAgent takes a port and a directory for a vlagent and starts nothing.
func NewVLAgent(opts VLAgentOptions) (*VLAgent, error) {
	if opts.Name == "" {
		opts.Name = "vlagent"
	}
	binary, err := cachedBinary(opts.Binary, "vlagent", "-backends")
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
		"-remoteWrite.url=" + opts.RemoteURL + "/internal/insert",
		"-remoteWrite.tmpDataPath=" + filepath.Join(place.dir, "data"),
	}
	return &VLAgent{&httpServer{
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
