package harness

// VictoriaLogsOptions configures a VictoriaLogs. The zero value will do.
type VictoriaLogsOptions = BackendOptions

// VictoriaLogs is a single-node VictoriaLogs on a loopback port.
type VictoriaLogs struct{ *backend }

// NewVictoriaLogs takes a port and a directory for a VictoriaLogs and starts
// nothing.
func NewVictoriaLogs(opts VictoriaLogsOptions) (*VictoriaLogs, error) {
	b, err := newBackend(opts, "victorialogs", "victoria-logs")
	if err != nil {
		return nil, err
	}
	return &VictoriaLogs{b}, nil
}

// UI returns the URL of the web interface.
func (v *VictoriaLogs) UI() string { return v.url + "/select/vmui/" }
