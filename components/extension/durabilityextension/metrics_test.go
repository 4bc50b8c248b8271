package durabilityextension

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const page = `# HELP vm_app_start_timestamp 7
vm_app_start_timestamp_of_another 5
vm_app_start_timestamp 1795526406
vm_app_uptime_seconds 3
flag{name="inmemoryDataFlushInterval", value="5s", is_set="false"} 1
process_start_time_seconds 1795526406
`

func TestReadSample(t *testing.T) {
	long := strings.Repeat("x", 3*maxLineBytes)
	for name, c := range map[string]struct {
		text string
		kind BackendType
		want sample
		err  error
	}{
		"victorialogs": {text: page, kind: VictoriaLogs,
			want: sample{start: 1795526406, uptime: 3 * time.Second, flushInterval: 5 * time.Second}},
		"loki": {text: "process_start_time_seconds 1.79552640612e+09\n", kind: Loki, want: sample{start: 1795526406.12}},
		"labels, a time, spaces": {
			text: "vm_app_start_timestamp{a=\"}\\\" 1\", b=\"\\\\\"}  5 1795526406000\r\n" +
				"  vm_app_uptime_seconds\t8\n" +
				`flag{value="7s",name="inmemoryDataFlushInterval",is_set="true"} 1` + "\n",
			kind: VictoriaMetrics, want: sample{start: 5, uptime: 8 * time.Second, flushInterval: 7 * time.Second}},
		"flags of other names and values": {
			text: "vm_app_start_timestamp 5\nvm_app_uptime_seconds 8\n" +
				`flag{name="x",value="name=\"inmemoryDataFlushInterval\""} 1` + "\n" +
				`flag{name="inmemoryDataFlushInterval",value="secret"} 1` + "\n" +
				`flag{name="inmemoryDataFlushInterval",value="9s} 1` + "\n" +
				`flag{name=inmemoryDataFlushInterval,value=9s} 1` + "\nflag{} 1\nflag 1\nflag{name} 1\n",
			kind: VictoriaMetrics, want: sample{start: 5, uptime: 8 * time.Second}},
		"long lines": {
			text: long + "\nvm_app_start_timestamp 5\n" + long + "\nvm_app_uptime_seconds 8\nvm_app_start_timestamp" + long + " 6\n",
			kind: VictoriaLogs, want: sample{start: 5, uptime: 8 * time.Second}},
		"the same start time twice": {text: "vm_app_start_timestamp 5\nvm_app_start_timestamp 5\nvm_app_uptime_seconds 8\n",
			kind: VictoriaLogs, want: sample{start: 5, uptime: 8 * time.Second}},
		"two processes":      {text: "vm_app_start_timestamp 5\nvm_app_start_timestamp{a=\"b\"} 6\n", kind: VictoriaLogs, err: errAmbiguous},
		"empty":              {kind: VictoriaLogs, err: errNoStart},
		"a web page":         {text: "<html><body>Hello</body></html>\n", kind: VictoriaLogs, err: errNoStart},
		"prometheus":         {text: "process_start_time_seconds 1.79552640612e+09\n", kind: Prometheus, want: sample{start: 1795526406.12}},
		"of another backend": {text: page, kind: Loki, want: sample{start: 1795526406}},
		"loki as another":    {text: "process_start_time_seconds 5\n", kind: VictoriaLogs, err: errNoStart},
		"no uptime":          {text: "vm_app_start_timestamp 5\n", kind: VictoriaLogs, err: errNoUptime},
		"cut off":            {text: "vm_app_uptime_seconds 8\nvm_app_start_timestamp 17955", kind: VictoriaLogs, err: errNoStart},
		"not a number":       {text: "vm_app_start_timestamp x\n", kind: VictoriaLogs, err: errNotANumber},
		"NaN":                {text: "vm_app_start_timestamp NaN\n", kind: VictoriaLogs, err: errNotANumber},
		"infinite":           {text: "vm_app_start_timestamp +Inf\n", kind: VictoriaLogs, err: errNotANumber},
		"zero":               {text: "vm_app_start_timestamp 0\n", kind: VictoriaLogs, err: errNotANumber},
		"no value":           {text: "vm_app_start_timestamp \n", kind: VictoriaLogs, err: errNoStart},
		"negative uptime":    {text: "vm_app_start_timestamp 5\nvm_app_uptime_seconds -8\n", kind: VictoriaLogs, err: errNotANumber},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readSample(strings.NewReader(c.text), c.kind)
			if c.err != nil {
				assert.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.InDelta(t, c.want.start, got.start, 0.001)
			got.start = c.want.start
			assert.Equal(t, c.want, got)
		})
	}
}

// endless is a page that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "vm_x 1\n"[(e.read+i)%7]
	}
	e.read += len(p)
	return len(p), nil
}

func TestReadSampleIsBounded(t *testing.T) {
	for name, prefix := range map[string]string{"lines": "", "one line": strings.Repeat("x", maxMetricsBytes)} {
		t.Run(name, func(t *testing.T) {
			e := &endless{}
			_, err := readSample(io.MultiReader(strings.NewReader(prefix), e), VictoriaLogs)
			require.ErrorIs(t, err, errTooLarge)
			assert.LessOrEqual(t, e.read, maxMetricsBytes+2*maxLineBytes)
		})
	}
}

func TestReadSampleOfABrokenConnection(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := readSample(io.MultiReader(strings.NewReader(page), errReader{broken}), VictoriaLogs)
	require.ErrorIs(t, err, broken)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func FuzzReadSample(f *testing.F) {
	f.Add(page)
	f.Add("flag{name=\"a\\\"\",value=\"} 1\n")
	f.Add("vm_app_start_timestamp{")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []BackendType{VictoriaLogs, Loki} {
			s, err := readSample(strings.NewReader(text), kind)
			if err == nil {
				require.Positive(t, s.start)
				require.GreaterOrEqual(t, s.uptime, time.Duration(0))
				require.GreaterOrEqual(t, s.flushInterval, time.Duration(0))
			}
		}
	})
}
