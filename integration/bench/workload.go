package bench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/internal/topics"
)

// Workload is the records of a backlog: the same every time, but for their timestamps.
type Workload struct {
	Messages          int
	RecordsPerMessage int
	Start             time.Time // of the first record
	// FluentBit makes messages as Fluent Bit writes them, one record of JSON in each, and not OTLP.
	FluentBit bool
}

// Topic is where the messages belong.
func (w Workload) Topic() string {
	which := topics.Logs
	if w.FluentBit {
		which = topics.FluentBit
	}
	return topics.Defaults(noEnv)[which].Name
}

// Records is how many records there are.
func (w Workload) Records() int { return w.Messages * w.RecordsPerMessage }

// fields are the fields of a record beside _time and _msg, in their order. Labels are on the record and not on the
// resource as well, where the agent puts them too: VictoriaLogs would store them twice when they come by OTLP, and the
// comparison would be one of 11 fields with 17.
var fields = []string{
	"site_name", "env", "host_name", "service_name", "service_namespace", "job", "log.file.name", "log.file.path", "line",
}

type record struct {
	time    time.Time
	message string
	values  [9]string // of fields
}

// hosts is how many agents the messages are of; each makes a log stream.
const hosts = 20

// perHost is how many records follow one another from the same host.
const perHost = 2000

func (w Workload) record(message, i int) record {
	n := message*w.RecordsPerMessage + i
	// Digits that do not repeat, so that compression is not flattered.
	id := uint64(n+1) * 0x9e3779b97f4a7c15
	return record{
		time: w.Start.Add(time.Duration(n) * time.Microsecond),
		message: fmt.Sprintf(`%s INFO request done method=GET proto=HTTP/2 path=/api/v1/customers/%d/orders/%d status=%d bytes=%d duration=%d.%03dms trace_id=%016x%016x`,
			w.Start.Add(time.Duration(n)*time.Microsecond).Format(time.RFC3339Nano), id%100_000, n, 200+n%5, id%20_000, id%900, id%1000, id, id*31),
		values: [...]string{
			"site-frankfurt-1", "production", fmt.Sprintf("host-%02d.example", message*w.RecordsPerMessage/perHost%hosts), "checkout", "shop", "shop/checkout",
			"app.log", "/var/log/shop/checkout/app.log", strconv.Itoa(n),
		},
	}
}

// Message returns an OTLP message as the agent's Kafka exporter writes it, or a message of Fluent Bit.
func (w Workload) Message(message int) ([]byte, error) {
	if w.FluentBit {
		return w.fluentBit(message)
	}
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.EnsureCapacity(w.RecordsPerMessage)
	for i := range w.RecordsPerMessage {
		from := w.record(message, i)
		to := records.AppendEmpty()
		to.SetTimestamp(pcommon.NewTimestampFromTime(from.time))
		to.Body().SetStr(from.message)
		for j, name := range fields {
			to.Attributes().PutStr(name, from.values[j])
		}
	}
	var marshaler plog.ProtoMarshaler
	return marshaler.MarshalLogs(logs)
}

// fluentBit returns a record as Fluent Bit's Kafka output writes it: the time first, the labels at the root.
func (w Workload) fluentBit(message int) ([]byte, error) {
	if w.RecordsPerMessage != 1 {
		return nil, fmt.Errorf("a message of Fluent Bit has one record, not %d", w.RecordsPerMessage)
	}
	from := w.record(message, 0)
	text, err := json.Marshal(from.message)
	if err != nil {
		return nil, err
	}
	value := append([]byte(`{"@timestamp":"`), from.time.UTC().Format("2006-01-02T15:04:05.000000000Z")...)
	value = append(append(value, `","log":`...), text...)
	for j, name := range fields {
		value = append(value, `,"`+name+`":"`+from.values[j]+`"`...)
	}
	return append(value, '}'), nil
}

// Rows returns the rows of the same message as lines of JSON.
func (w Workload) Rows(message int) ([]byte, error) {
	var rows []byte
	for i := range w.RecordsPerMessage {
		from := w.record(message, i)
		rows = append(rows, `{"_time":"`...)
		rows = strconv.AppendInt(rows, from.time.UnixNano(), 10)
		rows = append(rows, `","_msg":`...)
		text, err := json.Marshal(from.message)
		if err != nil {
			return nil, err
		}
		rows = append(rows, text...)
		for j, name := range fields {
			rows = append(rows, `,"`+name+`":"`+from.values[j]+`"`...)
		}
		rows = append(rows, "}\n"...)
	}
	return rows, nil
}
